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
}
# Files, flags, configs and globals are the experiments' matter.
SIDE_EFFECTS = {"absl", "argparse", "ml_collections", "os", "pathlib", "sys", "orbax"}

# Methods that read or write text in the encoding of the locale unless they are told one.
TEXT_METHODS = {"read_text", "write_text"}

FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


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


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_file(path):
    package, found = path.relative_to(ROOT).parts[0], imports(path)
    assert found & set(PACKAGES) <= MAY_IMPORT[package]
    assert "tests" not in found
    if package != "experiments":
        assert not found & SIDE_EFFECTS
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert path.stem not in ("utils", "common", "helpers")


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


def is_text(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text."""
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    if name != "open":
        return name in TEXT_METHODS
    owner = getattr(call.func, "value", None)
    if isinstance(owner, ast.Name) and owner.id[0].isupper():  # Image.open, Trained.open
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
