"""Constraints: what is known of the state is put into it after each step.

A step of a solver from t to s, then the constraint C with noise of its own,

    x' = C(step(x, t, s), s),                                                     (1)

so that with short steps the state is both on its way to data and in C's range (a splitting). C is
also put on x after each correction, and on what is returned. A method that corrects a step by the
evaluation at its end has that evaluation at C of what it predicted, and goes on from

    x' = C(corrected step, s),                                                    (2)

with the same noise. Evaluations of earlier steps stay as they were before the moves since: an
error of first order in the step, as that of (1) is.

Reference: Song et al. 2021, App. I.2 (imputation); Lugmayr et al. 2022 "RePaint", eq. 8.
"""

import abc
from collections.abc import Callable

from jax import Array
from jaxtyping import Float

from sde_lib import Pytree


class Constraint(Pytree, abc.ABC):
    """What is known of the state of a sampler, put into it after each step.

    Its fields are leaves, traced like a model's parameters: arrays of the batch go where its
    examples go.
    """

    @abc.abstractmethod
    def apply(
        self,
        draw: Callable[[], Array],
        x: Float[Array, "batch *shape"],
        t_end: Float[Array, ""] | None,
    ) -> Float[Array, "batch *shape"]:
        """The state x with what is known put into it.

        Args:
          draw: gives standard normal noise [B, ...]; the same at every call for this x.
          x: the state at t_end, [B, ...].
          t_end: its time, a scalar, the end of a step or the time of a correction; None: x is
            data, E[x_0 | x_t] at the end of the last step, without any noise or scale.
        """
