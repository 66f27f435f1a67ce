"""Probability-flow log-densities and latents against closed forms and the reference."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import Adams, ByTolerance, Equal, Hutchinson, ProbabilityFlow, RungeKutta
from sde_lib import VE, Gaussian, GaussianMixture, sdes
from tests.samplers.reference import drawn

pytestmark = pytest.mark.usefixtures("float64")

OPTIONS = {"t_min": 1e-5, "integrator": RungeKutta(steps=ByTolerance(rtol=1e-10, atol=1e-10))}


@pytest.mark.parametrize("name", ["vp", "subvp", "ve"])
def test_log_prob(golden, name):
    values, sde = golden("likelihood"), sdes[name]()
    directions, variances = values["aniso_eigvec"], values["aniso_eigval"]
    data = {
        "iso": Gaussian.isotropic(16, 0.5),
        "aniso": Gaussian(
            mean=jnp.zeros(16),
            eigenvectors=jnp.asarray(directions),
            eigenvalues=jnp.asarray(variances),
        ),
    }
    points = {"iso": jnp.asarray(values["x"]), "aniso": jnp.asarray(values["aniso_x"])}
    probe = Hutchinson(vectors=jnp.asarray(values["probe"])[None])
    for kind in ("iso", "aniso"):
        exact = {
            key: values[f"{name}/{kind}/exact/{key}"]
            for key in ("logp_ode_probe", "logp_ode_trace", "logp_at_eps", "z")
        }
        flow = ProbabilityFlow(sde=sde, model=data[kind].model(sde), **OPTIONS)
        probed = flow.log_prob(points[kind], probe)
        traced = flow.log_prob(points[kind])
        # 2e-8: 1e-10 a step and a dimension, some 40 steps and 16 dimensions, with cancellation;
        # the reference at the same tolerance is at 5e-9.
        assert_allclose(probed.log_prob, exact["logp_ode_probe"], atol=2e-8, rtol=0)
        assert_allclose(probed.log_prob, values[f"{name}/{kind}/float64/logp_nats"], atol=2e-8)
        assert_allclose(traced.log_prob, exact["logp_ode_trace"], atol=2e-8, rtol=0)
        assert_allclose(traced.latents, exact["z"], atol=2e-8 * float(sde.prior_std()))
        assert_allclose(data[kind].log_prob(sde, points[kind], 1e-5), exact["logp_at_eps"], 1e-9)
        assert np.isnan(probed.standard_error).all()
        assert_allclose(traced.standard_error, 0)
    # bits/dim of data on [−1, 1]: − log p/(D log 2) + 7.
    bits = -np.asarray(probed.log_prob) / (16 * np.log(2)) + 7
    assert_allclose(bits, values[f"{name}/aniso/float64/bpd_centered"], atol=1e-8)


@pytest.fixture
def eight_dimensions(golden):
    values = golden("mixture8")
    mixture = GaussianMixture(
        weights=jnp.asarray(values["weights"]),
        means=jnp.asarray(values["means"]),
        stds=jnp.asarray(values["stds"]),
    )
    latents = values["sigma_max"] * values["latents"]
    return mixture, jnp.asarray(latents), values["endpoints"]


def test_decode_of_a_mixture(eight_dimensions):
    """The error falls with the tolerance; bars five times what was measured."""
    mixture, latents, endpoints = eight_dimensions
    sde = VE(sigma_min=1e-4, sigma_max=80.0)
    medians, evaluations = [], []
    for tolerance in (1e-3, 1e-5, 1e-7, 1e-9):
        flow = ProbabilityFlow(
            sde=sde,
            model=mixture.model(sde),
            t_min=0.0,
            data_std=0.606,
            integrator=RungeKutta(steps=ByTolerance(rtol=tolerance, atol=tolerance)),
        )
        end = flow.decode(latents, denoise=True)
        medians.append(np.median(np.abs(end.x - endpoints)))
        evaluations.append(float(end.evaluations.mean()))
    assert np.all(np.array(medians) < [5e-3, 5e-5, 2e-7, 2e-9])
    assert np.all(np.diff(evaluations) > 0)
    assert evaluations[1] < 60  # 53 measured at 1e-5


@pytest.mark.parametrize("sde", [sdes["vp"](), sdes["subvp"]()], ids=["vp", "subvp"])
def test_the_flow_of_a_mixture_is_the_same_under_every_sde(eight_dimensions, sde):
    """In y = x/α and n = σ/α there is one probability-flow ODE: same latents, same ends."""
    mixture, latents, endpoints = eight_dimensions
    t_max, t_min = sde.time_of_noise_to_signal(80.0), sde.time_of_noise_to_signal(1e-4)
    flow = ProbabilityFlow(
        sde=sde,
        model=jax.tree_util.Partial(mixture.model(sde)),
        t_min=t_min,
        t_max=t_max,
        data_std=0.606,
        integrator=RungeKutta(steps=ByTolerance(rtol=1e-9, atol=1e-9)),
    )
    end = flow.decode(sde.alpha(t_max) * latents[:16], denoise=True)
    # 2e-8: 1e-9 a step over some forty steps; the file's own error is 1e-10.
    assert_allclose(end.x, endpoints[:16], atol=2e-8)


@pytest.mark.parametrize("name", ["vp", "flow"])
def test_log_densities_of_a_mixture(eight_dimensions, name):
    """128 points, exact trace, 1e-5: bits/dim against the same ODE at 1e-9 and the true density.

    A fixed grid of seventy evaluations does as well.
    """
    mixture, _, _ = eight_dimensions
    sde = sdes[name]()
    t_min = float(sde.time_of_noise_to_signal(1e-3))
    data = drawn(mixture, jax.random.key(0), (128, 8))
    x = sde.perturb(data, t_min, jax.random.normal(jax.random.key(1), data.shape))

    def bits(integrator):
        flow = ProbabilityFlow(
            sde=sde,
            model=mixture.model(sde),
            t_min=t_min,
            data_std=0.606,
            integrator=integrator,
        )
        return flow.log_prob(x)

    def rms(difference):
        return float(jnp.sqrt(jnp.mean(difference**2))) / 8 / np.log(2)

    exact = bits(RungeKutta(steps=ByTolerance(rtol=1e-9, atol=1e-9)))
    # In this coordinate every SDE has the same flow: the others are tried on one.
    others = (
        (RungeKutta(steps=ByTolerance(rtol=1e-5, atol=1e-5)), Adams(history=3, steps=Equal(num=69)))
        if name == "vp"
        else ()
    )
    for integrator in (Adams(), *others):
        result = bits(integrator)
        assert rms(result.log_prob - exact.log_prob) < 1e-4
        prior = sde.prior_log_prob(result.latents)
        true = result.log_prob - prior + mixture.log_prob(sde, result.latents, 1.0)
        assert rms(true - mixture.log_prob(sde, x, t_min)) < 3e-4
