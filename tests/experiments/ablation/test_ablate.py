"""`scoresde ablate` end to end on a tiny toy: shared, killed, failing."""

import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.ablation.folder import AblationFolder
from experiments.cli import main
from experiments.evaluation import report
from experiments.report import page
from experiments.runtime.compile_notice import EVENT
from experiments.sampling import files as files_of_samples
from tests.experiments.ablation.tiny import ASKED, ablate
from tests.experiments.conftest import TOY

ROOT = pathlib.Path(__file__).parents[3]


@pytest.fixture(scope="module")
def compiled():
    """How often each program was compiled."""
    counts: collections.Counter = collections.Counter()

    def listen(event: str, seconds: float, **about) -> None:
        if event == EVENT:
            counts[about["fun_name"]] += 1

    jax.monitoring.register_event_duration_secs_listener(listen)
    return counts


@pytest.fixture(scope="module")
def done(tmp_path_factory, compiled) -> pathlib.Path:
    """An ablation that was not disturbed. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("ablations") / "done"
    assert ablate(workdir, *ASKED) == 0
    return workdir


def files(folder: pathlib.Path) -> dict[str, int]:
    """When each file of the folder was last written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_cells_share_models_and_programs(done, compiled):
    """Two models for three cells; rates have one step, grids their own samplers."""
    folder = AblationFolder(done)
    assert len(folder.cells) == len(folder.results) == 3
    models = [folder.file(cell.workdir) for cell in folder.cells]
    assert len(set(models)) == len(list((done / "models").iterdir())) == 2
    assert all((model / "checkpoints" / "6").is_dir() for model in models)
    assert counts_of(compiled) == {"training_step": 1, "log_prob": 1, "decode": 1, "draw": 2}


def counts_of(compiled: collections.Counter) -> dict[str, int]:
    """How often the programs were compiled that take long."""
    return {
        name: compiled[f"jit({name})"] for name in ("training_step", "log_prob", "decode", "draw")
    }


def test_more_seeds_keep_what_is_there_and_share_programs(done, compiled, tmp_path):
    shutil.copytree(done, tmp_path / "run")
    before, programs = files(tmp_path / "run" / "results"), counts_of(compiled)
    # What begins nowhere is on top of what the folder holds.
    assert ablate(tmp_path / "run", "--devices=1", "--seeds=2") == 0
    after = files(tmp_path / "run" / "results")
    assert before.items() <= after.items()
    assert len(after) == 6
    # One step for the two models of this call, and no other program.
    assert counts_of(compiled) == programs | {"training_step": programs["training_step"] + 1}
    entry = AblationFolder(tmp_path / "run").table()["rows"][1]["metrics"]["bpd"]
    assert entry["n"] == 2
    assert entry["low"] < entry["difference"] < entry["high"]


def test_numbers_are_those_of_the_other_commands(done, tmp_path, capsys):
    folder = AblationFolder(done)
    cell = folder.cells[0]
    result = folder.result(cell)
    assert result["error"] is None
    with np.load(folder.file(result["samples"])) as samples:
        assert samples["points"].shape == (20, 2)
    likelihood = json.loads(folder.file(result["likelihood"]).read_text(encoding="utf-8"))
    assert likelihood["bits_per_dim"] == result["metrics"]["bpd"]["value"]
    assert result["evaluations"] == result["metrics"]["nfe"]["value"] == 4
    last = (folder.file(cell.workdir) / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(last[-1])["loss"] == result["metrics"]["loss"]["value"]
    assert folder.about["command"].split()[0] == "scoresde"
    assert folder.about["ended"] is not None


def test_the_error_is_that_of_the_grid(done):
    """Four times the steps of a method of order two or more: an error far smaller, not zero."""
    rows = AblationFolder(done).table()["rows"]
    coarse, _, fine = [row["metrics"]["error"]["mean"] for row in rows]
    assert 1e-6 < fine < coarse / 10


def test_finished_cells_are_left_alone(done, capsys):
    before = files(done / "results") | files(done / "models")
    assert ablate(done, "--devices=1") == 0
    assert files(done / "results") | files(done / "models") == before
    assert "0.002" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([*ASKED, "--seed=1"], "holds another ablation, with seed none, not 1"),
        ([*ASKED, "--config.data.std=0.9"], "holds another ablation, with overrides "),
        (["--cell=0123"], "--cell: unknown cell '0123'"),
        (["--sbatch=time=1"], "--sbatch: takes --slurm"),
        (["--cell=0123", "--jobs=2"], "--cell: got 0123, takes no --jobs"),
        (["--devices=1", "--slurm=array.sh"], "--slurm: all 3 cells have been run"),
        ([*ASKED, "--spec=none.toml"], "--spec: none.toml: No such file or directory"),
    ],
)
def test_another_question_is_refused_and_nothing_is_lost(done, arguments, line, capsys):
    before = files(done)
    assert ablate(done, *arguments) == 2
    assert files(done) == before
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_a_cell_that_fails_is_told_and_tried_again(tmp_path, capsys):
    """A learning rate at which the parameters overflow; the others go on."""
    asked = [*TOY, "--over=training.learning_rate=0.002,1e38", "--metrics=loss"]
    assert ablate(tmp_path / "run", *asked) == 2
    error = capsys.readouterr().err
    assert "1 of 2 cells failed, first training.learning_rate=1e38, seed 0: " in error
    folder = AblationFolder(tmp_path / "run")
    good, bad = folder.cells
    assert folder.result(good)["metrics"]["loss"]["value"] > 0
    assert "\n" not in folder.result(bad)["error"]
    assert folder.table()["rows"][1]["failed"] == 1
    results = {cell.name: folder.file(cell.result) for cell in (good, bad)}
    before = files(folder.path / "results")
    assert ablate(tmp_path / "run", "--devices=1", "--retry") == 2
    after = files(folder.path / "results")
    changed = {cell: before[str(file)] != after[str(file)] for cell, file in results.items()}
    assert changed == {good.name: False, bad.name: True}
    # A task of an array answers for its own cell.
    for cell, code in ((good, 0), (bad, 2)):
        assert ablate(tmp_path / "run", "--devices=1", f"--cell={cell.digest}") == code


def test_what_every_sde_learns_alike_is_told(tmp_path, capsys):
    """And axes of a folder that are asked again have all their values, where they were."""
    run, told = tmp_path / "run", "a network learns the same under every SDE"
    asked = ["--over=sde.name=vp,ve", "--print_commands"]
    toy = [flag for flag in TOY if "sampling.num_steps" not in flag]
    toy += ["--config.training.times=log_normal"]
    assert ablate(run, *toy, *asked, "--over=sampling.num_steps=3") == 0
    assert told in capsys.readouterr().err
    assert ablate(run, "--devices=1", "--over=sde.name=vp,ve,subvp", "--print_commands") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    names = [cell.name for cell in AblationFolder(run).cells]
    assert names[0] == "sde.name=vp,sampling.num_steps=3"
    assert ablate(tmp_path / "own", *TOY, *asked) == 0  # at times that are an SDE's own
    assert told not in capsys.readouterr().err


def test_sampling_of_a_trained_model_trains_nothing(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "model")
    model = ["--devices=1", f"--model={tmp_path / 'model'}", "--num=16"]
    over = ["--over=sampling.solver=adams,euler_maruyama,probability_flow"]
    before = files(tmp_path / "model" / "checkpoints")
    assert ablate(tmp_path / "run", *model, *over) == 0
    assert files(tmp_path / "model" / "checkpoints") == before
    rows = AblationFolder(tmp_path / "run").table()["rows"]
    assert [set(row["metrics"]) for row in rows] == [{"error", "nfe"}, {"nfe"}, {"error", "nfe"}]
    # At rtol = 1e-5 the flow is as near to the fine solution, at 1e-6; four steps are not.
    coarse, flow = (rows[k]["metrics"]["error"]["mean"] for k in (0, 2))
    assert flow < 1e-4 < 1e-3 < coarse
    assert not (tmp_path / "run" / "models").exists()
    # Of a grid's first states, which allow for the data, and of the flow's.
    assert len(list((tmp_path / "run" / "fine").iterdir())) == 2
    assert "—" in capsys.readouterr().out
    # Trained on, it is measured anew.
    (tmp_path / "model" / "checkpoints" / "6").rename(tmp_path / "model" / "checkpoints" / "9")
    assert ablate(tmp_path / "run", *model, *over, "--plan") == 0
    assert "3 cells, 3 to run" in capsys.readouterr().out
    assert ablate(tmp_path / "other", *model, "--over=sde.name=vp,ve") == 2
    assert "sde.name: takes --config=NAME, which trains" in capsys.readouterr().err


def test_metrics_of_features_are_those_of_evaluate(trained, tmp_path, monkeypatch, capsys):
    """They are measured there, of samples that begin with those of the picture."""
    for module in (files_of_samples, report):
        monkeypatch.setattr(module, "picture", lambda *_: np.zeros((1, 1, 3), np.uint8))
    monkeypatch.setattr(page, "write_report", lambda path: path / "report.html")
    shutil.copytree(trained, tmp_path / "model", ignore=shutil.ignore_patterns("evaluation"))
    model, metrics = tmp_path / "model", "--metrics=fd:sizes=0,bootstrap=0"
    asked = ["--devices=1", f"--model={model}", "--num=101", f"{metrics},nfe"]
    assert ablate(tmp_path / "run", *asked, "--over=sampling.num_steps=4") == 0
    folder = AblationFolder(tmp_path / "run")
    (cell,) = folder.cells
    result = folder.result(cell)
    with np.load(folder.file(result["samples"])) as samples:
        assert samples["points"].shape == (100, 2)  # those of the picture
    found = json.loads(folder.file(result["evaluation"]).read_text(encoding="utf-8"))
    assert list(result["metrics"]) == ["nfe", "fd"]
    assert result["metrics"]["fd"] == found["metrics"]["fd"]
    assert found["protocol"]["samples"]["num"] == 101
    assert result["seconds"]["evaluate"] > 0
    assert len(list((tmp_path / "run" / "features").glob("train-pixels-*"))) == 1
    capsys.readouterr()
    assert main(["evaluate", f"--workdir={model}", "--devices=1", "--num=101", metrics]) == 0
    assert capsys.readouterr().out.startswith("measured before, by the same protocol")


KILLED = """
import os, signal, sys
from experiments.cli import main
from experiments.state.checkpoints import Checkpoints

save = Checkpoints.save

def save_and_die(self, step, state):
    save(self, step, state)
    if step == 6:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.save = save_and_die
main(sys.argv[1:])
"""
"""`scoresde`, killed while it writes the second checkpoint of its first model."""


def test_a_killed_ablation_goes_on_to_the_same_table(done, tmp_path):
    """Then one cell by itself, and the rest: all files of the table are the undisturbed ones."""
    run = tmp_path / "run"
    command = [sys.executable, "-c", KILLED, "ablate", f"--workdir={run}", *ASKED]
    env = os.environ | {"JAX_NUM_CPU_DEVICES": str(len(jax.devices())), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, env=env, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    folder = AblationFolder(run)
    assert list(run.glob("models/*/checkpoints/4"))
    assert not folder.results
    assert ablate(run, "--devices=1", f"--cell={folder.cells[2].digest}") == 0
    assert ablate(run, "--devices=1") == 0
    for kind in ("json", "csv", "md", "tex"):
        same = [(path / f"table.{kind}").read_bytes() for path in (run, done)]
        assert same[0] == same[1]
