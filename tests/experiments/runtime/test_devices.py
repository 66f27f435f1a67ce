"""The machine: what JAX is asked for, what it has, and one line where they differ."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from experiments.errors import UserError
from experiments.runtime import devices

SCRIPT = """
import sys
import jax
from experiments.runtime import devices
jax.config.update("jax_compilation_cache_dir", None)
if sys.argv[1] == "notebook":
    jax.numpy.ones(3)
    try:
        devices.start(deterministic=True)
    except ValueError as error:
        print(error)
devices.start()
print(len(jax.devices()), jax.config.jax_compilation_cache_dir)
"""


def started(name, tmp_path, **environment):
    """What the script says, in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("JAX", "XLA"))}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, name],
        cwd=pathlib.Path(__file__).parents[3],
        env={**kept, "HOME": str(tmp_path), "JAX_PLATFORMS": "cpu", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_jaxs_own_number_of_devices_comes_first(tmp_path):
    flags = "--xla_force_host_platform_device_count=5"
    done = started("new", tmp_path, XLA_FLAGS=flags, XDG_CACHE_HOME="")
    assert done.stdout.split() == ["5", f"{tmp_path}/.cache/scoresde/jax"], done.stderr


def test_after_jax_was_used(tmp_path):
    done = started("notebook", tmp_path)
    refused, kept = done.stdout.splitlines()
    assert refused == "--deterministic: takes a process in which JAX has not been used"
    assert kept.startswith("1 "), done.stderr


def test_a_platform_that_is_not_here(monkeypatch):
    """JAX raises, or asserts, where a plugin finds nothing."""

    def nothing():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", nothing)
    with pytest.raises(UserError, match=r"^JAX_PLATFORMS: got 'cpu', of which"):
        devices.make_mesh()


def test_without_a_home_there_is_no_cache(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        devices.start()
        assert jax.config.jax_compilation_cache_dir is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
