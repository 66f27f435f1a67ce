"""Names to classes: what a config or a flag may call by name.

One `Registry` per kind (sde, model, solver, ...), filled by a decorator:

    sdes = Registry("SDE")

    @sdes.register("vp")
    class VP(SDE): ...

    sdes["vp"]                  # the class
    sdes["my_module:MySDE"]     # a user's own, imported
    sdes["pv"]                  # ValueError: unknown SDE 'pv'; did you mean 'vp'? Known: ...
"""

import difflib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


def unknown_name(kind: str, name: str, known: list[str]) -> str:
    """The one-line message for a name that is not among `known`, with the nearest one suggested."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(sorted(known))}"


class Registry:
    """A mapping from names to classes or functions of one kind.

    Args:
      kind: what the entries are, as it should read in an error message ("SDE", "solver").
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._entries: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a class or function under `name`.

        Raises:
          ValueError: `name` is taken.
        """

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered already")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> Any:
        """The entry called `name`, or, for "module:attribute", the user's own.

        Raises:
          ValueError: no such entry, module or attribute.
        """
        if name in self._entries:
            return self._entries[name]
        if ":" in name:
            return self._import(name)
        raise ValueError(unknown_name(self.kind, name, list(self._entries)))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def _import(self, path: str) -> Any:
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{self.kind} {path!r} cannot be imported: {error}") from error
