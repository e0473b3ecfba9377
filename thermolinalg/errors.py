"""Exceptions and warnings that callers may want to catch by name."""

import numpy as np


class NotPositiveDefinite(np.linalg.LinAlgError, ValueError):
    """A matrix that must be symmetric positive definite is not; ``eigenvalue`` is the offender."""

    def __init__(self, message: str, eigenvalue: float) -> None:
        super().__init__(message)
        self.eigenvalue = eigenvalue


class NoClosedLaw(ValueError):
    """The law of the requested read-out has no closed form; the message names the simulator that serves."""


class QuantizationFloor(ValueError):
    """The requested accuracy lies below what the device's converters allow."""


class NotConverged(RuntimeError):
    """An iteration ended before it reached its tolerance."""


class NotEquilibrated(UserWarning):
    """The burn-in is too short: the transient is not small compared with the standard error."""


class UnreliableWork(UserWarning):
    """Too few of the work values rule the free energy: its value and its standard error are not to be trusted."""


class UnreliableStderr(UserWarning):
    """The data are too few for their own standard error: it is an underestimate, by how much they cannot tell."""
