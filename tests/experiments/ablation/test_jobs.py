"""Cells run by several processes, whose place calls in this one take: `--jobs`, and its end."""

import pytest

from experiments.ablation.folder import AblationFolder
from experiments.cli import main
from tests.experiments.ablation.test_study import (
    ASKED,
    FLAGS,
    RATE,
    SDE,
    Fake,
    ablate,
    number,
    stand_in,
)

RATES = [*FLAGS, f"--over={RATE}=0.001,0.002", f"--over={SDE}=vp", "--metrics=loss"]


@pytest.fixture(autouse=True)
def fake(monkeypatch) -> Fake:
    return stand_in(monkeypatch)


@pytest.fixture
def called(monkeypatch) -> list:
    """The commands of the processes, and their number; they run one after the other, here."""
    calls = []

    def run_jobs(arguments: list[str], num: int) -> bool:
        calls.append((arguments, num))
        return [main(arguments) for _ in range(num)] == [0] * num

    monkeypatch.setattr("experiments.ablation.run.run_jobs", run_jobs)
    return calls


def test_workers_run_the_cells_and_the_command_writes_the_tables(tmp_path, called, fake, capsys):
    run = tmp_path / "run"
    assert ablate(run, *RATES, "--jobs=2", "--retry") == 0
    worker = ["ablate", f"--workdir={run}", "--worker", "--devices=1", "--retry"]
    assert called == [(worker, 2)]
    folder = AblationFolder(run)
    assert sorted(fake.ran) == sorted(cell.result for cell in folder.cells)
    out = capsys.readouterr().out
    assert out.count("table.md") == 1
    assert folder.about["ended"] is not None
    means = [row["metrics"]["loss"]["mean"] for row in folder.table()["rows"]]
    assert means == [number(cell.values, 0) for cell in folder.cells]


def test_workers_ask_for_the_cells_of_a_study(tmp_path, called, fake, capsys):
    run = tmp_path / "run"
    assert ablate(run, *ASKED, "--study=3", "--jobs=2") == 0
    folder = AblationFolder(run)
    assert len(folder.study["trials"]) == 3
    assert len(folder.table()["rows"]) * 2 == len(folder.cells) == len(fake.ran)
    assert "study: best of 3 trials is " in capsys.readouterr().out


def test_what_was_stopped_writes_no_table(tmp_path, monkeypatch, fake, capsys):
    """By a signal to a training of this process, or to the processes."""
    fake.stop = "before", 1
    assert ablate(tmp_path / "run", *RATES) == 0
    assert "stopped\n" in capsys.readouterr().out
    monkeypatch.setattr("experiments.ablation.run.run_jobs", lambda *_: False)
    assert ablate(tmp_path / "run", "--jobs=2") == 0
    assert len(fake.ran) == 1
    assert not (tmp_path / "run" / "table.json").exists()


def test_a_study_of_which_every_cell_fails_has_no_best(tmp_path, fake, capsys):
    fake.fails = lambda cell: True
    assert ablate(tmp_path / "run", *ASKED, "--study=2") == 2
    said = capsys.readouterr()
    assert "study: none of 2 trials has a number\n" in said.out
    assert said.err.endswith(": overflow; --retry runs them again\n")


def test_workers_that_were_stopped_by_themselves_are_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("experiments.ablation.run.run_jobs", lambda *_: True)
    run = tmp_path / "run"
    assert ablate(run, *RATES, "--jobs=2") == 0
    out = capsys.readouterr().out
    assert out.endswith(f"2 of 2 cells are left: scoresde ablate --workdir={run}\n")
    assert [row["metrics"] for row in AblationFolder(run).table()["rows"]] == [{}, {}]
    assert not (run / "report.html").exists()
