"""The values of an axis as people write them: lists, ranges, and what has commas of its own.

    adams,heun                      two values
    (16,16),(32,32)                 two tuples: commas inside brackets separate nothing
    unipc:order=2,variant=bh1,ddim  two choices: what is field=value belongs to the one before it
    'a,b',c                         quotes keep a value together, and are taken off
    1e-4..1e-2:log:5                five values from 1e-4 to 1e-2, equally spaced in the logarithm
    0.1..0.9:lin:5                  equally spaced
    1e-4..1e-2:log                  anywhere between, for random draws

The numbers of a range are rounded to four digits, those of an integer field to integers.
"""

import dataclasses
import math
import re

import numpy as np

from experiments.errors import UserError

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER}):(log|lin)(?::(\d+))?")
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_FIELD = re.compile(r"\w+\s*=")


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


def split(text: str, flag: str) -> tuple[str, ...]:
    """The items between the commas that are inside neither brackets nor quotes.

    What is `field=value` belongs to the choice before it.

    Args:
      text: what is split.
      flag: what it is from, for the message.

    Raises:
      UserError: a bracket or a quote that does not end, or an item without anything in it.
    """
    items: list[str] = []
    item, ends = "", [""]
    for character in text:
        if character == ends[-1]:
            ends.pop()
        elif ends[-1] in ("'", '"'):
            pass
        elif character in ("'", '"'):
            ends.append(character)
        elif character in _CLOSES:
            ends.append(_CLOSES[character])
        elif character == "," and len(ends) == 1:
            items.append(item.strip())
            item = ""
            continue
        item += character
    items.append(item.strip())
    if len(ends) > 1:
        raise UserError(f"{flag}: got {text!r}, takes a {ends[-1]} at the end of what it begins")
    if not all(items):
        raise UserError(f"{flag}: got {text!r}, takes values with commas between")
    return _with_fields(items)


def _with_fields(items: list[str]) -> tuple[str, ...]:
    """The items, each with the fields that come after it."""
    joined: list[str] = []
    for item in items:
        if joined and ":" in joined[-1] and _FIELD.match(item):
            joined[-1] += f",{item}"
        else:
            joined.append(item)
    return tuple(joined)


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
