"""What a script does today (plain NumPy) and what the one public package of this kind does (thermox, jitted)."""

import numpy as np

try:
    import jax
    import thermox
except ImportError:
    jax = thermox = None


def plain_solve(A, b, n, rng):
    """Exact AR(1) steps with matrices, one read after another, averaged."""
    step, kick = _steps(A)
    mean = np.linalg.solve(A, b)
    x, total = np.zeros_like(b), np.zeros_like(b)
    for _ in range(n):
        x = mean + step @ (x - mean) + kick @ rng.standard_normal(b.size)
        total += x
    return total / n


def plain_reads(A, n, rng):
    """(n, d) reads by steps in modes, rotated at the end."""
    values, vectors = np.linalg.eigh(A)
    decay, kick = np.exp(-values), np.sqrt(-np.expm1(-2.0 * values) / values)
    y = rng.standard_normal(values.size) / np.sqrt(values)
    reads = np.empty((n, values.size))
    for k in range(n):
        reads[k] = y = decay * y + kick * rng.standard_normal(values.size)
    return reads @ vectors.T


def plain_inv(A, n, rng):
    """Covariance of reads."""
    x = plain_reads(A, n, rng)
    return x.T @ x / n


def plain_negexpm(A, n, rng):
    """Lagged covariance of reads of dx = -A x dt + N(0, 2 A dt), which has unit covariance."""
    values, vectors = np.linalg.eigh(A)
    decay, kick = np.exp(-values), np.sqrt(-np.expm1(-2.0 * values))
    y = rng.standard_normal(values.size)
    reads = np.empty((n, values.size))
    for k in range(n):
        reads[k] = y = decay * y + kick * rng.standard_normal(values.size)
    x = reads @ vectors.T
    return x[1:].T @ x[:-1] / (n - 1)


def plain_lyapunov(A, R, n, rng):
    """Covariance of reads of dx = -A x dt + N(0, R dt), stepped with matrices."""
    import scipy.linalg

    S = scipy.linalg.solve_continuous_lyapunov(A, R)
    step = scipy.linalg.expm(-A)
    kick = np.linalg.cholesky(S - step @ S @ step.T)
    x, reads = np.linalg.cholesky(S) @ rng.standard_normal(len(A)), np.empty((n, len(A)))
    for k in range(n):
        reads[k] = x = step @ x + kick @ rng.standard_normal(len(A))
    return reads.T @ reads / n


def plain_work(A, duration, n_steps, n_paths, rng):
    """Jarzynski's average of the work of a linear ramp from (tr A / d) I to A, in modes, step by step."""
    values = np.linalg.eigvalsh(A)
    first = np.trace(A) / len(A)
    x = rng.standard_normal((n_paths, values.size)) / np.sqrt(first)
    work, dt = np.zeros(n_paths), duration / n_steps
    for k in range(n_steps):
        old = first + (values - first) * k / n_steps
        new = first + (values - first) * (k + 1) / n_steps
        work += 0.5 * ((new - old) * x**2).sum(axis=1)
        x = np.exp(-new * dt) * x + np.sqrt(-np.expm1(-2.0 * new * dt) / new) * rng.standard_normal(x.shape)
    low = work.min()
    return len(A) * np.log(first) - 2.0 * (np.log(np.mean(np.exp(low - work))) - low)


def plain_euler(A, b, dt, steps, chains, rng):
    """Euler-Maruyama steps of all chains at once, averaged over time."""
    x, total = np.zeros((len(b), chains)), np.zeros((len(b), chains))
    for _ in range(steps):
        x += dt * (b[:, None] - A @ x) + np.sqrt(2.0 * dt) * rng.standard_normal(x.shape)
        total += x
    return total / steps


def plain_baoab(A, b, dt, steps, chains, rng):
    """BAOAB steps of cells with unit mass and friction, all chains at once."""
    x, p = np.zeros((len(b), chains)), np.zeros((len(b), chains))
    total, keep = np.zeros_like(x), np.exp(-dt)
    for _ in range(steps):
        p += 0.5 * dt * (b[:, None] - A @ x)
        x += 0.5 * dt * p
        p = keep * p + np.sqrt(1.0 - keep**2) * rng.standard_normal(p.shape)
        x += 0.5 * dt * p
        p += 0.5 * dt * (b[:, None] - A @ x)
        total += x
    return total / steps


def _steps(A):
    values, vectors = np.linalg.eigh(A)
    step = (vectors * np.exp(-values)) @ vectors.T
    return step, vectors * np.sqrt(-np.expm1(-2.0 * values) / values)


def _jitted(function, *arguments):
    """A call of a jitted function; float32, thermox's own default."""
    run, given = jax.jit(function), tuple(jax.numpy.asarray(argument) for argument in arguments)
    return lambda: run(*given).block_until_ready()


def thermox_solve(A, b, n):
    """Contender, or nothing where thermox is not installed."""
    if thermox is None:
        return {}
    return {"thermox": _jitted(lambda A, b: thermox.linalg.solve(A, b, num_samples=n), A, b)}


def thermox_inv(A, n):
    """Contender, or nothing where thermox is not installed."""
    return {} if thermox is None else {"thermox": _jitted(lambda A: thermox.linalg.inv(A, num_samples=n), A)}


def thermox_negexpm(A, n):
    """Contender, or nothing where thermox is not installed."""
    return {} if thermox is None else {"thermox": _jitted(lambda A: thermox.linalg.expnegm(A, num_samples=n), A)}
