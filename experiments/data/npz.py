"""Images or points in a NumPy .npz file, or images in several."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.data.digests import digests, of_facts
from experiments.data.images import resize_images
from experiments.data.npz_keys import (
    check_images,
    check_labels,
    check_points,
    check_size,
    check_vectors,
    fingerprints,
    keys_read,
    kind_of,
    opened,
    read_arrays,
    read_class_names,
    read_levels,
    say_what_is_left_out,
)
from experiments.data.npz_shards import are_shards, find_shards, open_shards
from experiments.data.source import WHOLE, Request, sources, split_rows, training_rows
from experiments.data.split import Batch, Split, count_classes
from experiments.data.vectors import moments
from experiments.errors import UserError
from experiments.paths import expand
from sde_lib import Condition


@sources.register("npz")
def open_npz(request: Request) -> Split:
    """Key `images`, uint8 [N, H, W] or [N, H, W, C] with 1 to 4 channels, and optional keys.

    Or key `points`, float [N, ...]: continuous data. `labels` [N]: classes from 0; `label_names`:
    a string a class. `levels`: the number of grey levels of images, 256 without it. `test_images`
    (or `test_points`) and `test_labels`: the test split; without them a random one is held out of
    the one pool. `request.cond` names a key of numbers [N] or [N, D] that stand in for labels,
    with its `test_` where there is a test split.

    A folder, or a pattern (`npz:faces/part-*.npz`), is of shards: files that share out one pool of
    images, which are read when they are asked for; one file is read at once.

    Raises:
      UserError: no file, not an .npz, or arrays that are not as above.
    """
    return open_shards(request) if are_shards(request.argument) else _load_file(request)


@digests.register("npz")
def digest_npz(data: Split) -> str:
    """The digest of every key that counts in the one file, or in each of the shards."""
    shards = are_shards(data.argument)
    files = find_shards(data.argument) if shards else [expand(data.argument)]
    return of_facts([fingerprints(path, data.cond_key) for path in files])


def _load_file(request: Request) -> Split:
    """The split asked for of one file."""
    if not request.argument:
        raise UserError("data.source: got 'npz:', which names no file; takes npz:FILE")
    path, cond, size = expand(request.argument), request.cond, request.image_size
    with opened(path, cond):
        file = _File(path, read_arrays(path, keys_read(cond)), cond)
    say_what_is_left_out(path, cond)
    pools = file.pools()
    examples, train = _split(pools, request, str(path))
    levels = file.levels
    if levels is None:
        if size is not None:
            raise UserError(f"data.image_size: got {size}; {path} has points, which take None")
        values = examples.values
    else:
        check_size(size, examples.values.shape[1:], levels, str(path))
        values = resize_images(examples.values, size)
    if cond is not None:
        mean, std = moments(train)
        vectors = examples.vectors
        return Split.of(values, levels=levels, vectors=vectors, cond_mean=mean, cond_std=std)
    classes = max(count_classes(pool.labels) for pool in pools)
    names = read_class_names(file.arrays, classes, path)
    return Split.of(values, examples.labels, levels=levels, classes=classes, class_names=names)


@dataclasses.dataclass(frozen=True)
class _File:
    """What one file holds.

    Args:
      path: the file.
      arrays: its arrays, by their keys.
      cond: the key of vectors that stand in for labels; None for labels.
    """

    path: Path
    arrays: Mapping[str, np.ndarray]
    cond: str | None

    @property
    def kind(self) -> str:
        """The key of its examples."""
        return kind_of([*self.arrays], self.path)

    @property
    def levels(self) -> int | None:
        """The number of grey levels; None of points."""
        if self.kind == "images":
            return read_levels(self.arrays, self.path)
        if "levels" in self.arrays:
            raise UserError(f"{self.path}: has key 'levels', which images take, and points do not")
        return None

    def pools(self) -> list[Batch]:
        """Its one pool, or those of train and test, with labels or vectors as they are stored."""
        if f"test_{self.kind}" not in self.arrays:
            return [self._pool("")]
        pool, test = self._pool(""), self._pool("test_")
        if pool.values.shape[1:] != test.values.shape[1:]:
            raise UserError(
                f"{self.path}: key 'test_{self.kind}' has {self.kind} of shape "
                f"{test.values.shape[1:]}; takes that of key '{self.kind}', {pool.values.shape[1:]}"
            )
        if ("labels" in self.arrays) != ("test_labels" in self.arrays):
            raise UserError(
                f"{self.path}: has one of 'labels' and 'test_labels'; takes both or neither"
            )
        if self.cond and pool.vectors.shape[1:] != test.vectors.shape[1:]:
            raise UserError(
                f"{self.path}: key 'test_{self.cond}' has vectors of shape "
                f"{test.vectors.shape[1:]}; takes that of key '{self.cond}', "
                f"{pool.vectors.shape[1:]}"
            )
        return [pool, test]

    def _pool(self, prefix: str) -> Batch:
        """What the keys that begin with `prefix` hold, checked."""
        key = f"{prefix}{self.kind}"
        array, where = self.arrays[key], f"{self.path}: key '{key}'"
        values = (
            check_points(array, where)
            if self.levels is None
            else check_images(array, self.levels, where)
        )
        labels = self.arrays.get(f"{prefix}labels")
        if labels is not None:
            labels = check_labels(labels, len(values), f"{self.path}: key '{prefix}labels'")
        if self.cond is None:
            return Batch.of(values, labels)
        column = f"{prefix}{self.cond}"
        if column not in self.arrays:
            raise UserError(f"{self.path}: no key '{column}'; takes it beside '{self.cond}'")
        where = f"{self.path}: key '{column}'"
        return Batch(
            values, Condition(vector=check_vectors(self.arrays[column], len(values), where))
        )


def _split(pools: list[Batch], request: Request, where: str) -> tuple[Batch, Any]:
    """The examples of the split asked for, and the vectors of the train split, where it has any."""
    if len(pools) == 2:
        train, test = pools
        if request.split == WHOLE:
            return Batch.join(pools), train.vectors
        return (test if request.split == "test" else train), train.vectors
    (pool,) = pools
    num = len(pool.values)
    rows = split_rows(num, request.split, request.holdout, where)
    vectors = pool.vectors
    if vectors is not None:
        vectors = vectors[training_rows(num, request.holdout)]
    return pool.take(rows), vectors
