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
    program, made = _traced(network, shape, _abstract(key))
    values = jaxpr_as_fun(program)(key, *jax.tree.leaves(_example(network, shape)))
    return jax.tree.unflatten(jax.tree.structure(made), values)["params"]


def abstract_params(network: nn.Module, shape: tuple[int, ...]) -> Any:
    """The shapes and types of what `init_params` returns; nothing is computed."""
    _, made = _traced(network, shape, _abstract(jax.random.key(0)))
    return jax.tree.map(_abstract, made["params"])


def _traced(
    network: nn.Module, shape: tuple[int, ...], key: jax.ShapeDtypeStruct
) -> tuple[ClosedJaxpr, Any]:
    """The program that makes the parameters, and the shapes of the collections that it returns.

    Traced once: a command asks several times, and a deep network takes a second each.

    Args:
      network, shape: as of `init_params`.
      key: the shape and type of its key.
    """
    try:
        hash(network)
    except TypeError:  # it has a list, say
        return _trace(network, shape, key)
    return _trace_once(network, shape, key, jax.dtypes.canonicalize_dtype(float))


@functools.lru_cache(maxsize=32)
def _trace_once(
    network: nn.Module, shape: tuple[int, ...], key: jax.ShapeDtypeStruct, _: Any
) -> tuple[ClosedJaxpr, Any]:
    """As `_trace`, for a type of floats, which is another under `jax.enable_x64`."""
    return _trace(network, shape, key)


def _trace(
    network: nn.Module, shape: tuple[int, ...], key: jax.ShapeDtypeStruct
) -> tuple[ClosedJaxpr, Any]:
    traced = jax.jit(network.init).trace(key, *_example(network, shape))
    program = ClosedJaxpr(_needed(traced.jaxpr.jaxpr), traced.jaxpr.consts)
    return program, traced.out_info


def _abstract(leaf: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


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
