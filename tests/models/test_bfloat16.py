"""Networks computed in bfloat16, at the ends of time, whatever their output means."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from experiments.builders.model import t_min_of
from experiments.config_schema.sde_defaults import TRAINING_NOISE_TO_SIGNAL
from models import MLP, NCSNpp, ScoreModel, init_params, parameterizations
from sde_lib import denoising_loss, sdes

# The last layer starts at ordinary size, so that the output and its gradients are not zero.
POINTS = partial(MLP, hidden=(16, 16), embedding_dim=8, init_scale=1.0)
IMAGES = partial(NCSNpp, nf=8, ch_mult=(1,), num_res_blocks=1, attn_resolutions=(), init_scale=1.0)


def losses(network, params, shape, sde, t, parameterization, conditioning):
    """Each example's loss."""
    model = ScoreModel(
        network=network,
        params=params,
        sde=sde,
        parameterization=parameterizations[parameterization](),
        conditioning=conditioning,
    )
    data, noise = jax.random.normal(jax.random.key(1), (2, *t.shape, *shape))
    return denoising_loss(sde, model, data / 2, t, noise)


@pytest.mark.parametrize(
    ("sde", "conditioning", "name", "network", "shape"),
    [
        (sde, conditioning, name, POINTS, (16,))
        for sde, conditioning in (("vp", "time"), ("ve", "log_sigma"))
        for name in sorted(parameterizations)
        # VE has no such chain, VP no such table
        if (sde, name) not in (("ve", "ddpm_noise"), ("vp", "smld_score"))
    ]
    + [("vp", "time", "noise", IMAGES, (4, 4, 1)), ("ve", "log_sigma", "edm", IMAGES, (4, 4, 1))],
)
def test_gradients_are_finite_and_near_those_of_float32(sde, conditioning, name, network, shape):
    process, params = sdes[sde](), init_params(jax.random.key(0), network(), shape)
    ends = jnp.array([t_min_of(None, TRAINING_NOISE_TO_SIGNAL, process), 1.0])

    def total(params, dtype):
        net = network(dtype=dtype)
        return losses(net, params, shape, process, ends, name, conditioning).sum()

    slope = jax.jit(jax.grad(total), static_argnums=1)
    half, full = slope(params, "bfloat16"), slope(params, "float32")
    for leaf in jax.tree.leaves(half):
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all()
    # bfloat16 has 8 bits, 4e-3, over some ten roundings in a row, forward and back.
    (got, _), (want, _) = ravel_pytree(half), ravel_pytree(full)
    assert np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)
