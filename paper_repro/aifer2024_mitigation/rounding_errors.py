"""Errors of inverse and solution with a rounded matrix: one rounding, and merged ensembles of roundings."""

import numpy as np

import thermolinalg as tl

METHODS = ("single", "random", "merged", "corrected")


def rounding_rows(settings, seed) -> list[dict]:
    """Rows of section "bits": errors of the exact inverses of what is programmed, and their predictions."""
    rows = []
    for d, count, child in zip(settings.sizes, settings.matrices, seed.spawn(len(settings.sizes)), strict=True):
        rng = np.random.default_rng(child)
        cases = [Case(d, rng) for _ in range(count)]
        for bits in settings.bits_of(d):
            found = [case.errors(bits, settings, rng) for case in cases]
            for problem in ("inv", "solve"):
                for method in METHODS:
                    values = [each[problem, method] for each in found]
                    labels = {"section": "bits", "problem": problem, "method": method, "d": d, "bits": bits}
                    step = float(np.median([each["step"] for each in found]))
                    rows.append(labels | {"step": step} | quantiles(values))
        if d == min(settings.sizes):
            rows += noisy_rows(cases, settings, rng)
    return rows


def quantiles(values) -> dict:
    """Median over repeats of error and prediction, quantiles of the error; missing where a matrix is not definite."""
    errors, predictions = np.transpose(values)
    if np.isnan(errors).any():
        return {"error": np.nan, "low": np.nan, "high": np.nan, "predicted": np.nan}
    low, median, high = np.quantile(errors, (0.1, 0.5, 0.9))
    return {"error": median, "low": low, "high": high, "predicted": float(np.median(predictions))}


class Case:
    """A Wishart matrix, its inverse B, a right-hand side b and the solution x."""

    def __init__(self, d: int, rng):
        self.A, self.b = tl.problems.wishart(d, rng=rng), rng.standard_normal(d)
        B = np.linalg.inv(self.A)
        self.B = (B + B.T) / 2.0
        self.x = self.B @ self.b

    def errors(self, bits: int, settings, rng) -> dict:
        """(problem, method): relative error and what theory says of it; "step"."""
        ensembles = {
            "single": tl.rounding_ensemble(self.A, bits, members=1),
            "random": tl.rounding_ensemble(
                self.A, bits, members=settings.random_members, method="stochastic", rng=rng
            ),
            "merged": tl.rounding_ensemble(self.A, bits, members=settings.members),
        }  # fmt: skip
        step = ensembles["merged"].step
        inverses = {name: merged_inverse(ensemble) for name, ensemble in ensembles.items()}
        bias = ensembles["merged"].bias(self.A, self.B)
        merged = inverses["merged"]
        # the host knows A and the members; of A^-1 it has the merged estimate
        known = np.nan * merged if np.isnan(merged).any() else ensembles["merged"].bias(self.A, merged)
        inverses["corrected"] = merged - known
        predictions = {
            "single": self.linear(step**2 / 12.0),
            "random": self.linear(step**2 / 6.0 / settings.random_members, tl.expected_bias(self.A, self.B, step)),
            "merged": (np.linalg.norm(bias), np.linalg.norm(bias @ self.b)),
            "corrected": (np.nan, np.nan),
        }
        found: dict = {"step": step}
        for name, inverse in inverses.items():
            gap, (of_inverse, of_solution) = inverse - self.B, predictions[name]
            size, length = np.linalg.norm(self.B), np.linalg.norm(self.x)
            found["inv", name] = (np.linalg.norm(gap) / size, of_inverse / size)
            found["solve", name] = (np.linalg.norm(gap @ self.b) / length, of_solution / length)
        return found

    def linear(self, variance: float, bias=None) -> tuple[float, float]:
        """Rms of B dA B and of B dA x for symmetric dA of independent entries of this variance, with a bias added.

        ``E[dA M dA] = variance (tr(M) I + M off its diagonal)`` for M = B^2.
        """
        M = self.B @ self.B
        off = M - np.diag(np.diag(M))
        square = variance * (np.trace(M) ** 2 + np.sum(off**2))
        solved = variance * (np.trace(M) * (self.x @ self.x) + self.x @ off @ self.x)
        if bias is not None:
            square, solved = square + np.sum(bias**2), solved + np.sum((bias @ self.b) ** 2)
        return float(np.sqrt(square)), float(np.sqrt(solved))


def merged_inverse(ensemble) -> np.ndarray:
    """Weighted mean of the inverses of the members; nan if one of them is not positive definite."""
    total = np.zeros_like(ensemble.matrices[0])
    for weight, member in zip(ensemble.weights, ensemble.matrices, strict=True):
        try:
            factor = np.linalg.cholesky(member)
        except np.linalg.LinAlgError:
            return np.full_like(total, np.nan)
        root = np.linalg.inv(factor)
        total += weight * (root.T @ root)
    return total


def noisy_rows(cases, settings, rng) -> list[dict]:
    """Rows of section "noise": the device with its thermal noise, one rounding and merged, in equally many reads."""
    rows, labels = [], {"section": "noise", "problem": "inv", "d": len(cases[0].A), "reads": settings.reads}
    for bits in settings.bits:
        device = tl.Device(matrix_bits=bits)
        for method in ("single", "merged"):
            values = [_noisy_error(case, device, method, settings, rng) for case in cases]
            rows.append(labels | {"method": method, "bits": bits} | quantiles([(v, np.nan) for v in values]))
    return rows


def _noisy_error(case, device, method, settings, rng) -> float:
    protocol = {"n_reads": settings.reads, "device": device, "rng": rng}
    try:
        run = (
            tl.inv(case.A, **protocol)
            if method == "single"
            else tl.mitigate(tl.inv, case.A, members=settings.members, **protocol)
        )
    except tl.errors.NotPositiveDefinite:
        return np.nan
    return float(np.linalg.norm(run.value - case.B) / np.linalg.norm(case.B))
