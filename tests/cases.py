"""What the tests run over: the SDEs, and data whose diffusion is known in closed form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from jax.typing import ArrayLike

from sde_lib import SDE, Gaussian, GaussianMixture, sdes
from tests.user_sde import StraightPath

REGISTERED: dict[str, SDE] = {name: sdes[name]() for name in sdes} | {"user": StraightPath()}
every_registered_sde = pytest.mark.parametrize(
    "sde", list(REGISTERED.values()), ids=list(REGISTERED)
)
# One of every kind, for what follows from the curves: their own tests run over all that there are.
# The user's is a rectified flow.
SDES = {name: REGISTERED[name] for name in ("vp", "subvp", "ve", "user")}
every_sde = pytest.mark.parametrize("sde", list(SDES.values()), ids=list(SDES))

# Away from both ends, so that f and g are finite under every SDE; the ends have their own tests.
TIMES = np.array([1e-3, 0.01, 0.1, 0.35, 0.6, 0.9, 0.98])


def takes_devices(num: int) -> pytest.MarkDecorator:
    """Skip a test of what `num` devices share where there are fewer."""
    return pytest.mark.skipif(jax.device_count() < num, reason=f"takes {num} devices")


def float32_tolerance(terms: ArrayLike) -> float:
    """How far float32 sums over the last axis of `terms` may be from the exact ones.

    On any processor: each of n terms comes with a few roundings, up to eight half-ulps 2⁻²⁴ of the
    largest term or partial sum, and they add up as √n. A tolerance relative to the sum would be too
    small where terms cancel.
    """
    terms = np.atleast_1d(terms)
    largest = max(np.abs(terms).max(), np.abs(np.cumsum(terms, axis=-1)).max())
    return 8 * 2.0**-24 * float(largest) * math.sqrt(terms.shape[-1])


class BareSDE(SDE):
    """An SDE stripped of its closed forms: its two curves, and the base class for all the rest."""

    curves: SDE

    def alpha(self, t: ArrayLike) -> Array:
        """α of `curves`."""
        return self.curves.alpha(t)

    def sigma(self, t: ArrayLike) -> Array:
        """σ of `curves`."""
        return self.curves.sigma(t)


def gaussian() -> Gaussian:
    """Correlated, off-centre, in two dimensions."""
    angle = 0.5
    rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Gaussian(
        mean=jnp.array([0.7, -0.4]),
        eigenvectors=jnp.array(rotation),
        eigenvalues=jnp.array([0.5, 0.04]),
    )


def mixture() -> GaussianMixture:
    """Three components of different weights and widths in two dimensions."""
    return GaussianMixture(
        weights=jnp.array([0.2, 0.5, 0.3]),
        means=jnp.array([[1.0, 0.5], [-0.8, 0.3], [0.1, -0.9]]),
        stds=jnp.array([0.3, 0.2, 0.4]),
    )


def line_mixture() -> GaussianMixture:
    """Two components on a line."""
    return GaussianMixture(
        weights=jnp.array([0.35, 0.65]),
        means=jnp.array([[1.0], [-0.6]]),
        stds=jnp.array([0.25, 0.4]),
    )
