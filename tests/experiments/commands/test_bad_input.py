"""Bad input: one line with the field, what it got and what it takes; exit code 2; no change."""

import dataclasses
import importlib.metadata
import os
import pathlib
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.cli import _COMMANDS, main
from experiments.errors import UserError
from experiments.workdir import restored_run
from tests.cases import takes_devices
from tests.experiments.conftest import TOY, refused


def test_workdir_of_another_experiment_is_left_alone(trained, tmp_path, capsys):
    workdir = tmp_path / "run"
    shutil.copytree(trained, workdir)
    before = {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()}
    arguments = ["train", *TOY, f"--workdir={workdir}"]
    line = refused([*arguments, "--config.training.learning_rate=0.5"], capsys)
    assert "training.learning_rate" in line
    assert "another experiment" in line
    line = refused([*arguments, "--config.sde.name=ve"], capsys)
    assert "sde.name" in line
    assert before == {p: p.read_bytes() for p in workdir.rglob("*") if p.is_file()}


def test_workdir_with_other_files_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    line = refused(["train", *TOY, f"--workdir={tmp_path}"], capsys)
    assert "no config.json" in line
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_missing_workdir_and_checkpoint(trained, tmp_path, capsys):
    line = refused(["sample", f"--workdir={tmp_path / 'none'}"], capsys)
    assert "holds no experiment" in line
    shutil.copy(trained / "config.json", tmp_path)
    line = refused(["likelihood", f"--workdir={tmp_path}"], capsys)
    assert "holds no checkpoint" in line
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert "not valid JSON" in refused(["sample", f"--workdir={tmp_path}"], capsys)


@pytest.mark.parametrize("flag", ["--steps=5", "--corrector=langevin"])
def test_a_flow_takes_no_grid(flag, trained, capsys):
    line = refused(["sample", f"--workdir={trained}", "--solver=probability_flow", flag], capsys)
    assert flag.split("=")[0] in line


def test_a_grid_is_fitted_to_a_solver_on_one(trained, capsys):
    fit = ["fit_grid", f"--workdir={trained}", "--name=x", "--steps=3", "--devices=1"]
    line = refused([*fit, "--solver=probability_flow"], capsys)
    assert "--solver: got 'probability_flow', takes a solver on a grid" in line


def test_output_is_never_overwritten(trained, tmp_path, capsys):
    output = tmp_path / "drawn"
    (tmp_path / "drawn.npz").write_text("precious", encoding="utf-8")
    line = refused(["sample", f"--workdir={trained}", f"--output={output}"], capsys)
    assert "drawn.npz exists" in line
    assert (tmp_path / "drawn.npz").read_text(encoding="utf-8") == "precious"


def test_only_the_commands_own_section_can_be_overridden(trained, capsys):
    line = refused(["sample", f"--workdir={trained}", "--config.sde.name=ve"], capsys)
    assert "--config.sampling." in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], ["COMMAND", "'trian'", "train"]),
        ([], ["required: COMMAND"]),
        (["sample"], ["required: --workdir", "scoresde sample --help"]),
        (["sample", "--workdir"], ["--workdir", "expected one argument"]),
        (["sample", "--workdir=x", "--num=many"], ["--num", "got many", "an integer ≥ 1"]),
        (["sample", "--workdir=x", "--num=0"], ["--num", "got 0", "an integer ≥ 1"]),
        (["likelihood", "--workdir=x", "--rtol=small"], ["--rtol", "'small'"]),
        (["likelihood", "--workdir=x", "--steps=1", "--rtol=1"], ["--rtol", "--steps"]),
        (["diff", "toy2d", "digits", "emoji"], ["unknown argument 'emoji'; takes A and B"]),
        (["runs", "x", "y"], ["unknown argument 'y'; takes DIR"]),
        (["report", "x", "--config.seed=1"], ["unknown argument '--config.seed=1'; takes DIR"]),
        (["train", "--workdir=x", "--config=y", "--raw", "--fsdp=no"], ["--fsdp", "'no'"]),
        (["sample", "--workdir=x", "--num=2147483648"], ["--num", "from 1 to 2^31 - 1"]),
        (["train", "--config=toy2d", "--workdir="], ["--workdir: got '', takes a value"]),
        (["train", "--config=toy2d", "--workdir=x", "--init_from", ""], ["--init_from: got ''"]),
        (["evaluate", "--workdir=x", "--make_reference="], ["--make_reference: got ''"]),
        (["ablate", "--workdir=x", "--over=sde.name=vp", "--over="], ["--over: got ''"]),
        (["report", ""], ["DIR: got '', takes a value"]),
        (["train", "--config=toy2d", "--workdir=x", "--wait=nan"], ["--wait: got nan, takes"]),
        (["train", "--config=toy2d", "--workdir=x", "--wait=-1"], ["--wait: got -1, takes"]),
        (["solvers", "adams"], ["unknown argument 'adams'; takes none"]),
    ],
)
def test_arguments_that_are_not_as_declared(arguments, words, capsys):
    line = refused(arguments, capsys)
    assert all(word in line for word in words), line


def test_a_version_that_is_not_installed(monkeypatch, capsys):
    def version(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert "--version: not installed; takes `pip install .`" in refused(["--version"], capsys)


@pytest.mark.parametrize(
    "command", [command.__name__.split(".")[-1].strip("_") for command in _COMMANDS]
)
def test_help_fits_a_screen(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: scoresde {command}")
    assert lines[0].endswith("[options]")
    assert len(lines) <= 36
    assert max(map(len, lines)) <= 80


@takes_devices(8)
def test_a_batch_that_devices_cannot_share(tmp_path, capsys):
    twelve = ["--devices=8", "--config.training.batch_size=12"]
    line = refused(["train", *TOY, f"--workdir={tmp_path / 'run'}", *twelve], capsys)
    assert all(word in line for word in ("training.batch_size", "12", "multiple of the 8"))


def test_too_many_devices(trained, capsys):
    there = jax.device_count()
    line = refused(["sample", f"--workdir={trained}", f"--devices={there + 1}"], capsys)
    assert "--devices" in line
    assert f"1 to {there}" in line


def test_a_folder_that_cannot_be_written(capsys):
    line = refused(["train", *TOY, "--workdir=/proc/nothing/here"], capsys)
    assert "--workdir: /proc/nothing/here cannot be made" in line


def test_a_folder_below_a_file(trained, tmp_path, capsys):
    file = tmp_path / "notes.txt"
    file.write_text("precious", encoding="utf-8")
    line = refused(["train", *TOY, f"--workdir={file}/run"], capsys)
    assert f"--workdir: {file}/run cannot be made (Not a directory)" in line
    export = ["export", f"--workdir={trained}", f"--output={file}/model.safetensors"]
    assert f"--output: {file} cannot be made (File exists)" in refused(export, capsys)
    assert file.read_text(encoding="utf-8") == "precious"


def with_params(monkeypatch, change):
    """The averages of every checkpoint that is read are changed."""
    restore = restored_run.restore

    def changed(*arguments):
        state = restore(*arguments)
        averages = {name: jax.tree.map(change, tree) for name, tree in state.averages.items()}
        return dataclasses.replace(state, averages=averages)

    monkeypatch.setattr(restored_run, "restore", changed)


def test_what_is_not_finite(trained, tmp_path, monkeypatch, capsys):
    """The coefficients, with their time; the latents; the parameters; and only then the state."""
    draw = ["sample", f"--workdir={trained}", f"--output={tmp_path / 'x'}", "--devices=1"]
    # g of the rectified flow is infinite at t = 1.
    line = refused([*draw, "--solver=euler_maruyama", "--sde=flow"], capsys)
    assert "20 of 20 samples are not finite: the coefficients of solver 'euler_maruyama'" in line
    assert "at t = 1 under Flow; takes another, more steps cannot help" in line
    np.savez(tmp_path / "z.npz", latents=np.full((2, 2), np.nan))
    line = refused([*draw, f"--latents={tmp_path / 'z.npz'}"], capsys)
    assert "z.npz: got numbers that are not finite" in line
    with monkeypatch.context() as patched:
        with_params(patched, lambda p: p.at[(0,) * p.ndim].set(np.nan) if p.ndim > 1 else p)
        line = refused(draw, capsys)
        assert "checkpoints/6 (ema): " in line
        assert "arrays of parameters have numbers that are not finite, first dense_0/kernel" in line
    with_params(monkeypatch, lambda p: p * 1e30)
    line = refused(draw, capsys)
    assert "20 samples are not finite: the state grew beyond float32; takes more steps" in line


FULL_DISK = """
import resource, signal, sys
from experiments.cli import _COMMANDS, main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(main({arguments!r}))
"""


def test_a_full_disk_keeps_the_last_good_checkpoint(trained, tmp_path):
    """A limit on file sizes stands for the disk: Orbax's files do not fit."""
    shutil.copytree(trained, tmp_path / "run")
    more = ["--config.training.num_steps=8", "--config.training.save_every=8", "--devices=1"]
    arguments = ["train", *TOY, f"--workdir={tmp_path / 'run'}", *more]
    script = FULL_DISK.format(limit=4096, arguments=arguments)
    root = pathlib.Path(__file__).parents[3]
    # A cache of its own: the limit cuts its entries short too.
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=root,
        env={**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "checkpoint of step 8 could not be written" in last or "File too large" in last
    assert main(["sample", f"--workdir={tmp_path / 'run'}", "--num=8"]) == 0


def test_debug_shows_the_traceback(tmp_path):
    with pytest.raises(UserError):
        main(["sample", f"--workdir={tmp_path}", "--debug"])
