"""Where a step of TNGD takes less time than the same natural gradient done digitally, over N and b dz.

Seconds are operation counts of `complexity` times the rates of a `Machine` in 32 bits: passes through the network and
J J^T at the rate of matrix products, products of J with a vector at that of reading J; each call has an overhead; the
device by its complete model.
"""

import numpy as np
import pandas as pd

import thermolinalg as tl
from thermolinalg.hardware.device import IDEAL_WORD

from .complexity import Network, Step, cholesky_solve, conjugate_gradient, first_order_steps, natural_gradient_steps
from .device_seconds import Job, complete_parts
from .digital_model import Machine

NATURAL = ("NGD-Woodbury", "NGD-CG", "TNGD")
DEPTH = 3  # layers of the network: calls of a pass through it
SIDES = {"load counted": False, "load free": True}


def flow_degree(time: float, accuracy: float) -> int:
    """Iterations of conjugate gradient that do what gradient flow of a duration does.

    The polynomial of degree c closest to ``e^{-t x}`` on [0, 1] is off by about ``2 e^{-c^2 / t}``, so that
    ``c = sqrt(t ln(2 / accuracy))``; conjugate gradient is no worse than any polynomial. (Sachdeva and Vishnoi,
    Found. Trends Theor. Comput. Sci. 9, 125 (2014): order sqrt(t ln(1/accuracy)).)

    Examples
    --------
    >>> flow_degree(50.0, 0.01)
    17
    """
    return int(np.ceil(np.sqrt(time * np.log(2.0 / accuracy))))


def device_parts(step: Step, device: tl.Device, *, loaded: bool) -> dict[str, float]:
    """Seconds of the device's parts of a step."""
    job = Job(programmed=step.programmed, inputs=step.inputs, outputs=step.outputs, burn_in=step.time, averaging=0.0)
    return complete_parts(job, device, loaded=loaded)


def digital_seconds(step: Step, net: Network, host: Machine, iterations: int) -> float:
    """Seconds of the digital part of a step: all at the rate of products, but what streams a vector at that of memory.

    J g and J^T u of Woodbury read J; vectors of length N are read in every method; TNGD and Woodbury write J once. A
    pass each way through `DEPTH` layers takes 3 calls a layer, the passes of all outputs together as many, a product
    with the curvature 4, vectors one each.
    """
    written = net.rows * net.N if step.method in ("NGD-Woodbury", "TNGD") else 0
    streamed = {"SGD": net.N, "Adam": 10 * net.N, "NGD-Woodbury": 2 * net.rows * net.N + net.N,
                "NGD-CG": conjugate_gradient(net.N, iterations, net.N), "TNGD": 0.0}[step.method]  # fmt: skip
    calls = {"SGD": 3 * DEPTH + 1, "Adam": 3 * DEPTH + 2, "NGD-Woodbury": 6 * DEPTH + 4,
             "NGD-CG": 3 * DEPTH + iterations * (4 * DEPTH + 3), "TNGD": 6 * DEPTH}[step.method]  # fmt: skip
    factor = cholesky_solve(net.rows) if step.method == "NGD-Woodbury" else 0.0
    products = step.operations - streamed - factor
    seconds = products * host.per_operation + (streamed + written) * host.per_streamed + calls * host.overhead
    return float(seconds + (host.seconds("Cholesky", net.rows) if factor else 0.0))


def break_even_bandwidth(net: Network, host: Machine, iterations: int, device: tl.Device) -> float:
    """Rate of the link [bit/s] at which a step of TNGD takes as long as one of NGD-CG; inf if no link is enough.

    What TNGD saves are the passes of conjugate gradient less those of J; what it must move is ``b dz (b dz + 2 N)``
    numbers, and the gradient both ways.

    Examples
    --------
    >>> from analysis.digital_model import assumed_machine
    >>> host = assumed_machine("host", products=2e10, factorisations=1e10, memory=1e11, overhead=0.0)
    >>> rate = break_even_bandwidth(Network(10**6, 16, 10), host, 17, tl.Device.tngd())
    >>> 5e10 < rate < 5e11
    True
    """
    _, gradient, _, tngd = natural_gradient_steps(net, iterations, 0.0)
    saved = digital_seconds(gradient, net, host, iterations) - digital_seconds(tngd, net, host, iterations)
    words = [bits or IDEAL_WORD for bits in (device.matrix_bits, device.dac_bits, device.adc_bits)]
    moved = float(np.dot(words, (tngd.programmed, tngd.inputs, tngd.outputs)))
    return float(moved / saved) if saved > 0.0 else float("inf")


def step_map(
    weights, rows, hosts, device: tl.Device, *, dz: int, iterations: int, run_time: float, word: int = 4
) -> pd.DataFrame:
    """Seconds of a step of every method over N and b dz.

    Parameters
    ----------
    weights, rows : sequence of int
        N and b dz; b is b dz / dz, at least 1.
    hosts : sequence of Machine
    device : Device
    dz, iterations : int
        Outputs; iterations of NGD-CG.
    run_time : float
        Of the device's run [RC].
    word : int
        Bytes of a number of J.

    Returns
    -------
    DataFrame
        host, loading ("load counted", "load free"), N, rows, method, digital, load, relax, convert, seconds, winner
        (the quickest way to a natural gradient), over_adam (seconds over those of Adam), bytes (of J).
    """
    found = []
    for host in hosts:
        for side, loaded in SIDES.items():
            for N in weights:
                for m in rows:
                    net = Network(int(N), max(1, round(m / dz)), min(int(m), dz))
                    point = {"host": host.name, "loading": side, "N": int(N), "rows": net.rows,
                             "bytes": float(word * net.rows * int(N))}  # fmt: skip
                    found += _point(net, host, device, iterations, run_time, loaded, point)
    return pd.DataFrame(found)


def _point(net, host, device, iterations, run_time, loaded, point) -> list[dict]:
    steps = first_order_steps(net)[1:] + natural_gradient_steps(net, iterations, run_time)[1:]
    lines = []
    for step in steps:
        digital = digital_seconds(step, net, host, iterations)
        parts = {"load": 0.0, "relax": 0.0, "integrate": 0.0, "convert": 0.0}
        if step.programmed:
            parts = device_parts(step, device, loaded=loaded)
        lines.append(point | {"method": step.method, "digital": digital} | parts
                     | {"seconds": digital + sum(parts.values())})  # fmt: skip
    adam = lines[0]["seconds"]
    least = min(line["seconds"] for line in lines if line["method"] in NATURAL)
    return [
        line | {"winner": line["method"] in NATURAL and line["seconds"] == least, "over_adam": line["seconds"] / adam}
        for line in lines
    ]
