"""Divergences of fields whose Jacobian is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import Exact, Hutchinson
from samplers.divergence import value_and_divergence

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


def test_exact_is_the_trace():
    value, divergence = value_and_divergence(field, jnp.asarray(X), Exact())
    assert_allclose(value, field(X), rtol=1e-6)
    # Six float32 terms.
    assert_allclose(divergence, np.trace(jacobians(), axis1=1, axis2=2)[:, None], rtol=1e-5)
    assert_allclose(Exact().standard_error(divergence), 0)


def test_hutchinson_is_the_quadratic_form():
    """Each probe zᵀ J z by itself, with the J of its own example."""
    probes = RNG.normal(size=(5, 4, 2, 3)).astype(np.float32)
    _, estimates = value_and_divergence(field, jnp.asarray(X), Hutchinson(vectors=probes))
    flat = probes.reshape(5, 4, 6)
    exact = np.einsum("kbi,bij,kbj->bk", flat, jacobians(), flat)
    assert_allclose(estimates, exact, rtol=1e-4, atol=1e-4)


def test_hutchinson_is_unbiased_and_knows_its_error():
    divergence = Hutchinson.draw(jax.random.key(1), X.shape, num_probes=512)
    _, estimates = value_and_divergence(field, jnp.asarray(X), divergence)
    exact = np.trace(jacobians(), axis1=1, axis2=2)
    error = np.asarray(divergence.standard_error(estimates))
    assert np.all(np.abs(np.asarray(estimates).mean(1) - exact) < 5 * error)
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
