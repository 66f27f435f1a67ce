"""The ranges of an axis as people write them, beside single values.

    1e-4..1e-2:log:5                five values from 1e-4 to 1e-2, equally spaced in the logarithm
    0.1..0.9:lin:5                  equally spaced
    1e-4..1e-2:log                  anywhere between, for random draws
    'a,b'                           a value whose quotes kept it together, and are taken off

The numbers of a range are rounded to four digits, those of an integer field to integers.
"""

import dataclasses
import math
import re

import numpy as np

from experiments.errors import UserError

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER}):(log|lin)(?::(\d+))?")


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`.

    Args:
      low, high: its ends, which belong to it.
      scale: "lin", or "log" for equal ratios.
      num: how many there are; None for all.
    """

    low: float
    high: float
    scale: str
    num: int | None

    def spaced(self, is_int: bool) -> list[str]:
        """Its `num` numbers, as texts; of integers fewer, where several round alike."""
        spaced = np.geomspace if self.scale == "log" else np.linspace
        numbers = spaced(self.low, self.high, self.num or 0)
        return list(dict.fromkeys(as_text(float(number), is_int) for number in numbers))

    def at(self, u: float, is_int: bool) -> str:
        """The number at the fraction u of the way, as a text."""
        if self.scale == "log":
            number = self.low * (self.high / self.low) ** u
        else:
            number = self.low + (self.high - self.low) * u
        return as_text(number, is_int)


def as_text(number: float, is_int: bool) -> str:
    """A number of a range, rounded."""
    return str(round(number)) if is_int else repr(float(f"{number:.4g}"))


def unquoted(item: str) -> str:
    """An item without the quotes that keep it together."""
    if len(item) > 1 and item[0] == item[-1] and item[0] in "'\"" and item[0] not in item[1:-1]:
        return item[1:-1]
    return item


def range_of(item: str, flag: str) -> Range | None:
    """The range that an item says; None where it is a value.

    Raises:
      UserError: a range that has no numbers in it, or no logarithm.
    """
    if not (match := _RANGE.fullmatch(item)):
        return None
    low, high, scale, num = float(match[1]), float(match[2]), match[3], match[4]
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(f"{flag}: got {item!r}, takes LOW..HIGH with LOW below HIGH")
    if scale == "log" and low <= 0:
        raise UserError(f"{flag}: got {item!r}, takes numbers above 0 with log")
    if num is not None and int(num) < 2:
        raise UserError(f"{flag}: got {item!r}, takes 2 numbers or more")
    return Range(low, high, scale, None if num is None else int(num))
