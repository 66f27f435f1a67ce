"""Trackers: what they are told, by packages that only remember; what resumes; what is refused."""

import importlib.metadata
import json
import sys
import types
from importlib.machinery import ModuleSpec

import numpy as np
import pytest

from experiments.errors import UserError
from experiments.training.trackers import check_trackers, open_trackers
from experiments.workdir.metrics import MetricsWriter, read_metrics
from tests.experiments.conftest import train

NAMES = ("wandb", "mlflow", "trackio")
PICTURE = np.zeros((2, 3, 3), np.uint8)


class Recorder:
    """Whatever is called of it is remembered, with its arguments."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **more):
            self.calls.append((name, arguments, more))
            return self

        return call

    def of(self, name):
        return [(arguments, more) for called, arguments, more in self.calls if called == name]


class Runs(Recorder):
    """MLflow's client: experiments by name and runs with ids."""

    def __init__(self):
        super().__init__()
        self.experiments = set()

    def get_experiment_by_name(self, name):
        return types.SimpleNamespace(experiment_id="7") if name in self.experiments else None

    def create_experiment(self, name, artifact_location):
        assert artifact_location.startswith("file:///")
        self.experiments.add(name)
        return "7"

    def create_run(self, place, **more):
        self.calls.append(("create_run", (place,), more))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="made-by-mlflow"))


@pytest.fixture
def packages(monkeypatch):
    """The three packages, as recorders by name."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: ModuleSpec(name, None))
    found = {"wandb": Recorder(), "trackio": Recorder(), "mlflow": Runs()}
    client = types.ModuleType("mlflow")
    client.MlflowClient = lambda uri: (
        found["mlflow"].calls.append(("uri", (uri,), {})) or found["mlflow"]
    )
    entities = types.ModuleType("mlflow.entities")
    entities.Metric = lambda *values: values
    for name, module in {**found, "mlflow": client, "mlflow.entities": entities}.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI", "TRACKIO_DIR"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.fixture
def workdir(tmp_path):
    (tmp_path / "config.json").write_text('{"sde": {"name": "ve"}}', encoding="utf-8")
    return tmp_path


def write(workdir, step, names=NAMES):
    """One line of metrics and a picture, as a run that starts before them writes them."""
    check_trackers(names)
    with MetricsWriter(
        workdir / "metrics.jsonl", step - 1, open_trackers(names, workdir, step - 1)
    ) as writer:
        writer.scalars(step, {"loss": 0.5, "loss_by_time": [1.0, None, 3.0], "gap": None})
        writer.image(step, "samples", PICTURE)


def test_every_tracker_is_told_the_numbers_the_picture_and_the_config(workdir, packages):
    write(workdir, 10)
    told = {"loss": 0.5, "loss_by_time/0": 1.0, "loss_by_time/2": 3.0}
    for name in ("wandb", "trackio"):
        (numbers, _) = packages[name].of("log")
        assert numbers == ((told,), {"step": 10})
        (begun,) = packages[name].of("init")
        assert begun[1]["config"] == {"sde.name": "ve"}
        assert [arguments[0] for arguments, _ in packages[name].of("Image")] == [PICTURE]
        assert len(packages[name].of("finish")) == 1
    mlflow = packages["mlflow"]
    (batch,) = mlflow.of("log_batch")
    assert {(key, value, step) for key, value, _, step in batch[1]["metrics"]} == {
        (key, value, 10) for key, value in told.items()
    }
    assert mlflow.of("log_param") == [(("made-by-mlflow", "sde.name", "ve"), {})]
    assert mlflow.of("log_image")[0][0][1:] == (PICTURE, "samples-00000010.png")
    assert mlflow.of("set_terminated") == [(("made-by-mlflow",), {})]
    # What is the truth has all of it.
    line = {"step": 10, "loss": 0.5, "loss_by_time": [1.0, None, 3.0], "gap": None}
    assert read_metrics(workdir / "metrics.jsonl") == [line]


def test_they_stay_on_this_machine(workdir, packages, monkeypatch):
    write(workdir, 1)
    (begun,) = packages["wandb"].of("init")
    assert (begun[1]["mode"], begun[1]["dir"]) == ("offline", str(workdir))
    assert packages["mlflow"].of("uri") == [((f"sqlite:///{workdir}/mlflow.db",), {})]
    monkeypatch.setenv("WANDB_MODE", "online")
    write(workdir, 2, ["wandb"])
    assert packages["wandb"].of("init")[1][1]["mode"] == "online"


def test_a_run_that_resumes_goes_on_in_the_same_tracked_run(workdir, packages):
    write(workdir, 1)
    write(workdir, 2)
    ids = {more["id"] for _, more in packages["wandb"].of("init")}
    names = {more["name"] for _, more in packages["trackio"].of("init")}
    assert (len(ids), len(names)) == (1, 1)
    assert {more["resume"] for _, more in packages["wandb"].of("init")} == {"allow"}
    assert len(packages["mlflow"].of("create_run")) == 1
    assert [a[0] for a, _ in packages["mlflow"].of("log_batch")] == ["made-by-mlflow"] * 2
    kept = json.loads((workdir / "trackers.json").read_text(encoding="utf-8"))
    assert kept["mlflow"] == "made-by-mlflow"
    assert {kept["wandb"]} == ids


def test_a_tracker_that_fails_is_left_out_with_one_line(workdir, packages, capsys):
    def fail(*_, **__):
        raise RuntimeError("no\nnetwork")

    packages["wandb"].log = fail
    write(workdir, 1, ["wandb", "trackio"])
    error = capsys.readouterr().err
    assert error == "training.trackers: wandb is left out (RuntimeError: no); see metrics.jsonl\n"
    assert len(packages["trackio"].of("log")) == 2
    assert len(read_metrics(workdir / "metrics.jsonl")) == 1


def test_one_that_cannot_begin_is_refused(workdir, packages):
    def fail(*_, **__):
        raise RuntimeError("not logged in")

    packages["wandb"].init = fail
    with pytest.raises(UserError, match=r"training\.trackers: wandb: RuntimeError: not logged in"):
        write(workdir, 1, ["wandb"])


def test_what_a_package_adds(workdir, monkeypatch):
    class Own(Recorder):
        package = "json"

        def __init__(self, run):
            super().__init__()
            made.append((self, run))

    made: list = []
    point = types.SimpleNamespace(name="own", load=lambda: Own)
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [point] * (group == "scoresde.trackers")
    )
    write(workdir, 3, ["own"])
    ((tracker, run),) = made
    assert [name for name, _, _ in tracker.calls] == ["scalars", "image", "close"]
    assert (run.step, run.folder) == (2, workdir)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mlflow", "'mlflow' is not installed; takes pip install 'scoresde[mlflow]'"),
        ("wandbb", "unknown tracker 'wandbb'; did you mean 'wandb'?"),
    ],
)
def test_a_tracker_that_is_not_there_stops_a_run_at_its_start(
    name, says, tmp_path, capsys, monkeypatch
):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda n, *more: None if n == "mlflow" else find(n, *more)
    )
    assert train(tmp_path / "run", f"--config.training.trackers=('tensorboard','{name}')") == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"training.trackers: {says}" in error
    assert not (tmp_path / "run").exists()


def test_a_run_may_change_its_trackers(trained, tmp_path):
    """Without any it writes the same metrics, and it goes on with some."""
    few = ["--config.training.num_steps=2", "--config.training.trackers=()"]
    assert train(tmp_path / "run", *few) == 0
    assert not (tmp_path / "run" / "tensorboard").exists()
    assert train(tmp_path / "run") == 0
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    ours, theirs = (read_metrics(p / "metrics.jsonl") for p in (tmp_path / "run", trained))
    assert [line["loss"] for line in ours] == [line["loss"] for line in theirs]
