"""Image files typed by hand, written by us, and damaged; digits, MNIST and CIFAR-10 as learning data."""

import gzip
import shutil

import numpy as np
import pytest

from paper_repro import datasets
from paper_repro.datasets import MissingData, read_cifar10, read_idx, write_cifar10, write_idx

# int16, shape (2, 3): 1, -2, 3, 256, -32768, 32767
SMALL_IDX = bytes.fromhex("00000b02 00000002 00000003 0001 fffe 0003 0100 8000 7fff")
IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture
def mnist_arrays(rng):
    return [
        rng.integers(256, size=(12, 28, 28), dtype=np.uint8),
        np.arange(12, dtype=np.uint8) % 10,
        rng.integers(256, size=(4, 28, 28), dtype=np.uint8),
        np.arange(4, dtype=np.uint8),
    ]


def write_mnist(folder, arrays, end=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(IDX_NAMES, arrays, strict=True):
        write_idx(folder / (name + end), array)


@pytest.fixture
def cifar_folder(tmp_path, rng):
    """Six files of three images."""
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        images = rng.integers(256, size=(3, 32, 32, 3), dtype=np.uint8)
        write_cifar10(tmp_path / name, images, rng.integers(10, size=3, dtype=np.uint8))
    return tmp_path


def test_idx_typed_by_hand(tmp_path):
    (tmp_path / "a").write_bytes(SMALL_IDX)
    (tmp_path / "a.gz").write_bytes(gzip.compress(SMALL_IDX))
    for name in ("a", "a.gz"):
        array = read_idx(tmp_path / name)
        assert array.tolist() == [[1, -2, 3], [256, -32768, 32767]]
        assert array.dtype == np.int16
        assert array.dtype.isnative
    write_idx(tmp_path / "b", array)
    assert (tmp_path / "b").read_bytes() == SMALL_IDX


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_idx_round_trip(tmp_path, rng, dtype, end):
    array = rng.uniform(0 if dtype == "u1" else -100, 100, size=(3, 1, 4)).astype(dtype)
    write_idx(tmp_path / f"x{end}", array)
    back = read_idx(tmp_path / f"x{end}")
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{end}"]


def test_idx_refuses_to_write_what_it_has_no_type_for(tmp_path):
    with pytest.raises(ValueError, match=r"array must be one of uint8, .*, got int64"):
        write_idx(tmp_path / "x", np.zeros(3, dtype=np.int64))
    with pytest.raises(ValueError, match="at least one axis"):
        write_idx(tmp_path / "x", np.uint8(3))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: .* found an empty file"),
        (b"\0\0\x0b", "not an IDX file"),
        (b"\x1f\x8b\x08\0" + bytes(30), "not an IDX file: .* found 1f 8b 08 00"),
        (b"\0\0\x07\x01" + bytes(4), "not an IDX file"),
        (b"\0\0\x08\0" + bytes(4), "a rank from 01"),
        (SMALL_IDX[:9], "ends in its header: expected 2 sizes, 8 bytes, found 5"),
        (SMALL_IDX[:-1], r"header says int16 of shape \(2, 3\), so expected 12 bytes of data, found (only )?11"),
        (SMALL_IDX[:12], "expected 12 bytes of data, found (only )?0"),
        (SMALL_IDX + b"\0", "expected 12 bytes of data, found (13|more)"),
        (b"\0\0\x0e\x03" + b"\xff" * 12 + bytes(8), "is damaged"),
    ],
)
@pytest.mark.parametrize("end", ["", ".gz"])
def test_damaged_idx(tmp_path, content, message, end):
    path = tmp_path / f"bad{end}"
    path.write_bytes(gzip.compress(content) if end else content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "not gzip", "flipped", "checksum"])
def test_damaged_gzip(tmp_path, rng, damage):
    packed = gzip.compress(b"\0\0\x08\x01\0\0\x10\0" + rng.bytes(4096))
    bad = {
        "cut": packed[:-20],
        "not gzip": SMALL_IDX,
        "flipped": packed[:10] + b"\xff" + packed[11:],
        "checksum": packed[:-8] + bytes(4) + packed[-4:],
    }
    (tmp_path / "x.gz").write_bytes(bad[damage])
    with pytest.raises(ValueError, match=r"x\.gz is not a whole gzip file"):
        read_idx(tmp_path / "x.gz")


@pytest.mark.parametrize("folder", ["", "MNIST/raw", "mnist"])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_mnist_is_found_and_read(tmp_path, mnist_arrays, folder, end):
    write_mnist(tmp_path / folder, mnist_arrays, end)
    data = datasets.mnist(tmp_path)
    assert data.train_inputs.shape == (12, 784)
    assert data.train_inputs.dtype == np.float32
    assert np.array_equal(np.rint(data.train_inputs * 255).reshape(12, 28, 28), mnist_arrays[0])
    assert np.array_equal(data.train_labels, mnist_arrays[1])
    assert np.array_equal(np.rint(data.test_inputs * 255).reshape(4, 28, 28), mnist_arrays[2])
    assert np.array_equal(data.test_labels, mnist_arrays[3])
    image = datasets.mnist(tmp_path, shape="image")
    assert np.array_equal(image.test_inputs[2, :, :, 0].ravel(), data.test_inputs[2])


def test_mnist_with_dots_in_its_names(tmp_path, mnist_arrays, monkeypatch):
    for name, array in zip(IDX_NAMES, mnist_arrays, strict=True):
        write_idx(tmp_path / name.replace("-idx", ".idx"), array)
    monkeypatch.setenv("THERMOLINALG_DATA", str(tmp_path))
    assert np.array_equal(datasets.load("mnist").test_labels, mnist_arrays[3])


def test_standardised_mnist(tmp_path, mnist_arrays):
    write_mnist(tmp_path, mnist_arrays)
    data = datasets.mnist(tmp_path, standardise=True)
    assert data.train_inputs.mean(dtype=float) == pytest.approx(0, abs=1e-6)
    assert data.train_inputs.std(dtype=float) == pytest.approx(1, abs=1e-6)
    train, test = mnist_arrays[0] / 255.0, mnist_arrays[2] / 255.0
    assert np.allclose(data.test_inputs.reshape(4, 28, 28), (test - train.mean()) / train.std(), atol=1e-6)
    write_idx(tmp_path / IDX_NAMES[0], np.zeros((12, 28, 28), dtype=np.uint8))
    with pytest.raises(ValueError, match="cannot be standardised"):
        datasets.mnist(tmp_path, standardise=True)


@pytest.mark.parametrize(
    ("place", "array", "message"),
    [
        (0, np.zeros((12, 8, 8), dtype=np.uint8), r"uint8 of shape \(n, 28, 28\), found uint8 of shape \(12, 8, 8\)"),
        (0, np.zeros((12, 28, 28), dtype=np.float32), "found float32"),
        (1, np.zeros(11, dtype=np.uint8), "a uint8 label for each of the 12 images"),
        (3, np.full(4, 10, dtype=np.uint8), "expected labels 0 to 9, found 10"),
    ],
)
def test_mnist_that_is_not_mnist(tmp_path, mnist_arrays, place, array, message):
    mnist_arrays[place] = array
    write_mnist(tmp_path, mnist_arrays)
    with pytest.raises(ValueError, match=message) as caught:
        datasets.mnist(tmp_path)
    assert IDX_NAMES[place] in str(caught.value)


def test_missing_files_say_where_and_what(tmp_path, mnist_arrays, monkeypatch):
    with pytest.raises(MissingData, match=r"nowhere does not exist; train-images.*yann\.lecun\.com.*digits"):
        datasets.mnist(tmp_path / "nowhere")
    write_mnist(tmp_path, mnist_arrays)
    (tmp_path / IDX_NAMES[3]).unlink()
    with pytest.raises(MissingData, match=r"t10k-labels-idx1-ubyte was not found; .*\.idx1-ubyte\.gz.*MNIST"):
        datasets.mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"data_batch_1\.bin was not found.*cs\.toronto\.edu"):
        datasets.cifar10(tmp_path)
    monkeypatch.delenv("THERMOLINALG_DATA", raising=False)
    assert datasets.data_root().parts[-3:] == (".cache", "thermolinalg", "data")


def test_cifar_typed_by_hand(tmp_path):
    """One image with label 7 whose red plane counts columns, green counts rows, and blue is constant."""
    columns, rows = bytes(range(32)) * 32, bytes(row for row in range(32) for _ in range(32))
    (tmp_path / "one.bin").write_bytes(b"\x07" + columns + rows + b"\xc8" * 1024)
    images, labels = read_cifar10(tmp_path / "one.bin", rows=1)
    assert labels.tolist() == [7]
    assert images.shape == (1, 32, 32, 3)
    assert images[0, 5, 11].tolist() == [11, 5, 200]
    write_cifar10(tmp_path / "two.bin", images, labels)
    assert (tmp_path / "two.bin").read_bytes() == (tmp_path / "one.bin").read_bytes()


def test_cifar_is_read(cifar_folder):
    data = datasets.cifar10(cifar_folder, rows_per_file=3)
    assert data.train_inputs.shape == (15, 32, 32, 3)
    assert data.test_inputs.shape == (3, 32, 32, 3)
    images, labels = read_cifar10(cifar_folder / "data_batch_4.bin", rows=3)
    assert np.array_equal(np.rint(data.train_inputs[9:12] * 255), images)
    assert np.array_equal(data.train_labels[9:12], labels)
    flat = datasets.load("cifar10", cifar_folder, shape="flat", rows_per_file=3)
    assert np.array_equal(flat.test_inputs, data.test_inputs.reshape(3, -1))
    scaled = datasets.cifar10(cifar_folder, standardise=True, rows_per_file=3)
    assert np.allclose(scaled.train_inputs.mean(axis=(0, 1, 2), dtype=float), 0, atol=1e-6)
    assert np.allclose(scaled.train_inputs.std(axis=(0, 1, 2), dtype=float), 1, atol=1e-6)
    assert len(scaled.details["mean"]) == 3


def test_damaged_cifar(cifar_folder):
    path = cifar_folder / "data_batch_2.bin"
    with pytest.raises(
        ValueError, match=r"data_batch_1\.bin must have 10000 rows .* expected 30730000 bytes, found 9219"
    ):
        datasets.cifar10(cifar_folder)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=r"data_batch_2\.bin .* expected 9219 bytes, found 9218"):
        datasets.cifar10(cifar_folder, rows_per_file=3)
    path.write_bytes(b"\x09" + whole[1:3073] + b"\x0a" + whole[3074:])
    with pytest.raises(ValueError, match=r"data_batch_2\.bin .*labels 0 to 9, found 10 in row 1"):
        datasets.cifar10(cifar_folder, rows_per_file=3)
    path.write_bytes(bytes(3 * 3074))
    with pytest.raises(ValueError, match="CIFAR-100"):
        datasets.cifar10(cifar_folder, rows_per_file=3)


def test_pickled_cifar_is_refused(cifar_folder):
    """And is no obstacle when the binary version lies beside it."""
    (cifar_folder / "cifar-10-batches-py").mkdir()
    (cifar_folder / "cifar-10-batches-py" / "data_batch_1").touch()
    assert datasets.cifar10(cifar_folder, rows_per_file=3).n_train == 15
    (cifar_folder / "cifar-10-batches-bin").mkdir()
    for path in cifar_folder.glob("*.bin"):
        shutil.move(path, cifar_folder / "cifar-10-batches-bin")
    assert datasets.cifar10(cifar_folder, rows_per_file=3).n_train == 15
    (cifar_folder / "cifar-10-batches-bin" / "data_batch_1.bin").unlink()
    with pytest.raises(MissingData, match="pickle"):
        datasets.cifar10(cifar_folder, rows_per_file=3)


def test_cifar_writer_checks(tmp_path):
    images = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match=r"images must be uint8 of shape \(n, 32, 32, 3\)"):
        write_cifar10(tmp_path / "x", images.transpose(0, 3, 1, 2), np.zeros(2, dtype=np.uint8))
    with pytest.raises(ValueError, match=r"labels must be uint8 of shape \(2,\), got int64"):
        write_cifar10(tmp_path / "x", images, np.zeros(2, dtype=np.int64))


@pytest.mark.parametrize("test_fraction", [0.1, 0.2, 0.5])
def test_digits_are_split_by_class(test_fraction):
    from sklearn.datasets import load_digits

    data = datasets.digits(test_fraction)
    images, labels = load_digits(return_X_y=True)
    assert data.n_train + data.n_test == 1797
    share = np.bincount(data.test_labels) / np.bincount(labels)
    assert np.allclose(share, test_fraction, atol=0.5 / np.bincount(labels).min())
    rows = {image.tobytes(): label for image, label in zip(images / 16.0, labels, strict=True)}
    assert len(rows) == 1797  # no image twice, so the two sets cannot share one
    for part in ("train", "test"):
        found = zip(*data.take(slice(None), part), strict=True)
        assert all(rows.pop(image.tobytes()) == label for image, label in found)
    assert not rows


def test_digits_as_images():
    flat, image = datasets.digits(), datasets.digits(shape="image")
    assert image.train_inputs.shape == (flat.n_train, 8, 8, 1)
    assert image.train_inputs[7, 2, 5, 0] == flat.train_inputs[7, 8 * 2 + 5]
    assert flat.train_inputs.min() == 0.0
    assert flat.train_inputs.max() == 1.0


def test_digits_can_be_learned():
    """A linear fit to one-hot labels beats guessing, which is right once in ten."""
    data = datasets.digits()
    weights = np.linalg.lstsq(data.train_inputs, np.eye(10)[data.train_labels], rcond=None)[0]
    assert (np.argmax(data.test_inputs @ weights, axis=1) == data.test_labels).mean() > 0.9


@pytest.mark.parametrize("options", [{"test_fraction": 0}, {"test_fraction": 1.0}, {"shape": "square"}])
def test_digits_refuse(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        datasets.digits(**options)
