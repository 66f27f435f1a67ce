"""What the API reference has to know to read this code, which it does without importing it.

`Pytree`, `NamedTuple` and Flax's `Module` make dataclasses of their subclasses; griffe knows
`@dataclass` alone, so such classes get the decorator that they might as well have. And a docstring
may describe several arguments at once, as in `t_min, t_max: ends of the times`, which griffe takes
for one of that name.
"""

import re
from collections.abc import Iterator
from typing import Any

from griffe import Class, Decorator, ExprName, Extension, Module, Object

MAKERS = ("Pytree", "NamedTuple", "nn.Module")


def members(parent: Module | Class) -> Iterator[Object]:
    """What a package defines, at every depth."""
    for member in parent.members.values():
        if not member.is_alias:
            yield member
            if member.is_class or member.is_module:
                yield from members(member)


def made_of_fields(cls: Class) -> bool:
    """Whether a class, or one that it derives from, has one of `MAKERS` for a base."""
    return any(str(base) in MAKERS for one in (cls, *cls.mro()) for base in one.bases)


def apart(text: str) -> str:
    """A docstring whose `a, b: what they are` is written once for each of the two."""
    entry = re.compile(r"^( +)(\w+(?:, \w+)+): (.*(?:\n\1 +.*)*)", re.MULTILINE)

    def each(match: re.Match) -> str:
        indent, names, meaning = match.groups()
        return "\n".join(f"{indent}{name}: {meaning}" for name in names.split(", "))

    return entry.sub(each, text)


class Fields(Extension):
    """Prepares a package before griffe's own extension makes the constructors."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        for member in members(pkg):
            if member.is_class and made_of_fields(member):
                decorator = ExprName("dataclasses.dataclass")
                member.decorators.append(Decorator(decorator, lineno=member.lineno, endlineno=None))
            if member.docstring:
                member.docstring.value = apart(member.docstring.value)
