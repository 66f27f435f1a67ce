"""An ablation that is not run here: what it would take, and its cells handed out as commands."""

import json
import os
import shlex
import shutil
import subprocess
import sys

from experiments.ablation import plan
from experiments.ablation.folder import AblationFolder
from experiments.training.cost import Cost
from tests.experiments.ablation.tiny import ASKED, ablate
from tests.experiments.conftest import refused


def test_a_plan_of_a_model_that_is_there_reads_no_data(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(plan, "cost_of", lambda call, value: Cost(first=6, each=5))
    shutil.copytree(trained, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text(encoding="utf-8"))
    config["data"]["source"] = f"npz:{tmp_path / 'gone.npz'}"
    (tmp_path / "model" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model" / "grids").mkdir()
    fitted = json.dumps({"noise_to_signal": [80, 10, 1, 0.002]})
    (tmp_path / "model" / "grids" / "mine.json").write_text(fitted, encoding="utf-8")
    model = ["--devices=1", f"--model={tmp_path / 'model'}", "--num=16", "--plan"]
    assert ablate(tmp_path / "run", *model, "--over=sampling.num_steps=3,12") == 0
    assert "about 85.0 s" in capsys.readouterr().out
    assert ablate(tmp_path / "run", *model, "--over=sampling.grid=fitted:mine") == 0
    assert "about 20.0 s" in capsys.readouterr().out


def test_flags_that_are_refused_make_no_folder(tmp_path, capsys):
    for flag in ("--cell=0123", f"--slurm={tmp_path}"):
        assert ablate(tmp_path / "run", *ASKED, flag) == 2
        assert flag.split("=")[0] in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
        assert list(tmp_path.iterdir()) == []


def test_a_plan_adds_up_what_was_measured(tmp_path, capsys, monkeypatch):
    """6 updates of 3 s; 2 batches of 4 or 13 evaluations, and 16 densities, at 5 s for a batch."""
    monkeypatch.setattr(plan, "step_cost", lambda *given: Cost(first=9, each=3))
    monkeypatch.setattr(plan, "cost_of", lambda call, value: Cost(first=6, each=5))
    assert ablate(tmp_path / "run", *ASKED, "--plan", "--config.likelihood.num_steps=10") == 0
    out = capsys.readouterr().out
    assert "3 cells, 3 to run, of 2 models" in out
    rows = [line.split()[2:] for line in out.splitlines() if line.startswith("training.")]
    density = 10 * (1 + 2 * 2) * 5 / 60  # ten evaluations, each with two exact products
    shown = f"{density:.1f} min".split()
    assert rows[0] == ["18.0", "s", "40.0", "s", *shown]
    assert rows[1] == ["18.0", "s", "40.0", "s", *shown]
    assert rows[2] == ["–", *f"{2 * 13 * 5 / 60:.1f} min".split(), *shown]
    assert "measured: an update of 16 examples 3 s; an evaluation of 16 examples 5 s" in out
    assert not (tmp_path / "run").exists()


def test_a_plan_of_steps_that_nobody_knows_and_of_a_bound(tmp_path, capsys, monkeypatch):
    """A solver with steps of its own is taken to make so many; a bound has its times."""
    monkeypatch.setattr(plan, "step_cost", lambda *given: Cost(first=9, each=3))
    monkeypatch.setattr(plan, "cost_of", lambda call, value: Cost(first=6, each=5))
    asked = [flag for flag in ASKED if not flag.startswith(("--over", "--one"))]
    over = ["--over=sampling.solver=probability_flow", "--config.likelihood.estimator=elbo"]
    assert ablate(tmp_path / "run", *asked, *over, "--config.likelihood.num_times=8", "--plan") == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if "probability_flow" in line]
    drawn = f"{2 * plan.ASSUMED * 5 / 60:.1f} min"
    assert row.split()[2:] == ["18.0", "s", *drawn.split(), *f"{8 * 5:.1f} s".split()]


def test_handed_out_cells_are_commands_that_a_shell_runs(tmp_path, capsys, monkeypatch):
    """The array's script, read by bash, with a program that says what it is given."""
    monkeypatch.setattr(sys, "executable", "echo")
    run, script = tmp_path / "a run", tmp_path / "array.sh"
    options = ["--sbatch=time=1:00:00", "--sbatch=exclusive"]
    assert ablate(run, *ASKED, f"--slurm={script}", *options) == 0
    assert f"sbatch {script}" in capsys.readouterr().out
    digests = [cell.digest for cell in AblationFolder(run).cells]
    text = script.read_text(encoding="utf-8")
    said = [line.split(" ", 1)[1] for line in text.splitlines() if line.startswith("#SBATCH")]
    assert {"--array=0-2", "--time=1:00:00", "--exclusive", f"--chdir={os.getcwd()}"} <= set(said)
    for task in (0, 2):
        env = {"SLURM_ARRAY_TASK_ID": str(task), "PATH": os.environ["PATH"]}
        told = subprocess.run(["bash", script], env=env, capture_output=True, text=True, check=True)
        assert told.stdout == f"-m experiments ablate --workdir={run} --cell={digests[task]}\n"
    assert ablate(run, "--devices=1", "--print_commands") == 0
    lines = capsys.readouterr().out.splitlines()
    words = [shlex.split(line) for line in lines]
    assert [word[-1] for word in words] == [f"--cell={digest}" for digest in digests]
    told = subprocess.run(["bash", "-c", lines[0]], capture_output=True, text=True, check=True)
    assert told.stdout.endswith(f"--cell={digests[0]}\n")
    # Of the file that says what was asked, with its two axes zipped.
    told = ["--devices=1", f"--spec={run / 'ablation.toml'}", "--print_commands"]
    zipped = "--zip=training.learning_rate,sampling.num_steps"
    assert ablate(tmp_path / "zipped", *told, zipped) == 0
    names = [cell.name for cell in AblationFolder(tmp_path / "zipped").cells]
    assert names == [
        "training.learning_rate=0.002,sampling.num_steps=3",
        "training.learning_rate=0.004,sampling.num_steps=12",
    ]
    capsys.readouterr()
    for option, line in (
        ("array=1", "--sbatch: got array, which the array of cells says"),
        ("a b=1", "--sbatch: got 'a b=1', takes KEY=VALUE of sbatch"),
        ("=1", "--sbatch: got '=1', takes KEY=VALUE of sbatch"),
    ):
        line_of_error = refused(
            ["ablate", f"--workdir={run}", f"--sbatch={option}", f"--slurm={script}"], capsys
        )
        assert line in line_of_error
