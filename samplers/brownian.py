"""Brownian motion that can be asked for at any time, in any order.

Over the lattice 0, 1, …, 2^L of a clock ς_0 < … < ς_{2^L}, B is drawn from coarse to fine: 0 at the
start, the end, then midpoints of the lattice given their neighbours a < m < b,

    B(ς_m) = B(ς_a) + (ς_m − ς_a)/(ς_b − ς_a) (B(ς_b) − B(ς_a)) + √v z,
    v = (ς_m − ς_a)(ς_b − ς_m)/(ς_b − ς_a).                                       (1)

The z of a midpoint is that of its number, so the path is the same however it is walked along. An
adaptive solver that rejects a step meets the same path again, so rejecting a step does not bias the
samples.

Reference: Li et al. 2020, "Scalable gradients for SDEs", §4 (virtual Brownian tree); Lévy (1).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from sde_lib import expand

LEVELS = 14
"""L: of a clock of length 20 in log ς, as is usual, the least step is then about a thousandth."""

SIZE = 2**LEVELS
"""The lattice's last point."""


def path(
    keys: Key[Array, "batch"],
    clock: Callable[[Array], Array],
    at: Int[Array, "batch"],
    shape: tuple[int, ...],
) -> Float[Array, "batch *shape"]:
    """The Brownian motion of each example at a lattice point of its own, eq. 1.

    Args:
      keys: of each example's stream of draws [B]; draw 0 is of the end, draw m of the midpoint m.
      clock: lattice points [B] → ς [B], increasing.
      at: the lattice points, integers from 0 to 2^L [B].
      shape: of an example.

    Returns:
      B [B, *shape].
    """

    def draw(number: Array) -> Array:
        def one(key: Array, number: Array) -> Array:
            return jax.random.normal(jax.random.fold_in(key, number), shape)

        return jax.vmap(one)(keys, number)

    # The point 2^L is the node 0 of the tree; the midpoint m of any interval is node m.
    low, high = jnp.zeros_like(at), jnp.full_like(at, SIZE)
    end = draw(jnp.zeros_like(at))
    whole = clock(high) - clock(low)
    values = jnp.zeros_like(end), expand(jnp.sqrt(whole), end) * end

    def halve(_: Array, state: tuple) -> tuple:
        low, high, (first, last) = state
        middle = (low + high) // 2
        a, m, b = (clock(k) for k in (low, middle, high))
        z = draw(middle)
        fraction = (m - a) / (b - a)
        spread = jnp.sqrt(fraction * (b - m))
        value = first + expand(fraction, z) * (last - first) + expand(spread, z) * z
        right = at >= middle
        low, high = jnp.where(right, middle, low), jnp.where(right, high, middle)
        mask = expand(right, z)
        return low, high, (jnp.where(mask, value, first), jnp.where(mask, last, value))

    low, _, (first, last) = jax.lax.fori_loop(0, LEVELS, halve, (low, high, values))
    return jnp.where(expand(at == SIZE, last), last, first)
