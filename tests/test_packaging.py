"""What is said of the package in files beside it: each from one source, or held to it."""

import collections
import configparser
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


@pytest.mark.parametrize("package", ["sde_lib", "samplers", "models", "experiments"])
def test_annotations_are_installed_with_the_code(package):
    """PEP 561; that the wheel has the file is a line of `.ci/wheel`."""
    assert (ROOT / package / "py.typed").is_file()
    assert SETUP["options.package_data"]["*"] == "py.typed"


def functions(path: pathlib.Path) -> set[str]:
    """The tests of a file, as pytest names them without their cases."""
    found = re.findall(r"^def (test_\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {f"{path.relative_to(ROOT).as_posix()}::{name}" for name in found}


def test_slow_tests_are_there_and_leave_every_room_a_quick_one():
    text = (ROOT / "tests" / "slow.txt").read_text(encoding="utf-8")
    slow = {line for line in text.splitlines() if line and line[0] != "#"}
    rooms = collections.defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        rooms[path.parent] |= functions(path)
    assert slow <= set().union(*rooms.values())
    assert all(tests - slow for tests in rooms.values())
