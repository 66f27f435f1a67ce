"""The image files below a folder, by split, and what of the folder is left out."""

import collections
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from experiments.data.decoding import SUFFIXES
from experiments.data.notes import say_once
from experiments.data.source import HELD_OUT
from experiments.errors import UserError
from experiments.paths import expand


class Found(NamedTuple):
    """What is below a folder.

    Args:
      root: the folder.
      pools: the images of train and those that are held out from it; or of one pool, all of them.
        Each is sorted, folder by folder.
    """

    root: Path
    pools: list[list[Path]]

    @property
    def images(self) -> list[Path]:
        """The images of all pools."""
        return [path for pool in self.pools for path in pool]


def search(argument: str) -> Found:
    """The images of `folder:ARGUMENT`; says once what is left out.

    Raises:
      UserError: no folder, or one without images.
      OSError: a folder cannot be read.
    """
    root = expand(argument)
    if not argument or not root.is_dir():
        raise UserError(f"data.source: no folder {argument!r}; takes folder:DIR")
    tops = _split_folders(root)
    used = [top for pool in tops for top in pool]
    beside = [] if used == [root] else sorted({*_visible(root)} - {*used})
    walks = {top: _walk(top) for top in used}
    pools = [[image for top in pool for image in _images(top, walks[top].files)] for pool in tops]
    others = [path for walk in walks.values() for path in walk.files if not _is_image(path)]
    again = [path for walk in walks.values() for path in walk.again]
    _say_what_is_left_out(root, {"lies beside train": beside, "leads back": again}, others)
    return Found(root, pools)


def _split_folders(root: Path) -> list[list[Path]]:
    """The folders of train and of what is held out; of one pool where there are not both."""
    names = {path.name.lower(): path for path in _visible(root) if path.is_dir()}
    held_out = [names[name] for name in HELD_OUT if name in names]
    return [[names["train"]], held_out] if "train" in names and held_out else [[root]]


def _visible(folder: Path) -> Iterator[Path]:
    """What is in a folder, but for what is hidden.

    That is not the user's: macOS writes a "._x.jpg" that is no image beside x.jpg.
    """
    return (path for path in folder.iterdir() if path.name[0] != ".")


class _Walk(NamedTuple):
    """What is below a folder.

    Args:
      files: sorted.
      again: links to folders above, or to such as are read without them.
    """

    files: list[Path]
    again: list[Path]


def _walk(top: Path) -> _Walk:
    """What is below a folder and the links in it, which are followed when all the rest is read."""
    seen = {str(folder) for folder in top.resolve().parents}
    links = collections.deque([top])
    files: list[Path] = []
    again: list[Path] = []
    while links:
        start = links.popleft()
        if os.path.realpath(start) in seen:
            again.append(start)
            continue
        for name, folders, names in os.walk(start, onerror=_refuse):
            folder = Path(name)
            seen.add(os.path.realpath(folder))
            below = sorted(folder / name for name in folders if name[0] != ".")
            links.extend(path for path in below if path.is_symlink())
            folders[:] = [path.name for path in below if os.path.realpath(path) not in seen]
            files += [folder / name for name in names if name[0] != "."]
    return _Walk(sorted(files), again)


def _refuse(error: OSError) -> NoReturn:
    raise error


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _images(top: Path, files: list[Path]) -> list[Path]:
    """Those of the files below a folder.

    Raises:
      UserError: none.
    """
    images = [path for path in files if _is_image(path)]
    if not images:
        raise UserError(f"data.source: no images below {top}; takes {', '.join(SUFFIXES)} files")
    return images


def _say_what_is_left_out(
    root: Path, named: Mapping[str, Sequence[Path]], files: Sequence[Path]
) -> None:
    """Numbers by the kind of a file, and names of what is more than that.

    Args:
      root: the folder.
      named: files and folders by why they are left out.
      files: those that are no images.
    """
    kinds = collections.Counter(path.suffix.lower() or path.name for path in files)
    parts = [f"{num} {kind}" for kind, num in sorted(kinds.items())]
    if files:
        parts[-1] += f" (the first is {min(files)})"
    parts += [f"{path}, which {why}" for why, paths in named.items() for path in paths]
    if parts:
        say_once(f"folder:{root}: left out {', '.join(parts)}")
