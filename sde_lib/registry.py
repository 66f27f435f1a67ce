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
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(sorted(known))}"


class Registry:
    """A mapping from names to classes or functions of one kind.

    Args:
      kind: what the entries are, as it should read in an error message ("SDE", "solver").
      base: the class whose subclasses the entries are, or `Callable` for functions.
    """

    def __init__(self, kind: str, base: Any = None):
        self.kind, self.base = kind, base
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

    def entry(self, given: Any) -> Any:
        """The entry of a name; what is no name is an entry itself.

        Raises:
          ValueError: no such entry.
        """
        return self[given] if isinstance(given, str) else given

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def _import(self, path: str) -> Any:
        name, _, attribute = path.partition(":")
        what = f"{self.kind} {path!r}"
        try:
            module = importlib.import_module(name)
        # Whatever its lines do when they run.
        except (Exception, SystemExit) as error:
            if name in self._entries:
                raise ValueError(f"{what}: takes {name}, or {name}:field=value") from error
            cause = (str(error).splitlines() or [""])[0]
            raise ValueError(
                f"{what} cannot be imported: {type(error).__name__}: {cause}"
            ) from error
        file = getattr(module, "__file__", None) or name
        if not hasattr(module, attribute):
            known = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
            message = unknown_name("name", attribute, known)
            raise ValueError(f"{what} cannot be imported: the module is {file}: {message}")
        entry = getattr(module, attribute)
        if not self._takes(entry):
            takes = "a function" if self.base is Callable else f"a subclass of {self.base.__name__}"
            raise ValueError(f"{what}: got {repr(entry)[:99]} of {file}, takes {takes}")
        return entry

    def _takes(self, entry: Any) -> bool:
        if self.base is None or self.base is Callable:
            return self.base is None or callable(entry)
        return isinstance(entry, type) and issubclass(entry, self.base)
