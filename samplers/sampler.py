"""What a sampler is: it turns noise into samples of a model, a batch at a time.

There are three kinds: a solver on a grid (`driver.GridSampler`), the probability flow by an ODE
integrator (`flow_sampler.FlowSampler`), and the reverse-time SDE with adaptive steps
(`adaptive_sde.AdaptiveSDESampler`). What draws samples need not know which it has.
"""

import abc
from typing import Any, ClassVar, NamedTuple

from jax import Array
from jaxtyping import Bool, Float, Int, Key

from sde_lib import SDE, Model, Pytree


class Samples(NamedTuple):
    """Samples of a batch, and what is known of each of them.

    Args:
      x: the samples [B, ...].
      evaluations: how many network evaluations each took [B].
      finished: whether each has reached the last time [B]; None where every sample does.
      log_prob: the log-density of each in nats [B]; None unless asked for.
      log_prob_error: its standard error through the divergence's probes [B].
      path: E[x_0 | x_t] at K evaluations on the way [B, K, ...]; None unless asked for.
    """

    x: Float[Array, "batch *shape"]
    evaluations: Int[Array, "batch"]
    finished: Bool[Array, "batch"] | None = None
    log_prob: Float[Array, "batch"] | None = None
    log_prob_error: Float[Array, "batch"] | None = None
    path: Float[Array, "batch kept *shape"] | None = None


def check_no_path(keep: int) -> None:
    """Stop a path that is asked of a sampler whose examples choose their own steps.

    Raises:
      ValueError: `keep` is not 0.
    """
    if keep:
        raise ValueError(f"keep: got {keep}, takes 0 where examples choose their own steps")


class Sampler(Pytree, abc.ABC):
    """Draws samples of a model under an SDE. It is built once and draws any number of batches."""

    reference: ClassVar[str] = ""
    """Where the method is from, in a few words."""

    remedy: ClassVar[str] = ""
    """What helps where a state has grown beyond float32, in a few words."""

    @abc.abstractmethod
    def draw(
        self,
        key: Key[Array, ""],
        sde: SDE,
        model: Model,
        shape: tuple[int, ...],
        *,
        cond: Any = None,
        indices: Int[Array, "batch"] | None = None,
        latents: Float[Array, "batch *shape"] | None = None,
        keep: int = 0,
        progress: bool = False,
    ) -> Samples:
        """Samples of `shape` [B, ...].

        Args:
          key: typed key. Sample i is a function of (key, indices[i]) alone.
          sde: the SDE.
          model: `predict(x, t, cond)`. Like the SDE and the sampler's numbers it is traced: new
            parameters run the program that is there.
          shape: of the batch.
          cond: what the model is conditioned on, for the whole batch.
          indices: the examples' numbers [B]; 0 … B − 1 by default. Sharded over a mesh, they shard
            the whole computation.
          latents: where to start, standard normal [B, ...], instead of draws from the key.
          keep: at how many evaluations, evenly spread, `Samples.path` is kept; at most as many as
            there are. Memory is that of `keep` batches more.
          progress: show a progress bar, where it is known how many evaluations there are.

        Raises:
          ValueError: `keep` of a sampler whose examples choose their own steps.
        """

    def not_finite(self, sde: SDE) -> tuple[str, float] | None:
        """The first of its coefficients under an SDE that are not finite.

        Args:
          sde: the SDE.

        Returns:
          The field whose coefficients they are, and their time; None where all are finite.
        """
        del sde
        return None
