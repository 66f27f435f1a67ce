"""The divergence of a vector field, by forward-mode Jacobian products that share one linearisation.

    exact        Σ_d e_dᵀ J e_d                                                   (1)
    Hutchinson   1/K Σ_k z_kᵀ J z_k,  E[z zᵀ] = I                                 (2)

The probes z_k are fixed along a trajectory, so that what is integrated is smooth, and the estimate
of an integral of divergences is the quadratic form of the integral of J.

    rademacher   ±1: the part of J that is a multiple of I contributes without variance
    gaussian     N(0, I)
    orthogonal   √D times orthonormal vectors of random directions; K = D of them are exact

A control variate takes out the part of the variance that the data's covariance explains. With
∫J ≈ M for a symmetric M of known trace,

    1/K Σ_k z_kᵀ (∫J) z_k − β (z_kᵀ M z_k − tr M)                                 (3)

has the same mean for any fixed β. Here M is the integral for Gaussian data, Q diag(L) Qᵀ in closed
form, so that (3) is a correction after the integration, at no cost inside it.

References: Hutchinson 1990; Grathwohl et al. 2019, "FFJORD", eq. 7.
"""

import abc
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from samplers import noise
from sde_lib import Gaussian, Pytree, Registry, static

probe_kinds = Registry("kind of probes")


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

    def products(self, quadratic: Callable[[Array], Array], probes: Array) -> Array:
        """zᵀ J z [K, B] of all probes, at once."""
        return jax.vmap(quadratic)(probes)

    def controlled(self, integrals: Array, log_stretch: Callable[[Array], Array]) -> Array:
        """Integrals [B, E] with what is known of their error taken out.

        Args:
          integrals: of the estimates along the trajectories.
          log_stretch: L, the log of how the flow of Gaussian data stretches a direction of the
            given variance; elementwise.
        """
        del log_stretch
        return integrals


class Exact(Divergence):
    """Eq. 1: as many products as dimensions.

    Args:
      chunk: products taken at once; fewer need less memory. None: all.
    """

    chunk: int | None = static(default=None)

    def probes(self, x: Array) -> Array:
        """The unit vectors, the same for each example: [D, 1, ...]."""
        dim = math.prod(x.shape[1:])
        return jnp.eye(dim, dtype=x.dtype).reshape(dim, 1, *x.shape[1:])

    def products(self, quadratic: Callable[[Array], Array], probes: Array) -> Array:
        """In chunks."""
        if self.chunk is None or self.chunk >= len(probes):
            return super().products(quadratic, probes)
        return jax.lax.map(quadratic, probes, batch_size=self.chunk)

    def estimates(self, products: Array) -> Array:
        """Their sum, [B, 1]."""
        return jnp.sum(products, axis=0)[:, None]

    def standard_error(self, estimates: Array) -> Array:
        """0: nothing is random."""
        return jnp.zeros(estimates.shape[0])


class Hutchinson(Divergence):
    """Eq. 2, and eq. 3 where a control is given.

    Args:
      vectors: z_k, [K, B, ...].
      control: the Gaussian fitted to the data whose flow is the control variate, or None.
      control_weight: β. 1 is best for Gaussian data; for a network's flow on digits the best is 0.5
        to 0.6 (benchmarks/likelihood.py).
    """

    vectors: Array
    control: Gaussian | None = None
    control_weight: Array | float = 0.6

    @classmethod
    def draw(
        cls,
        key: Array,
        shape: tuple[int, ...],
        num_probes: int = 1,
        *,
        kind: str = "rademacher",
        indices: Array | None = None,
        control: Gaussian | None = None,
    ) -> "Hutchinson":
        """Probes for a batch of `shape`, functions of (key, indices[i]) alone.

        Raises:
          ValueError: fewer than one probe, more orthogonal ones than dimensions, or an unknown
            kind.
        """
        if num_probes < 1:
            raise ValueError(f"num_probes: got {num_probes}, takes an integer ≥ 1")
        keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
        vectors = probe_kinds[kind](keys, num_probes, shape[1:])
        return cls(vectors=vectors, control=control)

    def probes(self, x: Array) -> Array:
        """The given ones."""
        del x
        return self.vectors

    def estimates(self, products: Array) -> Array:
        """One a probe, [B, K]."""
        return products.T

    def standard_error(self, estimates: Array) -> Array:
        """From the spread over the probes; NaN for one probe, which has none.

        Orthogonal probes err less than this, which takes them as independent.
        """
        num_probes = estimates.shape[1]
        if num_probes == 1:
            return jnp.full(estimates.shape[0], jnp.nan)
        return jnp.std(estimates, axis=1, ddof=1) / math.sqrt(num_probes)

    def controlled(self, integrals: Array, log_stretch: Callable[[Array], Array]) -> Array:
        """Eq. 3."""
        if self.control is None:
            return integrals
        stretch = log_stretch(self.control.eigenvalues)
        flat = self.vectors.reshape(*self.vectors.shape[:2], -1)
        rotated = jnp.matmul(flat, self.control.eigenvectors, precision="highest")
        return (
            integrals
            - self.control_weight * jnp.matmul(rotated**2 - 1, stretch, precision="highest").T
        )


@probe_kinds.register("rademacher")
def rademacher(keys: Array, num: int, shape: tuple[int, ...]) -> Array:
    """±1, [num, B, *shape]. keys [B]."""
    return jnp.stack([noise.rademacher(keys, k, shape) for k in range(num)])


@probe_kinds.register("gaussian")
def gaussian(keys: Array, num: int, shape: tuple[int, ...]) -> Array:
    """N(0, I), as above."""
    return jnp.stack([noise.normal(keys, k, shape) for k in range(num)])


@probe_kinds.register("orthogonal")
def orthogonal(keys: Array, num: int, shape: tuple[int, ...]) -> Array:
    """√D times the columns of a random orthogonal matrix, as above.

    Raises:
      ValueError: more than there are dimensions.
    """
    dim = math.prod(shape)
    if num > dim:
        raise ValueError(f"num_probes: got {num} orthogonal ones, takes {dim} (dimensions) at most")
    normal = gaussian(keys, num, shape).reshape(num, len(keys), dim)
    # Q of the QR factors of a Gaussian matrix; each direction by itself is uniform on the sphere.
    columns, _ = jnp.linalg.qr(jnp.moveaxis(normal, 0, -1))
    return math.sqrt(dim) * jnp.moveaxis(columns, -1, 0).reshape(num, len(keys), *shape)


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

    return value, divergence.estimates(divergence.products(quadratic, divergence.probes(x)))
