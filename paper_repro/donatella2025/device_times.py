"""Time on the simulated device for one factor, from the exact law of its read-outs, in units of RC."""

import warnings

import numpy as np
import scipy.stats
from scipy.optimize import brentq

import thermolinalg as tl
from paper_repro.aifer2024.run import continuous_inverse_error
from thermolinalg import laws

BIAS = 0.1  # of the error of an inverse: what may be left of the start
DURATIONS = 60  # averaging times among which the quickest is chosen


def log_spectrum(n: int, condition_number: float, rng) -> np.ndarray:
    """Eigenvalues (n,) evenly spaced in the logarithm, of a matrix in random axes with a largest entry of 1.

    The largest entry of a positive matrix is on its diagonal.
    """
    rates = np.geomspace(1.0 / condition_number, 1.0, n)
    axes = scipy.stats.ortho_group.rvs(n, random_state=rng) if n > 1 else np.ones((1, 1))
    return rates / np.max(axes**2 @ rates)


def solve_times(rates, rtol: float, beta: float, rms: float) -> tuple[float, float]:
    """The shortest burn-in and averaging time of one run that reach a root mean square error `rtol` relative to x.

    Parameters
    ----------
    rates : (n,) ndarray
    rtol, beta : float
    rms : float
        Root mean square of the entries of the right-hand sides, which are white and start the device at x = 0.

    Returns
    -------
    (float, float)
    """

    def mean_square(burn_in, duration):
        law = laws.Integrator(burn_in, duration)
        noise = law.variance(rates) / (beta * rms**2)
        return np.sum((law.memory(rates) / rates) ** 2 + noise) / np.sum(rates**-2.0)

    best = (np.inf, np.inf)
    longest = 2.0 * np.log(1.0 / rtol) / rates.min() + 1.0 / rates.max()
    for duration in np.geomspace(1e-3 / rates.max(), 1e2 * max(longest, 1.0 / (beta * rms**2 * rtol**2)), DURATIONS):
        if mean_square(0.0, duration) <= rtol**2:
            best = min(best, (0.0, duration), key=sum)
        elif mean_square(longest, duration) <= rtol**2:
            needed = brentq(lambda t, d=duration: mean_square(t, d) - rtol**2, 0.0, longest, xtol=1e-9 * longest)
            best = min(best, (needed, duration), key=sum)
    return best


def solve_error(rates, times: tuple[float, float], beta: float, columns: np.ndarray, rng) -> float:
    """Relative error of the device's solutions for some columns (n, k) after a burn-in and an averaging time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tl.errors.NotEquilibrated)  # stopped as early as the error allows
        found = tl.solve(tl.Diagonal(rates), columns, duration=times[1], burn_in=times[0], beta=beta, rng=rng)
    exact = columns / rates[:, None]
    return float(np.linalg.norm(found.value - exact) / np.linalg.norm(exact))


def invert_times(rates, rtol: float) -> tuple[float, float]:
    """Burn-in and averaging time of an inverse from one trajectory, whatever the temperature."""
    burn_in = np.log(1.0 / (BIAS * rtol)) / (2.0 * rates.min())

    def excess(log_duration):
        return np.log(continuous_inverse_error(rates, np.exp(log_duration)) / rtol)

    low = np.log(1e-3 / rates.max())
    duration = np.exp(brentq(excess, low, np.log(1e3 * len(rates) / (rtol**2 * rates.min())), xtol=1e-6))
    return float(burn_in), float(duration)
