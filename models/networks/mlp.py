"""A multilayer perceptron, for data of a few dimensions."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers.basic import layer_of, linear
from models.layers.embedding import EMBEDDINGS, TimeEmbedding
from models.registry import check_choices, networks
from sde_lib import Condition, ranged


@networks.register("mlp")
class MLP(nn.Module):
    """A perceptron of a vector x, each layer conditioned on a number c that stands for the time.

        h ← silu(A_l h + E_l e) [+ h where the width stays],    output A h,    e the embedding of c

    Args:
      hidden: width of each layer.
      embedding: "positional" (for c = 999 t) or "fourier" (for c = log σ).
      embedding_dim: features of the embedding (an even number).
      fourier_scale: standard deviation of the Fourier frequencies.
      init_scale: variance scale of the last layer; 0 means 1e-10.
      num_classes: number of class labels, 0 for none.
      cond_dim: features of an embedding instead of labels, 0 for none.
      dtype: what to compute in; parameters and the output stay float32.

    Raises:
      ValueError: an unknown embedding; labels missing or unexpected.
    """

    hidden: tuple[int, ...] = ranged((128, 128, 128), low=1)
    embedding: str = ranged("positional", choices=EMBEDDINGS)
    embedding_dim: int = ranged(64, low=2)
    fourier_scale: float = ranged(0.25, above=0)
    init_scale: float = ranged(0.0, low=0)
    num_classes: int = ranged(0, low=0)
    cond_dim: int = ranged(0, low=0)
    dtype: Any = "float32"

    def __post_init__(self) -> None:
        check_choices(self)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch dim"],
        c: Float[Array, "batch"],
        cond: Condition | None = None,
        *,
        train: bool = False,
    ) -> Float[Array, "batch dim"]:
        del train  # no dropout: toy data are never short
        e = self._embed(c, cond)
        h = x
        for i, width in enumerate(self.hidden):
            conditioning = linear(width, dtype=self.dtype, name=f"time_{i}")(e)
            new = nn.silu(linear(width, dtype=self.dtype, name=f"dense_{i}")(h) + conditioning)
            h = h + new if i > 0 and h.shape[-1] == width else new
        out = linear(x.shape[-1], init_scale=self.init_scale, dtype=self.dtype, name="out")
        return out(h).astype(jnp.float32)

    def _embed(self, c: Array, cond: Condition | None) -> Array:
        features = 2 * self.embedding_dim
        dim = self.embedding_dim // (2 if self.embedding == "fourier" else 1)
        return layer_of(self, TimeEmbedding, dim=dim, features=features, name="time")(c, cond)
