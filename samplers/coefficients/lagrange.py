"""Weights of quadratures over unequal nodes, by Lagrange polynomials."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int


def integrals(
    nodes: Float[Array, "nodes *shape"],
    count: Int[Array, "*shape"],
    start: Array | float,
    end: Array | float,
    rate: Callable[[Array], Array] | None = None,
) -> Float[Array, "nodes *shape"]:
    """The weights of a quadrature from values at nodes, by the polynomial through them.

        w_j = ∫ L_j(v) rate(v) dv   from start to end, L_j the Lagrange polynomials of the nodes.

    By Gauss–Legendre quadrature: exact where the rate is 1, else with 12 points, which integrate
    e^v over intervals of length 4 to 1e-12.

    A node that coincides with one before it, as after a step of no length, is left out: the
    polynomial goes through the value that is there.

    Args:
      nodes: [N, ...], where the values are.
      count: [...], how many of them, the first, are used.
      start, end: [...] or scalars.
      rate: elementwise in v; 1 by default.

    Returns:
      The w_j, [N, ...]; 0 for the nodes that are not used.
    """
    points, masses = np.polynomial.legendre.leggauss(12 if rate else (len(nodes) + 1) // 2)
    num, extra = len(nodes), (1,) * (nodes.ndim - 1)
    first = jnp.argmax(nodes[:, None] == nodes[None], axis=1)
    number = jnp.arange(num).reshape(num, *extra)
    used = (number < count) & (first == number)
    others = used[None] & used[:, None] & ~jnp.eye(num, dtype=bool).reshape(num, num, *extra)
    gaps = jnp.where(others, nodes[:, None] - nodes[None], 1.0)
    start, half = jnp.asarray(start), (jnp.asarray(end) - start) / 2

    def basis(point: Array, mass: Array) -> Array:
        v = start + (1 + point) * half
        product = jnp.prod(jnp.where(others, (v - nodes[None]) / gaps, 1.0), axis=1)
        return mass * (product * rate(v) if rate else product)

    # Over all points at once, which makes a small program.
    total = jnp.sum(jax.vmap(basis)(as_constant(points), as_constant(masses)), axis=0)
    return jnp.where(used, half * total, 0.0)


def as_constant(values: Any) -> Array:
    """A NumPy array as a JAX array in the working precision.

    `jnp.asarray` would keep the precision in which it first met the array.
    """
    return jnp.array(values.tolist())
