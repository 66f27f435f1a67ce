"""The shape of the code: which package may import which, and what none may do."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = ("sde_lib", "samplers", "models", "experiments")
MAY_IMPORT = {
    "sde_lib": {"sde_lib"},
    "samplers": {"samplers", "sde_lib"},
    "models": {"models", "sde_lib"},
    "experiments": set(PACKAGES),
    "scoresde.py": {"experiments"},
}
# What the rooms of a package, its folders and flat modules, may import of it, from the ground up.
# `demo`, `cli` and what lies flat in `samplers` and `models` above their folders may all below.
ROOMS = {
    "experiments": {
        "errors": "",
        "paths": "errors",
        "runtime": "errors paths",
        "display": "errors paths runtime",
        "config_schema": "errors paths",
        "configs": "config_schema",
        "data": "errors paths runtime config_schema",
        "state": "errors paths runtime config_schema",
        "builders": "errors paths runtime config_schema data state",
        "workdir": "errors paths runtime config_schema data state builders",
        "sampling": "errors paths runtime display config_schema data builders workdir",
        "likelihood": "errors paths runtime display config_schema data builders workdir",
        "evaluation": "errors paths runtime display config_schema data builders workdir sampling "
        "likelihood",
        "status": "errors paths display workdir",
        "conversion": "errors paths runtime config_schema data state builders workdir",
        "training": "errors paths runtime display config_schema data state builders workdir "
        "sampling evaluation",
        "ablation": "errors paths runtime display config_schema data builders workdir sampling "
        "likelihood evaluation training",
        "report": "errors paths runtime display config_schema data workdir status evaluation "
        "ablation",
    },
    "samplers": {
        "coefficients": "",
        "coordinates": "",
        "integrators": "coefficients",
        "solvers": "coefficients coordinates",
        "control": "",
    },
    "models": {
        "registry": "",
        "layers": "registry",
        "networks": "registry layers",
        "features": "layers",
    },
}
# Who speaks of grey levels: the codec, the sources that declare them, what a workdir's files say of
# them, and the fields of a config. A U-Net's levels, in `conversion`, are others.
KNOW_LEVELS = {
    "data": "codec digests digits emoji experiment_split npz npz_keys npz_shards split",
    "workdir": "data_spec trained_model",
}
ROOMS_THAT_KNOW_LEVELS = {"config_schema", "configs", "conversion"}
# Files, flags, configs and globals are the experiments' matter.
SIDE_EFFECTS = {"absl", "argparse", "ml_collections", "os", "pathlib", "sys", "orbax"}

# Methods that read or write text in the encoding of the locale unless they are told one.
TEXT_METHODS = {"read_text", "write_text"}

FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
FILES += [ROOT / "scoresde.py"]


def tree(path: pathlib.Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: pathlib.Path) -> set[str]:
    """The top-level names that a file imports."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def name(path: pathlib.Path) -> str:
    return str(path.relative_to(ROOT))


def modules(path: pathlib.Path) -> set[str]:
    """What a file imports from, dotted; `from a import b` is a.b where b is a module."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            parts = ROOT.joinpath(*node.module.split("."))
            is_module = {
                alias.name: (parts / alias.name).is_dir() or (parts / f"{alias.name}.py").is_file()
                for alias in node.names
            }
            found |= {f"{node.module}.{n}" if is_module[n] else node.module for n in is_module}
    return found


@pytest.mark.parametrize(("package", "room"), [(p, r) for p, rooms in ROOMS.items() for r in rooms])
def test_a_room(package, room):
    """No arrow up: a room imports those that the table gives it, all of them below it."""
    rooms = ROOMS[package]
    below = list(rooms)[: list(rooms).index(room)]
    assert set(rooms[room].split()) <= set(below)
    place = ROOT / package / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
        parts = [module.split(".") for module in modules(path)]
        used = {part[1] if part[1:] else "" for part in parts if part[0] == package} - {room}
        assert used <= set(rooms[room].split()), path


def test_every_folder_is_in_the_table():
    for package, rooms in ROOMS.items():
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert folders - {"commands"} <= set(rooms)


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file(path):
    package, found = path.relative_to(ROOT).parts[0], imports(path)
    assert found & set(PACKAGES) <= MAY_IMPORT[package]
    assert "tests" not in found
    if package in ("sde_lib", "samplers", "models"):
        assert not found & SIDE_EFFECTS
    assert path.stem not in ("utils", "common", "helpers")


def test_no_file_has_over_300_lines_and_no_function_over_60():
    """Nor in tests and benchmarks."""
    others = [p for folder in ("tests", "benchmarks") for p in (ROOT / folder).rglob("*.py")]
    for path in (*FILES, *others):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 300, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"


def test_no_branch_on_the_type_of_an_sde():
    names = {"SDE", "VP", "VE", "SubVP", "LinearBeta"}
    for path in FILES:
        for node in ast.walk(tree(path)):
            is_check = isinstance(node, ast.Call) and getattr(node.func, "id", "") in (
                "isinstance",
                "issubclass",
            )
            if is_check:
                used = {
                    n.id for arg in node.args[1:] for n in ast.walk(arg) if isinstance(n, ast.Name)
                }
                assert not used & names, f"{path}:{node.lineno}"


def named(node: ast.AST) -> str | None:
    """The name of an argument, a field or an attribute."""
    if isinstance(node, ast.AnnAssign):
        return getattr(node.target, "id", None)
    return getattr(node, "arg", None) or getattr(node, "attr", None)


def test_grey_levels_and_their_range_are_a_codecs_matter():
    """Elsewhere no argument, field or attribute says how many there are, or what the range is."""
    knowing = set()
    for path in (ROOT / "experiments").rglob("*.py"):
        if path.relative_to(ROOT).parts[1] not in ROOMS_THAT_KNOW_LEVELS:
            names = {named(node) for node in ast.walk(tree(path))}
            knowing |= {name(path)} if names & {"levels", "centered"} else set()
    known = [(room, stem) for room, stems in KNOW_LEVELS.items() for stem in stems.split()]
    assert knowing == {f"experiments/{room}/{stem}.py" for room, stem in known}


def is_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text."""
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    if name != "open":
        return name in TEXT_METHODS
    owner = getattr(call.func, "value", None)
    if isinstance(owner, ast.Name) and owner.id[0].isupper():  # Image.open, TrainedModel.open
        return False
    mode = call.args[0 if owner else 1 :][:1]
    return not mode or (isinstance(mode[0], ast.Constant) and set(mode[0].value) <= set("rwax+t"))


def test_text_is_utf8_whatever_the_locale():
    for top in (*PACKAGES, "tests", "benchmarks"):
        for path in (ROOT / top).rglob("*.py"):
            for node in ast.walk(tree(path)):
                if isinstance(node, ast.Call) and is_text(node):
                    told = {keyword.arg for keyword in node.keywords}
                    assert "encoding" in told, f"{path}:{node.lineno}"
