"""What a field takes: the type of its annotation, and a range declared where the field is.

A dataclass declares it in the field's metadata, by `static`, `number` or `ranged`; a function in
the annotation of an argument:

    class Mine(Solver):
        eta: float = number(default=1.0, low=0)
        order: int = static(default=3, low=1, high=6)

    def grid(sde, ..., *, rho: Annotated[float, Range(above=0)] = 7.0): ...

Static fields of a pytree are checked whenever one is made. What may be traced is checked where a
config or a flag becomes an object, never under tracing.
"""

import dataclasses
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from sde_lib.registry import unknown_name

_NAMES = {
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "a string",
    tuple: "a tuple",
    dict: "a section of fields",
}
# What stands for a number of a type: an integer for a float too, and NumPy's for Python's.
_NUMBERS: dict[Any, tuple[type, ...]] = {
    int: (int, np.integer),
    float: (int, float, np.integer, np.floating),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Range:
    """The values that a field takes: bounds of its number or numbers, or a list of choices.

    Args:
      low, above: it is at least `low`, more than `above`.
      high, below: it is at most `high`, less than `below`.
      choices: it is one of them.
      infinite: it may be infinite.
    """

    low: float | None = None
    above: float | None = None
    high: float | None = None
    below: float | None = None
    choices: tuple | None = None
    infinite: bool = False

    @property
    def words(self) -> str:
        """The bounds, as " ≥ 0 and < 1"."""
        if self.low is not None and self.high is not None:
            return f" from {self.low} to {self.high}"
        bounds = {"≥": self.low, ">": self.above, "≤": self.high, "<": self.below}
        said = [f"{sign} {bound}" for sign, bound in bounds.items() if bound is not None]
        return f" {' and '.join(said)}" if said else ""

    def holds(self, value: Any) -> bool:
        """Whether a number is in the range; NaN never is."""
        # Whole numbers beyond 64 bits are no numbers to NumPy otherwise.
        value = np.asarray(value, dtype=float)
        lowest = -math.inf if self.low is None else self.low
        highest = math.inf if self.high is None else self.high
        inside = (value >= lowest) & (value <= highest) & (self.infinite | np.isfinite(value))
        if self.above is not None:
            inside &= value > self.above
        if self.below is not None:
            inside &= value < self.below
        return bool(inside.all())


def ranged(default: Any = dataclasses.MISSING, **bounds: Any) -> Any:
    """A field of a dataclass with a range; bounds as of `Range`."""
    return dataclasses.field(default=default, metadata={"range": Range(**bounds)})


class Declared(NamedTuple):
    """The type of a field, as annotated, and the range declared for it."""

    kind: Any
    range: Range

    def check(self, name: str, value: Any) -> None:
        """Stop a value of another type or out of range.

        Raises:
          ValueError: it is; names the field, what it got and what it takes.
        """
        choices = self.range.choices
        if value is None and type(None) in _options(self.kind):
            return
        if isinstance(value, str) and not value and type(None) in _options(self.kind):
            raise ValueError(f"{name}: got '', takes text, or None")
        if choices is not None and value not in choices:
            if all(isinstance(choice, str) for choice in choices):
                raise ValueError(f"{name}: {unknown_name('value', str(value), list(choices))}")
            raise ValueError(f"{name}: got {value!r}, takes one of {', '.join(map(str, choices))}")
        if not _is_a(value, self.kind):
            raise ValueError(f"{name}: got {value!r}, takes {self._takes()}")
        for number in value if isinstance(value, tuple | list) else [value]:
            if _is_number(number) and not self.range.holds(number):
                finite = not np.any(np.isinf(number))
                raise ValueError(f"{name}: got {value!r}, takes {self._takes(finite=finite)}")

    def _takes(self, *, finite: bool = True) -> str:
        kind = next((k for k in _options(self.kind) if k is not type(None)), self.kind)
        noun = type_name(float if kind is Array else kind)
        if noun == _NAMES[float] and (not finite or not self.range.words):
            noun = "a finite number"
        elements = [k for k in typing.get_args(kind) if k is not Ellipsis]
        if noun == _NAMES[tuple] and elements:
            noun += f" of {type_name(elements[0]).split()[-1]}s"
        other = ", or None" if type(None) in _options(self.kind) else ""
        return noun + self.range.words + other


def declared(make: Callable) -> dict[str, Declared]:
    """The type and range of each field of a dataclass, or keyword-only argument of a function."""
    if isinstance(make, type) and dataclasses.is_dataclass(make):
        return dict(_fields(make))
    hints, found = _hints(make), {}
    try:
        parameters = inspect.signature(make).parameters
    except ValueError:  # some functions that are written in C have none
        return {}
    for name, parameter in parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            kind, *more = _annotated(hints.get(name, Any))
            found[name] = Declared(kind, next((m for m in more if isinstance(m, Range)), Range()))
    return found


@functools.cache
def _fields(cls: Any) -> dict[str, Declared]:
    """`declared` of a dataclass: a command asks for the same ones hundreds of times."""
    hints = _hints(cls)
    return {
        field.name: Declared(hints.get(field.name, Any), _range(cls, field.name))
        for field in dataclasses.fields(cls)
        if field.init
    }


def check_ranges(tree: Any) -> None:
    """Check every field of a dataclass.

    Raises:
      ValueError: the first that is of another type or out of range.
    """
    for name, takes in declared(type(tree)).items():
        takes.check(name, getattr(tree, name))


def type_name(kind: Any) -> str:
    """The name of a type in error messages."""
    kind = typing.get_origin(kind) or kind
    return _NAMES.get(kind, getattr(kind, "__name__", str(kind)))


def _range(cls: Any, name: str) -> Range:
    """The range of a field; a subclass that only changes the default keeps it."""
    fields = (base.__dict__.get("__dataclass_fields__", {}) for base in cls.__mro__)
    ranges = (f[name].metadata.get("range") for f in fields if name in f)
    return next((r for r in ranges if r not in (None, Range())), Range())


def _hints(make: Callable) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(make), include_extras=True)
    except Exception:  # a user's own annotation may be any text
        return {}


def _annotated(hint: Any) -> tuple:
    """The type of a hint, then its metadata if it is `Annotated`."""
    if typing.get_origin(hint) is typing.Annotated:
        return typing.get_args(hint)
    return (hint,)


def _options(kind: Any) -> tuple:
    """The types of a union."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return typing.get_args(kind)
    return (kind,)


def _is_number(value: Any) -> bool:
    array = isinstance(value, Array | np.ndarray | np.number)
    return array or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, or may stand for one, as a list for a tuple."""
    for option in _options(kind):
        plain = typing.get_origin(option) or option
        if plain in _NUMBERS:
            fits = isinstance(value, _NUMBERS[plain]) and not isinstance(value, bool)
        elif plain is tuple and isinstance(value, tuple | list):
            elements = [k for k in typing.get_args(option) if k is not Ellipsis]
            fits = not elements or all(_is_a(element, elements[0]) for element in value)
        else:
            fits = _is_instance(value, plain)
        if fits:
            return True
    return False


def _is_instance(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; True of types that only a type checker knows."""
    try:
        return isinstance(value, kind)
    except TypeError:
        return True
