"""IDX files (MNIST) and CIFAR-10 binary files: where they are looked for, read with every check there is, and written.

IDX: two zero bytes, a byte for the type, a byte for the rank, the sizes as big-endian uint32, the data in C order.
CIFAR-10 binary: rows of a label byte and 3072 bytes, the red, the green and the blue plane of 32 x 32 pixels.
The Python version of CIFAR-10 is refused: it is pickled, and reading a pickle runs the code in it.
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
DEFLATE_RATIO = 1032  # the most that deflate can pack: a file that promises more is damaged
CIFAR_PIXELS = 3 * 32 * 32
CIFAR_ROW = 1 + CIFAR_PIXELS
CIFAR_ROWS = 10_000  # in each of the six files


class MissingData(FileNotFoundError):
    """A data file is not on this machine; the message says where it was looked for and where it comes from."""


def data_root(root=None) -> Path:
    """The folder with data files: the argument, ``$THERMOLINALG_DATA``, or ``~/.cache/thermolinalg/data``."""
    if root is None:
        root = os.environ.get("THERMOLINALG_DATA") or Path.home() / ".cache" / "thermolinalg" / "data"
    return Path(root).expanduser()


def find_file(root, folders: tuple[str, ...], names: tuple[str, ...], page: str) -> Path:
    """The first of the names in the first of the folders below the root that has one."""
    root = data_root(root)
    advice = f"; nothing is downloaded: get it from {page}, or use the data 'digits', which need no files"
    if not root.is_dir():
        raise MissingData(f"the data folder {root} does not exist; {names[0]} is looked for there{advice}")
    for folder in folders:
        for name in names:
            if (root / folder / name).is_file():
                return root / folder / name
    tried = ", ".join(str(root / folder) for folder in folders)
    raise MissingData(f"{names[0]} was not found; looked for {', '.join(names)} in {tried}{advice}")


def read_idx(path) -> np.ndarray:
    """The array in an IDX file, plain or (named .gz) compressed, in native byte order.

    Parameters
    ----------
    path : path

    Returns
    -------
    ndarray

    Raises
    ------
    ValueError
        For a file that is not IDX, or is shorter or longer than its header says; nothing is allocated on the word of a
        header alone.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            dtype, shape = _idx_header(file, path)
            expected = math.prod(shape) * dtype.itemsize
            on_disk = path.stat().st_size
            if path.suffix == ".gz":
                if expected > DEFLATE_RATIO * on_disk:
                    raise ValueError(_sizes(path, dtype, shape, expected, f"at most {DEFLATE_RATIO * on_disk}"))
            elif on_disk != 4 + 4 * len(shape) + expected:
                raise ValueError(_sizes(path, dtype, shape, expected, on_disk - 4 - 4 * len(shape)))
            body = file.read(expected + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); get it again") from None
    if len(body) != expected:
        found = f"only {len(body)}" if len(body) < expected else "more"
        raise ValueError(_sizes(path, dtype, shape, expected, found))
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _idx_header(file, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES or magic[3] == 0:
        types = " ".join(f"{code:02x}" for code in IDX_TYPES)
        raise ValueError(
            f"{path} is not an IDX file: expected the bytes 00 00, a type ({types}) and a rank from 01, "
            f"found {magic.hex(' ') or 'an empty file'}"
        )
    sizes = file.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise ValueError(
            f"{path} ends in its header: expected {magic[3]} sizes, {4 * magic[3]} bytes, found {len(sizes)}"
        )
    return np.dtype(IDX_TYPES[magic[2]]), tuple(int(size) for size in np.frombuffer(sizes, ">u4"))


def _sizes(path: Path, dtype: np.dtype, shape: tuple[int, ...], expected: int, found) -> str:
    return (
        f"{path} is damaged: its header says {dtype.name} of shape {shape}, so expected {expected} bytes of data, "
        f"found {found}; get it again"
    )


def write_idx(path, array) -> None:
    """Write an array as an IDX file, compressed when its name ends in .gz; the inverse of `read_idx`."""
    array = np.asarray(array)
    codes = {np.dtype(name).newbyteorder("="): code for code, name in IDX_TYPES.items()}
    code = codes.get(array.dtype.newbyteorder("="))
    if code is None:
        raise ValueError(f"array must be one of {', '.join(map(str, codes))}, got {array.dtype}")
    if array.ndim == 0:
        raise ValueError("array must have at least one axis, got a number")
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    content = header + array.astype(IDX_TYPES[code]).tobytes()
    _write(path, gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content)


def read_cifar10(path, rows: int = CIFAR_ROWS) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a file of the binary version of CIFAR-10.

    Parameters
    ----------
    path : path
    rows : int
        Number of images that the file must have; the format has no header that says it.

    Returns
    -------
    images : (rows, 32, 32, 3) ndarray of uint8
        Row, column, channel.
    labels : (rows,) ndarray of uint8
        0 to 9.

    Raises
    ------
    ValueError
        For a file of another size, or a label above 9.
    """
    path = Path(path)
    found = path.stat().st_size
    if found != rows * CIFAR_ROW:
        hint = "; rows of 3074 bytes are CIFAR-100, which has another format" if found == rows * (CIFAR_ROW + 1) else ""
        raise ValueError(
            f"{path} must have {rows} rows of {CIFAR_ROW} bytes, expected {rows * CIFAR_ROW} bytes, found {found}{hint}"
        )
    content = np.fromfile(path, np.uint8).reshape(rows, CIFAR_ROW)
    labels = content[:, 0].copy()
    if labels.max(initial=0) > 9:
        row = int(np.argmax(labels > 9))
        raise ValueError(f"{path} is damaged: expected labels 0 to 9, found {labels[row]} in row {row}; get it again")
    return np.ascontiguousarray(content[:, 1:].reshape(rows, 3, 32, 32).transpose(0, 2, 3, 1)), labels


def write_cifar10(path, images, labels) -> None:
    """Write images (n, 32, 32, 3) and labels (n,), both uint8, in the binary format; the inverse of `read_cifar10`."""
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype != np.uint8 or images.shape != (len(images), 32, 32, 3):
        raise ValueError(f"images must be uint8 of shape (n, 32, 32, 3), got {images.dtype} of shape {images.shape}")
    if labels.dtype != np.uint8 or labels.shape != (len(images),):
        raise ValueError(f"labels must be uint8 of shape ({len(images)},), got {labels.dtype} of shape {labels.shape}")
    planes = images.transpose(0, 3, 1, 2).reshape(len(images), CIFAR_PIXELS)
    _write(path, np.column_stack([labels, planes]).tobytes())


def _write(path, content: bytes) -> None:
    """The whole file or none."""
    aside = Path(f"{path}.{os.getpid()}.part")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
