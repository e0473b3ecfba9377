"""Images with ten classes: the digits of scikit-learn, and MNIST and CIFAR-10 from files on this machine."""

import numpy as np

from thermolinalg import checks

from .files import CIFAR_ROWS, MissingData, data_root, find_file, read_cifar10, read_idx
from .learning import LearningData, fraction
from .matrices import DIGITS

SHAPES = ("flat", "image")
MNIST = {
    "source": "The MNIST database of handwritten digits, Y. LeCun, C. Cortes, C. J. C. Burges (1998)",
    "licence": "CC BY-SA 3.0",
}
MNIST_PAGE = "http://yann.lecun.com/exdb/mnist/ (the MNIST database)"
MNIST_FOLDERS = ("", "MNIST/raw", "mnist")
MNIST_STEMS = {"train": "train", "test": "t10k"}
CIFAR10 = {
    "source": "CIFAR-10, A. Krizhevsky, Learning multiple layers of features from tiny images (2009)",
    "licence": "none stated by its author",
}
CIFAR_PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html (CIFAR-10 binary version)"
CIFAR_FOLDERS = ("", "cifar-10-batches-bin")
CIFAR_FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}


def digits(test_fraction: float = 0.2, shape: str = "flat") -> LearningData:
    """The 1797 digits of scikit-learn, 8 x 8 pixels / 16.

    The split is fixed: of each class, the images at evenly spaced places of the file are the test set, so both sets
    hold every class in the same proportion. The writers are not told apart in the file and occur in both.

    Parameters
    ----------
    test_fraction : float
        Share of the test set, between 0 and 1.
    shape : {"flat", "image"}
        Inputs (n, 64) or (n, 8, 8, 1), float64 in [0, 1].

    Returns
    -------
    LearningData

    Examples
    --------
    >>> data = digits()
    >>> data.train_inputs.shape, data.test_inputs.shape
    ((1438, 64), (359, 64))
    """
    from sklearn.datasets import load_digits

    share = fraction(test_fraction, "test_fraction")
    checks.choice(shape, "shape", SHAPES)
    images, labels = load_digits(return_X_y=True)
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        places = np.flatnonzero(labels == digit)
        test[places] = np.diff(np.floor(share * np.arange(len(places) + 1) + 0.5)) > 0
    images = images / 16.0
    if shape == "image":
        images = images.reshape(-1, 8, 8, 1)
    return LearningData(
        name="digits",
        train_inputs=images[~test],
        train_labels=labels[~test],
        test_inputs=images[test],
        test_labels=labels[test],
        n_classes=10,
        details={"normalisation": "pixels / 16", "test_fraction": share},
        **DIGITS,
    )


def mnist(root=None, shape: str = "flat", standardise: bool = False) -> LearningData:
    """MNIST from its four IDX files, plain or .gz, named ``train-images-idx3-ubyte`` or ``train-images.idx3-ubyte``.

    Parameters
    ----------
    root : path, optional
        Folder with the files, or above ``MNIST/raw`` or ``mnist``; by default `data_root`.
    shape : {"flat", "image"}
        Inputs (n, 784) or (n, 28, 28, 1).
    standardise : bool
        False: pixels / 255, in [0, 1]. True: then minus the mean and over the standard deviation of all training
        pixels, for both sets.

    Returns
    -------
    LearningData
        Inputs float32; the constants of the normalisation are in ``details``.

    Raises
    ------
    MissingData
        Where a file is not there: nothing is downloaded.
    ValueError
        Where a file is damaged, images are not 28 x 28, or labels do not fit them.
    """
    checks.choice(shape, "shape", SHAPES)
    parts = {part: _mnist_part(root, stem) for part, stem in MNIST_STEMS.items()}
    return _learning_data("MNIST", parts, shape, standardise, MNIST)


def _mnist_part(root, stem: str) -> tuple[np.ndarray, np.ndarray]:
    paths = [
        find_file(
            root, MNIST_FOLDERS, tuple(f"{stem}-{kind}{end}{gz}" for gz in ("", ".gz") for end in ends), MNIST_PAGE
        )
        for kind, ends in (
            ("images", ("-idx3-ubyte", ".idx3-ubyte")),
            ("labels", ("-idx1-ubyte", ".idx1-ubyte")),
        )
    ]
    images, labels = (read_idx(path) for path in paths)
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise ValueError(
            f"{paths[0]} must hold uint8 of shape (n, 28, 28), found {images.dtype} of shape {images.shape}"
        )
    if labels.dtype != np.uint8 or labels.shape != (len(images),):
        raise ValueError(
            f"{paths[1]} must hold a uint8 label for each of the {len(images)} images of {paths[0].name}, "
            f"found {labels.dtype} of shape {labels.shape}"
        )
    if labels.max(initial=0) > 9:
        raise ValueError(f"{paths[1]} is damaged: expected labels 0 to 9, found {labels.max()}")
    return images[..., None], labels


def cifar10(
    root=None, shape: str = "image", standardise: bool = False, rows_per_file: int = CIFAR_ROWS
) -> LearningData:
    """CIFAR-10 from its six binary files, ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``.

    Parameters
    ----------
    root : path, optional
        Folder with the files, or above ``cifar-10-batches-bin``; by default `data_root`.
    shape : {"flat", "image"}
        Inputs (n, 3072), which is (32, 32, 3) flattened, or (n, 32, 32, 3).
    standardise : bool
        False: pixels / 255, in [0, 1]. True: then, for each colour, minus the mean and over the standard deviation of
        the training set.
    rows_per_file : int
        Images in each file, checked against its size.

    Returns
    -------
    LearningData
        As from `mnist`.

    Raises
    ------
    MissingData, ValueError
        As in `mnist`; where a file has another size or a label above 9.
    """
    checks.choice(shape, "shape", SHAPES)
    rows = checks.count(rows_per_file, "rows_per_file")
    parts = {}
    for part, names in CIFAR_FILES.items():
        files = [read_cifar10(_cifar_path(root, name), rows) for name in names]
        parts[part] = np.concatenate([images for images, _ in files]), np.concatenate([labels for _, labels in files])
    return _learning_data("CIFAR-10", parts, shape, standardise, CIFAR10)


def _cifar_path(root, name: str):
    try:
        return find_file(root, CIFAR_FOLDERS, (name,), CIFAR_PAGE)
    except MissingData:
        for pickled in (data_root(root) / folder / "data_batch_1" for folder in ("", "cifar-10-batches-py")):
            if pickled.exists():
                raise MissingData(
                    f"{pickled} is the Python version of CIFAR-10, a pickle, and reading a pickle runs the code in it; "
                    f"get {CIFAR_PAGE}"
                ) from None
        raise


def _learning_data(name: str, parts, shape: str, standardise: bool, origin) -> LearningData:
    """uint8 images (n, H, W, C) and labels of both parts -> float32 inputs."""
    images = parts["train"][0]
    channels = images.shape[-1]
    mean, sd = np.zeros(channels), np.ones(channels)
    if standardise:
        mean, sd = np.transpose([_moments(images[..., channel]) for channel in range(channels)])
        if not sd.all():
            raise ValueError(f"{name} cannot be standardised: a channel of the training images is constant")
    arrays = {}
    for part, (pixels, labels) in parts.items():
        inputs = pixels.astype(np.float32)
        inputs /= np.float32(255.0)
        if standardise:
            inputs -= mean.astype(np.float32)
            inputs /= sd.astype(np.float32)
        arrays[f"{part}_inputs"] = inputs.reshape(len(inputs), -1) if shape == "flat" else inputs
        arrays[f"{part}_labels"] = labels.astype(np.int64)
    details = {"normalisation": "(pixels / 255 - mean) / sd", "mean": mean.tolist(), "sd": sd.tolist()}
    return LearningData(name=name, n_classes=10, details=details, **arrays, **origin)


def _moments(pixels: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of uint8 pixels / 255, from their histogram: no float copy of all of them."""
    share = np.bincount(pixels.ravel(), minlength=256) / pixels.size
    level = np.arange(256) / 255.0
    mean = float(share @ level)
    return mean, float(np.sqrt(share @ (level - mean) ** 2))
