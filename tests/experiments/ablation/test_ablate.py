"""`scoresde ablate` end to end on a tiny toy: shared, killed, failing, handed out."""

import collections
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiments.ablation import plan, record
from experiments.ablation.folder import AblationFolder
from experiments.ablation.question import Question
from experiments.cli import main
from experiments.runtime.compile_notice import EVENT
from experiments.training.cost import Cost
from tests.experiments.conftest import TOY

ROOT = pathlib.Path(__file__).parents[3]
OVER = ["--over=training.learning_rate=0.002,0.004", "--over=sampling.num_steps=3,12"]
ASKED = [
    *(flag for flag in TOY if "sampling.num_steps" not in flag),
    "--config.model.hidden=(16,12)",  # whose programs nobody else has compiled
    *OVER,
    "--one_at_a_time",
    "--metrics=bpd,error,nfe,loss",
    "--limit=16",
]
"""Three cells of two models."""


def ablate(workdir: pathlib.Path, *arguments: str) -> int:
    return main(["ablate", f"--workdir={workdir}", *arguments])


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
    ],
)
def test_another_question_is_refused_and_nothing_is_lost(done, arguments, line, capsys):
    before = files(done)
    assert ablate(done, *arguments) == 2
    assert files(done) == before
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--over=data.flip=False,True"], "data.flip=True: data.flip: got True, takes False"),
        (["--over=training.weighting=edm,edn"], "training.weighting=edn: training.weighting: "),
        (["--over=sampling.solver=adams,unipc:ordr=2"], "sampling.solver: unknown field 'ordr'"),
        (["--over=training.accumulate=2,3"], "takes a multiple of the 1 devices times 3 parts"),
        (["--over=data.source=toy:moons,toy:moon"], "data.source=toy:moon: data.source: "),
        (["--metrics=bpd,fid"], "--metrics: unknown metric 'fid'"),
        (["--metrics=accuracy"], "baseline: metrics: accuracy: got samples without labels"),
        (["--metrics=sw2", "--features=pixel"], "baseline: --features: unknown"),
        (["--metrics=sw2", "--num=1"], "baseline: --num: got 1, takes 4 or more with sw2"),
        (["--over=sampling.grid=fitted:nope"], "sampling.grid: unknown fitted grid 'nope'"),
        (["--over=sde.name="], "--over=sde.name: got '', takes values"),
    ],
)
def test_bad_cells_stop_before_anything_is_written(arguments, line, tmp_path, capsys):
    assert ablate(tmp_path / "new", *TOY, *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_that_was_killed_at_its_begin_is_taken(tmp_path):
    """The question is written last; until then there is nothing to lose."""
    for name in ("cells.json", "command.txt.partial", "about.json"):
        (tmp_path / name).touch()
    (tmp_path / ".locks").mkdir()
    record.check(AblationFolder(tmp_path), Question(config="toy2d"), [])


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert ablate(tmp_path, *ASKED) == 2
    assert "holds something else than an ablation" in capsys.readouterr().err
    assert ablate(tmp_path) == 2
    assert "holds no ablation" in capsys.readouterr().err


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
    over = ["--over=sampling.solver=adams,euler_maruyama"]
    before = files(tmp_path / "model" / "checkpoints")
    assert ablate(tmp_path / "run", *model, *over) == 0
    assert files(tmp_path / "model" / "checkpoints") == before
    rows = AblationFolder(tmp_path / "run").table()["rows"]
    assert [set(row["metrics"]) for row in rows] == [{"error", "nfe"}, {"nfe"}]
    assert not (tmp_path / "run" / "models").exists()
    assert len(list((tmp_path / "run" / "fine").iterdir())) == 1
    assert "—" in capsys.readouterr().out
    # Trained on, it is measured anew.
    (tmp_path / "model" / "checkpoints" / "6").rename(tmp_path / "model" / "checkpoints" / "9")
    assert ablate(tmp_path / "run", *model, *over, "--plan") == 0
    assert "2 cells, 2 to run" in capsys.readouterr().out
    assert ablate(tmp_path / "other", *model, "--over=sde.name=vp,ve") == 2
    assert "sde.name: takes --config=NAME, which trains" in capsys.readouterr().err


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
    assert ablate(run, "--sbatch=array=1", f"--slurm={script}") == 2


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
