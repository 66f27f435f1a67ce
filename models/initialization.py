"""First parameters of a network."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

from sde_lib import Condition


def init_params(key: Array, network: nn.Module, shape: tuple[int, ...]) -> Any:
    """Fresh parameters of a network for examples of `shape`.

    What does not lead to a parameter, as most of the forward evaluation, is left out. The rest is
    run operation by operation, so that each is compiled once for all layers of a size: as one
    program, the hundreds of draws of a deep U-Net take longer to compile than to make.
    """
    given = (key, *_example(network, shape))
    traced = jax.jit(network.init).trace(*given)
    program = ClosedJaxpr(_needed(traced.jaxpr.jaxpr), traced.jaxpr.consts)
    values = jaxpr_as_fun(program)(*jax.tree.leaves(given))
    return jax.tree.unflatten(jax.tree.structure(traced.out_info), values)["params"]


def abstract_params(network: nn.Module, shape: tuple[int, ...]) -> Any:
    """The shapes and types of what `init_params` returns; nothing is computed."""
    tree = _abstract(network, shape, jax.dtypes.canonicalize_dtype(float))
    return jax.tree.map(lambda leaf: leaf, tree)


@functools.lru_cache(maxsize=32)
def _abstract(network: nn.Module, shape: tuple[int, ...], _: Any) -> Any:
    """Traced once: a command asks several times, and a deep network takes a second each.

    Args:
      _: the type of a float, which is another under `jax.enable_x64`.
    """
    return jax.eval_shape(network.init, jax.random.key(0), *_example(network, shape))["params"]


def _example(network: nn.Module, shape: tuple[int, ...]) -> tuple[Array, Array, Condition | None]:
    """A batch of one: states, noise conditioning, and a label or vector where one is taken."""
    condition = None
    if getattr(network, "num_classes", 0):
        condition = Condition(label=jnp.zeros(1, jnp.int32))
    elif cond_dim := getattr(network, "cond_dim", 0):
        condition = Condition(vector=jnp.zeros((1, cond_dim)))
    return jnp.zeros((1, *shape)), jnp.zeros(1), condition


def _needed(jaxpr: Jaxpr) -> Jaxpr:
    """The program without the operations that no output depends on."""
    needed = {out for out in jaxpr.outvars if not isinstance(out, Literal)}
    kept = []
    for operation in reversed(jaxpr.eqns):
        if needed.intersection(operation.outvars):
            kept.append(operation)
            needed.update(v for v in operation.invars if not isinstance(v, Literal))
    return jaxpr.replace(eqns=kept[::-1])
