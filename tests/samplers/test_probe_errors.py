"""Densities by random probes: unbiased, with an error that is what they say."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import stdtrit as t_quantile

from samplers import Adams, ByTolerance, Equal, Exact, Hutchinson, RungeKutta
from sde_lib import VP, Gaussian, GaussianMixture
from tests.samplers.flows import flow_of
from tests.samplers.reference import drawn

float64 = pytest.mark.usefixtures("float64")


@float64
def test_hutchinson():
    """Sixteen probes on 48 points in 8 dimensions: unbiased, with the reported error."""
    rng = np.random.default_rng(3)
    oracle = GaussianMixture(
        weights=jnp.array([0.2, 0.5, 0.3]),
        means=jnp.asarray(rng.normal(size=(3, 8))),
        stds=jnp.array([0.5, 0.3, 0.4]),
    )
    # Between the components, where the Jacobian is far from a multiple of the identity.
    x = 0.5 * jnp.asarray(rng.normal(size=(48, 8)))
    flow = flow_of(VP(), oracle, integrator=RungeKutta(steps=ByTolerance(rtol=1e-6, atol=1e-6)))
    exact = flow.log_prob(x)
    probed = flow.log_prob(x, Hutchinson.draw(jax.random.key(3), x.shape, num_probes=16))
    off = np.asarray((probed.log_prob - exact.log_prob) / probed.standard_error)
    # About Student's t of 15 degrees of freedom: beyond 5 once in 10⁴, of variance 15/13.
    assert np.abs(off).max() < 5
    assert abs(off.mean()) < 5 * np.sqrt(15 / 13 / 48)
    assert 0.7 < off.std() < 1.5
    assert probed.standard_error.min() > 1e-4
    assert_allclose(probed.latents, exact.latents, atol=1e-4)


@float64
def test_probes_state_their_error():
    """95 % intervals by Student's t from 16 probes in 64 dimensions, for 2000 examples."""
    rng = np.random.default_rng(8)
    sde = VP()
    axes, variances = np.linalg.qr(rng.normal(size=(64, 64)))[0], rng.uniform(0.05, 1.0, size=64)
    oracle = Gaussian(
        mean=jnp.zeros(64), eigenvectors=jnp.asarray(axes), eigenvalues=jnp.asarray(variances)
    )
    x = rng.normal(size=(2004, 64)) * np.sqrt(variances) @ axes.T
    flow = flow_of(sde, oracle, integrator=Adams(history=3, steps=Equal(num=10)))
    # Four more examples, with all 64 unit vectors, times √64, among them: their mean is the trace.
    probes = np.array(Hutchinson.draw(jax.random.key(9), x.shape, num_probes=16).vectors)
    probes[:, 2000:] = 8 * np.eye(64).reshape(16, 4, 64)
    probed = flow.log_prob(jnp.asarray(x), Hutchinson(vectors=jnp.asarray(probes)))
    # For Gaussian data the divergence is the same for every x, and so is the density's surplus.
    surplus = np.asarray(probed.log_prob - sde.prior_log_prob(probed.latents))
    off = np.abs(surplus[:2000] - surplus[2000:].mean())
    covered = off < t_quantile(15, 0.975) * np.asarray(probed.standard_error)[:2000]
    assert 0.93 < np.mean(covered) < 0.97


def test_a_split_states_its_error():
    """95 % intervals of the mean of 32 examples, one probe each, for 2000 splits of a mixture."""
    rng = np.random.default_rng(9)
    oracle = GaussianMixture(
        weights=jnp.array([0.2, 0.5, 0.3]),
        means=jnp.asarray(rng.normal(size=(3, 8)), dtype=jnp.float32),
        stds=jnp.array([0.5, 0.3, 0.4]),
    )
    x = drawn(oracle, jax.random.key(10), (64_000, 8))
    flow = flow_of(VP(), oracle, t_min=1e-2, integrator=Adams(history=3, steps=Equal(num=6)))
    probed = flow.log_prob(x, Hutchinson.draw(jax.random.key(11), x.shape)).log_prob
    # The target is the expectation for this solver, from a quarter of the examples and the exact
    # trace: it errs by a 22nd of what a split of 32 does.
    target = np.mean(flow.log_prob(x[::4], Exact()).log_prob)
    splits = np.asarray(probed).reshape(2000, 32)
    half = t_quantile(31, 0.975) * splits.std(axis=1, ddof=1) / np.sqrt(32)
    covered = np.abs(splits.mean(axis=1) - target) < half
    assert 0.93 < np.mean(covered) < 0.97
