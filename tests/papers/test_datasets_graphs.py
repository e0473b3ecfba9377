"""Graphs: known facts of the karate club; molecules against valences, graph searches and rings by brute force."""

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse.csgraph import shortest_path

from paper_repro.datasets import KARATE_EDGES, TASKS, karate_club, molecule_like_graphs, normalised_adjacency
from paper_repro.datasets.molecules import ATOMS, distances, random_molecule, smallest_rings

DEGREES = [16, 9, 10, 6, 3, 4, 4, 4, 5, 2, 3, 1, 2, 5, 2, 2, 2, 2, 2, 3, 2, 2, 2, 5, 3, 3, 2, 4, 3, 4, 4, 6, 12, 17]
MOST_BONDS = {"C": 4, "N": 3, "O": 2, "S": 2, "F": 1}


def ring_of(size, *more):
    """The bonds of a ring and of more pairs of atoms."""
    pairs = [(i, (i + 1) % size) for i in range(size)] + list(more)
    bonds = np.zeros((max(map(max, pairs)) + 1,) * 2, dtype=int)
    for i, j in pairs:
        bonds[i, j] = bonds[j, i] = 1
    return bonds


def cycles_by_search(bonds):
    """Every simple cycle, as the set of its bonds, by walking all simple paths."""
    neighbours = [np.flatnonzero(row).tolist() for row in bonds]
    found = set()

    def walk(path):
        for atom in neighbours[path[-1]]:
            if atom == path[0] and len(path) > 2:
                found.add(frozenset(frozenset(pair) for pair in zip(path, path[1:] + path[:1], strict=True)))
            elif atom > path[0] and atom not in path:
                walk([*path, atom])

    for start in range(len(bonds)):
        walk([start])
    return found


def rings_by_search(bonds):
    rings = np.zeros_like(bonds)
    for cycle in sorted(cycles_by_search(bonds), key=len, reverse=True):
        for i, j in map(tuple, cycle):
            rings[i, j] = rings[j, i] = len(cycle)
    return rings


def answers_by_search(adjacency, features):
    """The six questions from the arrays that a network sees."""
    kinds = [ATOMS[i] for i in features[:, :5].argmax(axis=1)]
    hetero = [kind != "C" for kind in kinds]
    rings = rings_by_search(adjacency.astype(int))
    pairs = np.argwhere(adjacency)
    return [
        5 in rings,
        6 in rings,
        any(hetero[i] and hetero[j] for i, j in pairs),
        any(hetero[i] and rings[i, j] for i, j in pairs),
        np.count_nonzero(adjacency.sum(axis=1) >= 3) > 3,
        shortest_path(adjacency, unweighted=True).max() > 7,
    ]


@pytest.fixture(scope="module")
def molecules():
    return molecule_like_graphs(150, seed=7)


def graphs_of(data):
    """Raw adjacency, features and answers of each graph, without padding."""
    for part in ("train", "test"):
        inputs, labels = data.take(slice(None), part)
        arrays = (inputs[key] for key in ("raw_adjacency", "features", "mask"))
        for raw, features, mask, label in zip(*arrays, labels, strict=True):
            size = int(mask.sum())
            assert mask.tolist() == [1.0] * size + [0.0] * (len(mask) - size)
            assert not raw[size:].any()
            assert not raw[:, size:].any()
            assert not features[size:].any()
            yield raw[:size, :size], features[:size], label[0]


def test_karate_club_is_the_known_graph():
    data = karate_club()
    A = data.train_inputs["raw_adjacency"][0]
    assert A.sum() == 2 * 78 == 2 * len(set(KARATE_EDGES))
    assert np.array_equal(A, A.T)
    assert A.sum(axis=1).tolist() == DEGREES
    assert np.trace(A @ A @ A) / 6 == 45
    assert shortest_path(A, unweighted=True).max() == 5
    assert np.trace(A @ A @ A) / sum(k * (k - 1) for k in DEGREES) == pytest.approx(0.2557, abs=1e-4)  # transitivity
    assert np.linalg.eigvalsh(np.diag(DEGREES) - A)[1] == pytest.approx(0.46852, abs=1e-5)  # algebraic connectivity


def test_factions():
    data = karate_club()
    labels, A = data.train_labels[0], data.train_inputs["raw_adjacency"][0]
    assert np.bincount(labels).tolist() == [17, 17]
    assert labels[0] == 0
    assert labels[33] == 1
    assert (
        labels[8] == 0
    )  # the member who stayed with the instructor although the flow of information put him with the officer
    k = np.array(DEGREES)
    same = labels[:, None] == labels
    modularity = ((A - np.outer(k, k) / k.sum()) * same).sum() / k.sum()
    assert modularity == pytest.approx(0.3582, abs=1e-4)


def test_karate_labels_are_masked():
    data = karate_club()
    assert np.flatnonzero(data.train_mask[0]).tolist() == [0, 33]
    assert np.array_equal(data.test_mask, ~data.train_mask)
    assert np.array_equal(data.train_inputs["adjacency"], data.test_inputs["adjacency"])
    assert data.balance().tolist() == [0.5, 0.5]
    assert data.balance("test").tolist() == [0.5, 0.5]
    assert np.array_equal(data.train_inputs["features"][0], np.eye(34))
    assert [batch.tolist() for batch in data.batches(1, 0, 0)] == [[0]]
    assert karate_club([5, 0, 5]).details["labelled"] == [0, 5]


def test_karate_labels_spread_along_friendships():
    """Two labels and the graph tell the factions: harmonic values of the unlabelled, solved densely, agree for most."""
    data = karate_club()
    A, known = data.train_inputs["raw_adjacency"][0], data.train_mask[0]
    L = np.diag(A.sum(axis=1)) - A
    values = np.linalg.solve(L[~known][:, ~known], -L[~known][:, known] @ data.train_labels[0][known])
    assert ((values > 0.5) == data.test_labels[0][~known]).mean() > 0.9


@pytest.mark.parametrize("labelled", [[], [34], [-1], [0.5], list(range(34)), [[0]]])
def test_karate_refusals(labelled):
    with pytest.raises(ValueError, match="labelled must"):
        karate_club(labelled)


def test_normalised_adjacency_against_matrix_powers(rng):
    A = np.triu(rng.random((6, 6)) < 0.5, 1) * rng.random((6, 6))
    A = A + A.T
    looped = A + np.eye(6)
    root = scipy.linalg.inv(scipy.linalg.sqrtm(np.diag(looped.sum(axis=0))))
    assert np.allclose(normalised_adjacency(A), root @ looped @ root, atol=1e-14)
    assert np.allclose(normalised_adjacency([A, A]), normalised_adjacency(A), atol=0)


def test_normalised_adjacency_of_padded_graphs(molecules):
    inputs = molecules.train_inputs
    for A, raw, mask in zip(inputs["adjacency"], inputs["raw_adjacency"], inputs["mask"], strict=True):
        size = int(mask.sum())
        assert not A[size:].any()
        assert np.allclose(A[:size, :size], normalised_adjacency(raw[:size, :size]), atol=1e-15)
        assert np.linalg.eigvalsh(A)[-1] == pytest.approx(1.0)  # its eigenvector is the root of the degrees


@pytest.mark.parametrize(
    ("adjacency", "mask", "message"),
    [
        (np.zeros((2, 3)), None, r"shape \(..., p, p\)"),
        (np.zeros(3), None, r"shape \(..., p, p\)"),
        ([[0, 1], [0, 0]], None, "symmetric"),
        ([[0, -1], [-1, 0]], None, "non-negative"),
        ([[0, np.nan], [np.nan, 0]], None, "symmetric"),
        (np.eye(2), None, "self-loops"),
        ([[0, 1], [1, 0]], [1, 0], "padding"),
        ([[0, 1], [1, 0]], [1, 2], "mask must be 0 or 1"),
        ([[0, 1], [1, 0]], [1, 1, 1], "mask must be 0 or 1"),
    ],
)
def test_normalised_adjacency_refusals(adjacency, mask, message):
    with pytest.raises(ValueError, match=message):
        normalised_adjacency(adjacency, mask)


def test_molecules_obey_valences_and_hang_together(molecules):
    sizes = []
    for raw, features, _ in graphs_of(molecules):
        assert np.array_equal(raw, raw.T)
        assert set(np.unique(raw)) <= {0.0, 1.0}
        assert not np.diag(raw).any()
        assert np.isfinite(shortest_path(raw, unweighted=True)).all()
        assert (features[:, :5].sum(axis=1) == 1).all()
        assert (features[:, 5:].sum(axis=1) == 1).all()
        degree = raw.sum(axis=1).astype(int)
        assert np.array_equal(features[:, 5:].argmax(axis=1) + 1, degree)
        most = np.array([MOST_BONDS[ATOMS[i]] for i in features[:, :5].argmax(axis=1)])
        assert (degree <= most).all()
        assert 0 <= raw.sum() / 2 - (len(raw) - 1) <= 3  # rings
        sizes.append(len(raw))
    assert set(sizes) == set(range(8, 21))


def test_molecule_labels_by_brute_force(molecules):
    for raw, features, label in graphs_of(molecules):
        assert label.tolist() == [float(answer) for answer in answers_by_search(raw, features)]


def test_distances_and_rings_on_random_molecules(rng):
    for _ in range(30):
        bonds, _ = random_molecule(rng, int(rng.integers(2, 15)))
        assert np.array_equal(distances(bonds), shortest_path(bonds, unweighted=True))
        assert np.array_equal(smallest_rings(bonds), rings_by_search(bonds))


@pytest.mark.parametrize(
    ("bonds", "sizes"),
    [
        (ring_of(5), {5}),
        (ring_of(6, (0, 6), (6, 7)), {0, 6}),
        (ring_of(10, (0, 5)), {6}),  # two rings of six that share a bond
        (ring_of(9, (0, 4)), {5, 6}),  # one of five and one of six
        (ring_of(6, (0, 2), (0, 3)), {3, 4}),
        (ring_of(3, (2, 3)), {0, 3}),
    ],
)
def test_rings_known_by_hand(bonds, sizes):
    assert set(smallest_rings(bonds)[bonds > 0].tolist()) == sizes


def test_first_molecules_do_not_depend_on_how_many():
    few, many = molecule_like_graphs(20, seed=5), molecule_like_graphs(40, seed=5)
    for key, array in few.train_inputs.items():
        assert np.array_equal(array, many.train_inputs[key][:16])
    assert np.array_equal(few.test_labels, many.train_labels[16:20])
    assert few.sha256 == molecule_like_graphs(20, seed=5).sha256
    assert few.sha256 != molecule_like_graphs(20, seed=6).sha256


def test_balance_and_that_the_answers_can_be_learned(seed):
    """A linear read-out of four random rounds of message passing beats the more frequent answer to every question."""
    data = molecule_like_graphs(1000, seed=seed)
    assert ((data.balance() > 0.3) & (data.balance() < 0.7)).all()
    weights = [np.random.default_rng([seed, k]).standard_normal((9 if k == 0 else 96, 96)) for k in range(4)]

    def read_out(inputs):
        states, sums = inputs["features"], [inputs["features"].sum(axis=1)]
        for W in weights:
            states = np.tanh(2 * inputs["adjacency"] @ states @ W / np.sqrt(len(W))) * inputs["mask"][..., None]
            sums.append(states.sum(axis=1))
        return np.hstack(sums)

    train, test = read_out(data.train_inputs), read_out(data.test_inputs)
    mean, sd = train.mean(axis=0), train.std(axis=0) + 1e-9
    train, test = (train - mean) / sd, (test - mean) / sd
    fit = np.linalg.solve(train.T @ train + 100 * np.eye(train.shape[1]), train.T @ (data.train_labels[:, 0] - 0.5))
    right = ((test @ fit > 0) == data.test_labels[:, 0]).mean(axis=0)
    share = data.balance("test")
    assert (right > np.maximum(share, 1 - share) + 0.03).all()
    assert len(TASKS) == 6


def test_small_molecules():
    """Two atoms are bonded whatever they are; the first of three may be one that takes a single bond."""
    data = molecule_like_graphs(200, seed=1, least_atoms=2, most_atoms=3)
    for raw, _, _ in graphs_of(data):
        assert raw.any(axis=1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 1}, "n must be at least 2"),
        ({"n": 3, "test_fraction": 0.1}, "test_fraction must leave graphs in both sets"),
        ({"least_atoms": 1}, "least_atoms must be at least 2"),
        ({"least_atoms": 9, "most_atoms": 8}, "most_atoms must be at least 9"),
        ({"test_fraction": 1}, "test_fraction must lie between 0 and 1"),
        ({"seed": -1}, "seed must be at least 0"),
    ],
)
def test_molecule_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        molecule_like_graphs(**options)
