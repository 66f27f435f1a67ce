"""Evaluation while a run is trained."""

import json
import shutil

import jax
import numpy as np
import pytest

from experiments.config_schema.flags import load_experiment
from experiments.data import Split
from experiments.errors import UserError
from experiments.training.evaluation import check_evaluation
from tests.experiments.conftest import metrics_of, train
from tests.experiments.evaluation.conftest import FD


def test_while_training(trained, tmp_path, drawn, no_pictures):
    """Lines beside those of training, again the same after a stop; the run is the same run."""
    watch = ["--config.training.evaluate_every=4", f"--config.training.evaluate_metrics={FD}"]
    watch += ["--config.training.evaluate_num=32"]
    assert train(tmp_path / "toy", *watch) == 0
    lines = metrics_of(tmp_path / "toy")
    assert [line["step"] for line in lines if "eval/fd" in line] == [4]
    assert [line for line in lines if "loss" in line] == metrics_of(trained)
    assert drawn == [0, 16]
    assert train(tmp_path / "cut", *watch, "--config.training.num_steps=2") == 0
    assert train(tmp_path / "cut", *watch) == 0
    assert metrics_of(tmp_path / "cut") == lines
    assert not list((tmp_path / "toy").glob("evaluation/features/samples-*"))
    (file,) = (tmp_path / "toy" / "evaluation").glob("step4-*.json")
    kept = json.loads(file.read_text(encoding="utf-8"))
    (line,) = [line for line in lines if "eval/fd" in line]
    assert line["eval/fd"] == kept["metrics"]["fd"]["value"]
    assert kept["protocol"]["samples"]["parameters"] == "ema"


def test_samples_that_are_not_finite_stop_no_run(trained, tmp_path, capsys):
    """Neither where they are measured nor where they are shown: it may still learn."""
    shutil.copytree(trained, tmp_path / "run")
    (tmp_path / "run" / "samples").mkdir(exist_ok=True)
    there = set((tmp_path / "run" / "samples").iterdir())
    watch = ["evaluate_every=7", "evaluate_metrics=sw2", "evaluate_num=16", "sample_every=7"]
    flags = [f"--config.training.{field}" for field in ("num_steps=8", *watch)]
    far = ["--config.sampling.solver=none", "--config.sampling.corrector=langevin:snr=1e30"]
    assert train(tmp_path / "run", *flags, *far) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "not finite" in line]
    for num, line in zip((16, 20), sorted(said), strict=True):
        assert line.startswith(f"step 7: sampling: {num} of {num} samples are not finite: the sta")
    lines = metrics_of(tmp_path / "run")
    assert lines[-1]["step"] == 8
    assert not any("eval/sw2" in line for line in lines)
    assert set((tmp_path / "run" / "samples").iterdir()) == there


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("metrics=fid", ["training.evaluate_metrics", "unknown metric 'fid'"]),
        ("metrics=accuracy", ["accuracy", "without labels"]),
        ("features=inceptoin", ["training.evaluate_features", "'inceptoin'"]),
        ("num=1", ["training.evaluate_num", "got 1", "≥ 2"]),
        ("num=49", ["training.evaluate_num: got 49, takes 50 or more with c2st"]),
    ],
)
def test_a_run_that_could_not_measure_does_not_start(field, words, tmp_path, capsys):
    flags = ["--config.training.evaluate_every=2", f"--config.training.evaluate_{field}"]
    assert train(tmp_path / "run", *flags) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert not (tmp_path / "run").exists()


def test_many_processes_do_not_measure(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    experiment = load_experiment("toy2d", ["--config.training.evaluate_every=5"])
    with pytest.raises(UserError, match=r"^training.evaluate_every: got 5, takes 0 with many"):
        check_evaluation(experiment, Split.of(np.zeros((4, 2))))
