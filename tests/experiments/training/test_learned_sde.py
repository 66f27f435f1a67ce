"""An SDE that is learned with the network: in the step, in checkpoints, and after training."""

import dataclasses
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from experiments.builders.check import check
from experiments.builders.model import build_model
from experiments.cli import main
from experiments.config_schema.flags import load_experiment
from experiments.data import Batch
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.runtime.devices import make_mesh
from experiments.state.learned_sde import valid_or_before
from experiments.state.train_state import init_state
from experiments.training.setup import make_objective, prepare
from experiments.training.step import make_gradient, make_update
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from models import MLP
from sde_lib import SDE, VE, VP, LearnedLogSNR, static, variational_bound
from tests.experiments.conftest import TOY, metrics_of, state_of, train
from tests.experiments.training.stopped import stop_before

LEARN = [
    "--config.sde.name=learned",
    "--config.training.learn_sde=('increments','log_snr_max','log_snr_min')",
    "--config.training.weighting=likelihood",
]
NAMES = ("increments", "log_snr_max", "log_snr_min")
KEPT = ["--config.training.ema_decay=0.5", "--config.training.averages=('power:0.1',)"]
KEPT += ["--config.training.save_every=2"]
NUM = 16


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """The workdir of a tiny run that has learned its SDE. Tests must not change it."""
    workdir = tmp_path_factory.mktemp("runs") / "learned"
    assert train(workdir, *LEARN, *KEPT) == 0
    return workdir


def objective_of(*flags):
    """The experiment, its network and objective, on points."""
    toy = [flag for flag in TOY if flag.startswith("--config.")]
    experiment = load_experiment("toy2d", [*toy, *LEARN, *flags])
    network = MLP(hidden=(8,))
    return experiment, network, make_objective(experiment, network, split_of(experiment, "train"))


def opened(workdir, **which):
    return TrainedModel.open(workdir, [], make_mesh(1), **which)


def test_a_step_moves_the_network_and_the_sde_by_the_bound():
    """The gradient is the bound's, in two parts, and the optimizer bounds each part's norm.

    With one step of plain descent, of a rate of one, the parameters move by the clipped gradient.
    """
    plain = ["--config.training.optimizer=sgd", "--config.training.beta1=0.0"]
    rate = ["--config.training.learning_rate=1.0", "--config.training.warmup=0"]
    bounds = ["--config.training.grad_clip=0.01", "--config.training.schedule=constant"]
    experiment, network, objective = objective_of(*plain, *rate, *bounds)
    state = init_state(experiment, network, (2,), make_mesh(1))
    key, batch = (
        jax.random.fold_in(state.key, 0),
        Batch(jax.random.normal(seeds.key_of(1), (NUM, 2))),
    )
    draw_key, dropout_key = jax.random.split(key)
    drawn = objective.draw(draw_key, batch)

    def bound(params):
        def model_under(sde):
            return build_model(experiment, sde, network, params["model"])

        sde = dataclasses.replace(LearnedLogSNR(), **params["sde"])
        x, t, noise = drawn.data, drawn.t, drawn.noise
        return variational_bound(sde, model_under, x, t, noise, t_min=0.0).total.mean()

    expected = jax.jit(jax.grad(bound))(state.params)
    gradient = jax.jit(make_gradient(objective, 2))
    value, losses, slope = gradient(state.params, drawn, jnp.ones(NUM), dropout_key)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-3, atol=1e-4), slope, expected)
    assert_allclose(value, np.mean(losses), rtol=1e-6)
    assert min(np.abs(slope["sde"][name]).max() for name in NAMES) > 1e-3

    after = jax.jit(make_update(experiment.training, objective, network))(state, batch)
    for part in ("model", "sde"):
        moved = jax.tree.map(np.subtract, state.params[part], after.params[part])
        slopes = jax.tree.map(np.asarray, expected[part])
        norm = np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(slopes)))
        clipped = jax.tree.map(lambda leaf, norm=norm: 0.01 * leaf / norm, slopes)
        # A number of 13 keeps 1e-6 of a step of 0.01.
        jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-3, atol=1e-5), moved, clipped)
    # The first update has a weight of 9/10 in the average.
    average = after.averages[str(experiment.training.ema_decay)]["sde"]["log_snr_max"]
    assert_allclose(average, 0.9 * after.params["sde"]["log_snr_max"] + 1.3, rtol=1e-6)


class Straight(SDE):
    """log-SNR 3 − k t."""

    k: float = 1.0

    def alpha(self, t):
        return jnp.sqrt(jax.nn.sigmoid(3 - self.k * t))

    def sigma(self, t):
        return jnp.sqrt(jax.nn.sigmoid(self.k * t - 3))


def test_numbers_that_make_no_sde_stay_as_they_were():
    def after(sde, **numbers):
        before = {name: jnp.asarray(getattr(sde, name)) for name in numbers}
        new = {name: jnp.asarray(value) for name, value in numbers.items()}
        kept = jax.jit(valid_or_before)(sde, new, before)
        return {name: float(value) for name, value in kept.items()}

    def close(**numbers):
        return pytest.approx(numbers, rel=1e-6)

    assert after(VP(), beta_min=0.2, beta_max=19.0) == close(beta_min=0.2, beta_max=19.0)
    # Out of its range, and it alone.
    assert after(VP(), beta_min=-0.1, beta_max=19.0) == close(beta_min=0.1, beta_max=19.0)
    assert after(VE(), sigma_min=-0.1, sigma_max=49.0) == close(sigma_min=0.01, sigma_max=49.0)
    # Each in its range, and no SDE together.
    sde = LearnedLogSNR(log_snr_max=2.0, log_snr_min=1.0)
    assert after(sde, log_snr_max=2.5, log_snr_min=3.0) == close(log_snr_max=2.0, log_snr_min=1.0)
    # Noise that would fade.
    assert after(Straight(), k=2.0) == close(k=2.0)
    assert after(Straight(), k=-1.0) == close(k=1.0)


# --- runs ---------------------------------------------------------------------------------------


def test_a_run_that_stops_and_resumes_is_the_run_that_does_not(learned, tmp_path, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        stop_before(patched, 2, signal.SIGTERM)
        assert train(run, *LEARN, *KEPT) == 0
    assert len(metrics_of(run)) < len(metrics_of(learned))
    assert train(run, *LEARN, *KEPT) == 0
    for ours, theirs in zip(state_of(run), state_of(learned), strict=True):
        assert_array_equal(ours, theirs)
    assert metrics_of(run) == metrics_of(learned)


def test_what_comes_after_training_has_the_learned_sde(learned, capsys):
    """That of the average, or of the parameters; its numbers are in the results' protocol."""
    ema, raw = opened(learned), opened(learned, raw=True)
    power, wide = (opened(learned, average=name) for name in ("power:0.1", "power:0.11"))
    first = LearnedLogSNR()
    ends = [run.sde.log_snr_max for run in (ema, raw, power, wide)]
    assert len({first.log_snr_max, *ends}) == 5
    for run in (ema, raw, power):
        assert run.model.sde == run.sde
        assert run.sde.increments != first.increments
        for name in NAMES:
            assert run.protocol["sde"][name] == getattr(run.sde, name)
    last = metrics_of(learned)[-1]
    assert_allclose([last["sde.log_snr_max"]], raw.sde.log_snr_max, rtol=1e-6)
    assert_allclose(last["sde.increments"], raw.sde.increments, rtol=1e-6)
    assert main(["status", f"--workdir={learned}"]) == 0
    assert "sde.log_snr_max 1" in capsys.readouterr().out
    assert main(["sample", "--devices=1", f"--workdir={learned}", "--num=4"]) == 0


def test_what_is_exported_has_the_learned_sde_as_its_own(learned, tmp_path, capsys):
    file, workdir = tmp_path / "learned.safetensors", tmp_path / "again"
    assert main(["export", f"--workdir={learned}", f"--output={file}"]) == 0
    back = ["import", "--from=safetensors", str(file), f"--workdir={workdir}"]
    assert main([*back, "--config.training.learn_sde=('increments',)"]) == 2
    assert "training.learn_sde: got ('increments',), takes ()" in capsys.readouterr().err
    assert main(back) == 0
    ours, theirs = opened(workdir), opened(learned)
    assert ours.sde == theirs.sde
    assert ours.experiment.training.learn_sde == ()
    jax.tree.map(assert_array_equal, ours.model.params, theirs.model.params)


def test_a_run_may_start_from_one_with_or_without_a_learned_sde(learned, trained, tmp_path, capsys):
    still = ["--config.training.learning_rate=1e-30", "--config.training.num_steps=2"]
    assert train(tmp_path / "same", *LEARN, *still, f"--init_from={learned}") == 0
    assert opened(tmp_path / "same").sde == opened(learned).sde
    toy = [flag for flag in [*TOY, *LEARN] if flag.startswith("--config.")]
    new = load_experiment("toy2d", [*toy, f"--config.training.init_from={trained}"])
    params = prepare(new, Workdir(tmp_path / "new"), make_mesh(1)).params
    assert params["sde"]["log_snr_max"] == LearnedLogSNR().log_snr_max
    jax.tree.map(assert_array_equal, params["model"], opened(trained).model.params)
    assert train(tmp_path / "other", *still, f"--init_from={learned}") == 2
    assert "has learned its SDE's increments, log_snr_max" in capsys.readouterr().err


# --- bad input ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["learn_sde=('increment',)"], ["'increment'", "did you mean 'increments'?"]),
        (["learn_sde=('increments','increments')"], ["got 'increments' twice"]),
        (["learn_sde=(1,)"], ["got (1,)", "strings"]),
        (["weighting=edm"], ["training.weighting: got 'edm', takes 'likelihood'"]),
        (["times=log_snr"], ["training.times: got 'log_snr', takes 'uniform'"]),
        (["adaptive_weighting=True"], ["training.adaptive_weighting: got True, takes False"]),
        (["/sde.name=flow", "learn_sde=('t',)"], ["takes ()", "Flow has no numbers"]),
        (["/sde.name=edm", "/model.conditioning=smld_step", "learn_sde=('rho',)"], ["log_noise"]),
        (["/sde.name=tests.user_sde:StraightPath", "learn_sde=('noise_std',)"], ["infinite"]),
        (["/sde.name=%s:Bent", "learn_sde=('power',)"], ["'power'", "takes scale"]),
        (["/sde.name=%s:Bent", "learn_sde=('kind',)"], ["'kind'", "takes scale"]),
    ],
)
def test_refused(flags, words):
    """What the section cannot mean; a flag is of `training` unless it says where."""
    flags = [flag if flag.startswith("/") else f"/training.{flag}" for flag in flags]
    given = [f"--config.{flag[1:]}".replace("%s", __name__) for flag in flags]
    with pytest.raises(UserError) as refused:
        check(load_experiment("toy2d", [*LEARN, *given]))
    line = str(refused.value)
    assert all(word in line for word in words), line
    assert "\n" not in line


class Bent(SDE):
    """An SDE with a number, a whole number, and a part of the program."""

    scale: float = 2.0
    power: int = 1
    kind: str = static(default="plain")

    def alpha(self, t):
        """1, at all times."""
        return jnp.ones_like(t)

    def sigma(self, t):
        """scale tᵖ, and a little at 0."""
        return 0.01 + self.scale * t**self.power


def test_data_without_a_density_is_refused():
    """The bound on a density has no end where examples are whole numbers."""
    flags = ["--config.data.source=digits", "--config.data.dequantization=False"]
    with pytest.raises(UserError, match=r"data\.dequantization: got False, takes True"):
        objective_of(*flags)[2].check()
