"""Which cells a process takes, and what becomes of processes."""

import contextlib
import os
import signal
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from experiments.ablation import locks, run, run_cell
from experiments.ablation.cell import cells_of
from experiments.ablation.folder import AblationFolder, CellRecord
from experiments.ablation.question import Axis, Question
from experiments.ablation.run import Todo, run_all, run_jobs
from experiments.ablation.run_cell import CellRunner
from experiments.errors import UserError
from experiments.runtime.atomic_files import write_atomically
from experiments.workdir.run_lock import hold


class Cell:
    """What a process needs to know of a cell."""

    def __init__(self, name: str):
        values, place = {"x": name}, {"workdir": "m", "result": f"results/{name}.json"}
        self.record = CellRecord(name=f"x={name}", seed=0, values=values, **place)
        self.name, self.seed = self.record.name, 0


class Runner:
    """Records a cell, unless another has it; what fails does so the first time alone."""

    def __init__(self, folder: AblationFolder, fails: str = ""):
        self.folder, self.fails, self.ran = folder, fails, []

    def run(self, cell: Cell, is_left) -> dict:
        with hold(self.folder.lock(cell.record.digest)):
            error = "null" if cell.name != self.fails or cell.name in self.ran else '"no"'
            self.ran.append(cell.name)
            file = self.folder.file(cell.record.result)
            file.parent.mkdir(exist_ok=True)
            write_atomically(file, f'{{"error": {error}, "metrics": {{}}}}')
            return {"error": None, "metrics": {}}


CELLS = [Cell(name) for name in "abc"]


def test_a_process_takes_what_no_other_has(tmp_path):
    """The first cell, which another runs, is taken last; here it gives it back."""
    folder = AblationFolder(tmp_path)
    runner = Runner(folder)
    with contextlib.ExitStack() as other:
        other.enter_context(hold(folder.lock("a")))

        class Freeing(Runner):
            def run(self, cell, is_left):
                report = super().run(cell, is_left)
                if cell.name == "x=c":
                    other.close()
                return report

        runner = Freeing(folder)
        run_all(CELLS, runner, Todo(folder, False, 0.0))
    assert runner.ran == ["x=b", "x=c", "x=a"]


def test_what_another_has_run_meanwhile_is_not_run_again(tmp_path):
    """It ended between the look for what is left and the lock."""
    runner = CellRunner(Question(config="toy2d"), AblationFolder(tmp_path), None, {}, debug=True)
    assert runner.run(CELLS[0], lambda cell: False) is None
    assert not (tmp_path / "results").exists()


def runner_of(tmp_path, monkeypatch, trains, **more) -> tuple[CellRunner, list]:
    """Two cells of one model, whose training is `trains`."""
    monkeypatch.setattr(run_cell, "train", trains)
    question = Question(config="toy2d", over=(Axis("sampling.num_steps", ("3", "4")),))
    runner = CellRunner(question, AblationFolder(tmp_path), None, {}, **more)
    return runner, cells_of(question)


@pytest.mark.parametrize(
    ("error", "line", "trainings"),
    [
        (UserError("training: no\nfinite loss"), "training: no finite loss", 1),
        (TypeError("no\nshape"), "TypeError: no", 2),
    ],
)
def test_what_ends_a_training_ends_the_cells_of_its_model(
    error, line, trainings, tmp_path, monkeypatch
):
    """What the experiment is to blame for is not tried again for the second; `debug` raises it."""
    calls = []

    def trains(*given, **more):
        calls.append(given)
        raise error

    runner, cells = runner_of(tmp_path, monkeypatch, trains)
    for cell in cells:
        assert runner.run(cell, lambda cell: True)["error"] == line
        assert runner.folder.result(cell.record)["metrics"] == {}
    assert len(calls) == trainings
    runner, cells = runner_of(tmp_path, monkeypatch, trains, debug=True)
    with pytest.raises(type(error)):
        runner.run(cells[0], lambda cell: True)


def test_a_stopped_training_records_nothing(tmp_path, monkeypatch):
    def trains(*given, **more):
        return SimpleNamespace(finished=False, stopped="ended by SIGTERM at step 3")

    runner, cells = runner_of(tmp_path, monkeypatch, trains)
    with pytest.raises(run_cell.StoppedError, match="ended by SIGTERM at step 3"):
        runner.run(cells[0], lambda cell: True)
    assert not runner.folder.file(cells[0].record.result).exists()


def test_what_failed_is_run_again_once_where_it_is_asked_for(tmp_path):
    folder = AblationFolder(tmp_path)
    runner = Runner(folder, fails="x=b")
    run_all(CELLS, runner, Todo(folder, False, 0.0))
    run_all(CELLS, runner, Todo(folder, False, time.time() + 10))
    assert runner.ran == ["x=a", "x=b", "x=c"]
    todo = Todo(folder, True, time.time() + 10)
    assert [todo.holds(cell) for cell in CELLS] == [False, True, False]
    run_all(CELLS, runner, todo)
    assert runner.ran[3:] == ["x=b"]


def test_a_process_waits_for_what_another_runs(tmp_path, monkeypatch, capsys):
    """It looks again, and says nothing of a cell that the other has run at last."""
    monkeypatch.setattr(run, "_PAUSE", 0.001)
    folder, looks = AblationFolder(tmp_path), []
    other = Runner(folder)

    class Waiting(Runner):
        def run(self, cell, is_left):
            looks.append(cell.name)
            if len(looks) == 3:
                other.run(cell, is_left)
                return None
            with hold(folder.lock("a")):
                return super().run(cell, is_left)

    waiting = Waiting(folder)
    run_all(CELLS[:1], waiting, Todo(folder, False, 0.0))
    assert (looks, other.ran, waiting.ran) == (["x=a"] * 3, ["x=a"], [])
    assert capsys.readouterr().out == ""


def test_a_lock_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "_PAUSE", 0.01)
    events = []

    def second():
        with locks.waiting(tmp_path / "lock"):
            events.append("second")

    thread = threading.Thread(target=second)
    with locks.waiting(tmp_path / "lock"):
        thread.start()
        thread.join(0.05)
        events.append("first")
    thread.join(10)
    assert events == ["first", "second"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_processes(number, tmp_path, monkeypatch):
    program, told = tmp_path / "program", tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$$ $*" >> {told}\nexec sleep 60\n', encoding="utf-8")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def send():
        while not told.is_file() or told.read_text(encoding="utf-8").count("\n") < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()
    assert run_jobs(["ablate", "--worker"], 2) is False
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    lines = [line.split(maxsplit=1) for line in told.read_text(encoding="utf-8").splitlines()]
    assert [words for _, words in lines] == ["-m experiments ablate --worker"] * 2
    for pid, _ in lines:
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_processes_that_end_as_they_should_not_are_told():
    assert run_jobs(["--help"], 2)
    with pytest.raises(UserError, match=r"--jobs: processes have ended with \[2\]"):
        run_jobs(["nonsense"], 1)
