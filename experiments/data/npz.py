"""Images in a NumPy .npz file, or in several."""

from pathlib import Path

import numpy as np

from experiments.data.digests import digests, of_facts
from experiments.data.images import resize_images
from experiments.data.npz_keys import (
    check_images,
    check_labels,
    check_size,
    fingerprints,
    read_arrays,
    read_levels,
    say_what_is_left_out,
)
from experiments.data.npz_shards import are_shards, find_shards, open_shards
from experiments.data.source import WHOLE, Request, sources, split_rows
from experiments.data.split import Split, count_classes
from experiments.errors import UserError
from experiments.paths import expand


@sources.register("npz")
def open_npz(request: Request) -> Split:
    """Key `images`, uint8 [N, H, W] or [N, H, W, C] with 1 to 4 channels, and optional keys.

    `labels` [N]: classes from 0. `levels`: the number of grey levels, 256 without it. `test_images`
    and `test_labels`: the test split; without them a random one is held out of the one pool. A
    folder, or a pattern (`npz:faces/part-*.npz`), is of shards: files that share out one pool. The
    images of shards are read when they are asked for; one file is read at once.

    Raises:
      UserError: no file, not an .npz, or arrays that are not as above.
    """
    return open_shards(request) if are_shards(request.argument) else _load_file(request)


@digests.register("npz")
def digest_npz(argument: str) -> str:
    """The digest of every key that counts in the one file, or in each of the shards."""
    files = find_shards(argument) if are_shards(argument) else [expand(argument)]
    return of_facts([fingerprints(path) for path in files])


def _load_file(request: Request) -> Split:
    """The split asked for of one file."""
    if not request.argument:
        raise UserError("data.source: got 'npz:', which names no file; takes npz:FILE")
    path = expand(request.argument)
    arrays = read_arrays(path)
    say_what_is_left_out(path)
    levels = read_levels(arrays, path)
    images, labels, classes = _split(arrays, request, levels, path)
    size = request.image_size
    check_size(size, images.shape[1:], levels, str(path))
    return Split.of(resize_images(images, size), labels, levels=levels, classes=classes)


def _split(
    arrays: dict[str, np.ndarray], request: Request, levels: int, path: Path
) -> tuple[np.ndarray, np.ndarray | None, int]:
    """The images and labels of the split asked for, and the number of classes of both."""
    pool, labels = _pool(arrays, "", levels, path)
    if "test_images" not in arrays:
        rows = split_rows(len(pool), request.split, request.holdout, str(path))
        return pool[rows], None if labels is None else labels[rows], count_classes(labels)
    test_pool, test_labels = _pool(arrays, "test_", levels, path)
    if pool.shape[1:] != test_pool.shape[1:]:
        raise UserError(
            f"{path}: key 'test_images' has images of shape {test_pool.shape[1:]}; takes that of "
            f"key 'images', {pool.shape[1:]}"
        )
    if (labels is None) != (test_labels is None):
        raise UserError(f"{path}: has one of 'labels' and 'test_labels'; takes both or neither")
    classes = max(count_classes(labels), count_classes(test_labels))
    if request.split == WHOLE:
        both = None if labels is None or test_labels is None else np.append(labels, test_labels)
        return np.concatenate([pool, test_pool]), both, classes
    return (test_pool, test_labels, classes) if request.split == "test" else (pool, labels, classes)


def _pool(
    arrays: dict[str, np.ndarray], prefix: str, levels: int, path: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """Checked images [N, H, W, C] and labels of the keys that begin with `prefix`."""
    images = check_images(arrays[f"{prefix}images"], levels, f"{path}: key '{prefix}images'")
    labels = arrays.get(f"{prefix}labels")
    if labels is not None:
        labels = check_labels(labels, len(images), f"{path}: key '{prefix}labels'")
    return images, labels
