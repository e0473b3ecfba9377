"""Standard errors of averages over correlated reads, for trajectories from any source."""

import numpy as np

from . import _validation
from ._typing import ArrayLike, FloatArray
from ._validation import warn
from .errors import UnreliableStderr
from .results import Estimate

WINDOW = 5.0  # Sokal's rule: sum the autocorrelation up to lag WINDOW times the time it adds up to
SHORTEST_WINDOW = 8  # ... and at least so far, for reads whose correlation changes its sign
REGULAR = 1e-6  # relative spread of the time steps up to which reads count as equally spaced
FEWEST = 50  # effective reads from which on a standard error can be told from the reads
CHAINS_FOR_SCATTER = 4  # chains from which the scatter of their means says something


def autocorrelation_time(xs: ArrayLike) -> np.ndarray:
    """Integrated autocorrelation time ``1 + 2 sum_k rho_k``, in reads.

    Parameters
    ----------
    xs : (n,) or (n, ...) array_like
        Equally spaced reads along the first axis.

    Returns
    -------
    ndarray
        One number for each series: summed up to the smallest lag M >= 8 with M >= 5 tau(M) (Sokal's window), 1 for a
        series that never changes, and at least 1/n where reads are so anticorrelated that the sum says nothing.

    Raises
    ------
    ValueError
        Fewer than 2 reads, or numbers that are not finite.

    See Also
    --------
    effective_sample_size : Reads over this time.
    time_average : A mean with its standard error.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> white = np.random.default_rng(0).standard_normal(100_000)
    >>> bool(abs(tl.stats.autocorrelation_time(white) - 1) < 0.1)
    True
    """
    xs, _ = _scaled(_series(xs))
    return _integrated(_autocovariance(xs - xs.mean(axis=0)))


def _autocovariance(centred: FloatArray) -> FloatArray:
    """Mean of x_k x_{k+lag}, times 1 - lag/n, at all lags along the first axis, by FFT."""
    n = centred.shape[0]
    length = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, length, axis=0)) ** 2
    return np.fft.irfft(power, length, axis=0)[:n] / n


def _integrated(covariance: FloatArray) -> FloatArray:
    """1 + 2 sum_k rho_k up to Sokal's window, from autocovariances along the first axis."""
    n, start = covariance.shape[0], covariance[0]
    rho = np.divide(covariance, start, out=np.zeros_like(covariance), where=start > 0)
    rho[0] = 1.0
    times = 2.0 * np.cumsum(rho, axis=0) - 1.0
    lags = np.arange(n).reshape((n,) + (1,) * (covariance.ndim - 1))
    enough = (lags >= WINDOW * times) & (lags >= SHORTEST_WINDOW)
    window = np.where(enough.any(axis=0), enough.argmax(axis=0), n // 2)
    return np.maximum(np.take_along_axis(times, window[None], axis=0)[0], 1.0 / n)


def effective_sample_size(xs: ArrayLike) -> np.ndarray:
    """Number of independent reads that carry the same information about the mean: n over `autocorrelation_time`.

    Parameters
    ----------
    xs : (n,) or (n, ...) array_like
        Equally spaced reads along the first axis.

    Returns
    -------
    ndarray
        One number for each series.

    Raises
    ------
    ValueError
        Fewer than 2 reads, or numbers that are not finite.

    See Also
    --------
    autocorrelation_time : The time itself.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> white = np.random.default_rng(0).standard_normal(100_000)
    >>> bool(90_000 < tl.stats.effective_sample_size(white) < 110_000)
    True
    """
    xs = _series(xs)
    return xs.shape[0] / autocorrelation_time(xs)


def batch_means(xs: ArrayLike, n_batches: int = 32) -> np.ndarray:
    """Standard error of the mean from the scatter of the means of consecutive batches.

    Parameters
    ----------
    xs : (n,) or (n, ...) array_like
        Reads along the first axis; the last n mod n_batches of them are left out of the scatter.
    n_batches : int
        Batches, at least 2; each should be many autocorrelation times long.

    Returns
    -------
    ndarray
        One number for each series.

    Raises
    ------
    ValueError
        Fewer reads than batches, or numbers that are not finite.

    See Also
    --------
    time_average : The mean as well; other methods.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> white = np.random.default_rng(0).standard_normal(10_000)
    >>> bool(0.007 < tl.stats.batch_means(white) < 0.013)
    True
    """
    xs = _series(xs)
    n_batches = _validation.count(n_batches, "n_batches", least=2)
    xs, exponent = _scaled(xs)
    return np.ldexp(_batches(xs, n_batches).std(axis=0, ddof=1) / np.sqrt(n_batches), exponent)


def time_average(
    times: ArrayLike, xs: ArrayLike, *, burn_in: float = 0.0, method: str = "autocorrelation", n_batches: int = 32
) -> Estimate:
    """Time average of any trajectory, with the standard error that its own correlations imply.

    Parameters
    ----------
    times : (n,) array_like
        Increasing times of the reads, in the unit in which the result's times are wanted.
    xs : (n,), (n, d) or (n_chains, n, d) array_like
        The reads; independent chains on a leading axis.
    burn_in : float
        Reads earlier than ``times[0] + burn_in`` are left out.
    method : "autocorrelation" or "batch means"
        The first needs equally spaced reads; the second works on equal spans of time and takes any.
    n_batches : int
        Batches of each chain, for "batch means", and for those that "autocorrelation" is compared with.

    Returns
    -------
    Estimate
        ``value`` the mean of equally spaced reads, or the trapezoidal time average of others, and its ``stderr``.

    Raises
    ------
    ValueError
        Shapes that do not fit, times that do not increase, unequal spacing with "autocorrelation".

    Warns
    -----
    UnreliableStderr
        Fewer than 50 effective reads: a record shorter than some 100 relaxation times of a slow quantity does not know
        its own slowness, and its error bar is too small (by 3, rms, at 10 relaxation times).

    See Also
    --------
    autocorrelation_time, batch_means : The two methods.
    thermolinalg.euler_maruyama : Trajectories.

    Notes
    -----
    The standard error is the largest of several. "autocorrelation" sums correlations of all chains about their common
    mean up to Sokal's window, which strong white noise on a slow quantity closes too early; it is compared with batch
    means, where a batch has at least 8 reads, and with the scatter of the means of 4 chains or more. "batch means" is
    compared with the latter only. Each is right on average for a long record, so the largest is too large: by a few
    per cent, by 15 for 4 chains.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> reads = 3.0 + np.random.default_rng(0).standard_normal(10_000)
    >>> r = tl.stats.time_average(np.arange(10_000.0), reads)
    >>> bool(abs(r.value - 3.0) < 5 * r.stderr)
    True
    """
    times = _validation.vector(times, "times")
    xs = _validation.real_array(xs, "xs")
    _validation.choice(method, "method", ("autocorrelation", "batch means"))
    burn_in = _validation.positive(burn_in, "burn_in", zero=True)
    axis = 1 if xs.ndim == 3 else 0
    if xs.ndim not in (1, 2, 3) or xs.shape[axis] != times.size or xs.size == 0:
        raise ValueError(f"xs must have shape (n,), (n, d) or (chains, n, d) with n = {times.size}, got {xs.shape}")
    if times.size < 2 or (np.diff(times) <= 0).any():
        raise ValueError("times must be at least two, and increase")
    start = int(np.searchsorted(times, times[0] + burn_in))
    if times.size - start < 2:
        raise ValueError(f"burn_in = {burn_in:.4g} leaves {times.size - start} reads of a trajectory up to {times[-1]}")
    times, shape = times[start:], xs.shape[2:] if xs.ndim == 3 else xs.shape[1:]
    chains = xs.shape[0] if xs.ndim == 3 else 1
    reads, exponent = _scaled(np.moveaxis(xs, axis, 0)[start:].reshape(times.size, chains, -1), axis=(0, 1))
    steps = np.diff(times)
    regular = bool(np.ptp(steps) <= REGULAR * steps.mean())
    means = reads.mean(axis=0) if regular else np.trapezoid(reads, times, axis=0) / (times[-1] - times[0])
    if method == "autocorrelation" and not regular:
        raise ValueError('times must be equally spaced for method="autocorrelation"; use method="batch means"')
    stderr = _standard_error(times, reads, means, regular, method, n_batches)
    spacing = float(steps.mean()) if regular else None
    return Estimate(
        value=np.ldexp(means.mean(axis=0), exponent).reshape(shape), stderr_kind=method,
        stderr_source=np.ldexp(stderr, exponent).reshape(shape), burn_in=burn_in,
        duration=float(times[-1] - times[0]) + (spacing or 0.0), n_reads=times.size, read_spacing=spacing,
        n_chains=chains, simulator="data",
    )  # fmt: skip


def _standard_error(
    times: FloatArray, reads: FloatArray, means: FloatArray, regular: bool, method: str, n_batches: int
) -> FloatArray:
    """Standard error (d,) of the average of reads (n, chains, d), with the means (chains, d) of the chains."""
    chains = len(means)
    n_batches = _validation.count(n_batches, "n_batches", least=2)
    errors = [means.std(axis=0, ddof=1) / np.sqrt(chains)] if chains >= CHAINS_FOR_SCATTER else []
    if method == "batch means" or times.size >= SHORTEST_WINDOW * n_batches:
        batches = _batches(reads, n_batches) if regular else _uneven_batches(times, reads, n_batches)
        errors.append(batches.std(axis=(0, 1), ddof=1) / np.sqrt(batches.shape[0] * chains))
    size, unbroken = times.size * chains, 0.0
    if regular:
        covariance = _autocovariance(reads - means.mean(axis=0)).mean(axis=1)
        unbroken = 2.0 * np.sum(covariance * np.cumprod(covariance > 0, axis=0), axis=0) - covariance[0]
        if method == "autocorrelation":
            errors.append(np.sqrt(covariance[0] * _integrated(covariance) / (size - 1)))
    stderr = np.max(errors, axis=0)
    _warn_if_few(size, reads.var(axis=(0, 1)), np.maximum(stderr**2, unbroken / size))
    return stderr


def _warn_if_few(size: int, each: FloatArray, variance: FloatArray) -> None:
    """`UnreliableStderr` where an average of `size` reads of variance `each` is worth fewer than FEWEST of them."""
    still = (each == 0.0) | (variance == 0.0)
    effective = min(size, float(np.min(np.divide(each, variance, out=np.full_like(each, size), where=~still))))
    if effective < FEWEST and not still.all():
        warn(
            f"the reads are worth {effective:.3g} independent ones, and some {FEWEST} are needed to tell a standard "
            "error: take it for a lower bound, and record for longer",
            UnreliableStderr,
        )


def _batches(reads: FloatArray, n_batches: int) -> FloatArray:
    """Means (n_batches, ..) of consecutive batches; the last reads may be left out."""
    size = reads.shape[0] // n_batches
    if size < 1:
        raise ValueError(f"n_batches = {n_batches} needs at least as many reads, got {reads.shape[0]}")
    return reads[: size * n_batches].reshape(n_batches, size, *reads.shape[1:]).mean(axis=1)


def _uneven_batches(times: FloatArray, reads: FloatArray, n_batches: int) -> FloatArray:
    """Means (n_batches, ..) over equal spans of time of a trajectory read at uneven times (linear in between)."""
    edges = np.linspace(times[0], times[-1], n_batches + 1)
    flat = reads.reshape(times.size, -1)
    pieces = np.diff(times)[:, None] * (flat[1:] + flat[:-1]) / 2
    integral = np.vstack((np.zeros(flat.shape[1]), np.cumsum(pieces, axis=0)))
    at_edges = np.column_stack([np.interp(edges, times, column) for column in integral.T])
    return (np.diff(at_edges, axis=0) / np.diff(edges)[:, None]).reshape(n_batches, *reads.shape[1:])


def _scaled(xs: FloatArray, axis: int | tuple[int, ...] = 0) -> tuple[FloatArray, np.ndarray]:
    """xs with magnitudes up to 1, whose squares neither over- nor underflow, and the exponents of 2 taken out."""
    exponent = np.frexp(np.abs(xs).max(axis=axis))[1]
    return np.ldexp(xs, -exponent), exponent


def _series(xs: ArrayLike) -> np.ndarray:
    xs = _validation.real_array(xs, "xs")
    if xs.ndim < 1 or xs.shape[0] < 2 or xs.size == 0:
        raise ValueError(f"xs must hold at least 2 reads along its first axis, got shape {xs.shape}")
    return xs
