"""Standard errors of averages over correlated reads, for trajectories from any source."""

import numpy as np

from . import _check
from .results import Estimate

WINDOW = 5.0  # Sokal's rule: sum the autocorrelation up to lag WINDOW times the time it adds up to
SHORTEST_WINDOW = 8  # ... and at least so far, for reads whose correlation changes its sign
REGULAR = 1e-6  # relative spread of the time steps up to which reads count as equally spaced


def autocorrelation_time(xs) -> np.ndarray:
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

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> white = np.random.default_rng(0).standard_normal(100_000)
    >>> bool(abs(tl.autocorrelation_time(white) - 1) < 0.1)
    True
    """
    xs = _series(xs)
    n = xs.shape[0]
    centred = xs - xs.mean(axis=0)
    length = 1 << (2 * n - 1).bit_length()
    power = np.abs(np.fft.rfft(centred, length, axis=0)) ** 2
    covariance = np.fft.irfft(power, length, axis=0)[:n]
    start = covariance[0]
    rho = np.divide(covariance, start, out=np.zeros_like(covariance), where=start > 0)
    rho[0] = 1.0
    times = 2.0 * np.cumsum(rho, axis=0) - 1.0
    lags = np.arange(n).reshape((n,) + (1,) * (xs.ndim - 1))
    enough = (lags >= WINDOW * times) & (lags >= SHORTEST_WINDOW)
    window = np.where(enough.any(axis=0), enough.argmax(axis=0), n // 2)
    return np.maximum(np.take_along_axis(times, window[None], axis=0)[0], 1.0 / n)


def effective_sample_size(xs) -> np.ndarray:
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

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> white = np.random.default_rng(0).standard_normal(100_000)
    >>> bool(90_000 < tl.effective_sample_size(white) < 110_000)
    True
    """
    xs = _series(xs)
    return xs.shape[0] / autocorrelation_time(xs)


def batch_means(xs, n_batches: int = 32) -> np.ndarray:
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

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> white = np.random.default_rng(0).standard_normal(10_000)
    >>> bool(0.007 < tl.batch_means(white) < 0.013)
    True
    """
    xs = _series(xs)
    n_batches = _check.count(n_batches, "n_batches", least=2)
    size = xs.shape[0] // n_batches
    if size < 1:
        raise ValueError(f"batch_means needs at least n_batches = {n_batches} reads, got {xs.shape[0]}")
    batches = xs[: size * n_batches].reshape(n_batches, size, *xs.shape[1:]).mean(axis=1)
    return batches.std(axis=0, ddof=1) / np.sqrt(n_batches)


def time_average(times, xs, *, burn_in=0.0, method="autocorrelation", n_batches=32) -> Estimate:
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
        For "batch means".

    Returns
    -------
    Estimate
        ``value`` the mean of equally spaced reads, or the trapezoidal time average of others; ``stderr`` beside it.

    Raises
    ------
    ValueError
        Shapes that do not fit, times that do not increase, unequal spacing with "autocorrelation".

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> reads = 3.0 + np.random.default_rng(0).standard_normal(10_000)
    >>> r = tl.time_average(np.arange(10_000.0), reads)
    >>> bool(abs(r.value - 3.0) < 5 * r.stderr)
    True
    """
    times = _check.vector(times, "times")
    xs = _check.real_array(xs, "xs")
    _check.choice(method, "method", ("autocorrelation", "batch means"))
    burn_in = _check.positive(burn_in, "burn_in", zero=True)
    axis = 1 if xs.ndim == 3 else 0
    if xs.ndim not in (1, 2, 3) or xs.shape[axis] != times.size:
        raise ValueError(f"xs must have shape (n,), (n, d) or (chains, n, d) with n = {times.size}, got {xs.shape}")
    if times.size < 2 or (np.diff(times) <= 0).any():
        raise ValueError("times must be at least two, and increase")
    start = int(np.searchsorted(times, times[0] + burn_in))
    if times.size - start < 2:
        raise ValueError(f"burn_in = {burn_in:.4g} leaves {times.size - start} reads of a trajectory up to {times[-1]}")
    times = times[start:]
    reads = np.moveaxis(xs, axis, 0)[start:]
    steps = np.diff(times)
    regular = bool(np.ptp(steps) <= REGULAR * steps.mean())
    value = reads.mean(axis=0) if regular else np.trapezoid(reads, times, axis=0) / (times[-1] - times[0])
    if method == "batch means":
        stderr = batch_means(reads, n_batches) if regular else _uneven_batch_means(times, reads, n_batches)
    elif regular:
        scatter = reads.std(axis=0, ddof=1)
        stderr = scatter / np.sqrt(effective_sample_size(reads))
    else:
        raise ValueError('times must be equally spaced for method="autocorrelation"; use method="batch means"')
    chains = xs.shape[0] if xs.ndim == 3 else 1
    if xs.ndim == 3:
        value, stderr = value.mean(axis=0), np.sqrt(np.sum(stderr**2, axis=0)) / chains
    spacing = float(steps.mean()) if regular else None
    return Estimate(
        value=np.asarray(value), stderr_source=np.asarray(stderr), stderr_kind=method, burn_in=burn_in,
        duration=float(times[-1] - times[0]) + (spacing or 0.0), n_reads=times.size, read_spacing=spacing,
        n_chains=chains, simulator="data",
    )  # fmt: skip


def _uneven_batch_means(times, reads, n_batches):
    """Batch means over equal spans of time of a trajectory read at uneven times (linear in between)."""
    edges = np.linspace(times[0], times[-1], _check.count(n_batches, "n_batches", least=2) + 1)
    flat = reads.reshape(times.size, -1)
    pieces = np.diff(times)[:, None] * (flat[1:] + flat[:-1]) / 2
    integral = np.vstack((np.zeros(flat.shape[1]), np.cumsum(pieces, axis=0)))
    at_edges = np.column_stack([np.interp(edges, times, column) for column in integral.T])
    means = np.diff(at_edges, axis=0) / np.diff(edges)[:, None]
    return (means.std(axis=0, ddof=1) / np.sqrt(n_batches)).reshape(reads.shape[1:])


def _series(xs) -> np.ndarray:
    xs = _check.real_array(xs, "xs")
    if xs.ndim < 1 or xs.shape[0] < 2:
        raise ValueError(f"xs must hold at least 2 reads along its first axis, got shape {xs.shape}")
    return xs
