"""Wrong programs: what is changed, and the tests that must fail for it.

Each module is a room, named for the code that its mutants change.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A wrong program.

    Args:
      name: what is wrong with it, in a few words.
      file: the file that is changed, from the top of the checkout.
      old: text that stands in it exactly once.
      new: what takes its place.
      tests: pytest's names of the tests of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
