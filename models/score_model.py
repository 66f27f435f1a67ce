"""A network with its parameters and its meaning: the model that samplers and losses call."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from models.conditioning import Conditioning, conditionings
from models.parameterization import Parameterization
from sde_lib import SDE, Prediction, Pytree, static
from sde_lib.shapes import States, Time


class ScoreModel(Pytree):
    """A Flax network with its parameters as a model, `predict(x, t, cond) → Prediction`.

    The parameters and the numbers of the SDE and of the parameterization are leaves.

    Args:
      network: a Linen module called as network(x, c, cond, train=...).
      params: its parameters.
      sde: the SDE whose α and σ the network was trained with.
      parameterization: what the network's output means.
      conditioning: what it is given for the time; a function, or a name in `conditionings`.
    """

    network: nn.Module = static()
    params: Any
    sde: SDE
    parameterization: Parameterization
    conditioning: Conditioning | str = static()

    def __call__(
        self, x: States, t: Time, cond: Any = None, *, dropout_key: Array | None = None
    ) -> Prediction:
        """The conditional means of data and noise given x at t, in float32.

        Args:
          x: states [B, ...].
          t: their times, a scalar or [B].
          cond: what the network is conditioned on.
          dropout_key: given, the network runs as in training.

        Returns:
          Both means, each [B, ...].

        Raises:
          ValueError: the network's output has another shape than x.
        """
        t = jnp.broadcast_to(jnp.asarray(t, dtype=float), x.shape[:1])
        c = conditionings.entry(self.conditioning)(self.sde, t)
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

        return self.parameterization(network, self.sde, x, t)
