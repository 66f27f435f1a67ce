"""The machine: what JAX is asked for, what it has, and one line where they differ."""

import os
import pathlib
import subprocess
import sys
import types
import zlib

import jax
import pytest

from experiments.errors import UserError
from experiments.runtime import devices, processes

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


class Settings:
    """JAX's, of a process that has not used it."""

    jax_num_cpu_devices = -1

    def __init__(self, cache):
        self.jax_compilation_cache_dir = str(cache)

    def update(self, name, value):
        setattr(self, name, value)


@pytest.mark.parametrize(("cores", "parts"), [(1, 1), (6, 4), (8, 8), (96, 8)])
def test_a_cpu_is_divided_by_a_power_of_two(cores, parts, monkeypatch, tmp_path, capsys):
    """With a thread for each part beside those of the cores; GPUs are told to be deterministic."""
    (tmp_path / "a-cache").write_bytes(zlib.compress(bytes(1000))[:-3])
    fake = types.SimpleNamespace(config=Settings(tmp_path))
    monkeypatch.setattr(devices, "jax", fake)
    monkeypatch.setattr(devices.compile_notice, "install", lambda: None)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "environ", {"XLA_FLAGS": "--one"})
    devices.start(deterministic=True, connects=True)
    assert fake.config.jax_num_cpu_devices == parts
    flags = "--one --xla_gpu_deterministic_ops=true"
    assert os.environ == {"XLA_FLAGS": flags, "NPROC": str(cores + parts)}
    assert "removed a-cache from the compilation cache" in capsys.readouterr().err


def test_only_a_cpu_keeps_its_barriers(monkeypatch):
    assert devices.compiler_options() == {"xla_disable_hlo_passes": "cse_barrier_expander"}
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert devices.compiler_options() is None


def test_what_one_process_cannot_do_stops_all(monkeypatch):
    """All hear of the first that failed; the one that failed knows why."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(processes, "all_gather", lambda line: [None, line])
    assert processes.run_on_all(lambda: 3) == 3

    def fails():
        raise OSError("no room")

    with pytest.raises(processes.AgreedError, match=r"^process 1: no room$") as caught:
        processes.run_on_all(fails)
    assert isinstance(caught.value.__cause__, OSError)
