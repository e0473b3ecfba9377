"""The data of the reproductions: matrices with a right-hand side, and what the networks learn from.

Nothing is downloaded. Matrices and digits come with scikit-learn, imported only when one of them is asked for; the text
comes with Python; the graphs are made or typed in here; MNIST and CIFAR-10 are read from files that are already on the
machine.
"""

from collections.abc import Callable

from .files import MissingData, data_root, read_cifar10, read_idx, write_cifar10, write_idx
from .graphs import KARATE_EDGES, karate_club, normalised_adjacency
from .images import cifar10, digits, mnist
from .learning import LearningData
from .matrices import (
    SYSTEMS,
    LinearSystem,
    breast_cancer_correlation,
    digits_correlation,
    digits_covariance,
    digits_kernel,
    digits_second_moment,
    laplacian,
    mikota,
)
from .molecules import TASKS, molecule_like_graphs
from .text import CHARACTERS, decode, encode, topics_text

__all__ = [
    "CHARACTERS",
    "KARATE_EDGES",
    "LEARNING",
    "SYSTEMS",
    "TASKS",
    "LearningData",
    "LinearSystem",
    "MissingData",
    "breast_cancer_correlation",
    "cifar10",
    "data_root",
    "decode",
    "digits",
    "digits_correlation",
    "digits_covariance",
    "digits_kernel",
    "digits_second_moment",
    "encode",
    "karate_club",
    "laplacian",
    "load",
    "mikota",
    "mnist",
    "molecule_like_graphs",
    "normalised_adjacency",
    "read_cifar10",
    "read_idx",
    "topics_text",
    "write_cifar10",
    "write_idx",
]

LEARNING: dict[str, Callable[..., LearningData]] = {
    "digits": digits,
    "mnist": mnist,
    "cifar10": cifar10,
    "topics_text": topics_text,
    "molecule_like_graphs": molecule_like_graphs,
    "karate_club": karate_club,
}
FROM_FILES = ("mnist", "cifar10")


def load(name: str, root=None, **options) -> LinearSystem | LearningData:
    """The system or the learning data of that name.

    Parameters
    ----------
    name : str
        One of `SYSTEMS` or of `LEARNING`.
    root : path, optional
        Folder with the files of "mnist" and "cifar10" (default: `data_root`); the others read no files and do not look
        at it, so that a command line can pass its ``--data-root`` with every name.
    **options
        Keyword arguments of the function in `LEARNING`; a system takes none.

    Returns
    -------
    LinearSystem or LearningData

    Raises
    ------
    ValueError
        For a name that is not known, or options for a system.
    MissingData
        For files that are not there.

    Examples
    --------
    >>> load("laplacian_8").array.shape
    (64, 64)
    >>> load("karate_club").train_labels.shape
    (1, 34)
    """
    if name in SYSTEMS:
        if options:
            raise ValueError(f"the system {name!r} takes no options, got {', '.join(options)}")
        return SYSTEMS[name]()
    if name not in LEARNING:
        raise ValueError(f"unknown data {name!r}; systems: {', '.join(SYSTEMS)}; learning data: {', '.join(LEARNING)}")
    return LEARNING[name](root, **options) if name in FROM_FILES else LEARNING[name](**options)
