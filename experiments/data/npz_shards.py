"""Images shared out over many .npz files, read image by image."""

import dataclasses
import glob
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.lib import format as npy

from experiments.data.codec import PixelCodec
from experiments.data.images import different_sizes, resize_image, resize_images
from experiments.data.npz_keys import (
    check_images,
    check_labels,
    check_shape,
    check_size,
    check_values,
    check_vectors,
    keys_read,
    opened,
    read_arrays,
    read_class_names,
    read_levels,
)
from experiments.data.source import Request, split_rows, training_rows
from experiments.data.split import Batch, Reader, Split, count_classes
from experiments.data.vectors import moments, standardise
from experiments.errors import UserError
from experiments.paths import expand
from sde_lib import Condition

MEMBER = "images.npy"

KEYS = ("images", "labels", "levels", "label_names")
"""Of a shard; and one of vectors, as a request names it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """One file, by its headers.

    Args:
      path: the file.
      shape: (N, H, W, C) of its images.
      start: where in the file their first byte is; None where they do not lie there one after the
        other, because they are compressed or in Fortran's order.
      labels: int32 [N], or None.
      levels: number of grey levels.
      class_names: of its classes; () where it names none.
      vectors: [N, D] that stand in for labels, as they are stored; or None.
    """

    path: Path
    shape: tuple[int, int, int, int]
    start: int | None
    labels: np.ndarray | None
    levels: int
    class_names: tuple[str, ...]
    vectors: np.ndarray | None


def are_shards(argument: str) -> bool:
    """Whether what follows "npz:" is a folder or a pattern, and no file."""
    path = expand(argument)
    return bool(argument) and (path.is_dir() or (glob.has_magic(argument) and not path.is_file()))


def find_shards(argument: str) -> list[Path]:
    """The files of a folder or of a pattern, in the order of their names.

    Raises:
      UserError: none.
    """
    path = expand(argument)
    pattern = str(Path(glob.escape(str(path)), "*.npz")) if path.is_dir() else str(path)
    files = [Path(name) for name in sorted(glob.glob(pattern))]
    if not files:
        raise UserError(f"data.source: no files {pattern!r}; takes npz:DIR or npz:DIR/*.npz")
    return files


def open_shards(request: Request) -> Split:
    """The split asked for, of all the images in the order of the names of their files.

    Raises:
      UserError: no files, one that cannot be read or is not like the others, or too few images; as
        far as the headers, the labels and the levels tell.
    """
    shards, rows = _find(request)
    first, size = shards[0], request.image_size
    height, width, channels = first.shape[1:]
    split = Split(
        reader=_ShardReader(shards, None, rows, size),
        shape=(size or height, size or width, channels),
        codec=PixelCodec(first.levels),
        crops=size is not None,
    )
    if request.cond is not None:
        vectors = _join([shard.vectors for shard in shards])
        mean, std = moments(vectors[training_rows(len(vectors), request.holdout)])
        cond = Condition(vector=standardise(vectors, mean, std))
        reader = _ShardReader(shards, cond, rows, size)
        return dataclasses.replace(split, reader=reader, cond_mean=mean, cond_std=std)
    if first.labels is None:
        return split
    labels = _join([shard.labels for shard in shards])
    return dataclasses.replace(
        split,
        reader=_ShardReader(shards, Condition(label=labels), rows, size),
        num_classes=max(count_classes(labels), len(first.class_names)),
        class_names=first.class_names,
    )


class _ShardReader(Reader):
    """Reads images by their places in the files.

    Args:
      shards: the files.
      cond: what all their images are conditioned on; None for nothing.
      rows: int [N], the images of the split among all.
      image_size: side of the square that they are cropped and resized to; None leaves them.
    """

    def __init__(
        self,
        shards: list[Shard],
        cond: Condition | None,
        rows: np.ndarray,
        image_size: int | None,
    ):
        self.shards, self.cond, self.rows, self.image_size = shards, cond, rows, image_size
        self.ends = np.cumsum([shard.shape[0] for shard in shards])

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        """One by one, which takes shards that are not compressed."""
        rows = self.rows[rows]
        shard_of = np.searchsorted(self.ends, rows, side="right")
        images: list[np.ndarray] = [np.empty(0)] * len(rows)
        for number in np.unique(shard_of):
            shard = self.shards[number]
            (positions,) = np.nonzero(shard_of == number)
            first = self.ends[number] - shard.shape[0]
            read = _read_rows(shard, rows[positions] - first)
            for position, image in zip(positions, read, strict=True):
                place = None if places is None else places[position]
                images[position] = self._resize(image, place)
        return Batch(np.stack(images), jax.tree.map(lambda leaf: leaf[rows], self.cond))

    def load(self) -> Batch:
        """File by file, which are read whole and may be compressed."""
        parts = [resize_images(_read_all(shard), self.image_size) for shard in self.shards]
        return Batch(np.concatenate(parts), self.cond).take(self.rows)

    def _resize(self, image: np.ndarray, place: np.ndarray | None) -> np.ndarray:
        size = self.image_size
        if size is None or image.shape[:2] == (size, size):
            return image
        return resize_image(image, size, place)


def _find(request: Request) -> tuple[list[Shard], np.ndarray]:
    """The shards, checked to be alike, and the rows of the split among all their images."""
    shards = [_open(path, request.cond) for path in find_shards(request.argument)]
    for shard in shards:
        check_size(request.image_size, shard.shape[1:], shard.levels, str(shard.path))
        _check_alike(shards[0], shard, request.image_size)
    num = sum(shard.shape[0] for shard in shards)
    return shards, split_rows(num, request.split, request.holdout, request.argument)


def _open(path: Path, cond: str | None) -> Shard:
    """What a shard's headers say, with its labels and the vectors of the key `cond`."""
    with opened(path, cond) as file:
        unknown = sorted(set(keys_read(None)) & set(file.files) - set(KEYS))
        if unknown:
            raise UserError(f"{path}: has key {unknown[0]!r}; shards take {', '.join(KEYS)}")
        names = {*KEYS[1:], cond}
        arrays = {key: file[key] for key in file.files if key in names}
        levels = read_levels(arrays, path)
        dtype, stored, start = _locate(path, file.zip)
    shape = check_shape(dtype, stored, levels, f"{path}: key 'images'")
    labels = arrays.get("labels")
    if labels is not None:
        labels = check_labels(labels, shape[0], f"{path}: key 'labels'")
    vectors = None
    if cond is not None:
        vectors = check_vectors(arrays[cond], shape[0], f"{path}: key '{cond}'")
    return Shard(
        path=path,
        shape=shape,
        start=start,
        labels=labels,
        levels=levels,
        class_names=() if cond else read_class_names(arrays, count_classes(labels), path),
        vectors=vectors,
    )


def _locate(path: Path, archive: Any) -> tuple[np.dtype, tuple[int, ...], int | None]:
    """The type and the shape of the images, and where their first byte is if that is one place."""
    info = archive.getinfo(MEMBER)
    with archive.open(info) as member:
        version = npy.read_magic(member)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(member)
        header = member.tell()
    if fortran or info.compress_type != zipfile.ZIP_STORED:
        return dtype, shape, None
    return dtype, shape, _data_offset(path, info) + header


def _data_offset(path: Path, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member begin: after its local header, two lengths and what they count.

    The directory at the end of the file has lengths of its own, which may be others.
    """
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        lengths = np.frombuffer(file.read(4), "<u2")
    return info.header_offset + 30 + int(lengths.sum())


def _check_alike(first: Shard, shard: Shard, image_size: int | None) -> None:
    """Refuses shards whose images cannot be in one array."""
    if shard.levels != first.levels:
        raise UserError(
            f"{shard.path}: has {shard.levels} grey levels; takes {first.levels}, "
            f"as {first.path} has"
        )
    if (shard.labels is None) != (first.labels is None):
        raise UserError(f"one of {first.path} and {shard.path} has 'labels'; takes both or neither")
    if shard.class_names != first.class_names:
        raise UserError(f"{first.path} and {shard.path} have other 'label_names'; takes the same")
    if _width(shard.vectors) != _width(first.vectors):
        raise UserError(
            f"{shard.path}: has vectors of {_width(shard.vectors)} numbers; takes "
            f"{_width(first.vectors)}, as {first.path} has"
        )
    if shard.shape[3] != first.shape[3]:
        raise UserError(
            f"{shard.path}: has {shard.shape[3]} channels; takes {first.shape[3]}, "
            f"as {first.path} has"
        )
    if image_size is None and shard.shape[1:] != first.shape[1:]:
        raise different_sizes(str(first.path), first.shape[1:], str(shard.path), shard.shape[1:])


def _join(parts: list[np.ndarray | None]) -> np.ndarray:
    """What each shard has, as one array."""
    return np.concatenate([part for part in parts if part is not None])


def _width(vectors: np.ndarray | None) -> int:
    """D of vectors [N, D]; 0 without."""
    return 0 if vectors is None else vectors.shape[1]


def _read_all(shard: Shard) -> np.ndarray:
    """All the images of a shard, uint8 [N, H, W, C]."""
    images = read_arrays(shard.path, ["images"])["images"]
    return check_images(images, shard.levels, f"{shard.path}: key 'images'")


def _read_rows(shard: Shard, rows: np.ndarray) -> np.ndarray:
    """Some images of a shard, uint8 [B, H, W, C]: read one by one, whatever the shard's size.

    Raises:
      UserError: the file is gone, cut short, compressed, or has too large a value.
    """
    if shard.start is None:
        raise UserError(
            f"{shard.path}: compressed, or in Fortran's order, so its images cannot be read one by "
            "one; takes what np.savez writes, or data that fit the device"
        )
    images = np.empty((len(rows), *shard.shape[1:]), np.uint8)
    size = images[0].nbytes
    try:
        with shard.path.open("rb") as file:
            for image, row in zip(images, rows.tolist(), strict=True):
                file.seek(shard.start + row * size)
                if file.readinto(image.data) != size:
                    raise OSError("cut short")
    except OSError as error:
        raise UserError(f"{shard.path}: cannot be read ({error.strerror or error})") from error
    check_values(images, shard.levels, f"{shard.path}: key 'images'")
    return images
