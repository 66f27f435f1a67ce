"""Divergences of fields whose Jacobian is known."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import (
    Adams,
    ByTolerance,
    Equal,
    Exact,
    Hutchinson,
    ProbabilityFlow,
    RungeKutta,
    probe_kinds,
)
from samplers.divergence import value_and_divergence
from sde_lib import VP, Gaussian, GaussianMixture
from tests.cases import float32_tolerance, gaussian
from tests.samplers.reference import drawn

RNG = np.random.default_rng(0)
MATRIX = RNG.normal(size=(6, 6)).astype(np.float32)
X = RNG.normal(size=(4, 2, 3)).astype(np.float32)


def field(x):
    """sin(M x) + x², whose Jacobian is diag(cos(M x)) M + 2 diag(x)."""
    flat = x.reshape(len(x), 6)
    return (jnp.sin(flat @ MATRIX.T) + flat**2).reshape(x.shape)


def jacobians():
    flat = X.reshape(4, 6).astype(np.float64)
    diagonal = 2 * flat[:, :, None] * np.eye(6)
    return np.cos(flat @ MATRIX.T)[:, :, None] * MATRIX + diagonal


TERMS = np.diagonal(jacobians(), axis1=1, axis2=2)  # of each trace


def test_exact_is_the_trace():
    value, divergence = value_and_divergence(field, jnp.asarray(X), Exact())
    assert_allclose(value, field(X), atol=float32_tolerance(X.reshape(4, 1, 6) * MATRIX))
    assert_allclose(divergence[:, 0], TERMS.sum(axis=1), atol=float32_tolerance(TERMS))
    assert_allclose(Exact().standard_error(divergence), 0)


def test_hutchinson_is_the_quadratic_form():
    """Each probe zᵀ J z by itself, with the J of its own example."""
    probes = RNG.normal(size=(5, 4, 2, 3)).astype(np.float32)
    _, estimates = value_and_divergence(
        field, jnp.asarray(X), Hutchinson(vectors=jnp.asarray(probes))
    )
    flat = probes.reshape(5, 4, 6)
    terms = np.einsum("kbi,bij,kbj->bkij", flat, jacobians(), flat).reshape(4, 5, 36)
    assert_allclose(estimates, terms.sum(axis=-1), atol=float32_tolerance(terms))


def test_hutchinson_is_unbiased_and_knows_its_error():
    """By 512 probes of every example: 32 of each of 16 copies."""
    x = np.tile(X, (16, 1, 1))
    divergence = Hutchinson.draw(jax.random.key(1), x.shape, num_probes=32)
    _, estimates = value_and_divergence(field, jnp.asarray(x), divergence)
    errors = np.asarray(divergence.standard_error(estimates)).reshape(16, 4)
    error = np.sqrt(np.mean(errors**2, axis=0) / 16)
    means = np.asarray(estimates).reshape(16, 4, 32).mean(axis=(0, 2))
    assert np.all(np.abs(means - TERMS.sum(axis=1)) < 5 * error)
    # The variance of zᵀ J z with Rademacher z is ½ Σ_{i≠j} (J_ij + J_ji)²; of its estimate from 512
    # probes, a relative 2/√512 or so.
    symmetric = jacobians() + jacobians().transpose(0, 2, 1)
    off = symmetric * (1 - np.eye(6))
    assert_allclose(error, np.sqrt((off**2).sum((1, 2)) / 2 / 512), rtol=5 * 2 / np.sqrt(512))


def test_one_probe_has_no_error_bar():
    one = Hutchinson.draw(jax.random.key(1), X.shape)
    _, estimates = value_and_divergence(field, jnp.asarray(X), one)
    assert estimates.shape == (4, 1)
    assert np.isnan(one.standard_error(estimates)).all()


def test_probes_of_a_multiple_of_the_identity_do_not_vary():
    """Why the probes are Rademacher: zᵀ z = D."""
    divergence = Hutchinson.draw(jax.random.key(2), X.shape, num_probes=3)
    _, estimates = value_and_divergence(lambda x: 0.7 * x, jnp.asarray(X), divergence)
    assert_allclose(estimates, 0.7 * 6, rtol=1e-6)


@pytest.mark.usefixtures("float64")
def test_dtype_follows_the_state():
    x = jnp.asarray(X, jnp.float32)
    assert value_and_divergence(lambda x: 2 * x, x, Exact())[1].dtype == jnp.float32


def test_chunks_of_the_exact_divergence():
    whole = value_and_divergence(field, jnp.asarray(X), Exact())[1]
    for chunk in (1, 4, 6, 100):
        chunked = value_and_divergence(field, jnp.asarray(X), Exact(chunk=chunk))[1]
        assert_allclose(chunked, whole, atol=float32_tolerance(TERMS))


def test_as_many_orthogonal_probes_as_dimensions_are_exact():
    divergence = Hutchinson.draw(jax.random.key(2), X.shape, num_probes=6, kind="orthogonal")
    _, estimates = value_and_divergence(field, jnp.asarray(X), divergence)
    # A sixth of z_i J_ij z_j, |z| = √6; of six probes 36 each.
    terms = np.full(6 * 36, np.abs(jacobians()).max())
    assert_allclose(estimates.mean(1), TERMS.sum(axis=1), atol=float32_tolerance(terms))
    with pytest.raises(ValueError, match="got 7 orthogonal ones, takes 6"):
        Hutchinson.draw(jax.random.key(2), X.shape, num_probes=7, kind="orthogonal")
    with pytest.raises(ValueError, match=r"^num_probes: got 0, takes an integer ≥ 1$"):
        Hutchinson.draw(jax.random.key(2), X.shape, num_probes=0)


@pytest.mark.parametrize("kind", list(probe_kinds))
def test_every_kind_is_unbiased(kind):
    """E[z zᵀ] = I, over 4096 probes three at a time, to five standard errors √2/√4096 or less."""
    draws = Hutchinson.draw(jax.random.key(3), (4096, 5), num_probes=3, kind=kind).vectors
    for probes in np.asarray(draws):
        assert np.abs(probes.T @ probes / 4096 - np.eye(5)).max() < 5 * np.sqrt(2 / 4096)
    some = Hutchinson.draw(
        jax.random.key(3), (2, 5), num_probes=3, kind=kind, indices=jnp.array([7, 90])
    )
    assert_allclose(some.vectors, draws[:, jnp.array([7, 90])], atol=1e-6)


@pytest.mark.parametrize("way", ["log_prob", "decode_with_log_prob"])
def test_the_control_variate_is_exact_for_its_own_gaussian(way):
    """One probe then gives the exact density, up and down; and without it does not."""
    sde, oracle = VP(), gaussian()
    x = drawn(oracle, jax.random.key(4), (16, 2))
    integrator = RungeKutta(steps=ByTolerance(rtol=1e-6, atol=1e-6))
    flow = ProbabilityFlow(sde=sde, model=oracle.model(sde), t_min=1e-3, integrator=integrator)
    run = getattr(flow, way)
    exact = run(x)
    for kind in probe_kinds:
        plain = Hutchinson.draw(jax.random.key(5), x.shape, kind=kind)
        controlled = dataclasses.replace(plain, control=oracle, control_weight=1.0)
        with_control = run(x, controlled)
        # The probes' products and their closed form agree to the tolerance of the integration.
        assert_allclose(with_control.log_prob, exact.log_prob, atol=1e-3)
        without = run(x, dataclasses.replace(controlled, control_weight=0.0))
        assert np.std(without.log_prob - exact.log_prob) > 0.05


def test_the_control_variate_reduces_the_variance_of_a_mixture():
    """By a Gaussian with the mixture's mean and covariance: unbiased, and smaller errors."""
    sde, rng = VP(), np.random.default_rng(3)
    oracle = GaussianMixture(
        weights=jnp.array([0.2, 0.5, 0.3]),
        means=jnp.asarray(0.4 * rng.normal(size=(3, 8)), dtype=jnp.float32),
        stds=jnp.full(3, 0.2),
    )
    data = np.asarray(drawn(oracle, jax.random.key(6), (4000, 8)))
    values, vectors = np.linalg.eigh(np.cov(data.T))
    control = Gaussian(
        mean=jnp.asarray(data.mean(0)),
        eigenvectors=jnp.asarray(vectors, jnp.float32),
        eigenvalues=jnp.asarray(values, jnp.float32),
    )
    x = jnp.asarray(data[:400])
    integrator = Adams(history=3, steps=Equal(num=30))
    flow = ProbabilityFlow(sde=sde, model=oracle.model(sde), t_min=1e-2, integrator=integrator)
    exact = flow.log_prob(x).log_prob
    plain = Hutchinson.draw(jax.random.key(7), x.shape, kind="gaussian")
    errors = [
        np.asarray(flow.log_prob(x, probes).log_prob - exact)
        for probes in (
            dataclasses.replace(plain, control=control, control_weight=0.0),
            dataclasses.replace(plain, control=control),
        )
    ]
    for error in errors:
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(400)
    # 0.84 measured, which spares three probes of ten.
    assert errors[1].std() < 0.9 * errors[0].std()
