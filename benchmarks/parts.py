"""Parts of a benchmark that are measured alone: how they are asked for, and where they go."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.report import machine, read, write


def some_of(names: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A type of `argparse`: some of the names with commas between, given back in their order."""

    def parse(text: str) -> tuple[str, ...]:
        asked = text.split(",")
        unknown = [name for name in asked if name not in names]
        if unknown:
            raise argparse.ArgumentTypeError(f"got {unknown[0]!r}, takes some of {','.join(names)}")
        return tuple(name for name in names if name in asked)

    return parse


def keep(result: str, parts: dict[str, dict[str, Any]], *within: str) -> dict[str, Any]:
    """Write parts and their machine into a result, in place of what they were; return it whole.

    Args:
      result: its name.
      parts: what was measured; others stay as last measured.
      within: names that lead to where the parts are.
    """
    whole = read(result)
    place = whole
    for name in within:
        place = place.setdefault(name, {})
    place |= {name: {"machine": machine(), **part} for name, part in parts.items()}
    write(result, whole)
    return whole
