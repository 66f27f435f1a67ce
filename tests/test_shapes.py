"""Shapes that an annotation says are checked while tests run, and shapes alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import TypeCheckError

from models import MLP
from sde_lib import VP, Gaussian, denoising_loss

X, Y = np.ones((3, 2), np.float32), np.ones((3, 4), np.float32)


def loss(t):
    return denoising_loss(VP(), Gaussian.isotropic(2, 1.0).model(VP()), X, t, X)


@pytest.mark.parametrize(
    "call",
    [
        lambda: VP().perturb(X, 0.5, Y[:, :1]),  # which broadcasts
        lambda: VP().drift(X, np.full((3, 1), 0.5)),
        lambda: loss(jnp.full(2, 0.5)),
        lambda: MLP().init_with_output(jax.random.key(0), jnp.ones((3, 2)), jnp.ones(2)),
    ],
)
def test_a_wrong_shape_is_caught(call):
    with pytest.raises(TypeCheckError):
        call()


def test_numbers_and_arrays_of_numpy_stand_for_those_of_jax():
    for t in (0.5, np.float64(0.5), np.full(3, 0.5), jnp.full(3, 0.5)):
        assert VP().perturb(X, t, jnp.asarray(X)).shape == (3, 2)
    assert VP().transition(0.1, np.full(3, 0.5)).alpha.shape == (3,)
