"""A folder of image files, with classes as sub-folders where there are any."""

import dataclasses
from pathlib import Path

import numpy as np

from experiments.data.codec import PixelCodec
from experiments.data.decoding import Decoding, ImageFile, decode_image
from experiments.data.digests import digests, of_files
from experiments.data.folder_search import search
from experiments.data.images import channels_of_all, decode_batch
from experiments.data.source import SPLITS, WHOLE, Request, sources, split_rows
from experiments.data.split import Batch, Reader, Split, count_classes


@sources.register("folder")
def open_folder(request: Request) -> Split:
    """The images below a folder, of all formats that lose nothing when they are read.

    DIR/CLASS/**/*.png, or DIR/**/*.png without labels: one pool, split at random. A folder with
    DIR/train and one or more of `HELD_OUT` is split by these, with the classes (of all) below them.
    Classes count from 0 in the order of their names.

    Raises:
      UserError: no folder, no images, too few to split; or one that this meets is no image.
    """
    root, pools = found = search(request.argument)
    # Relative paths begin with the class, and with the split before it where there is one.
    relative = [str(path.relative_to(root)) for path in found.images]
    labels, class_names = _label(relative, level=len(pools) - 1)
    rows = _rows([len(pool) for pool in pools], request, root)
    names = [str(path) for path in found.images]
    decoding = Decoding.of(request)
    height, width, _ = decode_image(_file(names[0]), decoding).shape
    shape = (height, width, channels_of_all([_file(name) for name in names], decoding))
    return Split(
        reader=_FolderReader(names, labels, rows, decoding, shape),
        shape=shape,
        codec=PixelCodec(256),
        num_classes=count_classes(labels),
        class_names=class_names,
        crops=request.image_size is not None,
    )


@dataclasses.dataclass(frozen=True)
class _FolderReader(Reader):
    """Decodes image files of one shape.

    Args:
      names: the paths of the images of both splits.
      labels: int32, of each of them; or None.
      rows: int [N], the images of the split among them.
      decoding: how.
      shape: of an image, that of the first.
    """

    names: list[str]
    labels: np.ndarray | None
    rows: np.ndarray
    decoding: Decoding
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        rows = self.rows[rows]
        files = [_file(self.names[row]) for row in rows]
        values = decode_batch(files, self.decoding, self.shape, self.names[0], places)
        return Batch.of(values, None if self.labels is None else self.labels[rows])

    def load(self) -> Batch:
        """Decodes the other split's images too: each split stops for what is wrong in either."""
        both = dataclasses.replace(self, rows=np.arange(len(self.names)))
        return Reader.load(both).take(self.rows)


def _file(name: str) -> ImageFile:
    return ImageFile(name, Path(name))


def _rows(nums: list[int], request: Request, root: Path) -> np.ndarray:
    """The rows of the split asked for, among those of one pool or of train and test in turn."""
    if len(nums) == 1 or request.split == WHOLE:
        return split_rows(sum(nums), request.split, request.holdout, f"folder {root}")
    return np.split(np.arange(sum(nums)), nums[:1])[SPLITS.index(request.split)]


def _label(names: list[str], level: int) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Classes by the folder at `level` of a path, and the folders in their order, that of names.

    Neither where a path has no such folder.
    """
    parts = [Path(name).parts for name in names]
    if any(len(part) < level + 2 for part in parts):
        return None, ()
    folders, labels = np.unique([part[level] for part in parts], return_inverse=True)
    return labels.astype(np.int32), tuple(folders.tolist())


@digests.register("folder")
def digest_folder(data: Split) -> str:
    """The digest of the image files of both splits."""
    found = search(data.argument)
    return of_files(found.root, found.images)
