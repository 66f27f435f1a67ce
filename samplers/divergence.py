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
from jaxtyping import Array, Float, Int, Key

from samplers import noise
from sde_lib import Gaussian, Pytree, Registry, static

probe_kinds = Registry("kind of probes")


class Divergence(Pytree, abc.ABC):
    """A way to take the divergence of a field: its probes, and what their products sum to."""

    @abc.abstractmethod
    def probes(self, x: Float[Array, "batch *shape"]) -> Float[Array, "probes #batch *shape"]:
        """The vectors z_k at x: [K, B, ...], or [K, 1, ...] if they are the same for all."""

    @abc.abstractmethod
    def estimates(self, products: Float[Array, "probes batch"]) -> Float[Array, "batch estimates"]:
        """The estimates of the divergence that the products zᵀ J z give."""

    @abc.abstractmethod
    def standard_error(self, estimates: Float[Array, "batch estimates"]) -> Float[Array, "batch"]:
        """The standard error of the mean of an example's estimates."""

    def products(
        self, quadratic: Callable[[Array], Array], probes: Float[Array, "probes #batch *shape"]
    ) -> Float[Array, "probes batch"]:
        """zᵀ J z of all probes, at once.

        Args:
          quadratic: z [B, ...] → zᵀ J z [B].
          probes: the z_k.
        """
        return jax.vmap(quadratic)(probes)

    def controlled(
        self, integrals: Float[Array, "batch estimates"], log_stretch: Callable[[Array], Array]
    ) -> Float[Array, "batch estimates"]:
        """Integrals of the estimates, with what is known of their error taken out.

        Args:
          integrals: of the estimates along the trajectories.
          log_stretch: L, the log of how the flow of Gaussian data stretches a direction of the
            given variance; elementwise.
        """
        del log_stretch
        return integrals


class Exact(Divergence):
    """The trace of the Jacobian, eq. 1 of the module: as many products as dimensions.

    Args:
      chunk: the number of products taken at once; fewer need less memory. None: all.
    """

    chunk: int | None = static(default=None)

    def probes(self, x: Float[Array, "batch *shape"]) -> Float[Array, "probes 1 *shape"]:
        """The unit vectors, the same for each example."""
        dim = math.prod(x.shape[1:])
        return jnp.eye(dim, dtype=x.dtype).reshape(dim, 1, *x.shape[1:])

    def products(
        self, quadratic: Callable[[Array], Array], probes: Float[Array, "probes #batch *shape"]
    ) -> Float[Array, "probes batch"]:
        """zᵀ J z of all probes, in chunks."""
        if self.chunk is None or self.chunk >= len(probes):
            return super().products(quadratic, probes)
        return jax.lax.map(quadratic, probes, batch_size=self.chunk)

    def estimates(self, products: Float[Array, "probes batch"]) -> Float[Array, "batch 1"]:
        """The sum of the products."""
        return jnp.sum(products, axis=0)[:, None]

    def standard_error(self, estimates: Float[Array, "batch estimates"]) -> Float[Array, "batch"]:
        """0: nothing is random."""
        return jnp.zeros(estimates.shape[0])


class Hutchinson(Divergence):
    """An estimate of the trace by random probes, eq. 2 of the module; with a control, eq. 3.

    Args:
      vectors: [K, B, ...], the z_k.
      control: the Gaussian fitted to the data whose flow is the control variate, or None.
      control_weight: β. 1 is best for Gaussian data; for a network's flow on digits the best is 0.5
        to 0.6 (benchmarks/likelihood.py).

    Reference: Hutchinson 1990.
    """

    vectors: Array
    control: Gaussian | None = None
    control_weight: Array | float = 0.6

    @classmethod
    def draw(
        cls,
        key: Key[Array, ""],
        shape: tuple[int, ...],
        num_probes: int = 1,
        *,
        kind: str = "rademacher",
        indices: Int[Array, "batch"] | None = None,
        control: Gaussian | None = None,
    ) -> "Hutchinson":
        """Random probes; those of example i are a function of (key, indices[i]) alone.

        Args:
          key: typed key.
          shape: of the batch, [B, ...].
          num_probes: K.
          kind: a name in `probe_kinds`.
          indices: the examples' numbers; 0 … B − 1 by default.
          control: as of the class.

        Raises:
          ValueError: fewer than one probe, more orthogonal ones than dimensions, or an unknown
            kind.
        """
        if num_probes < 1:
            raise ValueError(f"num_probes: got {num_probes}, takes an integer ≥ 1")
        keys = noise.example_keys(key, jnp.arange(shape[0]) if indices is None else indices)
        vectors = probe_kinds[kind](noise.stream(keys, "probe"), num_probes, shape[1:])
        return cls(vectors=vectors, control=control)

    def probes(self, x: Float[Array, "batch *shape"]) -> Float[Array, "probes batch *shape"]:
        """The given ones."""
        del x
        return self.vectors

    def estimates(self, products: Float[Array, "probes batch"]) -> Float[Array, "batch probes"]:
        """One a probe."""
        return products.T

    def standard_error(self, estimates: Float[Array, "batch estimates"]) -> Float[Array, "batch"]:
        """From the spread over the probes; NaN for one probe, which has none.

        Orthogonal probes err less than this, which takes them as independent.
        """
        num_probes = estimates.shape[1]
        if num_probes == 1:
            return jnp.full(estimates.shape[0], jnp.nan)
        return jnp.std(estimates, axis=1, ddof=1) / math.sqrt(num_probes)

    def controlled(
        self, integrals: Float[Array, "batch estimates"], log_stretch: Callable[[Array], Array]
    ) -> Float[Array, "batch estimates"]:
        """The integrals less the control variate, by eq. 3 of the module."""
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
def rademacher(
    keys: Key[Array, "batch"], num: int, shape: tuple[int, ...]
) -> Float[Array, "{num} batch ..."]:
    """`num` probes of ±1 with equal chances, for each example of `shape`."""
    return jnp.stack([noise.rademacher(keys, k, shape) for k in range(num)])


@probe_kinds.register("gaussian")
def gaussian(
    keys: Key[Array, "batch"], num: int, shape: tuple[int, ...]
) -> Float[Array, "{num} batch ..."]:
    """`num` standard normal probes for each example of `shape`."""
    return jnp.stack([noise.normal(keys, k, shape) for k in range(num)])


@probe_kinds.register("orthogonal")
def orthogonal(
    keys: Key[Array, "batch"], num: int, shape: tuple[int, ...]
) -> Float[Array, "{num} batch ..."]:
    """`num` columns of a random orthogonal matrix times √D, for each example of `shape`.

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
    field: Callable[[Array], Array], x: Float[Array, "batch *shape"], divergence: Divergence
) -> tuple[Float[Array, "batch *shape"], Float[Array, "batch estimates"]]:
    """A field's value and the estimates of its divergence, by one linearisation.

    Args:
      field: x → a vector of x's shape, each example by itself.
      x: where.
      divergence: how.
    """
    value, product = jax.linearize(field, x)

    def quadratic(probe: Array) -> Array:
        probe = jnp.broadcast_to(probe, x.shape)
        return jnp.sum(probe * product(probe), axis=tuple(range(1, x.ndim)))

    return value, divergence.estimates(divergence.products(quadratic, divergence.probes(x)))
