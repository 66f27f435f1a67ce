"""A folder of image files, with classes as sub-folders where there are any."""

import dataclasses
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.data.dataset import SPLITS, WHOLE, Dataset, Request, sources, split_rows
from experiments.data.digest import digests, of_files
from experiments.data.images import (
    ImageFile,
    count_channels,
    decode_batch,
    decode_image,
    read_images,
)
from experiments.data.lazy import Batch, LazyDataset, lazy_sources
from experiments.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")


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
    """The PNG and JPEG images below a folder.

    DIR/CLASS/**/*.png, or DIR/**/*.png without labels: one pool, split at random. A folder with
    both DIR/train and DIR/test is split by these, with the classes (of both) below them. Classes
    count from 0 in the order of their names. All images are decoded, whichever split is asked for,
    so that the two agree about size and colour.

    Raises:
      UserError: no folder, no images, an image that cannot be used, or too few to split.
    """
    folder = _search(request)
    return Dataset(
        values=read_images(_files(folder.names), request.image_size)[folder.rows],
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
    folder = _search(request)
    files = _files(folder.names)
    height, width, _ = decode_image(files[0], request.image_size).shape
    shape = (height, width, count_channels(files))
    return LazyDataset(
        reader=_FolderReader(folder.names, folder.labels, request.image_size, shape),
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
    image_size: int | None
    shape: tuple[int, ...]

    def __call__(self, rows: np.ndarray, places: np.ndarray | None) -> Batch:
        files = _files([self.names[row] for row in rows])
        values = decode_batch(files, self.image_size, self.shape, self.names[0], places)
        return Batch(values, None if self.labels is None else self.labels[rows])


def _files(names: list[str]) -> list[ImageFile]:
    return [ImageFile(name, Path(name)) for name in names]


def _search(request: Request) -> _Folder:
    """The images of the folder asked for.

    Raises:
      UserError: no folder, no images, or too few to split.
    """
    root = Path(request.argument).expanduser()
    if not request.argument or not root.is_dir():
        raise UserError(f"data.source: no folder {request.argument!r}; takes folder:DIR")
    has_splits = all((root / split).is_dir() for split in SPLITS)
    pools = [_find_images(root / split) for split in SPLITS] if has_splits else [_find_images(root)]
    paths = [path for pool in pools for path in pool]
    # Relative paths begin with the class, and with the split before it where there is one.
    relative = [str(path.relative_to(root)) for path in paths]
    return _Folder(
        names=[str(path) for path in paths],
        labels=_label(relative, level=1 if has_splits else 0),
        rows=_rows([len(pool) for pool in pools], request, root),
    )


def _find_images(top: Path) -> list[Path]:
    """The images below a folder, sorted by path; folders that are symbolic links are followed."""
    found: list[Path] = []
    for folder, _, names in os.walk(top, followlinks=True):
        # Hidden files are not the user's: macOS writes a "._x.jpg" that is no image beside x.jpg.
        found += [Path(folder, n) for n in names if n.lower().endswith(SUFFIXES) and n[0] != "."]
    if not found:
        raise UserError(f"data.source: no images below {top}; takes {', '.join(SUFFIXES)} files")
    return sorted(found)


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
    root = Path(argument).expanduser()
    return of_files(root, _find_images(root))
