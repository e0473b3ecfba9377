"""LearningData: order of the batches, subsets, hashes, and arrays that do not fit together."""

import itertools
import json

import numpy as np
import pytest

from paper_repro.datasets import LearningData, digits


def make(**changes):
    """Thirteen training and five test samples whose input is their own number."""
    arrays = {
        "train_inputs": np.arange(13.0)[:, None],
        "train_labels": np.arange(13) % 3,
        "test_inputs": np.arange(5.0)[:, None],
        "test_labels": np.arange(5) % 3,
    }
    return LearningData(**{"name": "numbers", "n_classes": 3, "source": "here", "licence": "MIT"} | arrays | changes)


@pytest.fixture
def data():
    return make()


@pytest.fixture
def graphs():
    """Eight and four samples with two outputs each, of which some count."""
    parts = {"train": 8, "test": 4}
    arrays = {
        f"{part}_inputs": {"b": np.arange(2.0 * n).reshape(n, 2), "a": np.zeros((n, 3))} for part, n in parts.items()
    }
    arrays |= {f"{part}_labels": np.arange(2 * n).reshape(n, 2) % 3 for part, n in parts.items()}
    arrays |= {f"{part}_mask": np.arange(2 * n).reshape(n, 2) % 5 < 3 for part, n in parts.items()}
    return make(**arrays)


def test_an_epoch_visits_every_sample_once(data, seed):
    batches = list(data.batches(4, seed, epoch=0))
    assert [len(batch) for batch in batches] == [4, 4, 4, 1]
    assert sorted(np.concatenate(batches).tolist()) == list(range(13))
    whole = list(data.batches(4, seed, epoch=0, drop_last=True))
    assert [batch.tolist() for batch in whole] == [batch.tolist() for batch in batches[:3]]
    assert [len(batch) for batch in data.batches(13, seed, epoch=0, drop_last=True)] == [13]


def test_a_run_resumes_in_the_middle(data, seed):
    def visit(epochs, start=0):
        stream = ((epoch, batch.tolist()) for epoch in epochs for batch in data.batches(4, seed, epoch))
        return list(itertools.islice(stream, start, None))

    full = visit(range(3))
    resumed = visit(range(1, 3), start=2)  # each epoch has four batches
    assert resumed == full[6:]


def test_order_depends_on_seed_and_epoch_and_on_nothing_else(data, seed):
    def order(seed, epoch, batch_size=13):
        return np.concatenate(list(data.batches(batch_size, seed, epoch))).tolist()

    assert order(seed, 5) == order(seed, 5, batch_size=3)
    orders = [order(s, epoch) for s in (seed, seed + 1) for epoch in range(20)]
    assert len({tuple(o) for o in orders}) == 40
    sequence = np.random.SeedSequence(seed)
    assert order(sequence, 5) == order(seed, 5)
    child = sequence.spawn(1)[0]
    assert order(child, 5) != order(seed, 5)
    assert sequence.n_children_spawned == 1


def test_every_place_is_equally_likely(data, seed):
    """The first sample of 1300 epochs: chi-squared with 12 degrees of freedom has mean 12 and variance 24."""
    first = [next(data.batches(1, seed, epoch))[0] for epoch in range(1300)]
    counts = np.bincount(first, minlength=13)
    assert ((counts - 100.0) ** 2 / 100.0).sum() < 12 + 5 * np.sqrt(24)


def test_optimiser_with_the_same_seed_draws_other_numbers(data, seed):
    own = next(data.batches(13, seed, 0))
    of_step = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,))).permutation(13)
    assert own.tolist() != of_step.tolist()


def test_batches_refuse_at_the_call(data):
    with pytest.raises(ValueError, match="batch_size must be at most n_train, 13, got 14"):
        data.batches(14, 0, 0)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        data.batches(0, 0, 0)
    with pytest.raises(ValueError, match="epoch must be at least 0"):
        data.batches(4, 0, -1)
    with pytest.raises(ValueError, match="seed must be an integer"):
        data.batches(4, "x", 0)


def test_take(data, graphs):
    inputs, labels = data.take([4, 2])
    assert inputs.tolist() == [[4.0], [2.0]]
    assert labels.tolist() == [1, 2]
    inputs, labels = graphs.take(np.array([3]), "test")
    assert inputs["b"].tolist() == [[6.0, 7.0]]
    assert labels.tolist() == [[0, 1]]
    with pytest.raises(ValueError, match="part must be one of 'train', 'test'"):
        data.take([0], "validation")


def test_subsets_are_nested_and_consistent(data, seed):
    large, small = data.subset(9, 4, seed), data.subset(3, None, seed)
    assert (large.n_train, large.n_test, small.n_train, small.n_test) == (9, 4, 3, 5)
    assert set(small.train_inputs.ravel()) < set(large.train_inputs.ravel())
    assert np.array_equal(large.train_labels, large.train_inputs[:, 0].astype(int) % 3)
    assert len(set(large.train_inputs.ravel())) == 9
    assert large.details["subset"] == {"train": 9, "test": 4, "seed": seed}
    assert large.sha256 != data.sha256
    assert data.subset(seed=np.random.SeedSequence(seed)).sha256 == data.sha256
    assert len({tuple(data.subset(3, seed=s).train_inputs.ravel()) for s in range(50)}) > 25
    with pytest.raises(ValueError, match="n_test must be at most 5, got 6"):
        data.subset(n_test=6)


def test_subset_keeps_masks_with_their_samples(graphs, seed):
    part = graphs.subset(3, 2, seed)
    assert np.array_equal(part.train_mask, part.train_inputs["b"] % 5 < 3)
    assert part.test_mask.shape == (2, 2)


def test_balance(data, graphs):
    assert np.allclose(data.balance(), [5 / 13, 4 / 13, 4 / 13])
    assert np.allclose(data.balance("test"), [2 / 5, 2 / 5, 1 / 5])
    counted = [i % 3 for i in range(16) if i % 5 < 3]
    assert np.allclose(graphs.balance(), [counted.count(c) / len(counted) for c in range(3)])
    answers = np.zeros((13, 1, 2))
    answers[:4, 0, 1] = 1.0
    yes_no = make(train_labels=answers, test_labels=answers[:5], n_classes=2)
    assert np.allclose(yes_no.balance(), [0.0, 4 / 13])


def test_hash_sees_every_array(graphs):
    hashes = {graphs.sha256}
    for part in ("train", "test"):
        for name in ("inputs", "labels", "mask"):
            value = getattr(graphs, f"{part}_{name}")
            changed = {key: array.copy() for key, array in value.items()} if name == "inputs" else value.copy()
            target = changed["a"] if name == "inputs" else changed
            target[0, 0] = 1 - target[0, 0]
            fields = {key: getattr(graphs, key) for key in ("train_inputs", "train_labels", "train_mask")}
            fields |= {key: getattr(graphs, key) for key in ("test_inputs", "test_labels", "test_mask")}
            hashes.add(make(**fields | {f"{part}_{name}": changed}).sha256)
    assert len(hashes) == 7
    assert all(len(value) == 64 for value in hashes)


def test_hash_is_of_values_not_of_memory(data):
    wide = np.zeros((13, 2))
    wide[:, 0] = np.arange(13.0)
    swapped = data.train_labels.astype(data.train_labels.dtype.newbyteorder())
    assert make(train_inputs=wide[:, :1]).sha256 == data.sha256
    swapped_test = data.test_labels.astype(swapped.dtype)
    assert make(train_labels=swapped, test_labels=swapped_test).sha256 == data.sha256
    single = {name: getattr(data, name).astype("f4") for name in ("train_inputs", "test_inputs")}
    assert make(**single).sha256 != data.sha256


def test_arrays_cannot_be_written(data, graphs):
    with pytest.raises(ValueError, match="read-only"):
        data.train_inputs[0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        graphs.test_inputs["a"][0] = 1.0
    with pytest.raises(AttributeError):
        data.name = "other"


def test_repr(data):
    assert repr(data) == "LearningData('numbers', n_train=13, n_test=5, n_classes=3)"
    assert json.dumps(data.details) == "{}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_labels": np.full(13, 3)}, "train_labels must be 0 to 2, got 3"),
        ({"test_labels": np.full(5, -1)}, "test_labels must be 0 to 2, got -1"),
        ({"train_labels": np.zeros(13)}, r"must be ints of shape \(n,\)"),
        ({"train_labels": np.full((13, 1, 3), 0.5)}, "must be 0.0 or 1.0, got 0.5"),
        ({"train_labels": np.zeros((13, 1, 2))}, r"floats of shape \(n, p, 3\)"),
        ({"train_labels": np.zeros(12, dtype=int)}, "train_inputs must have as many rows as train_labels, 12, got 13"),
        ({"test_labels": np.zeros(0, dtype=int)}, "test_labels is empty"),
        ({"train_inputs": np.full((13, 1), np.nan)}, "train_inputs must be finite"),
        ({"train_inputs": {"x": np.zeros((12, 1))}}, r"train_inputs\['x'\] must have as many rows"),
        ({"test_inputs": np.zeros((5, 2))}, "training and test set differ"),
        ({"test_inputs": {"x": np.zeros((5, 1))}}, "training and test set differ"),
        ({"test_labels": np.zeros((5, 2), dtype=int)}, "training and test set differ"),
        ({"train_mask": np.ones(12, dtype=bool)}, r"train_mask must be bool of shape \(13,\)"),
        ({"test_mask": np.ones(5)}, "test_mask must be bool"),
        ({"n_classes": 0}, "n_classes must be at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_what_is_held_out_for_tuning_is_neither_trained_on_nor_the_test_set():
    data = digits()
    held = data.held_out(0.25, seed=3)
    assert (held.n_train, held.n_test) == (data.n_train - held.n_test, round(0.25 * data.n_train))
    both = np.concatenate((held.train_inputs, held.test_inputs))
    assert sorted(map(bytes, both)) == sorted(map(bytes, data.train_inputs))
    again, other = data.held_out(0.25, seed=3), data.held_out(0.25, seed=4)
    np.testing.assert_array_equal(held.test_inputs, again.test_inputs)
    assert not np.array_equal(held.test_inputs, other.test_inputs)
    with pytest.raises(ValueError, match="share must leave samples on both sides"):
        data.held_out(1e-9)
