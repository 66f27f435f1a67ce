"""A network with its parameters and its meaning: the model that samplers and losses call."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from models.conditioning import conditionings
from models.parameterization import parameterizations
from sde_lib import SDE, Prediction, Pytree, static


class ScoreModel(Pytree):
    """`predict(x, t, cond) → Prediction` by a Flax network.

    The parameters, the SDE's numbers and the data's scale are leaves.

    Args:
      network: a Linen module called as network(x, c, cond, train=...).
      params: its parameters.
      sde: the SDE whose α and σ the network was trained with.
      parameterization: a name in `parameterizations`.
      conditioning: a name in `conditionings`.
      data_std: the data's standard deviation in model units, for "edm".
    """

    network: nn.Module = static()
    params: Any
    sde: SDE
    parameterization: str = static()
    conditioning: str = static()
    data_std: float = 0.5

    def __call__(
        self, x: Array, t: ArrayLike, cond: Any = None, *, dropout_key: Array | None = None
    ) -> Prediction:
        """Data and noise given x [B, ...] at t, in float32.

        Args:
          x: states [B, ...].
          t: scalar or [B].
          cond: what the network is conditioned on.
          dropout_key: given, the network runs as in training.
        """
        t = jnp.broadcast_to(jnp.asarray(t, dtype=float), x.shape[:1])
        c = conditionings[self.conditioning](self.sde, t)
        rngs = {} if dropout_key is None else {"dropout": dropout_key}
        apply = partial(
            self.network.apply,
            {"params": self.params},
            c=c,
            cond=cond,
            train=dropout_key is not None,
            rngs=rngs,
        )

        def network(x: Array) -> Array:
            out: Any = apply(x)
            if jnp.shape(out) != x.shape:
                raise ValueError(f"returns shape {jnp.shape(out)} for states of shape {x.shape}")
            return out

        predict = parameterizations[self.parameterization]
        return predict(network, self.sde, x, t, self.data_std)
