"""A network with its parameters as a classifier of noisy states.

With F the logits of a network, c what it is given for the time, and s the data's standard
deviation,

    log p(y | x_t) = log softmax(F(x/r, c))_y,    r² = σ² + α² s²                        (1)

so that what the network is given has unit variance at every time, as the edm parameterization has.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.conditioning import Conditioning, conditionings
from sde_lib import SDE, Condition, Pytree, expand, static
from sde_lib.shapes import PerExample, States, Time


class Classifier(Pytree):
    """The probability of an example's label given its noisy state, by a Flax network.

    The parameters and the numbers of the SDE are leaves.

    Args:
      network: a Linen module of logits, called as network(x, c, cond, train=...).
      params: its parameters.
      sde: the SDE whose α and σ it was trained with.
      conditioning: what it is given for the time; a function, or a name in `conditionings`.
      data_std: s, the data's standard deviation.

    Reference: Dhariwal & Nichol 2021, §4.
    """

    network: nn.Module = static()
    params: Any
    sde: SDE
    conditioning: Conditioning | str = static()
    data_std: float

    def logits(
        self, x: States, t: Time, *, dropout_key: Array | None = None
    ) -> Float[Array, "batch classes"]:
        """The network's logits F of eq. 1 of `classifier`, in float32.

        Args:
          x: states [B, ...].
          t: their times, a scalar or [B].
          dropout_key: given, the network runs as in training.

        Raises:
          ValueError: the network returns another shape than [B, classes].
        """
        t = jnp.broadcast_to(jnp.asarray(t, dtype=float), x.shape[:1])
        c = conditionings.entry(self.conditioning)(self.sde, t)
        size = jnp.hypot(self.sde.sigma(t), self.sde.alpha(t) * self.data_std)
        out: Any = self.network.apply(
            {"params": self.params},
            x / expand(size, x),
            c=c,
            cond=None,
            train=dropout_key is not None,
            rngs={} if dropout_key is None else {"dropout": dropout_key},
        )
        if jnp.ndim(out) != 2 or len(out) != len(x):
            raise ValueError(f"returns shape {jnp.shape(out)}, takes logits [{len(x)}, classes]")
        return out

    def __call__(
        self, x: States, t: Time, cond: Condition | None, *, dropout_key: Array | None = None
    ) -> PerExample:
        """log p(label | x_t) in nats, eq. 1 of `classifier`; 0 for examples that keep no label.

        Args:
          x: states [B, ...].
          t: their times, a scalar or [B].
          cond: the labels.
          dropout_key: given, the network runs as in training.

        Returns:
          [B].

        Raises:
          ValueError: the condition has no label, or as of `logits`.
        """
        if cond is None or cond.label is None:
            raise ValueError("label: got None, takes a class for each example")
        log_probs = jax.nn.log_softmax(self.logits(x, t, dropout_key=dropout_key))
        found = jnp.take_along_axis(log_probs, cond.label[:, None], axis=1)[:, 0]
        return found if cond.keep is None else jnp.where(cond.keep, found, 0.0)
