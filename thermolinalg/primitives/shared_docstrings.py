"""What the docstrings of several primitives say in the same words: written here once, inserted where `@name` stands."""

import re
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

PARAMETERS = {
    "A": """\
        A : (d, d) array_like, sparse array, LinearOperator or operator
            Symmetric positive definite, in units of the reference conductance; or what `hardware.program` has put on a
            device, which then is not loaded again. An operator keeps its factorisation for the next call.""",
    "beta": """\
        beta : float, optional
            Inverse temperature of an ideal device [1 / (voltage unit)^2]; default 1.""",
    "device": """\
        device : Device, optional
            A device with its own beta; not together with beta.""",
    "dynamics": """\
        dynamics : "overdamped", "underdamped" or Inertia
            "underdamped": cells with inertia, of unit mass and with the friction that damps the slowest mode
            critically; an `Inertia` says both. The equilibrium is the same, the way there is not. For a `Krylov`
            operator the critical friction is that of its lower bound.""",
    "simulator": """\
        simulator : "auto", "law" or "path"
            "law" draws the output from its exact distribution; "path" steps the device through time. "auto" takes the
            law where it is known in closed form, and else the path. The two do not share noise.""",
    "burn_in": """\
        burn_in : "auto", "stationary" or float
            Time from x = 0 to the first read [RC]. "auto": long enough that the bias left from the start is at most a
            tenth of the standard error; for independent reads that bias is then left out of the law. "stationary": the
            device is found in equilibrium, at no cost in time. A number: the bias is in the law.""",
    "n_chains": """\
        n_chains : int
            Independent replicas of the device, averaged.""",
    "rng": """\
        rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
            Passed to `numpy.random.default_rng`; None is fresh entropy.""",
    "workers": """\
        workers : int, optional
            Threads of the path simulator, default as many as there are cores; any number gives the same bits.""",
}
MARK = re.compile(r"^ *@(\w+)$", re.MULTILINE)


def documented(function: F) -> F:
    """Insert the shared descriptions of parameters into a docstring, one for each line ``@name``."""
    if function.__doc__:
        function.__doc__ = MARK.sub(lambda mark: _entry(mark[1]), function.__doc__)
    return function


def _entry(name: str) -> str:
    return textwrap.indent(textwrap.dedent(PARAMETERS[name]), "    ")
