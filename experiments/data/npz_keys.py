"""The keys of an .npz file of images, and what they must hold."""

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.notes import say_once
from experiments.data.source import one_line
from experiments.errors import UserError

KEYS = ("images", "labels", "test_images", "test_labels", "levels")


def read_arrays(path: Path, names: tuple[str, ...] = KEYS) -> dict[str, np.ndarray]:
    """Arrays of a file, those of `names` that it has, none of them unpickled."""
    with opened(path) as file:
        return {key: file[key] for key in names if key in file.files}


def say_what_is_left_out(path: Path) -> None:
    """Name keys of a file that are none of `KEYS`."""
    with opened(path) as file:
        others = sorted(set(file.files) - set(KEYS))
    if others:
        say_once(f"npz:{path}: left out {', '.join(others)}; takes {', '.join(KEYS)}")


def fingerprints(path: Path) -> list[list]:
    """Name, size and CRC-32 of each of `KEYS` in a file, which it says without being read."""
    with opened(path) as file:
        members = {info.filename.removesuffix(".npy"): info for info in file.zip.infolist()}
    return [[key, members[key].file_size, members[key].CRC] for key in KEYS if key in members]


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An .npz file with key `images`, and any error of reading it as the user's."""
    if not path.is_file():
        raise UserError(f"data.source: no file {str(path)!r}; takes npz:FILE")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path}: not a readable .npz file, or cut short; takes what np.savez writes"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            if "images" not in file.files:
                raise UserError(f"{path}: no key 'images'; its keys: {', '.join(file.files)}")
            yield file
    except UserError:
        raise
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged, or not of plain arrays ({one_line(error)})") from error


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
      num: N, the number of images.
      where: the file and the key, for the message.

    Returns:
      int32 [N].

    Raises:
      UserError: they are not one integer from 0 an image.
    """
    if labels.shape != (num,):
        raise UserError(f"{where} has shape {labels.shape}; takes one label an image, ({num},)")
    if labels.dtype.kind not in "iu":
        raise UserError(f"{where} is {labels.dtype}; takes integers")
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise UserError(f"{where} has the value {wrong}; takes classes from 0 to 2**31 - 1")
    return labels.astype(np.int32)


def read_levels(arrays: dict[str, np.ndarray], path: Path) -> int:
    """The number of grey levels."""
    levels = arrays.get("levels", np.array(256))
    if levels.shape != () or levels.dtype.kind not in "iu" or not 2 <= levels <= 256:
        raise UserError(
            f"{path}: key 'levels' is {levels.tolist()}; takes one integer from 2 to 256"
        )
    return int(levels)
