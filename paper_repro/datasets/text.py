"""English text that comes with Python, the help topics of `pydoc`: a part to learn from and a part to adapt to."""

import hashlib
import re

import numpy as np

from thermolinalg import checks

from .learning import LearningData, fraction

CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))  # the vocabulary: the same for every version of Python
PARTS = ("pretrain", "finetune")
PLAIN = {  # typographic quotes, dashes and dots
    0x2018: "'",
    0x2019: "'",
    0x201C: '"',
    0x201D: '"',
    0x2013: "-",
    0x2014: "-",
    0x2026: "...",
    ord("\t"): " ",
}
SHORTEST = 200  # characters; what is left of a topic after repetitions are dropped can be a heading alone


def encode(text: str) -> np.ndarray:
    """The places of the characters in `CHARACTERS`; typographic quotes and dashes become plain, the unknown a "?".

    >>> encode("a b")
    array([66,  1, 67])
    """
    codes = np.frombuffer(text.translate(PLAIN).encode("utf-32-le"), np.uint32).astype(np.int64)
    numbers = np.where(codes == ord("\n"), 0, codes - 31)
    return np.where((numbers >= 0) & (numbers < len(CHARACTERS)), numbers, CHARACTERS.index("?"))


def decode(numbers) -> str:
    """The text of these numbers.

    >>> decode(encode("It\u2019s \u03c0"))
    "It's ?"
    """
    return "".join(CHARACTERS[number] for number in np.asarray(numbers).ravel())


def topics_text(
    part: str = "pretrain",
    context: int = 64,
    stride: int | None = None,
    finetune_fraction: float = 0.25,
    test_fraction: float = 0.2,
) -> LearningData:
    """Predict the next character of Python's help topics.

    All rules are ours and follow from the sorted names of the topics alone. A paragraph that an earlier topic has is
    dropped, so that no text is in two parts. The topics at the end of the alphabet, about `finetune_fraction` of all
    characters, are "finetune" (the built-in types, mostly), those before are "pretrain" (the
    language). Within a part each topic in turn goes to the side, training or test, that brings the share of test
    characters nearer to `test_fraction`. Windows do not cross topics.

    Parameters
    ----------
    part : {"pretrain", "finetune"}
    context : int
        Characters in a window.
    stride : int, optional
        Distance between the starts of windows; by default `context`.
    finetune_fraction, test_fraction : float
        Between 0 and 1.

    Returns
    -------
    LearningData
        Inputs (n, context) ints, labels (n, context) the same shifted by one character, `n_classes` the size of the
        vocabulary, 96. ``details["text_sha256"]`` is the hash of the text of all topics, which differs between versions
        of Python.

    Raises
    ------
    ValueError
        For fractions outside (0, 1), or a context longer than any topic of a side.

    Examples
    --------
    >>> data = topics_text("finetune", context=32)
    >>> data.train_inputs.shape[1], data.n_classes
    (32, 96)
    """
    checks.choice(part, "part", PARTS)
    context = checks.count(context, "context")
    stride = context if stride is None else checks.count(stride, "stride")
    shares = fraction(finetune_fraction, "finetune_fraction"), fraction(test_fraction, "test_fraction")
    topics = _topics()
    names = _split(topics, *shares)[part]
    arrays = {}
    for side in ("train", "test"):
        windows = [_windows(encode(topics[name]), context, stride) for name in names[side]]
        joined = np.concatenate([np.empty((0, context + 1), dtype=np.int64), *windows])
        if not len(joined):
            raise ValueError(f"context must be shorter than the longest {side} topic of {part!r}, got {context}")
        arrays[f"{side}_inputs"], arrays[f"{side}_labels"] = joined[:, :-1], joined[:, 1:]
    text = "\0".join(f"{name}\0{topics[name]}" for name in topics)
    return LearningData(
        name=f"Python help topics, {part}",
        n_classes=len(CHARACTERS),
        source="pydoc_data.topics of the Python that runs this, Python Software Foundation",
        licence="PSF License Version 2",
        details={
            "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
            "context": context,
            "stride": stride,
            "train_topics": names["train"],
            "test_topics": names["test"],
            "train_characters": sum(len(topics[name]) for name in names["train"]),
            "test_characters": sum(len(topics[name]) for name in names["test"]),
        },
        **arrays,
    )


def _topics() -> dict[str, str]:
    """Topics by sorted name, without paragraphs that came before."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    kept = {}
    for name in sorted(topics):
        fresh = []
        for paragraph in re.split(r"\n\s*\n", topics[name]):
            key = " ".join(paragraph.split())  # the same words, however indented
            if key not in seen:
                fresh.append(paragraph)
            seen.add(key)
        text = "\n\n".join(fresh)
        if len(text) >= SHORTEST:
            kept[name] = text
    return kept


def _split(topics: dict[str, str], finetune_fraction: float, test_fraction: float) -> dict[str, dict[str, list[str]]]:
    total = sum(map(len, topics.values()))
    parts: dict[str, dict[str, list[str]]] = {part: {"train": [], "test": []} for part in PARTS}
    sizes = {part: {"train": 0, "test": 0} for part in PARTS}
    passed = 0
    for name, text in topics.items():
        part = "pretrain" if passed + len(text) / 2 <= (1 - finetune_fraction) * total else "finetune"
        passed += len(text)
        train, test = sizes[part]["train"], sizes[part]["test"]
        # half of the topic over the line still brings the share nearer
        side = "test" if test + len(text) / 2 <= test_fraction * (train + test + len(text)) else "train"
        parts[part][side].append(name)
        sizes[part][side] += len(text)
    return parts


def _windows(numbers: np.ndarray, context: int, stride: int) -> np.ndarray:
    if len(numbers) <= context:
        return np.empty((0, context + 1), dtype=np.int64)
    return np.lib.stride_tricks.sliding_window_view(numbers, context + 1)[::stride]
