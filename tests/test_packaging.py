"""What is said of the package in files beside it: each from one source, or held to it."""

import configparser
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg", encoding="utf-8")


@pytest.mark.parametrize("package", ["sde_lib", "samplers", "models", "experiments"])
def test_annotations_are_installed_with_the_code(package):
    """PEP 561; that the wheel has the file is a line of `.ci/wheel`."""
    assert (ROOT / package / "py.typed").is_file()
    assert SETUP["options.package_data"]["*"] == "py.typed"
