"""The commands end to end: what they make, and that they make it again."""

import json
import types

import jax
import numpy as np
import pytest
from PIL import Image

from experiments.cli import main
from experiments.data import batches, load
from experiments.runtime import devices
from experiments.runtime.devices import make_mesh
from experiments.sampling.sampler import BatchedSampler
from experiments.training.train import Ended
from experiments.workdir.trained_model import TrainedModel
from tests.cases import takes_devices
from tests.experiments.conftest import DIGITS, metrics_of, state_of, train

USER_SDE = """
import jax.numpy as jnp

from sde_lib import SDE


class Flow(SDE):
    scale: float = 1.0

    def alpha(self, t):
        return 1 - jnp.asarray(t)

    def sigma(self, t):
        return self.scale * jnp.asarray(t)
"""


def test_a_run_that_stops_and_resumes_is_the_run_that_does_not(trained, tmp_path):
    assert train(tmp_path / "toy", "--config.training.num_steps=2") == 0
    assert train(tmp_path / "toy") == 0
    for ours, theirs in zip(state_of(tmp_path / "toy"), state_of(trained), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert metrics_of(tmp_path / "toy") == metrics_of(trained)
    assert [line["step"] for line in metrics_of(trained)] == [2, 4, 6]


def test_metrics_beyond_the_checkpoint_are_dropped_on_resume(trained, tmp_path):
    assert train(tmp_path / "toy", "--config.training.num_steps=2") == 0
    with (tmp_path / "toy" / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 4, "loss": 99.0}\n{"step": 6, "lo')
    assert train(tmp_path / "toy") == 0
    assert metrics_of(tmp_path / "toy") == metrics_of(trained)


@takes_devices(8)
def test_the_loss_is_the_same_on_one_device_and_on_eight(trained, tmp_path):
    assert train(tmp_path / "eight", "--devices=8") == 0
    ours, theirs = metrics_of(tmp_path / "eight"), metrics_of(trained)
    # Sums over the batch in another order: float32 rounding, 1e-7, grown over six steps of Adam.
    np.testing.assert_allclose(
        [line["loss"] for line in ours], [line["loss"] for line in theirs], rtol=1e-5
    )


def test_steps_scanned_in_one_call_equal_steps_called_one_by_one(trained, tmp_path):
    assert train(tmp_path / "scan", "--config.training.steps_per_call=2") == 0
    for ours, theirs in zip(state_of(tmp_path / "scan"), state_of(trained), strict=True):
        # Adam's first steps divide by the gradient's size, which turns roundings of 1e-7 into 1e-5.
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_sampling_does_not_depend_on_batch_or_devices(trained, capsys):
    outputs = []
    for name, arguments in {"a": ["--batch=8"], "b": ["--batch=24"], "c": ["--devices=1"]}.items():
        output = trained.parent / f"samples-{name}"
        command = ["sample", f"--workdir={trained}", f"--output={output}", *arguments]
        assert main(command) == 0
        assert f"{output}.png" in capsys.readouterr().out
        outputs.append(np.load(f"{output}.npz")["points"])
    assert outputs[0].shape == (20, 2)
    # Matrix products differ by batch size: float32 rounding over four steps.
    np.testing.assert_allclose(outputs[1], outputs[0], atol=1e-5)
    np.testing.assert_allclose(outputs[2], outputs[0], atol=1e-5)


def test_probability_flow_starts_from_the_latents_of_the_other_samplers(trained):
    """With one long step towards the prior nothing moves: both samplers show the latents."""
    mesh = devices.make_mesh()
    opened = TrainedModel.open(trained, ["--config.sampling.t_min=0.999"], mesh)
    flow = TrainedModel.open(
        trained,
        ["--config.sampling.t_min=0.999", "--config.sampling.solver=probability_flow"],
        mesh,
    )
    drawn = [
        BatchedSampler(_without_denoising(t.experiment), t.sde, t.model, (2,), mesh)
        .draw(8, seed=3)
        .x
        for t in (opened, flow)
    ]
    # From t = 1 to 0.999 the state moves by g √0.001 ≈ 0.14 at most for the stochastic one.
    np.testing.assert_allclose(drawn[0], drawn[1], atol=0.8)


def _without_denoising(experiment):
    import dataclasses

    return dataclasses.replace(
        experiment, sampling=dataclasses.replace(experiment.sampling, denoise=False)
    )


@pytest.mark.parametrize("name", ["ve", "user_flow:Flow"])
def test_another_sde_is_one_flag(name, tmp_path, monkeypatch):
    (tmp_path / "user_flow.py").write_text(USER_SDE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    extra = ["--config.sde.args.scale=2.0"] if ":" in name else []
    assert train(tmp_path / "run", f"--config.sde.name={name}", *extra) == 0
    assert main(["sample", "--workdir=run", "--output=drawn", "--devices=1"]) == 0
    assert np.isfinite(np.load("drawn.npz")["points"]).all()
    assert main(["likelihood", "--workdir=run", "--limit=8", "--devices=1"]) == 0
    report = json.loads(
        next((tmp_path / "run" / "likelihood").glob("*.json")).read_text(encoding="utf-8")
    )
    assert np.isfinite(report["bits_per_dim"])


def test_the_demo_on_images_end_to_end(tmp_path, capsys):
    workdir = tmp_path / "digits"
    loose = ["--config.sampling.rtol=0.1", "--config.sampling.atol=0.1"]
    assert main(["demo", f"--workdir={workdir}", *DIGITS, *loose]) == 0
    printed = capsys.readouterr().out
    assert "a classifier (9" in printed  # more than 90 % right on the real digits
    assert "bits/dim (standard error)" in printed
    (grid,) = (workdir / "samples").glob("training-00000004-*.png")
    assert json.loads(Image.open(grid).text["protocol"])["step"] == 4
    assert list((workdir / "tensorboard").iterdir())
    drawn = sorted((workdir / "samples").glob("step4-*.npz"))
    assert ["langevin" in path.name for path in drawn] == [False, True]
    arrays = np.load(drawn[1])
    assert arrays["images"].shape == (500, 8, 8, 1)
    assert arrays["images"].max() <= 16
    assert Image.open(drawn[1].with_suffix(".png")).size[0] > 10 * 8
    report = json.loads(next((workdir / "likelihood").glob("*.json")).read_text(encoding="utf-8"))
    assert report["examples"] == 360
    # Hardly trained, EDM's skip is a Gaussian of the data's scale: near log2(17) = 4.09 bits.
    assert 3.0 < report["bits_per_dim"] < 6.0


def test_a_demo_that_is_stopped_ends_there(tmp_path, monkeypatch, capsys):
    ended = Ended(types.SimpleNamespace(step=2), finished=False)
    monkeypatch.setattr("experiments.demo.train", lambda *_: ended)
    assert main(["demo", f"--workdir={tmp_path}"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "stopped and saved at step 2; the same command goes on from there"


def test_batches_are_permutations_and_can_start_anywhere():
    num, size = 10, 4
    stream = batches(0, num, size, 0)
    drawn = [next(stream) for _ in range(5)]
    flat = np.concatenate(drawn)
    assert sorted(flat[:10]) == list(range(10))
    assert sorted(flat[10:20]) == list(range(10))
    assert list(flat[:10]) != list(flat[10:20])
    np.testing.assert_array_equal(next(batches(0, num, size, 3)), drawn[3])
    large = next(batches(0, 3, 8, 0))
    assert np.bincount(large).min() >= 2


def test_toy_split_is_what_training_sees():
    assert load("toy:moons", "train").shape == (2,)


def test_training_keeps_the_weights_of_edm2_normalised(tmp_path):
    network = ["--config.model.name=edm2", "--config.model.head_dim=8"]
    network += ["--config.training.sample_every=0"]
    assert main(["train", "--config=digits", *DIGITS, *network, f"--workdir={tmp_path}/run"]) == 0
    trained = TrainedModel.open(tmp_path / "run", [], make_mesh(1), raw=True)
    for path, leaf in jax.tree_util.tree_leaves_with_path(trained.model.params):
        if path[-1].key == "weight":
            rms = np.sqrt(np.mean(np.square(leaf), axis=tuple(range(leaf.ndim - 1))))
            # ε = 1e-4 beside it; four updates of Adam would move it by more than 1e-3.
            np.testing.assert_allclose(rms, 1, atol=2e-4)
