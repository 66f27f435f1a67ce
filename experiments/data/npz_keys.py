"""The keys of an .npz file of images or points, and what they must hold."""

import collections
import contextlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.notes import say_once
from experiments.data.source import one_line
from experiments.errors import UserError
from experiments.runtime.array_files import UNREADABLE
from sde_lib.registry import unknown_name

KINDS = ("images", "points")
"""Keys of examples, one of which a file has."""

# In the order of digests, which are not to change.
KEYS = (
    *("images", "labels", "test_images", "test_labels", "levels"),
    *("points", "test_points", "label_names"),
)


def keys_read(cond: str | None) -> list[str]:
    """The keys that are read of a file, where it has them.

    Args:
      cond: that of the vectors which stand in for labels; None for labels.
    """
    return list(dict.fromkeys(KEYS if cond is None else (*KEYS, cond, f"test_{cond}")))


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Arrays of a file, those of `names` that it has, none of them unpickled."""
    with opened(path) as file:
        return {key: file[key] for key in names if key in file.files}


def say_what_is_left_out(path: Path, cond: str | None) -> None:
    """Name keys of a file that are none of those of `keys_read`."""
    with opened(path) as file:
        others = sorted(set(file.files) - set(keys_read(cond)))
    if others:
        say_once(f"npz:{path}: left out {', '.join(others)}; takes {', '.join(KEYS)}")


def fingerprints(path: Path, cond: str | None) -> list[list]:
    """Name, size and CRC-32 of each key that is read, which a file says without being read."""
    with opened(path) as file:
        members = {info.filename.removesuffix(".npy"): info for info in file.zip.infolist()}
    # Names of classes change no example, and older digests are without them.
    names = [key for key in keys_read(cond) if key in members and key != "label_names"]
    return [[key, members[key].file_size, members[key].CRC] for key in names]


@contextlib.contextmanager
def opened(path: Path, cond: str | None = None) -> Iterator[Any]:
    """An .npz file of images or points, and any error of reading it as the user's.

    Args:
      path: the file.
      cond: a key that it must have besides.
    """
    if not path.is_file():
        raise UserError(f"data.source: no file {str(path)!r}; takes npz:FILE")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path}: not a readable .npz file, or cut short; takes what np.savez writes"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            kind_of(file.files, path)
            if cond is not None and cond not in file.files:
                raise UserError(f"{path}: {unknown_name('data.cond', cond, file.files)}")
            yield file
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(f"{path}: damaged, or not of plain arrays ({one_line(error)})") from error


def kind_of(keys: Sequence[str], path: Path) -> str:
    """What a file with these keys holds, one of `KINDS`.

    Raises:
      UserError: neither, or both.
    """
    kinds = [kind for kind in KINDS if kind in keys or f"test_{kind}" in keys]
    if len(kinds) > 1:
        raise UserError(f"{path}: has keys of images and of points; takes one of the two")
    if not kinds or kinds[0] not in keys:
        missing = repr(kinds[0]) if kinds else "'images' or 'points'"
        raise UserError(f"{path}: no key {missing}; its keys: {', '.join(keys)}")
    return kinds[0]


def check_points(points: np.ndarray, where: str) -> np.ndarray:
    """Continuous examples, once they are checked.

    Args:
      points: what the file holds.
      where: the file and the key, for the message.

    Returns:
      float32 [N, ...], finite.

    Raises:
      UserError: another type or shape, or a value that is not finite.
    """
    if points.dtype.kind != "f":
        raise UserError(f"{where} is {points.dtype}; takes floats")
    if points.ndim < 2 or 0 in points.shape:
        raise UserError(f"{where} has shape {points.shape}; takes [N, D] or more axes, none empty")
    return _finite(points, np.float32, where)


def check_vectors(vectors: np.ndarray, num: int, where: str) -> np.ndarray:
    """Vectors that stand in for labels, once they are checked.

    Args:
      vectors: what the file holds.
      num: N, the number of examples.
      where: the file and the key, for the message.

    Returns:
      float64 [N, D], finite in float32.

    Raises:
      UserError: another type or shape, or a value that is not finite.
    """
    if vectors.dtype.kind not in "iuf":
        raise UserError(f"{where} is {vectors.dtype}; takes numbers")
    if vectors.ndim not in (1, 2) or len(vectors) != num or 0 in vectors.shape:
        raise UserError(f"{where} has shape {vectors.shape}; takes ({num},) or ({num}, D)")
    return _finite(vectors.reshape(num, -1), np.float64, where)


def _finite(array: np.ndarray, dtype: type[np.floating], where: str) -> np.ndarray:
    """An array as another type, once its values are known to be finite in float32."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32)
    if not np.isfinite(single).all():
        wrong = array[~np.isfinite(single)][0]
        raise UserError(f"{where} has the value {wrong}; takes what is finite in float32")
    return array.astype(dtype)


def check_images(images: np.ndarray, levels: int, where: str) -> np.ndarray:
    """Images, once they are checked.

    Args:
      images: what the file holds, of any type and shape.
      levels: number of grey levels.
      where: the file and the key, for the message.

    Returns:
      uint8 [N, H, W, C].

    Raises:
      UserError: another type or shape, or a grey level out of range.
    """
    images = images.reshape(check_shape(images.dtype, images.shape, levels, where))
    check_values(images, levels, where)
    return images


def check_shape(
    dtype: np.dtype, shape: tuple[int, ...], levels: int, where: str
) -> tuple[int, int, int, int]:
    """The shape (N, H, W, C) of images stored with this type and shape.

    Raises:
      UserError: they are no images of 8 bits and 1 to 4 channels.
    """
    if dtype != np.uint8:
        raise UserError(f"{where} is {dtype}; takes uint8 grey levels, 0 to {levels - 1}")
    if len(shape) not in (3, 4):
        raise UserError(f"{where} has shape {shape}; takes [N, H, W] or [N, H, W, C]")
    if 0 in shape:
        raise UserError(f"{where} has shape {shape}; takes images of 1x1 or more")
    num, height, width, channels = (*shape, 1)[:4]
    if channels > 4:
        raise UserError(f"{where} has shape {shape}; takes 1 to 4 channels, as the last axis")
    return num, height, width, channels


def check_values(images: np.ndarray, levels: int, where: str) -> None:
    """Refuses grey levels from `levels` on.

    Raises:
      UserError: there are some.
    """
    if images.max() >= levels:
        raise UserError(
            f"{where} has the value {images.max()}; with {levels} levels takes 0 to {levels - 1}"
        )


def check_size(image_size: int | None, shape: tuple[int, ...], levels: int, where: str) -> None:
    """Refuses to resize images [H, W, C] that have other than 256 levels.

    Raises:
      UserError: `image_size` is another than theirs.
    """
    if levels != 256 and image_size is not None and shape[:2] != (image_size, image_size):
        raise UserError(
            f"data.image_size: got {image_size}; {where} has {levels} grey levels, and only "
            "images with 256 are resized: takes None"
        )


def check_labels(labels: np.ndarray, num: int, where: str) -> np.ndarray:
    """Labels, once they are checked.

    Args:
      labels: what the file holds.
      num: N, the number of examples.
      where: the file and the key, for the message.

    Returns:
      int32 [N].

    Raises:
      UserError: they are not one integer from 0 an example.
    """
    if labels.shape != (num,):
        raise UserError(f"{where} has shape {labels.shape}; takes one label an example, ({num},)")
    if labels.dtype.kind not in "iu":
        raise UserError(f"{where} is {labels.dtype}; takes integers")
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise UserError(f"{where} has the value {wrong}; takes classes from 0 to 2**31 - 1")
    return labels.astype(np.int32)


def read_levels(arrays: Mapping[str, np.ndarray], path: Path) -> int:
    """The number of grey levels."""
    levels = arrays.get("levels", np.array(256))
    if levels.shape != () or levels.dtype.kind not in "iu" or not 2 <= levels <= 256:
        raise UserError(
            f"{path}: key 'levels' is {levels.tolist()}; takes one integer from 2 to 256"
        )
    return int(levels)


def read_class_names(arrays: Mapping[str, np.ndarray], classes: int, path: Path) -> tuple[str, ...]:
    """The names of the classes in their order; () where the file has none.

    Args:
      arrays: what the file holds, by its keys.
      classes: how many its labels tell of.
      path: the file, for the message.

    Raises:
      UserError: they are not one string a class, none of them twice.
    """
    if "label_names" not in arrays:
        return ()
    array, where = arrays["label_names"], f"{path}: key 'label_names'"
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{where} has bytes that are no UTF-8; takes strings") from error
    if array.ndim != 1 or array.dtype.kind != "U":
        raise UserError(
            f"{where} is {array.dtype} of shape {array.shape}; takes strings, one a class"
        )
    names = tuple(array.tolist())
    if not classes:
        raise UserError(f"{where} names the classes of no labels; takes it with key 'labels'")
    if len(names) < classes:
        raise UserError(
            f"{where} has {len(names)} names; takes {classes} or more, since key 'labels' has the "
            f"class {classes - 1}"
        )
    for name, count in collections.Counter(names).items():
        if count > 1 or not name.strip():
            raise UserError(f"{where} has the name {name!r} {count}×; takes one name a class")
    return names
