"""Random inputs and parameters of networks, and programs that are compiled fast."""

from functools import partial

import jax
import numpy as np

# The programs run once: compiling them badly takes half the time.
quick_jit = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def inputs(batch=2, size=8, channels=3):
    return normal(100, batch, size, size, channels), np.linspace(-1, 1, batch, dtype=np.float32)


def random_params(net, *inputs):
    """Parameters none of which is zero; as initialised, half the network would go untested."""
    shapes = jax.eval_shape(net.init, jax.random.key(0), *inputs)["params"]
    leaves, tree = jax.tree.flatten(shapes)
    fan_in = [np.prod(leaf.shape[:-1]) for leaf in leaves]
    pairs = enumerate(zip(leaves, fan_in, strict=True))
    return tree.unflatten(
        [normal(i, *leaf.shape) / np.float32(np.sqrt(fan)) for i, (leaf, fan) in pairs]
    )
