"""First parameters of a network: those of `Module.init`, without its forward evaluation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models import ADM, DiT, abstract_params, init_params
from sde_lib import Condition
from tests.cases import float32_tolerance

SHAPE = (4, 4, 3)
TINY = {"nf": 16, "ch_mult": (1,), "num_res_blocks": 1, "middle": "none"}
ATTENDS = {"attn_down": (0,), "attn_up": (), "head_dim": 16}
NETWORKS = {
    "adm remat with classes": ADM(**TINY, **ATTENDS, num_classes=3, remat=True),
    "dit": DiT(width=16, depth=2, head_dim=8),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_init(name):
    network, key = NETWORKS[name], jax.random.key(3)
    cond = Condition(label=jnp.zeros(1, jnp.int32)) if "classes" in name else None
    want = jax.jit(network.init)(key, jnp.zeros((1, *SHAPE)), jnp.zeros(1), cond)["params"]
    got = init_params(key, network, SHAPE)
    # A few roundings of float32: a fused program may contract products and sums.
    rtol = float32_tolerance([1.0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=0), got, want)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), got) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), abstract_params(network, SHAPE)
    )


class Costly(nn.Module):
    """A network whose forward evaluation tells that it has been run."""

    told: list

    @nn.compact
    def __call__(self, x, c, cond=None):
        def tell(h):
            self.told.append(h)
            return h

        h = nn.Dense(4)(x)
        h = jax.pure_callback(tell, jax.ShapeDtypeStruct(h.shape, h.dtype), h)
        return nn.Dense(2)(h)


def test_the_forward_evaluation_is_left_out():
    told = []
    params = init_params(jax.random.key(0), Costly(told), (2,))
    assert params["Dense_1"]["kernel"].shape == (4, 2)
    assert np.std(params["Dense_1"]["kernel"]) > 0
    assert not told
