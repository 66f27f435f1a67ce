"""What the terminal shows of a run, and what runs of one process keep for each other."""

import sys
from types import SimpleNamespace

import pytest

from experiments.config_schema.flags import load_experiment
from experiments.training.input_pipeline import Throughput
from experiments.training.log import TrainingLog
from experiments.training.shared import Shared
from experiments.workdir.folder import Workdir


@pytest.mark.parametrize("terminal", [False, True])
def test_a_bar_on_a_terminal_and_lines_elsewhere(terminal, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    experiment = load_experiment("toy2d", ["--config.training.num_steps=8"])
    workdir, throughput = Workdir(tmp_path), Throughput(0, SimpleNamespace(waited=0.0))
    workdir.record(experiment)
    with TrainingLog(workdir, experiment.training, 0, throughput) as log:
        log.line(2, {"loss": 0.5})
        log.line(6, {"loss": 0.25})
    said = capsys.readouterr().err
    assert "loss 0.25" in said
    assert ("step 6/8: loss 0.25" in said) == (not terminal)
    assert (" 75%|" in said and "| 6/8, loss 0.25, " in said) == terminal


def test_the_newest_data_are_kept():
    """Of two data sets; what was dropped is read again."""
    shared, read = Shared(), []

    def data(source):
        experiment = load_experiment("toy2d", [f"--config.data.source=toy:{source}"])
        return shared.data("training", experiment, lambda: read.append(source) or source)

    assert [data(name) for name in ("moons", "rings", "moons")] == ["moons", "rings", "moons"]
    assert read == ["moons", "rings"]
    assert [data(name) for name in ("mixture", "rings", "moons")] == ["mixture", "rings", "moons"]
    assert read == ["moons", "rings", "mixture", "moons"]
