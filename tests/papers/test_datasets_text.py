"""Help topics as text: the encoding, windows that shift by one, parts that share nothing, something to learn.

The text differs between versions of Python, so sizes are ranges.
"""

import hashlib
import json

import numpy as np
import pytest

from paper_repro.datasets import CHARACTERS, decode, encode, topics_text
from paper_repro.datasets.text import PARTS, _split, _topics


@pytest.fixture(scope="module")
def parts():
    return {part: topics_text(part) for part in PARTS}


def test_vocabulary():
    assert len(CHARACTERS) == len(set(CHARACTERS)) == 96
    assert encode(CHARACTERS).tolist() == list(range(96))
    assert decode(range(96)) == CHARACTERS


def test_typography_becomes_plain():
    assert decode(encode("\u201ca\u201d\t\u2018b\u2019 \u2013 c\u2026")) == "\"a\" 'b' - c..."
    assert decode(encode("\xdf\r\x7f\U0001f600")) == "????"
    assert encode("").size == 0


def test_sizes(parts):
    assert 2000 < parts["pretrain"].n_train < 8000
    assert 400 < parts["pretrain"].n_test < 2000
    assert 600 < parts["finetune"].n_train < 3000
    assert 100 < parts["finetune"].n_test < 800
    for data in parts.values():
        train, test = data.details["train_characters"], data.details["test_characters"]
        assert test / (train + test) == pytest.approx(0.2, abs=0.05)
        assert data.train_inputs.shape == data.train_labels.shape == (data.n_train, 64)
        assert data.train_inputs.dtype.kind == "i"
        assert data.n_classes == 96
    sizes = [data.details["train_characters"] + data.details["test_characters"] for data in parts.values()]
    assert sizes[1] / sum(sizes) == pytest.approx(0.25, abs=0.08)


def test_labels_are_the_next_characters():
    data = topics_text("pretrain", context=20, stride=7)
    assert np.array_equal(data.train_inputs[:, 1:], data.train_labels[:, :-1])
    first = _topics()[data.details["train_topics"][0]]
    assert decode(data.train_inputs[0]) == decode(encode(first))[:20]
    assert decode(data.train_labels[1]) == decode(encode(first))[8:28]


def test_windows_stay_within_topics():
    data = topics_text("finetune", context=33)
    whole = [decode(encode(_topics()[name])) for name in data.details["test_topics"]]
    for inputs, labels in zip(data.test_inputs, data.test_labels, strict=True):
        window = decode(inputs) + decode(labels[-1:])
        assert any(window in text for text in whole)


def test_nothing_is_in_two_parts(parts):
    from pydoc_data.topics import topics

    names = [name for data in parts.values() for side in ("train", "test") for name in data.details[f"{side}_topics"]]
    assert len(set(names)) == len(names)
    assert set(names) <= set(topics)
    texts = _topics()
    paragraphs = [" ".join(p.split()) for name in names for p in texts[name].split("\n\n") if p.strip()]
    assert len(set(paragraphs)) == len(paragraphs)


def test_order_of_the_dictionary_does_not_matter(monkeypatch, parts):
    import pydoc_data.topics

    reordered = dict(reversed(pydoc_data.topics.topics.items()))
    monkeypatch.setattr(pydoc_data.topics, "topics", reordered)
    assert topics_text().sha256 == parts["pretrain"].sha256
    reordered["while"] = reordered["while"] + "one more line"
    reordered["yield"] = "other " + reordered["yield"]
    assert topics_text().details["text_sha256"] != parts["pretrain"].details["text_sha256"]


def test_metadata(parts):
    texts = _topics()
    joined = "\0".join(f"{name}\0{text}" for name, text in texts.items())
    assert {data.details["text_sha256"] for data in parts.values()} == {hashlib.sha256(joined.encode()).hexdigest()}
    assert json.loads(json.dumps(parts["pretrain"].details)) == parts["pretrain"].details
    assert parts["pretrain"].sha256 != parts["finetune"].sha256


def test_split_of_equal_topics():
    """Twenty topics of 100 characters: the last quarter adapts, and every fifth is tested."""
    parts = _split({f"{i:02d}": "x" * 100 for i in range(20)}, 0.25, 0.2)
    assert parts["finetune"]["train"] + parts["finetune"]["test"] != []
    assert sorted(parts["finetune"]["train"] + parts["finetune"]["test"]) == [f"{i:02d}" for i in range(15, 20)]
    assert (len(parts["pretrain"]["test"]), len(parts["finetune"]["test"])) == (3, 1)


@pytest.mark.parametrize("part", PARTS)
def test_there_is_something_to_learn(parts, part):
    """Frequencies make a character of held-out topics cheaper to guess, and the character before it more so."""
    data = parts[part]
    pairs = np.ones((96, 96)) / 96
    np.add.at(pairs, (data.train_inputs.ravel(), data.train_labels.ravel()), 1.0)
    bigram = pairs / pairs.sum(axis=1, keepdims=True)
    single = pairs.sum(axis=0) / pairs.sum()
    two = -np.log(bigram[data.test_inputs, data.test_labels]).mean()
    one = -np.log(single[data.test_labels]).mean()
    assert two + 0.5 < one
    assert one + 0.5 < np.log(96)


@pytest.mark.parametrize(
    "options",
    [
        {"part": "test"},
        {"context": 0},
        {"stride": 0},
        {"finetune_fraction": 1.5},
        {"test_fraction": 0.0},
        {"context": 10**6},
    ],
)
def test_refusals(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        topics_text(**options)
