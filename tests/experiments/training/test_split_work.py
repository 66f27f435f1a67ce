"""The same run however its work is split: over devices, in parts of a batch, from a stream."""

import signal

import numpy as np
import pytest

from experiments.config_schema.resolve import resolve
from experiments.runtime.devices import make_mesh
from experiments.training.input_pipeline import Streaming
from experiments.workdir.folder import Workdir
from experiments.workdir.restored_run import restore
from tests.cases import takes_devices
from tests.experiments.conftest import metrics_of, train
from tests.experiments.training.stopped import same, stop_before


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--devices=4", "--fsdp=2"], marks=takes_devices(4)),
        pytest.param(
            ["--devices=4", "--fsdp=4", "--config.training.accumulate=2"], marks=takes_devices(4)
        ),
    ],
)
def test_the_loss_is_the_same_however_the_work_is_split(trained, tmp_path, arguments, monkeypatch):
    monkeypatch.setattr("experiments.runtime.sharding.MIN_SIZE", 1)
    assert train(tmp_path / "run", *arguments) == 0
    ours, theirs = metrics_of(tmp_path / "run"), metrics_of(trained)
    # Sums over the batch in another order: float32 rounding, 1e-7, grown over six steps of Adam.
    for name in ("loss", "grad_norm"):
        np.testing.assert_allclose(
            [line[name] for line in ours], [line[name] for line in theirs], rtol=1e-5
        )


def test_streamed_data_is_the_same_data(trained, tmp_path):
    assert train(tmp_path / "run", "--config.data.stream=True") == 0
    same(tmp_path / "run", trained)


@pytest.mark.parametrize("source", ["toy:moons", "toy:regression"])
def test_conditions_are_the_same_streamed_and_when_a_run_goes_on(source, tmp_path, monkeypatch):
    """Labels and vectors, of data on the device and of a stream that was stopped in between."""
    fields = [f"--config.data.source={source}", "--config.model.conditional=True"]
    assert train(tmp_path / "whole", *fields) == 0
    with monkeypatch.context() as patched:
        stop_before(patched, 3, signal.SIGTERM, Streaming)
        assert train(tmp_path / "run", *fields, "--config.data.stream=True") == 0
    assert len(metrics_of(tmp_path / "run")) < len(metrics_of(tmp_path / "whole"))
    assert train(tmp_path / "run", *fields, "--config.data.stream=True") == 0
    same(tmp_path / "run", tmp_path / "whole")


@takes_devices(4)
def test_labels_stay_with_their_examples_however_the_work_is_split(tmp_path):
    """On four devices that share the parameters, in two parts of a batch; as on one."""
    fields = ["--config.data.source=toy:moons", "--config.model.conditional=True"]
    split = ["--devices=4", "--fsdp=2", "--config.training.accumulate=2"]
    for name, more in (("one", []), ("split", split)):
        assert train(tmp_path / name, *fields, *more) == 0
    ours, theirs = metrics_of(tmp_path / "split"), metrics_of(tmp_path / "one")
    # As above: roundings of sums in another order.
    losses = [[line["loss"] for line in lines] for lines in (ours, theirs)]
    np.testing.assert_allclose(*losses, rtol=1e-5)


@takes_devices(4)
def test_parameters_lie_where_the_table_says(tmp_path, capsys):
    hidden = "--config.model.hidden=(64,64)"
    assert train(tmp_path / "run", hidden, "--devices=4", "--fsdp=2", "--explain-sharding") == 0
    lines = capsys.readouterr().out.splitlines()
    (kernel,) = (line for line in lines if line.startswith("dense_1/kernel"))
    assert kernel.split("  ")[-1].strip() == f"{64 * 32 * 4:,}"
    experiment = resolve(Workdir(tmp_path / "run").load())
    state = restore(Workdir(tmp_path / "run"), experiment, (2,), make_mesh(4, 2))
    for tree in (state.params, *state.averages.values()):
        assert tree["dense_1"]["kernel"].addressable_shards[0].data.shape == (64, 32)
