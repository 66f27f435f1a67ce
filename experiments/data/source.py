"""Data sources: how the split of a data set is found by name."""

import dataclasses
import glob
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.data.split import Batch, Reader, Split
from experiments.errors import UserError, blaming
from experiments.paths import expand
from sde_lib.registry import Registry, unknown_name

SPLITS = ("train", "test")

HELD_OUT = ("test", "validation", "valid", "val")
"""Names of what is the test split, where it lies beside "train"."""

ALPHA = ("compose", "keep")

WHOLE = "all"
"""Stands for a source's train and test splits together, or its one pool, in their own order."""

OF_FILES = ("npz", "folder")
"""Sources whose name ends in a path."""

OF_COLUMNS = ("npz",)
"""Sources that have columns of vectors, one of which `data.cond` names."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a source is asked for, checked.

    Args:
      source: the whole name, "npz:faces.npz".
      argument: what follows the source's prefix, "faces.npz".
      split: "train" or "test".
      image_size: side of the square that images are cropped and resized to; None leaves them.
      holdout: fraction of a source without splits that is "test".
      background: the colour, three of 0..255, that transparent images are composed over; None keeps
        their alpha, as the last of four channels.
      cond: the column of vectors that the examples are conditioned on; None for none.
    """

    source: str
    argument: str
    split: str
    image_size: int | None
    holdout: float
    background: tuple[int, ...] | None = (255, 255, 255)
    cond: str | None = None


# From a `Request` to a `Split`.
sources = Registry("data source", Callable)


def open_split(source: str, split: str, **options: Any) -> Split:
    """One split of the data set called `source`.

    Images of folders, of .npz shards and of TFDS are read when they are asked for; the examples of
    other sources are in memory.

    Args:
      source: `digits`, `emoji[:flags=False,skin_tones=False]`, `npz:FILE` or shards of it
        (`npz:DIR`, `npz:DIR/a*.npz`), `folder:DIR`, `tfds:NAME[:config][/version]`, `toy:NAME`, or
        a user's own `module:function` from a `Request` to a `Split`.
      split: "train" or "test"; or "all", of an npz or a folder: every example, in its order there.
      options: those of `make_request`.

    Raises:
      UserError: no such source, split or file; or its content is not what the source takes.
    """
    request = make_request(source, split, **options)
    open_source, argument = _find(source)
    if argument or ":" not in source:
        opened = open_source(request)
    else:
        whose = f"data.source: {source}"
        with blaming(whose):
            opened = open_source(request)
        if not isinstance(opened, Split):
            raise UserError(
                f"data.source: {source} returned {type(opened).__name__}, takes a Split"
            )
        opened = dataclasses.replace(opened, reader=_OwnReader(opened.reader, whose))
    if request.cond is not None and not opened.cond_dim:
        raise _no_columns(source, request.cond)
    return dataclasses.replace(opened, source=source, name=split, cond_key=request.cond)


@dataclasses.dataclass(frozen=True)
class _OwnReader(Reader):
    """A user's own reader, whose errors name it.

    Args:
      reader: the user's.
      whose: the field and the source's name.
    """

    reader: Reader
    whose: str

    def __len__(self) -> int:
        return len(self.reader)

    def read(self, rows: np.ndarray, places: np.ndarray | None = None) -> Batch:
        with blaming(self.whose):
            return self.reader.read(rows, places)

    def load(self) -> Batch:
        with blaming(self.whose):
            return self.reader.load()


def load(source: str, split: str, **options: Any) -> Split:
    """One split with all its examples in memory; the arguments are those of `open_split`.

    Raises:
      UserError: as of `open_split`; or an example is missing, damaged, or not like the others.
    """
    return open_split(source, split, **options).load()


def make_request(
    source: str,
    split: str,
    *,
    image_size: int | None = None,
    holdout: float = 0.1,
    alpha: str = "compose",
    background: str = "white",
    cond: str | None = None,
) -> Request:
    """What a source is asked for.

    Args:
      source, split: as of `open_split`.
      image_size: centre-crop to a square and resize (antialiased) to this side; None: never resize.
      holdout: fraction that is "test" where the source has one pool of examples.
      alpha: of image files: "compose" them over the background, or "keep" four channels.
      background: a colour by name, or as "#8080ff".
      cond: the column of an .npz whose vectors the examples are conditioned on, in place of labels.

    Raises:
      UserError: no such source or split, a source without columns, or a value out of its range.
    """
    if split not in SPLITS and not (split == WHOLE and source.partition(":")[0] in OF_FILES):
        raise UserError(unknown_name("split", str(split), list(SPLITS)))
    if image_size is not None and (type(image_size) is not int or image_size < 1):
        raise UserError(f"data.image_size: got {image_size!r}; takes a positive integer or None")
    if not 0 < holdout < 1:
        raise UserError(f"data.holdout: got {holdout!r}; takes a fraction between 0 and 1")
    _, argument = _find(source)
    prefix = source.partition(":")[0]
    if cond is not None and prefix in list(sources) and prefix not in OF_COLUMNS:
        raise _no_columns(source, cond)
    return Request(
        source=source,
        argument=argument,
        split=split,
        image_size=image_size,
        holdout=holdout,
        background=_background(alpha, background),
        cond=cond,
    )


def _no_columns(source: str, cond: str) -> UserError:
    """The error for a column of a source that has none."""
    return UserError(f"data.cond: got {cond!r}, takes None with {source}")


def _background(alpha: str, colour: str) -> tuple[int, ...] | None:
    """What is under transparent images; None where their alpha is kept."""
    from PIL import ImageColor

    if alpha not in ALPHA:
        raise UserError(unknown_name("data.alpha", alpha, list(ALPHA)))
    try:
        rgb = ImageColor.getrgb(colour)[:3]
    except ValueError as error:
        raise UserError(
            f"data.background: got {colour!r}; takes a colour as 'white' or '#8080ff'"
        ) from error
    return None if alpha == "keep" else rgb


def _find(source: str) -> tuple[Callable[[Request], Split], str]:
    """The function of a source and the argument for it: ("npz:a.npz") → (npz's, "a.npz")."""
    prefix, colon, argument = source.partition(":")
    if prefix in list(sources):
        return sources[prefix], argument
    try:
        return sources[source], ""
    except ValueError as error:
        for kind, is_one in (("folder", pathlib.Path.is_dir), ("npz", pathlib.Path.is_file)):
            if source and not colon and is_one(expand(source)):
                raise UserError(
                    f"data.source: got {source!r}, takes {kind}:{source} for what is in it"
                ) from error
        message = unknown_name("data source", prefix, list(sources))
        # A mistyped prefix and a user's own module that fails to import look alike: say both.
        cause = f" ({one_line(error)})" if colon else ""
        raise UserError(f"data.source: {message}{cause}") from error


def absolute(source: str) -> str:
    """A source with the path in it made absolute; one without a path as it is."""
    prefix, _, argument = source.partition(":")
    if prefix not in OF_FILES or not argument:
        return source
    return f"{prefix}:{expand(argument).absolute()}"


def is_here(source: str) -> bool:
    """Whether a source has a path, and something is there."""
    prefix, _, argument = source.partition(":")
    path = expand(argument)
    return prefix in OF_FILES and (path.exists() or bool(glob.glob(str(path))))


def split_rows(num: int, split: str, holdout: float, where: str) -> np.ndarray:
    """The rows of a pool of `num` examples that belong to `split`: a fixed random permutation.

    Args:
      num: size of the pool.
      split: "train"; "test" for the last `holdout` of the permutation; "all", unpermuted.
      holdout: fraction in (0, 1); each split gets one example at least.
      where: the pool's name, for the message.

    Raises:
      UserError: fewer than two examples.
    """
    if split == WHOLE:
        return np.arange(num)
    if num < 2:
        raise UserError(f"data.source: {where} has {num} image; takes 2 or more, to split them")
    # RandomState, because NumPy promises that its stream never changes between versions.
    order = np.random.RandomState(0).permutation(num)
    num_test = min(max(round(holdout * num), 1), num - 1)
    return order[-num_test:] if split == "test" else order[:-num_test]


def training_rows(num: int, holdout: float) -> np.ndarray:
    """The rows of a pool of `num` examples that are trained on; of one example, that one.

    Args:
      num, holdout: as of `split_rows`.
    """
    return split_rows(num, "train" if num > 1 else WHOLE, holdout, "")


def one_line(error: Exception) -> str:
    """An exception's message without its line breaks."""
    return " ".join(str(error).split()) or type(error).__name__
