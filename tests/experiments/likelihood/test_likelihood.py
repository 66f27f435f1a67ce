"""The command `likelihood`: what it writes, what it resumes, what it refuses; its error bars."""

import json
import shutil

import numpy as np
import pytest
from numpy.testing import assert_allclose

from experiments.cli import main
from experiments.data import load
from experiments.likelihood import measure as likelihood
from experiments.likelihood.result import Likelihood, Mean
from experiments.runtime import devices
from experiments.workdir.trained_model import TrainedModel
from samplers import ByTolerance, ProbabilityFlow, RungeKutta

LIKELIHOOD = ["--limit=20", "--seed=1", "--devices=1"]


def measure(workdir, *arguments):
    """Run the command; the report, the arrays and the picture's path."""
    before = set((workdir / "likelihood").glob("*.json"))
    assert main(["likelihood", f"--workdir={workdir}", *LIKELIHOOD, *arguments]) == 0
    (path,) = set((workdir / "likelihood").glob("*.json")) - before
    return (
        json.loads(path.read_text(encoding="utf-8")),
        dict(np.load(path.with_suffix(".npz"))),
        path,
    )


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the trained toy that a test may write to."""
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("likelihood"))
    return tmp_path / "run"


def test_every_example_with_its_protocol(workdir, capsys):
    report, arrays, path = measure(workdir)
    assert "bits/dim" in capsys.readouterr().out
    bits = arrays["bits_per_dim"]
    assert report["examples"] == len(bits) == 20
    assert report["bits_per_dim"] == pytest.approx(bits.mean(), rel=1e-6)
    error = bits.std(ddof=1) / np.sqrt(20)
    assert report["standard_error"] == pytest.approx(error, rel=1e-5)
    # 2.093 is the 97.5 % quantile of Student's t with 19 degrees of freedom, from a table.
    half = np.array([-1, 1]) * 2.093 * error
    assert_allclose(np.array(report["interval_95"]) - bits.mean(), half, rtol=1e-3)
    assert report["protocol"]["num_steps"] == 12
    assert report["protocol"]["parameters"] == "ema"
    assert arrays["evaluations"].tolist() == [13] * 20
    assert "differential" in report["target"]
    assert path.with_suffix(".png").stat().st_size > 1000
    assert not list(path.parent.glob("*.parts"))

    again, other, _ = measure(workdir, "--batch=8")
    assert_allclose(other["bits_per_dim"], bits, atol=1e-4)  # float32 in another order
    assert again["protocol"]["batch_size"] == 8
    raw, _, _ = measure(workdir, "--raw")
    assert raw["protocol"]["parameters"] == "raw"


def test_a_killed_run_goes_on_with_the_same_numbers(workdir, monkeypatch):
    _, whole, path = measure(workdir, "--batch=8")
    for file in path.parent.iterdir():
        file.unlink()
    batch, calls = likelihood.Estimator.batch, []

    def killed(self, dataset, rows, **options):
        calls.append(rows[0])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return batch(self, dataset, rows, **options)

    monkeypatch.setattr(likelihood.Estimator, "batch", killed)
    assert main(["likelihood", f"--workdir={workdir}", *LIKELIHOOD, "--batch=8"]) == 130
    _, resumed, _ = measure(workdir, "--batch=8")
    assert calls == [0, 8, 8, 16]
    for name, values in whole.items():
        np.testing.assert_array_equal(resumed[name], values)


def test_solvers_agree_and_know_their_error(workdir):
    fine, _, _ = measure(workdir, "--solver=dopri5", "--rtol=1e-5")
    for arguments in (["--solver=adams", "--steps=60"], ["--solver=dopri5", "--steps=12"]):
        report, _, _ = measure(workdir, *arguments, "--check_solver")
        # The bits are a mean of errors whose root mean square the report states.
        assert (
            abs(report["bits_per_dim"] - fine["bits_per_dim"]) < 3 * report["solver_error"] + 1e-4
        )
        assert report["solver_error"] < 1e-2
    bound, arrays, _ = measure(workdir, "--estimator=elbo")
    assert "variational" in bound["target"]
    half = np.diff(arrays["interval_95"], axis=1)[:, 0] / 2
    assert_allclose(half, 3.182 * arrays["standard_error"], rtol=1e-3)


def test_images(trained_digits, tmp_path, capsys):
    """Discrete data: draws, their bounds, other images in the order of their file."""
    workdir = tmp_path / "digits"
    shutil.copytree(trained_digits, workdir)
    arguments = [f"--workdir={workdir}", "--limit=24", "--batch=24", "--probes=2", "--devices=1"]
    common = ["--config.likelihood.num_steps=8"]
    reports = {}
    for dequantization in ("uniform", "truncated_normal"):
        chosen = [*common, f"--dequantization={dequantization}", "--repeats=3"]
        assert main(["likelihood", *arguments, *chosen]) == 0
        (path,) = (workdir / "likelihood").glob(f"*-{dequantization}-*.json")
        report, arrays = (
            json.loads(path.read_text(encoding="utf-8")),
            np.load(path.with_suffix(".npz")),
        )
        reports[dequantization] = report
        assert "upper bound on −log₂ P" in report["target"]
        assert report["importance_weighted"]["bits_per_dim"] < report["bits_per_dim"]
        assert report["importance_weighted"]["kind"].startswith("estimate")
        errors = arrays["standard_error"]
        assert np.all(errors > 0)
        own = np.sqrt(np.sum(errors**2)) / 24
        assert report["standard_error_of_this_split"] == pytest.approx(own, rel=1e-5)
    # Δ/6, where Δ = 2/17.
    start = reports["truncated_normal"]["protocol"]["noise_to_signal_min"]
    assert start == pytest.approx(2 / 17 / 6, rel=1e-3)

    # One draw does not tell what another would.
    for file in (workdir / "likelihood").iterdir():
        file.unlink()
    assert main(["likelihood", *arguments, *common]) == 0
    (path,) = (workdir / "likelihood").glob("*.json")
    assert json.loads(path.read_text(encoding="utf-8"))["standard_error_of_this_split"] is None
    assert np.isnan(np.load(path.with_suffix(".npz"))["standard_error"]).all()
    usual = np.load(path.with_suffix(".npz"))["bits_per_dim"]

    # The same images from a file: all of it, in its order.
    images = load("digits", "test").values[:24]
    np.savez(tmp_path / "some.npz", images=images, levels=17)
    data = f"--data=npz:{tmp_path}/some.npz"
    assert main(["likelihood", *arguments, *common, data]) == 0
    (other,) = (workdir / "likelihood").glob("all-*.npz")
    assert_allclose(np.load(other)["bits_per_dim"], usual, atol=1e-5)
    np.savez(tmp_path / "one.npz", images=images[:1], levels=17)
    assert main(["likelihood", *arguments, *common, f"--data=npz:{tmp_path}/one.npz"]) == 0
    np.savez(tmp_path / "many.npz", images=images)
    capsys.readouterr()
    assert main(["likelihood", *arguments, f"--data=npz:{tmp_path}/many.npz"]) == 2
    assert "levels 256, takes 17" in capsys.readouterr().err


def test_other_examples(workdir, tmp_path, capsys):
    np.savez(tmp_path / "images.npz", images=np.zeros((3, 8, 8), np.uint8))
    assert main(["likelihood", f"--workdir={workdir}", f"--data=npz:{tmp_path}/images.npz"]) == 2
    line = capsys.readouterr().err
    assert "shape (8, 8, 1)" in line
    assert "(2,)" in line
    report, _, _ = measure(workdir, "--data=toy:rings", "--split=test")
    assert report["protocol"]["data"] == "toy:rings"
    usual, _, _ = measure(workdir)
    # Rings are not moons.
    assert report["bits_per_dim"] != pytest.approx(usual["bits_per_dim"], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rtol=1e-9"], ["likelihood.rtol", "1e-09", "1e-06"]),
        (["--rtol=1e-3", "--steps=3"], ["--steps", "--rtol"]),
        (["--config.likelihood.noise_to_signal_min=1e5"], ["noise_to_signal_min", "t = 1"]),
        (
            ["--config.likelihood.probe_kind=orthogonal", "--probes=3", "--divergence=hutchinson"],
            ["likelihood.probes", "got 3", "2"],
        ),
        (["--split=val"], ["likelihood.split", "val", "test"]),
        (["--probes=0"], ["--probes", "got 0"]),
        (["--estimator=elbo", "--dequantization=truncated_normal"], ["dequantization", "uniform"]),
        (["--estimator=elbo", "--rtol=1e-3"], ["--rtol: takes --estimator=ode"]),
        (["--estimator=elbo", "--check_solver"], ["--check_solver: takes --estimator=ode"]),
        (["--divergence=exact", "--probes=4"], ["--probes: takes --divergence=hutchinson"]),
        (["--config.training.num_steps=3"], ["--config.likelihood.*"]),
    ],
)
def test_refused(trained, arguments, words, capsys):
    try:
        code = main(["likelihood", f"--workdir={trained}", *arguments])
    except SystemExit as error:  # argparse's own
        code = error.code
    assert code == 2
    line = capsys.readouterr().err
    assert "Traceback" not in line
    assert all(word in line for word in words)


def test_densities_that_are_not_finite_are_named_and_left_out(workdir, monkeypatch, capsys):
    batch = likelihood.Estimator.batch

    def broken(self, dataset, rows, **options):
        result = batch(self, dataset, rows, **options)
        result["draws"] = np.where(np.isin(rows, [3, 17])[:, None], np.nan, result["draws"])
        return result

    monkeypatch.setattr(likelihood.Estimator, "batch", broken)
    report, arrays, _ = measure(workdir)
    assert report["not_finite"] == [3, 17]
    assert report["examples"] == 18
    assert report["bits_per_dim"] == pytest.approx(np.nanmean(arrays["bits_per_dim"]), rel=1e-6)
    assert "examples 3, 17" in capsys.readouterr().err


def test_a_slow_exact_divergence_says_how_long(workdir, monkeypatch, capsys):
    monkeypatch.setattr(likelihood, "_MANY_DIMENSIONS", 2)
    measure(workdir, "--divergence=exact")
    assert "'exact' takes 2 products an evaluation, about 0.0 hours" in capsys.readouterr().err


def test_sampling_knows_its_densities(trained, tmp_path):
    """The densities that come with samples are those measured of them afterwards."""
    output = tmp_path / "drawn"
    arguments = ["--solver=probability_flow", "--num=16", "--log_prob", f"--output={output}"]
    exact = ["--config.likelihood.divergence=exact", "--config.sampling.t_min=1e-3"]
    assert main(["sample", f"--workdir={trained}", *arguments, *exact]) == 0
    drawn = np.load(f"{output}.npz")
    opened = TrainedModel.open(trained, [], devices.make_mesh())
    flow = ProbabilityFlow(
        sde=opened.sde,
        model=opened.model,
        t_min=1e-3,
        data_std=opened.experiment.data.std,
        integrator=RungeKutta(steps=ByTolerance(rtol=1e-5, atol=1e-5)),
    )
    again = flow.log_prob(drawn["points"])
    # Two integrations at 1e-5 in float32, there and back.
    assert_allclose(drawn["log_prob"], again.log_prob, atol=2e-3)


def test_the_split_mean_covers_what_it_estimates():
    """95 % intervals of 2000 splits of 30 skewed examples cover the mean 93 to 97 % of the time.

    Bits/dim of images are less skewed than a gamma law of shape 8 (skewness 0.7).
    """
    splits = np.random.default_rng(0).gamma(8.0, size=(2000, 30)) / 8
    covered = [low <= 1.0 <= high for low, high in (Mean(split).interval() for split in splits)]
    assert 0.93 < np.mean(covered) < 0.97


def test_the_mean_of_four():
    mean = Mean(np.array([1.0, 2.0, 3.0, 6.0]))
    assert mean.standard_error == pytest.approx(np.sqrt(14 / 3 / 4))
    # 3.182 is the 97.5 % quantile of Student's t with three degrees of freedom.
    half = 3.182 * np.sqrt(14 / 3 / 4)
    assert_allclose(np.array(mean.interval()) - 3, [-half, half], rtol=1e-3)


def result_of(draws, log_weights, *, dequantized, degrees_of_freedom=0):
    """A `Likelihood` of five dimensions whose probes err by 0.1."""
    return Likelihood(
        draws=draws,
        probe_errors=np.full_like(draws, 0.1),
        log_weights=log_weights,
        evaluations=np.ones(len(draws)),
        seconds=np.zeros(len(draws)),
        dim=5,
        dequantized=dequantized,
        degrees_of_freedom=degrees_of_freedom,
    )


def test_importance_weighting_is_the_log_of_the_mean():
    weights = np.log([[1.0, 3.0], [2.0, 2.0]])
    result = result_of(-weights / np.log(2) / 5, weights, dequantized=True)
    assert_allclose(result.importance_weighted, [-1 / 5, -1 / 5])
    # Jensen: no draw's mean is better.
    assert np.all(result.bits_per_dim >= result.importance_weighted - 1e-12)
    assert_allclose(result.standard_errors, [np.log2(3) / 5 / 2, 0])
    # 12.706 is the 97.5 % quantile of Student's t with one degree of freedom, from a table.
    half = np.array([-1, 1]) * 12.706 * np.log2(3) / 10
    around = result.intervals() - result.bits_per_dim[:, None]
    assert_allclose(around, [half, [0, 0]], rtol=1e-4, atol=1e-12)


def test_one_draw_has_the_interval_of_its_probes():
    """3.182 is the quantile with three degrees of freedom; what probes do not see has none."""
    draws = np.array([[2.0], [3.0]])
    result = result_of(draws, draws, dequantized=False, degrees_of_freedom=3)
    half = np.array([-1, 1]) * 3.182 * 0.1
    assert_allclose(result.intervals() - draws, [half, half], rtol=1e-3)
    assert np.isnan(result_of(draws, draws, dequantized=True).intervals()).all()
