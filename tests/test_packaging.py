"""What is said of the package in files beside it: each from one source, or held to it."""

import collections
import configparser
import pathlib
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).parents[1]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


SETUP = configparser.ConfigParser()
SETUP.read_string(read("setup.cfg"))
CONTRIBUTING = read("CONTRIBUTING.md")


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
    slow = {line for line in read("tests/slow.txt").splitlines() if line and line[0] != "#"}
    rooms = collections.defaultdict(set)
    for path in (ROOT / "tests").rglob("test_*.py"):
        rooms[path.parent] |= functions(path)
    assert slow <= set().union(*rooms.values())
    assert all(tests - slow for tests in rooms.values())


PLACES = set(re.findall(r"`(\.?\w+/[\w./]*|\w+\.(?:py|md|txt|cfg))`", CONTRIBUTING))
ANSWERS = re.findall(r"^\| .*\? .*\| `(\S+\.py)` \| `(\w+)` \|$", CONTRIBUTING, re.MULTILINE)


def test_what_contributors_are_sent_to_is_there():
    assert len(PLACES) > 40
    missing = {place for place in PLACES if not (ROOT / place).exists()}
    assert missing == {"__init__.py", "tests/models/networks/test_NAME.py"}  # of any package


def test_ten_questions_have_their_answer_in_the_file():
    assert len(ANSWERS) == 10
    for file, name in ANSWERS:
        assert re.search(rf"^ *(def {name}\(|class {name}\(|{name} = )", read(file), re.MULTILINE)


def test_one_version():
    version = SETUP["metadata"]["version"]
    assert f"\nversion: {version}\n" in read("CITATION.cff")
    released = re.findall(r"^## \[(\d\S*)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert released[:1] == [version] or f"The first version, {version}," in read("CHANGELOG.md")


def requirements() -> list[Requirement]:
    """What is asked for to run the tests and to build the documentation."""
    extras = SETUP["options.extras_require"]
    asked = [SETUP["options"]["install_requires"]]
    asked += [extras[name] for name in ("test", "emoji", "features", "search")]
    lines = "\n".join([*asked, read("docs/requirements.txt")]).splitlines()
    found = [Requirement(line) for line in lines if line and line[0] != "#"]
    return [required for required in found if required.name != "scoresde"]


def test_constraints_are_of_what_is_required():
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", read("constraints.txt"), re.MULTILINE))
    pinned = {canonicalize_name(name): version for name, version in pinned.items()}
    for required in requirements():
        assert required.specifier.contains(pinned[canonicalize_name(required.name)]), required


def test_the_oldest_jax_is_tried():
    jax = next(required for required in requirements() if required.name == "jax")
    oldest = str(jax.specifier).removeprefix(">=")
    assert f'"jax=={oldest}.0"' in read(".github/workflows/tests.yml")
