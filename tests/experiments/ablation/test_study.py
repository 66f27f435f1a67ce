"""Studies by Optuna: what is asked for, told, and asked for again after a stop."""

import json
import math
import pathlib
import shutil
import sys

import pytest

from experiments.ablation import plan
from experiments.ablation.cell import Cell, Reader
from experiments.ablation.check import Checker
from experiments.ablation.folder import AblationFolder
from experiments.ablation.question import Axis, Question
from experiments.ablation.run_cell import CellRunner, StoppedError
from experiments.ablation.space import Space
from experiments.ablation.study import Study
from experiments.cli import main
from experiments.errors import UserError
from experiments.report import page
from experiments.runtime.atomic_files import write_atomically
from tests.experiments.conftest import TOY

RATE, STEPS, SDE = "training.learning_rate", "sampling.num_steps", "sde.name"
OVER = [f"--over={RATE}=1e-4..1e-1:log", f"--over={STEPS}=2..30:log", f"--over={SDE}=vp,subvp"]
FLAGS = [flag for flag in TOY if STEPS not in flag]
TRIALS = 14
"""Optuna draws the first ten at random."""

ASKED = [*FLAGS, *OVER, "--metrics=loss,nfe", "--seeds=2", f"--study={TRIALS}"]


def number(values: dict, seed: int) -> float:
    """What a cell gives, least at a rate of 0.01; at seed 1 by 0.5 more than at seed 0."""
    worse = 0.5 * (values[SDE] == "subvp")
    return (math.log10(values[RATE]) + 2) ** 2 + worse + values.get(STEPS, 0) / 100 + 0.5 * seed


class Fake:
    """Stands for what runs a cell: it gives `number`, or stops before or after a cell."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.checked: list[Cell] = []
        self.stop: tuple[str, int] | None = None
        self.fails = lambda cell: False

    def run(self, runner: CellRunner, cell: Cell) -> dict:
        if self.stop == ("before", len(self.ran)):
            raise StoppedError("stopped")
        self.ran.append(cell.record.result)
        fails, metrics = self.fails(cell), runner.question.metrics.split(",")
        value = number(cell.record.values, cell.seed)
        report = {
            "protocol": {"metrics": metrics},
            "metrics": {} if fails else {name: {"value": value} for name in metrics},
            "error": "overflow" if fails else None,
        }
        file = runner.folder.file(cell.record.result)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(report))
        if self.stop == ("after", len(self.ran)):
            raise StoppedError("stopped")
        return report


def stand_in(patch: pytest.MonkeyPatch) -> Fake:
    """Let nothing be trained, traced or drawn."""
    cells = Fake()
    patch.setattr(CellRunner, "run", lambda runner, cell, is_left: cells.run(runner, cell))
    patch.setattr(Checker, "check", lambda checker, given: cells.checked.extend(given))
    patch.setattr(page, "write_report", lambda path: path / "report.html")
    return cells


@pytest.fixture(autouse=True)
def fake(monkeypatch) -> Fake:
    return stand_in(monkeypatch)


def ablate(workdir: pathlib.Path, *arguments: str) -> int:
    return main(["ablate", f"--workdir={workdir}", *arguments])


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> pathlib.Path:
    """A study that was not disturbed. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("studies") / "done"
    with pytest.MonkeyPatch.context() as patch:
        cells = stand_in(patch)
        assert ablate(workdir, *ASKED) == 0
    # The shapes of the baseline, of both ends of two ranges, and of the other SDE.
    assert len({cell.name for cell in cells.checked}) == 5  # one end is the baseline's
    return workdir


def test_a_study_asks_within_the_axes_and_is_told_means_over_seeds(done):
    """The baseline has the config's own rate, and the low end of steps, of which it has more."""
    folder = AblationFolder(done)
    trials, cells = folder.study["trials"], folder.cells
    assert len(trials) == TRIALS
    assert cells[0].values == {RATE: 0.002, STEPS: 2, SDE: "vp"}
    assert len({cell.name for cell in cells}) * 2 == len(cells)
    settings = {tuple(cell.values.items()): cell.values for cell in cells}.values()
    assert all(1e-4 <= s[RATE] <= 1e-1 and 2 <= s[STEPS] <= 30 for s in settings)
    assert {type(s[STEPS]) for s in settings} == {int}
    assert {s[SDE] for s in settings} == {"vp", "subvp"}
    for trial in trials:
        values = {k: v if k == SDE else float(v) for k, v in trial["setting"].items()}
        assert trial["value"] == pytest.approx(number(values, 0) + 0.25, rel=1e-12)


def test_a_study_that_is_stopped_goes_on_to_the_same_cells(done, tmp_path, fake, capsys):
    """Stopped within a trial, at the end of one before it is told, and with more trials."""
    run = tmp_path / "run"
    for where, after, study in (("before", 1, 12), ("after", 8, 12), ("before", 23, TRIALS)):
        fake.stop = where, after
        assert ablate(run, *ASKED, f"--study={study}") == 0
        assert len(fake.ran) == after
    fake.stop = None
    assert ablate(run) == 0
    assert len(fake.ran) == len(set(fake.ran)) == len(AblationFolder(done).cells)
    for name in ("cells.json", "study.json", "table.json"):
        assert (run / name).read_bytes() == (done / name).read_bytes()
    assert "study: best of 14 trials is training.learning_rate=" in capsys.readouterr().out


def test_a_failed_cell_is_told_as_failed_and_the_study_goes_on(tmp_path, fake, capsys):
    """`--retry` completes the table; what the study was told stays, and so do its cells."""
    run = tmp_path / "run"
    fake.fails = lambda cell: cell.seed == 1 and cell.record.values[RATE] > 0.01
    assert ablate(run, *ASKED) == 2
    assert "cells failed, first " in capsys.readouterr().err
    folder = AblationFolder(run)
    failed = [float(t["setting"][RATE]) > 0.01 for t in folder.study["trials"]]
    assert failed == [t["value"] is None for t in folder.study["trials"]]
    assert 0 < sum(failed) < TRIALS == len(failed)
    before = [(run / name).read_bytes() for name in ("cells.json", "study.json")]
    fake.fails = lambda cell: False
    assert ablate(run, "--devices=1", "--retry") == 0
    assert [(run / name).read_bytes() for name in ("cells.json", "study.json")] == before
    assert all(row["failed"] == 0 for row in folder.table()["rows"])


def asked(*over: str, **more) -> Question:
    return Question(config="toy2d", over=tuple(map(Axis.parse, over)), **more)


def of_loss(*over: str, study: int, metrics: str = "loss") -> Question:
    return asked(*over, metrics=metrics, study=study)


def begun(path: pathlib.Path) -> AblationFolder:
    """A folder without cells yet."""
    path.mkdir(exist_ok=True)
    write_atomically(path / "cells.json", "[]")
    return AblationFolder(path)


def run_here(study: Study, question: Question, folder: AblationFolder, fake: Fake) -> None:
    """Run a study without the command."""
    runner = CellRunner(question, folder, None, {})

    def run(cells: list) -> None:
        for cell in cells:
            if not folder.file(cell.record.result).is_file():
                fake.run(runner, cell)

    study.run(run)


def test_the_direction_is_the_metrics(tmp_path, fake):
    """Of one curve, whose mean is 1, the least is looked for by `loss`, and the most by `is`."""
    found = {}
    for metric in ("loss", "is"):
        over = (f"{RATE}=1e-4..1e-1:log", f"{STEPS}=4", f"{SDE}=vp")
        question, folder = of_loss(*over, metrics=metric, study=16), begun(tmp_path / metric)
        study = Study(question, folder)
        run_here(study, question, folder, fake)
        values = [trial["value"] for trial in folder.study["trials"]]
        best = min(values) if metric == "loss" else max(values)
        assert study.best().endswith(f"{best:.6g}")
        found[metric] = sum(values[10:]) / 6
    assert found["loss"] < 1 < found["is"]


def test_processes_that_share_a_study_are_told_the_same(tmp_path, fake):
    """The second is told of a trial what the first was, though a result has changed since."""
    question = of_loss(f"{RATE}=1e-4..1e-1:log", f"{SDE}=vp", study=3)
    folder = begun(tmp_path)
    second = Study(question, folder)
    run_here(Study(question, folder), question, folder, fake)
    told = folder.study
    for cell in folder.cells:
        write_atomically(folder.file(cell.result), '{"metrics": {"loss": {"value": 7.0}}}')
    run_here(second, question, folder, fake)
    assert folder.study == told
    assert [cell.record for cell in second.cells] == list(folder.cells)


def test_zipped_lists_are_asked_for_together_and_values_that_do_not_fit_fail():
    over = ("a=1,2", "b=x,y", "c=0.5..40.5:lin")
    space = Space.of(asked(*over, zip=(("a", "b"),), study=3), lambda field: field == "c")
    assert space.setting({"a,b": 1, "c": 7}) == {"a": "2", "b": "y", "c": "7"}
    number = space.distributions()["c"]
    assert (number.low, number.high) == (1, 40)
    assert space.baseline(lambda some: {"c": 40}) == {"a,b": 0, "c": 40}
    assert space.baseline(lambda some: {"c": 41}) == {"a,b": 0, "c": 1}
    singles = [tuple(s.values()) for s in space.single_changes({"a,b": 0, "c": 7})]
    assert singles == [("1", "x", "7"), ("2", "y", "7"), ("1", "x", "1"), ("1", "x", "40")]


def test_a_trial_whose_values_do_not_go_together_fails(tmp_path, fake, monkeypatch, capsys):
    """It has no cells; the study goes on."""
    cells = Reader.cells

    def some(reader: Reader, setting: dict[str, str]) -> list:
        if setting == {RATE: "0.002", SDE: "subvp"}:
            raise UserError("not together")
        return cells(reader, setting)

    monkeypatch.setattr(Reader, "cells", some)
    question, folder = of_loss(f"{RATE}=0.001,0.002", f"{SDE}=vp,subvp", study=12), begun(tmp_path)
    run_here(Study(question, folder), question, folder, fake)
    trials = folder.study["trials"]
    failed = [t["setting"] == {RATE: "0.002", SDE: "subvp"} for t in trials]
    assert 0 < sum(failed) < 12 == len(trials)
    assert failed == [t["value"] is None for t in trials]
    assert len(folder.cells) == 3 == len(fake.ran)
    assert ": failed: not together\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--random=3"], "--study: takes no --random"),
        (["--one_at_a_time"], "--study: takes no --one_at_a_time"),
        (["--metrics=prdc,loss"], "--study: got prdc first of --metrics"),
        (["--over=likelihood.repeats=1.2..1.8:lin"], "takes a range with an integer in it"),
        (["--over=training.ema_decay=0.5,x"], "training.ema_decay=x: training.ema_decay: got 'x'"),
        (["--over=training.ema_decay=0.5..3:lin"], "training.ema_decay=3.0: training.ema_decay: "),
        (["--jobs=3"], "--jobs: got 3, takes at most --seeds=2 with --study"),
        (["--slurm=array.sh"], "--slurm: takes no --study"),
        (["--print_commands"], "--print_commands: takes no --study"),
    ],
)
def test_a_study_that_cannot_be(arguments, line, tmp_path, capsys):
    assert ablate(tmp_path / "new", *ASKED, *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert not (tmp_path / "new").exists()


def test_a_study_takes_axes_and_optuna(tmp_path, capsys, monkeypatch):
    assert ablate(tmp_path / "new", *FLAGS, "--study=3") == 2
    assert "--study: takes --over=FIELD=V,…" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert ablate(tmp_path / "new", *ASKED) == 2
    error = capsys.readouterr().err
    assert "--study: takes Optuna; pip install 'scoresde[search]'" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_another_study_is_refused_and_nothing_is_lost(done, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(done, run)
    for arguments, line in (
        (["--study=13"], "with study 14, not 13"),
        (["--seeds=3"], "with seeds 2, not 3"),
        (["--metrics=nfe"], "with metrics loss,nfe, not nfe"),
    ):
        assert ablate(run, *ASKED, *arguments) == 2
        assert line in capsys.readouterr().err
    study = json.loads((run / "study.json").read_text(encoding="utf-8"))
    study["trials"][5]["setting"][SDE] = "ve"
    study["optuna"] = "4.0.0"
    (run / "study.json").write_text(json.dumps(study), encoding="utf-8")
    assert ablate(run, *ASKED) == 2
    assert "has a study by Optuna 4.0.0, takes that version to go on" in capsys.readouterr().err
    assert (run / "cells.json").read_bytes() == (done / "cells.json").read_bytes()
    (run / "study.json").unlink()
    with pytest.raises(UserError, match="has a study by other code"):
        Study(of_loss(f"{RATE}=1e-4..1e-1:log", study=3), AblationFolder(run))


def test_a_plan_says_what_is_still_to_be_asked_for(tmp_path, capsys, monkeypatch):
    """14 trials, of which the first has two cells of 30 s."""
    monkeypatch.setattr(plan.Planner, "seconds", lambda *given: plan.Seconds(train=30.0))
    assert ablate(tmp_path / "new", *ASKED, "--plan") == 0
    out = capsys.readouterr().out
    assert "2 cells, 2 to run, of 2 models" in out
    assert "study: 0 of 14 trials were told." in out
    assert "all take about 14.0 min" in out
    assert not (tmp_path / "new").exists()
