"""A folder of image files, with classes as sub-folders where there are any."""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.dataset import SPLITS, WHOLE, Dataset, Request, sources, split_rows
from experiments.data.decoding import Decoding, ImageFile, decode_image
from experiments.data.digests import digests, of_files
from experiments.data.folder_search import search
from experiments.data.images import channels_of_all, decode_batch, read_images
from experiments.data.lazy import Batch, LazyDataset, lazy_sources


class _Folder(NamedTuple):
    """What a folder holds.

    Args:
      names: the paths of all its images.
      labels: int32, of each of them; or None.
      rows: those of the split asked for.
    """

    names: list[str]
    labels: np.ndarray | None
    rows: np.ndarray

    @property
    def num_classes(self) -> int:
        return 0 if self.labels is None else int(self.labels.max()) + 1


@sources.register("folder")
def load_folder(request: Request) -> Dataset:
    """The images below a folder, of all formats that lose nothing when they are read.

    DIR/CLASS/**/*.png, or DIR/**/*.png without labels: one pool, split at random. A folder with
    DIR/train and one or more of `HELD_OUT` is split by these, with the classes (of all) below them.
    Classes count from 0 in the order of their names. All images are decoded, whichever split is
    asked for, so that the two agree about size and colour.

    Raises:
      UserError: no folder, no images, an image that cannot be used, or too few to split.
    """
    folder = _open(request)
    return Dataset(
        values=read_images(_files(folder.names), Decoding.of(request))[folder.rows],
        labels=None if folder.labels is None else folder.labels[folder.rows],
        levels=256,
        source=request.source,
        split=request.split,
        classes=folder.num_classes,
    )


@lazy_sources.register("folder")
def open_folder(request: Request) -> LazyDataset:
    """The same images, decoded when they are read.

    Raises:
      UserError: no folder, no images, too few to split; or one that this meets is no image.
    """
    folder = _open(request)
    files = _files(folder.names)
    decoding = Decoding.of(request)
    height, width, _ = decode_image(files[0], decoding).shape
    shape = (height, width, channels_of_all(files, decoding))
    return LazyDataset(
        reader=_FolderReader(folder.names, folder.labels, decoding, shape),
        rows=folder.rows,
        shape=shape,
        levels=256,
        source=request.source,
        split=request.split,
        num_classes=folder.num_classes,
        crops=request.image_size is not None,
    )


@dataclasses.dataclass(frozen=True)
class _FolderReader:
    """Decodes image files of one shape."""

    names: list[str]
    labels: np.ndarray | None
    decoding: Decoding
    shape: tuple[int, ...]

    def __call__(self, rows: np.ndarray, places: np.ndarray | None) -> Batch:
        files = _files([self.names[row] for row in rows])
        values = decode_batch(files, self.decoding, self.shape, self.names[0], places)
        return Batch(values, None if self.labels is None else self.labels[rows])


def _files(names: list[str]) -> list[ImageFile]:
    return [ImageFile(name, Path(name)) for name in names]


def _open(request: Request) -> _Folder:
    """The images of the folder asked for.

    Raises:
      UserError: no folder, no images, or too few to split.
    """
    root, pools = found = search(request.argument)
    # Relative paths begin with the class, and with the split before it where there is one.
    relative = [str(path.relative_to(root)) for path in found.images]
    return _Folder(
        names=[str(path) for path in found.images],
        labels=_label(relative, level=len(pools) - 1),
        rows=_rows([len(pool) for pool in pools], request, root),
    )


def _rows(nums: list[int], request: Request, root: Path) -> np.ndarray:
    """The rows of the split asked for, among those of one pool or of train and test in turn."""
    if len(nums) == 1 or request.split == WHOLE:
        return split_rows(sum(nums), request.split, request.holdout, f"folder {root}")
    return np.split(np.arange(sum(nums)), nums[:1])[SPLITS.index(request.split)]


def _label(names: list[str], level: int) -> np.ndarray | None:
    """Classes by the folder at `level` of a path, in the order of names; None if one has none."""
    parts = [Path(name).parts for name in names]
    if any(len(part) < level + 2 for part in parts):
        return None
    _, labels = np.unique([part[level] for part in parts], return_inverse=True)
    return labels.astype(np.int32)


@digests.register("folder")
def digest_folder(argument: str) -> str:
    """Of the image files."""
    found = search(argument)
    return of_files(found.root, found.images)
