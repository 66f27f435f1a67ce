"""What integrates the flow of a likelihood and of samples, and where the first one starts."""

import pytest

from experiments.builders.likelihood import build_integrator, likelihood_t_min
from experiments.builders.sampling import method_of
from experiments.config_schema.flags import load_experiment
from experiments.config_schema.sections import LikelihoodConfig
from experiments.data import ContinuousCodec
from samplers import Adams, ByTolerance, Equal, RungeKutta
from sde_lib import VE, VP


@pytest.mark.parametrize(
    ("solver", "made"),
    [("adams", Adams), ("dopri5", lambda **fields: RungeKutta(tableau="dopri5", **fields))],
)
def test_a_finer_one_has_a_tenth_of_each_tolerance(solver, made):
    """Also of one below what float32 tells apart."""
    for atol in (1e-3, 1e-9):
        config = LikelihoodConfig(solver=solver, num_steps=None, rtol=1e-4, atol=atol)
        assert build_integrator(config) == made(steps=ByTolerance(rtol=1e-4, atol=atol))
        fine = ByTolerance(rtol=1e-4 / 10, atol=atol / 10)
        assert build_integrator(config, finer=True) == made(steps=fine)


def test_a_finer_one_has_twice_the_steps():
    config = LikelihoodConfig(solver="adams", num_steps=7, grading=0.5)
    expected = Adams(history=3, steps=Equal(num=14, grading=0.5))
    assert build_integrator(config, finer=True) == expected


@pytest.mark.parametrize(
    ("tableau", "made"), [("adams", Adams()), ("bosh3", RungeKutta(tableau="bosh3"))]
)
def test_samples_by_either_kind(tableau, made):
    fields = ["solver=probability_flow", f"tableau={tableau}", "rtol=0.01", "atol=0.02"]
    experiment = load_experiment("toy2d", [f"--config.sampling.{field}" for field in fields])
    steps = ByTolerance(rtol=0.01, atol=0.02)
    integrator = method_of(experiment, VP()).sampler.integrator
    assert (type(integrator), integrator.steps) == (type(made), steps)
    assert getattr(integrator, "tableau", None) == getattr(made, "tableau", None)


def test_less_noise_than_an_sde_has_is_its_least(capsys):
    """A line says so, where the value was given."""
    asked = LikelihoodConfig(noise_to_signal_min=0.005)
    assert likelihood_t_min(asked, VE(sigma_min=0.01), ContinuousCodec()) == 0
    said = capsys.readouterr().err
    assert said == (
        "likelihood.noise_to_signal_min: got 0.005, below σ/α = 0.01 at t = 0, which is used\n"
    )
    t_min = likelihood_t_min(asked, VP(), ContinuousCodec())
    assert float(VP().noise_to_signal(t_min)) == pytest.approx(0.005, rel=1e-3)
    assert likelihood_t_min(LikelihoodConfig(), VE(sigma_min=0.1), ContinuousCodec()) == 0
    assert not capsys.readouterr().err
