"""Loss weights that make every part of the time distribution count alike.

With u uniform on [0, 1), which a time sampler maps to t (`time_sampling`), the interval is cut into
equal bins, and the mean loss m_b of each is estimated as training goes:

    w_b = (mean of m over the bins) / m_b,   so that w_b m_b is the same in every bin      (1)
    c_b ← d c_b + n_b,   m_b ← m_b + (Σ losses in b − n_b m_b)/c_b                        (2)

with n_b the examples of the batch in bin b. Eq. 2 is the mean of all losses seen in a bin, each
weighted by d to the power of the batches since, so it is unbiased from the first batch on. A bin
not seen yet has weight 1. The loss as a whole keeps its size, so bounds on gradients keep their
meaning.

References: Karras et al. 2024 "Analyzing and improving the training dynamics of diffusion models"
§2.2 (weights 1/m(t) from a small network, trained as an uncertainty); Kingma and Gao 2023
"Understanding diffusion objectives as the ELBO with simple data augmentation" (a running loss by
bins, which there sets the density of times).
"""

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.pytree import Pytree
from sde_lib.shapes import PerExample

MAX_WEIGHT = 1e6
"""Bound on a weight."""


class BinnedLoss(Pytree):
    """The running mean of the loss in each bin of the time distribution.

    Args:
      means: m [bins].
      counts: c [bins], discounted numbers of examples; 0 for a bin not seen yet.
    """

    means: Array
    counts: Array


def init(bins: int) -> BinnedLoss:
    """The state before the first batch."""
    return BinnedLoss(means=jnp.zeros(bins), counts=jnp.zeros(bins))


def weights(state: BinnedLoss, u: PerExample) -> PerExample:
    """The weights w [B] of eq. 1 at u [B], by which to multiply the losses of the next batch."""
    # Below tiny some processors round to 0 and some do not.
    seen = state.counts >= jnp.finfo(state.counts.dtype).tiny
    mean = jnp.sum(jnp.where(seen, state.means, 0.0)) / jnp.maximum(jnp.sum(seen), 1)
    # A bin whose loss is 0 has nothing to learn.
    floor = jnp.maximum(mean / MAX_WEIGHT, jnp.finfo(state.means.dtype).tiny)
    by_bin = jnp.where(seen & (mean > 0), mean / jnp.maximum(state.means, floor), 1.0)
    return by_bin[_bin(u, len(state.means))]


def update(state: BinnedLoss, u: PerExample, losses: PerExample, decay: float = 0.99) -> BinnedLoss:
    """The running means after a batch, eq. 2 of `adaptive_weighting`.

    Args:
      state: the state before the batch.
      u: where in the distribution of times its examples lie [B], in [0, 1).
      losses: [B], nonnegative, with the importance weight of their times, without those of eq. 1.
      decay: d; 1/(1 − d) batches are remembered.

    Returns:
      The state after the batch. Gradients do not pass through it.
    """
    total, num = sums_by_bin(u, jax.lax.stop_gradient(losses), len(state.means))
    counts = decay * state.counts + num
    change = (total - num * state.means) / jnp.where(counts > 0, counts, 1.0)
    return BinnedLoss(means=state.means + change, counts=counts)


def sums_by_bin(u: Array, losses: Array, bins: int) -> tuple[Array, Array]:
    """Σ losses and the number of examples in each bin [bins], of u and losses [B]."""
    # A masked sum, not a scatter: its order, and so its rounding, is the same on every run.
    member = _bin(u, bins)[:, None] == jnp.arange(bins)
    return jnp.sum(jnp.where(member, losses[:, None], 0.0), axis=0), jnp.sum(member, axis=0)


def _bin(u: Array, bins: int) -> Array:
    """The bin of each u [B]; u = 1, which rounding can make, is in the last."""
    return jnp.minimum((u * bins).astype(jnp.int32), bins - 1)
