"""What the caller asked for: exactly one of a duration, a number of reads and an accuracy."""

from dataclasses import dataclass

import numpy as np

from .. import _validation
from ..laws.readout import Protocol
from .dynamics import Dynamics

DENSE_READS = 0.25  # spacing of the reads that stand for a continuous integrator, in units of 1 / lambda_max


@dataclass(frozen=True)
class Request:
    """What the caller asked for: exactly one of duration, n_reads and rtol, and perhaps a spacing."""

    duration: float | None
    n_reads: int | None
    read_spacing: float | None
    rtol: float | None

    @classmethod
    def of(
        cls, duration: float | None, n_reads: int | None, read_spacing: float | None, rtol: float | None
    ) -> "Request":
        """The request, checked."""
        kind = _validation.exactly_one(duration=duration, n_reads=n_reads, rtol=rtol)
        if read_spacing is not None:
            if kind == "duration":
                raise ValueError("read_spacing goes with n_reads or rtol; an integrator (duration) has no reads")
            read_spacing = _validation.positive(read_spacing, "read_spacing")
        if kind == "duration":
            duration = _validation.positive(duration, "duration")
        elif kind == "n_reads":
            n_reads = _validation.count(n_reads, "n_reads")
        else:
            rtol = _validation.positive(rtol, "rtol")
        return cls(duration, n_reads, read_spacing, rtol)

    @classmethod
    def of_round(cls, duration: float | None, n_reads: int | None, read_spacing: float | None) -> "Request":
        """The request for one round of a refinement: perhaps nothing, for a duration that is planned."""
        if duration is None and n_reads is None:
            if read_spacing is not None:
                raise ValueError("read_spacing goes with n_reads; refinement without n_reads plans an integrator")
            return cls(None, None, None, None)
        return cls.of(duration, n_reads, read_spacing, None)

    def protocol(self, dynamics: Dynamics) -> Protocol:
        """The protocol of a mean, its burn-in still open (infinite); for rtol the one that a plan starts from."""
        if self.n_reads is None and (self.duration is not None or self.read_spacing is None):
            return dynamics.integrator(np.inf, 1.0 if self.duration is None else self.duration)
        return dynamics.reads(np.inf, self.n_reads or 1, self.read_spacing)
