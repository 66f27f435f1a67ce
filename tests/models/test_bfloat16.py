"""Networks computed in bfloat16, at the ends of time, whatever their output means."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.builders.model import t_min_of
from experiments.config_schema.sde_defaults import TRAINING_NOISE_TO_SIGNAL
from models import MLP, NCSNpp, ScoreModel, parameterizations
from sde_lib import denoising_loss, sdes
from tests.models.parameters import normal, random_params

POINTS = partial(MLP, hidden=(16, 16), embedding_dim=8), (16,)
IMAGES = partial(NCSNpp, nf=8, ch_mult=(1,), num_res_blocks=1, attn_resolutions=()), (4, 4, 1)


@cache
def given(sde, network, shape):
    """The first and the last time of training, and parameters none of which is zero."""
    ends = np.array([t_min_of(None, TRAINING_NOISE_TO_SIGNAL, sdes[sde]()), 1.0], np.float32)
    return ends, random_params(network(), np.zeros((2, *shape), np.float32), ends)


def loss(params, network, sde, t, data, noise, parameterization, conditioning):
    """Summed over the examples."""
    model = ScoreModel(
        network=network,
        params=params,
        sde=sde,
        parameterization=parameterizations[parameterization](),
        conditioning=conditioning,
    )
    return denoising_loss(sde, model, data, t, noise).sum()


@pytest.mark.parametrize(
    ("sde", "conditioning", "name", "network"),
    [
        (sde, conditioning, name, POINTS)
        for sde, conditioning in (("vp", "time"), ("ve", "log_sigma"))
        for name in sorted(parameterizations)
        # VE has no such chain, VP no such table
        if (sde, name) not in (("ve", "ddpm_noise"), ("vp", "smld_score"))
    ]
    # Of the network's output and its input the loss makes what it makes of the perceptron's.
    + [("vp", "time", "noise", IMAGES)],
)
def test_gradients_are_finite_and_near_those_of_float32(sde, conditioning, name, network):
    network, shape = network
    ends, params = given(sde, network, shape)
    data, noise = normal(100, 2, *shape) / 2, normal(101, 2, *shape)

    @jax.jit
    def slopes(params):
        networks = [network(dtype=dtype) for dtype in ("bfloat16", "float32")]
        given = sdes[sde](), ends, data, noise, name, conditioning
        return [jax.grad(loss)(params, net, *given) for net in networks]

    half, full = jax.device_get(slopes(params))
    for leaf in jax.tree.leaves(half):
        assert leaf.dtype == jnp.float32
        assert np.isfinite(leaf).all()
    # bfloat16 has 8 bits, 4e-3, over some ten roundings in a row, forward and back.
    got, want = (
        np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(g)]) for g in (half, full)
    )
    assert np.linalg.norm(got - want) < 0.05 * np.linalg.norm(want)
