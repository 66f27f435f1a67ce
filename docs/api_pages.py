"""A page of the API reference for every room of the code, made while the site is built.

A room is a folder of modules. Its page says what it is for and documents what is public in it; the
rooms below it have pages of their own.
"""

import ast
import pathlib
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("sde_lib", "samplers", "models", "experiments")


def rooms() -> list[pathlib.Path]:
    """The folders of modules, below each package the rooms in it."""
    return [
        file.parent.relative_to(ROOT)
        for package in PACKAGES
        for file in sorted((ROOT / package).rglob("__init__.py"))
    ]


def page(room: pathlib.Path) -> str:
    """The Markdown of a room's page: its purpose, then its modules."""
    purpose = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text("utf-8")))
    modules = sorted(file.stem for file in (ROOT / room).glob("[!_]*.py"))
    name = ".".join(room.parts)
    references = [f"::: {name}.{module}" for module in modules]
    return "\n\n".join([f"# {name}", purpose or "", *references]) + "\n"


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, a section a package."""
    sections = {package: [] for package in PACKAGES}
    for room in rooms():
        sections[room.parts[0]].append({"/".join(room.parts): _path(room)})
    entry = next(entry for entry in config.nav if "API" in entry)
    entry["API"] = [{package: pages} for package, pages in sections.items()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages, which lie in no folder."""
    for room in rooms():
        files.append(File.generated(config, _path(room), content=page(room)))
    return files


def _path(room: pathlib.Path) -> str:
    return f"api/{'.'.join(room.parts)}.md"
