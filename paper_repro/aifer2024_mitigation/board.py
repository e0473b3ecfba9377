"""Mitigation on a board of eight LC cells whose capacitors are rounded, and off by an error of their own."""

import numpy as np

import thermolinalg as tl
from paper_repro.melanson2025.boards import CELLS, FORGETTING, random_matrix


def board_rows(settings, seed) -> list[dict]:
    """Rows of section "board": error of an inversion with one programming, and with as many reads of several."""
    rng = np.random.default_rng(seed)
    matrices = [random_matrix(rng) for _ in range(settings.boards)]
    rows = []
    for mismatch in settings.mismatches:
        for bits in settings.board_bits:
            found = np.array([_errors(A, bits, mismatch, settings, rng) for A in matrices])
            for method, errors in zip(("single", "merged"), found.T, strict=True):
                labels = {"section": "board", "problem": "inv", "method": method, "d": CELLS, "bits": bits}
                made = errors[np.isfinite(errors)]  # boards whose capacitors could all be made
                low, median, high = np.quantile(made, (0.1, 0.5, 0.9)) if made.size else [np.nan] * 3
                rows.append(labels | {"mismatch": mismatch, "reads": settings.board_reads, "error": median,
                                      "low": low, "high": high, "made": made.size / errors.size})  # fmt: skip
    return rows


def _errors(A, bits, mismatch, settings, rng) -> tuple[float, float]:
    truth, seed = np.linalg.inv(A), int(rng.integers(2**31))
    sheet = {"matrix_bits": bits, "mismatch": mismatch, "mismatch_seed": seed}
    try:
        single = _read(A, tl.Device(**sheet), settings.board_reads, rng)
        random = tl.Device(**sheet, rounding="stochastic")
        share = settings.board_reads // settings.board_members
        merged = np.mean([_read(A, random, share, rng) for _ in range(settings.board_members)], axis=0)
    except ValueError:  # a capacitor to ground that came out as zero
        return np.nan, np.nan
    size = np.linalg.norm(truth)
    return float(np.linalg.norm(single - truth) / size), float(np.linalg.norm(merged - truth) / size)


def _read(A, device, n_reads, rng) -> np.ndarray:
    """Inverse as read from one programming of the board."""
    board = tl.circuits.RLCSampler.spu(A, device=device, rng=rng)
    return board.inv(n_reads=n_reads, read_spacing=FORGETTING * board.relaxation_time, rng=rng).value
