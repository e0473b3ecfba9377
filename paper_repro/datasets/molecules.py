"""Random graphs that look like small molecules, with questions about their structure: ours, no chemistry is meant."""

import numpy as np

from thermolinalg import checks

from .graphs import normalised_adjacency
from .learning import LearningData, fraction

ATOMS = ("C", "N", "O", "S", "F")
VALENCE = np.array([4, 3, 2, 2, 1])
ABUNDANCE = np.array([0.74, 0.1, 0.1, 0.03, 0.03])
CARBON = 0
RING_SIZES = np.array([3, 4, 5, 6, 7])
RING_SHARES = np.array([0.05, 0.05, 0.4, 0.4, 0.1])
MOST_RINGS = 3
CHAIN = 0.6  # probability that an atom is bonded to the latest one that has a free valence: chains, not bushes
BRANCHES, DIAMETER = 3, 7
TASKS = ("five_ring", "six_ring", "hetero_bond", "hetero_ring", "branched", "long")


def molecule_like_graphs(
    n: int = 1000, seed: int = 0, *, least_atoms: int = 8, most_atoms: int = 20, test_fraction: float = 0.2
) -> LearningData:
    """Random trees of atoms with rings closed, and six questions that a computation on the graph answers.

    The number of atoms is uniform from `least_atoms` to `most_atoms`; atoms are C, N, O, S, F with at most 4, 3, 2, 2,
    1 bonds, all single. Each atom is bonded to an earlier one, then up to three bonds close rings, of five or six atoms
    mostly. The questions, in the order of `TASKS`: is there a bond whose smallest ring has five atoms; one whose
    smallest ring has six; a bond between two atoms that are not carbon; a ring with an atom that is not carbon; are
    there more than three atoms with three or more bonds; are there two atoms more than seven bonds apart? The first
    graphs of a seed are the same whatever n; the last ones are the test set.

    Parameters
    ----------
    n : int
        Number of graphs, training and test together.
    seed : int
    least_atoms, most_atoms : int
        At least 2; `most_atoms` is the padded size p.
    test_fraction : float
        Between 0 and 1.

    Returns
    -------
    LearningData
        Inputs ``adjacency`` (n, p, p) normalised, ``raw_adjacency`` (n, p, p) of 0 and 1, ``features`` (n, p, 9),
        one-hot atom and one-hot number of bonds, ``mask`` (n, p); labels (n, 1, 6) of 0.0 and 1.0;
        `LearningData.balance` is the share of yes for each question, between 0.3 and 0.7 at the default sizes.

    Raises
    ------
    ValueError
        For sizes out of order, or a set that would be empty.

    Examples
    --------
    >>> data = molecule_like_graphs(50, seed=1)
    >>> data.train_inputs["features"].shape, data.train_labels.shape
    ((40, 20, 9), (40, 1, 6))
    """
    n = checks.count(n, "n", least=2)
    least = checks.count(least_atoms, "least_atoms", least=2)
    most = checks.count(most_atoms, "most_atoms", least=least)
    n_test = round(n * fraction(test_fraction, "test_fraction"))
    if not 0 < n_test < n:
        raise ValueError(f"test_fraction must leave graphs in both sets, got {test_fraction} of {n}")
    rng = np.random.default_rng(checks.count(seed, "seed", least=0))
    adjacency, features = np.zeros((n, most, most)), np.zeros((n, most, len(ATOMS) + VALENCE.max()))
    mask, labels = np.zeros((n, most)), np.zeros((n, 1, len(TASKS)))
    for i in range(n):
        bonds, atoms = random_molecule(rng, int(rng.integers(least, most + 1)))
        size = len(atoms)
        adjacency[i, :size, :size] = bonds
        features[i, np.arange(size), atoms] = 1.0
        features[i, np.arange(size), len(ATOMS) - 1 + bonds.sum(axis=0)] = 1.0
        mask[i, :size] = 1.0
        labels[i, 0] = answers(bonds, atoms)
    arrays = {
        "adjacency": normalised_adjacency(adjacency, mask),
        "raw_adjacency": adjacency,
        "features": features,
        "mask": mask,
    }
    train, test = slice(n - n_test), slice(n - n_test, n)
    return LearningData(
        name="molecule-like graphs",
        train_inputs={key: array[train] for key, array in arrays.items()},
        train_labels=labels[train],
        test_inputs={key: array[test] for key, array in arrays.items()},
        test_labels=labels[test],
        n_classes=len(TASKS),
        source="synthetic, made by paper_repro.datasets",
        licence="MIT",
        details={"tasks": list(TASKS), "seed": seed, "least_atoms": least, "most_atoms": most},
    )


def random_molecule(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Bonds (size, size), ints 0 and 1, and atoms (size,), places in `ATOMS`."""
    atoms = rng.choice(len(ATOMS), size=size, p=ABUNDANCE)
    bonds = np.zeros((size, size), dtype=np.int64)
    free = VALENCE[atoms]
    for atom in range(1, size):
        hosts = np.flatnonzero(free[:atom])
        host = hosts[-1] if rng.random() < CHAIN else rng.choice(hosts)
        if atom < size - 1 and free[: atom + 1].sum() < 3:  # nothing would be left for the next atom
            atoms[atom], free[atom] = CARBON, VALENCE[CARBON]
        bonds[atom, host] = bonds[host, atom] = 1
        free[[atom, host]] -= 1
    for _ in range(rng.integers(MOST_RINGS + 1)):
        ring = rng.choice(RING_SIZES, p=RING_SHARES)
        first, second = np.nonzero(np.triu((distances(bonds) == ring - 1) & np.outer(free > 0, free > 0)))
        if len(first):
            pair = rng.integers(len(first))
            ends = [first[pair], second[pair]]
            bonds[ends, ends[::-1]] = 1
            free[ends] -= 1
    return bonds, atoms


def distances(bonds: np.ndarray) -> np.ndarray:
    """Bonds on the shortest way between every two atoms of a connected graph."""
    far = np.zeros_like(bonds)
    reached = np.eye(len(bonds), dtype=bool)
    frontier = reached
    while frontier.any():
        far += ~reached
        frontier = (frontier @ bonds > 0) & ~reached
        reached = reached | frontier
    return far


def smallest_rings(bonds: np.ndarray) -> np.ndarray:
    """For every bond the number of atoms of the smallest ring it is in, 0 where it is in none or there is no bond."""
    rings = np.zeros_like(bonds)
    start, end = np.nonzero(np.triu(bonds))
    bond = np.arange(len(start))
    reached = np.eye(len(bonds), dtype=bool)[start]
    frontier = bonds[start] > 0
    frontier[bond, end] = False  # walk from one end to the other, not over the bond itself
    steps = 1
    while frontier.any():
        found = frontier[bond, end]
        rings[start[found], end[found]] = rings[end[found], start[found]] = steps + 1
        reached = reached | frontier
        frontier = (frontier @ bonds > 0) & ~reached
        steps += 1
    return rings


def answers(bonds: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Yes or no to each of `TASKS`."""
    rings = smallest_rings(bonds)
    hetero = atoms != CARBON
    return np.array(
        [
            (rings == 5).any(),
            (rings == 6).any(),
            (bonds > 0)[hetero][:, hetero].any(),
            (rings > 0)[hetero].any(),
            (bonds.sum(axis=0) >= 3).sum() > BRANCHES,
            distances(bonds).max() > DIAMETER,
        ]
    )
