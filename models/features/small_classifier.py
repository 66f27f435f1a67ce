"""A small classifier of images or points, whose last hidden layer are features."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.basic import GroupNorm, Image
from sde_lib import ranged

_FINE = 32
"""Pixels a side that the first convolution sees at most, about: larger images are averaged."""

_COARSE = 4
"""Pixels a side at which what is left is a vector: where things are still counts."""


class SmallClassifier(nn.Module):
    """A classifier of a few convolutions, which a data set can train in minutes.

    Images are averaged to about 32 pixels a side; then, until 4 are left,

        h ← pool(relu(norm(conv(h)))),     channels width, 2 width, 4 width, 4 width, …

    A point goes through two linear maps of 4 width with relu instead. At the end

        features = relu(W h + b),      logits = V features + c.

    Args:
      num_classes: number of logits.
      width: channels of the first convolution.
      dim: number of features.
    """

    num_classes: int = ranged(10, low=2)
    width: int = ranged(32, low=4)
    dim: int = ranged(128, low=1)

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch ..."]
    ) -> tuple[Float[Array, "batch {self.dim}"], Float[Array, "batch {self.num_classes}"]]:
        """The features and the logits of x, images [B, H, W, C] or points [B, N], standardised."""
        h = self._of_image(x) if x.ndim == 4 else self._of_point(x.reshape(len(x), -1))
        features = nn.relu(nn.Dense(self.dim, name="features")(h))
        return features, nn.Dense(self.num_classes, name="logits")(features)

    def _of_image(self, h: Image) -> Float[Array, "batch numbers"]:
        coarser = max(1, min(h.shape[1:3]) // _FINE)
        h = nn.avg_pool(h, (coarser, coarser), strides=(coarser, coarser))
        level = 0
        while level == 0 or max(h.shape[1:3]) > _COARSE:
            h = nn.Conv(self.width * min(2**level, 4), (3, 3), name=f"conv_{level}")(h)
            h = nn.relu(GroupNorm(name=f"norm_{level}")(h))
            if max(h.shape[1:3]) > _COARSE:
                h = nn.max_pool(h, (2, 2), strides=(2, 2), padding="SAME")
            level += 1
        return jnp.reshape(h, (len(h), -1))

    def _of_point(self, h: Float[Array, "batch numbers"]) -> Float[Array, "batch numbers_"]:
        for layer in range(2):
            h = nn.relu(nn.Dense(4 * self.width, name=f"dense_{layer}")(h))
        return h
