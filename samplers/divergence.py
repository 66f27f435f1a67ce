"""The divergence of a vector field, by forward-mode Jacobian products that share one linearisation.

    exact        Σ_d e_dᵀ J e_d                                                   (1)
    Hutchinson   1/K Σ_k z_kᵀ J z_k,  E[z zᵀ] = I                                 (2)

The probes z_k are fixed along a trajectory, so that what is integrated is smooth. They are
Rademacher: then the part of J that is a multiple of I contributes without variance.

References: Hutchinson 1990; Grathwohl et al. 2019, "FFJORD", eq. 7.
"""

import abc
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from samplers import noise
from sde_lib import Pytree


class Divergence(Pytree, abc.ABC):
    """A way to take a divergence: its probes, and what their products sum to."""

    @abc.abstractmethod
    def probes(self, x: Array) -> Array:
        """z_k, [K, B, ...], for x [B, ...]."""

    @abc.abstractmethod
    def estimates(self, products: Array) -> Array:
        """Divergence estimates [B, E] from the products zᵀ J z [K, B]."""

    @abc.abstractmethod
    def standard_error(self, estimates: Array) -> Array:
        """The standard error [B] of the mean of estimates [B, E]."""


class Exact(Divergence):
    """Eq. 1: as many products as dimensions."""

    def probes(self, x: Array) -> Array:
        """The unit vectors, the same for each example: [D, 1, ...]."""
        dim = math.prod(x.shape[1:])
        return jnp.eye(dim, dtype=x.dtype).reshape(dim, 1, *x.shape[1:])

    def estimates(self, products: Array) -> Array:
        """Their sum, [B, 1]."""
        return jnp.sum(products, axis=0)[:, None]

    def standard_error(self, estimates: Array) -> Array:
        """0: nothing is random."""
        return jnp.zeros(estimates.shape[0])


class Hutchinson(Divergence):
    """Eq. 2.

    Args:
      vectors: z_k, [K, B, ...].
    """

    vectors: Array

    @classmethod
    def rademacher(
        cls, key: Array, shape: tuple[int, ...], num_probes: int = 1, indices: Array | None = None
    ) -> "Hutchinson":
        """`num_probes` probes for a batch of `shape`, functions of (key, indices[i]) alone."""
        keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
        draws = [noise.rademacher(keys, k, shape[1:]) for k in range(num_probes)]
        return cls(vectors=jnp.stack(draws))

    def probes(self, x: Array) -> Array:
        """The given ones."""
        del x
        return self.vectors

    def estimates(self, products: Array) -> Array:
        """One a probe, [B, K]."""
        return products.T

    def standard_error(self, estimates: Array) -> Array:
        """From the spread over the probes; NaN for one probe, which has none."""
        num_probes = estimates.shape[1]
        if num_probes == 1:
            return jnp.full(estimates.shape[0], jnp.nan)
        return jnp.std(estimates, axis=1, ddof=1) / math.sqrt(num_probes)


def value_and_divergence(
    field: Callable[[Array], Array], x: Array, divergence: Divergence
) -> tuple[Array, Array]:
    """field(x) [B, ...] and the estimates [B, E] of its divergence, at one linearisation.

    The field must act on each example by itself.
    """
    value, product = jax.linearize(field, x)

    def quadratic(probe: Array) -> Array:
        probe = jnp.broadcast_to(probe, x.shape)
        return jnp.sum(probe * product(probe), axis=tuple(range(1, x.ndim)))

    return value, divergence.estimates(jax.vmap(quadratic)(divergence.probes(x)))
