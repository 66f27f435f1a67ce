"""Images in a NumPy .npz file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from experiments.data.dataset import WHOLE, Dataset, Request, one_line, sources, split_rows
from experiments.data.images import resize_images
from experiments.errors import UserError

KEYS = ("images", "labels", "test_images", "test_labels", "levels")


@sources.register("npz")
def load_npz(request: Request) -> Dataset:
    """Key `images`, uint8 [N, H, W] or [N, H, W, C] with 1 to 4 channels, and optional keys.

    `labels` [N]: classes from 0. `levels`: the number of grey levels, 256 without it. `test_images`
    and `test_labels`: the test split; without them a random one is held out of the one pool.

    Raises:
      UserError: no file, not an .npz, or arrays that are not as above.
    """
    if not request.argument:
        raise UserError("data.source: got 'npz:', which names no file; takes npz:FILE")
    path = Path(request.argument).expanduser()
    arrays = _read(path)
    levels = _levels(arrays, path)
    images, labels, classes = _split(arrays, request, levels, path)
    size = request.image_size
    if levels != 256 and size is not None and images.shape[1:3] != (size, size):
        raise UserError(
            f"data.image_size: got {size}; {path} has {levels} grey levels, and only "
            "images with 256 are resized: takes None"
        )
    return Dataset(
        values=resize_images(images, size),
        labels=labels,
        levels=levels,
        source=request.source,
        split=request.split,
        classes=classes,
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file that have a meaning here, none of them unpickled."""
    if not path.is_file():
        raise UserError(f"data.source: no file {str(path)!r}; takes npz:FILE")
    if not zipfile.is_zipfile(path):
        raise UserError(
            f"{path}: not a readable .npz file, or cut short; takes what np.savez writes"
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            keys = file.files
            arrays = {key: file[key] for key in KEYS if key in keys}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged, or not of plain arrays ({one_line(error)})") from error
    if "images" not in arrays:
        raise UserError(f"{path}: no key 'images'; its keys: {', '.join(keys)}")
    return arrays


def _split(
    arrays: dict[str, np.ndarray], request: Request, levels: int, path: Path
) -> tuple[np.ndarray, np.ndarray | None, int]:
    """The images and labels of the split asked for, and the number of classes of both."""
    pool, labels = _pool(arrays, "", levels, path)
    if "test_images" not in arrays:
        rows = split_rows(len(pool), request.split, request.holdout, str(path))
        return pool[rows], None if labels is None else labels[rows], _num_classes(labels)
    test_pool, test_labels = _pool(arrays, "test_", levels, path)
    if pool.shape[1:] != test_pool.shape[1:]:
        raise UserError(
            f"{path}: key 'test_images' has images of shape {test_pool.shape[1:]}; takes that of "
            f"key 'images', {pool.shape[1:]}"
        )
    if (labels is None) != (test_labels is None):
        raise UserError(f"{path}: has one of 'labels' and 'test_labels'; takes both or neither")
    classes = max(_num_classes(labels), _num_classes(test_labels))
    if request.split == WHOLE:
        both = None if labels is None or test_labels is None else np.append(labels, test_labels)
        return np.concatenate([pool, test_pool]), both, classes
    return (test_pool, test_labels, classes) if request.split == "test" else (pool, labels, classes)


def _pool(
    arrays: dict[str, np.ndarray], prefix: str, levels: int, path: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """Checked images [N, H, W, C] and labels of the keys that begin with `prefix`."""
    images = _images(arrays[f"{prefix}images"], levels, f"{path}: key '{prefix}images'")
    labels = arrays.get(f"{prefix}labels")
    if labels is not None:
        labels = _labels(labels, len(images), f"{path}: key '{prefix}labels'")
    return images, labels


def _images(images: np.ndarray, levels: int, where: str) -> np.ndarray:
    """Checked images, uint8 [N, H, W, C]."""
    if images.dtype != np.uint8:
        raise UserError(f"{where} is {images.dtype}; takes uint8 grey levels, 0 to {levels - 1}")
    if images.ndim not in (3, 4):
        raise UserError(f"{where} has shape {images.shape}; takes [N, H, W] or [N, H, W, C]")
    if images.size == 0:
        raise UserError(f"{where} has shape {images.shape}; takes images of 1x1 or more")
    images = images[..., None] if images.ndim == 3 else images
    if images.shape[3] > 4:
        raise UserError(
            f"{where} has shape {images.shape}; takes 1 to 4 channels, as the last axis"
        )
    if images.max() >= levels:
        raise UserError(
            f"{where} has the value {images.max()}; with {levels} levels takes 0 to {levels - 1}"
        )
    return images


def _labels(labels: np.ndarray, num: int, where: str) -> np.ndarray:
    """Checked labels, int32 [N]."""
    if labels.shape != (num,):
        raise UserError(f"{where} has shape {labels.shape}; takes one label an image, ({num},)")
    if labels.dtype.kind not in "iu":
        raise UserError(f"{where} is {labels.dtype}; takes integers")
    if labels.min() < 0 or labels.max() > np.iinfo(np.int32).max:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise UserError(f"{where} has the value {wrong}; takes classes from 0 to 2**31 - 1")
    return labels.astype(np.int32)


def _levels(arrays: dict[str, np.ndarray], path: Path) -> int:
    """The number of grey levels."""
    levels = arrays.get("levels", np.array(256))
    if levels.shape != () or levels.dtype.kind not in "iu" or not 2 <= levels <= 256:
        raise UserError(
            f"{path}: key 'levels' is {levels.tolist()}; takes one integer from 2 to 256"
        )
    return int(levels)


def _num_classes(labels: np.ndarray | None) -> int:
    return 0 if labels is None else int(labels.max()) + 1
