"""A folder of image files, with classes as sub-folders where there are any."""

import os
from pathlib import Path

import numpy as np

from experiments.data.dataset import SPLITS, WHOLE, Dataset, Request, sources, split_rows
from experiments.data.images import ImageFile, read_images
from experiments.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")


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
    root = Path(request.argument).expanduser()
    if not request.argument or not root.is_dir():
        raise UserError(f"data.source: no folder {request.argument!r}; takes folder:DIR")
    has_splits = all((root / split).is_dir() for split in SPLITS)
    pools = [_find_images(root / split) for split in SPLITS] if has_splits else [_find_images(root)]
    rows = _rows([len(pool) for pool in pools], request, root)
    # Relative paths begin with the class, and with the split before it where there is one.
    names = [str(path.relative_to(root)) for pool in pools for path in pool]
    labels = _label(names, level=1 if has_splits else 0)
    files = [ImageFile(str(path), path) for pool in pools for path in pool]
    return Dataset(
        values=read_images(files, request.image_size)[rows],
        labels=None if labels is None else labels[rows],
        levels=256,
        source=request.source,
        split=request.split,
        classes=0 if labels is None else int(labels.max()) + 1,
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
