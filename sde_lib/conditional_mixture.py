"""Gaussian-mixture data in classes: conditional score, denoiser and density in closed form.

Component k of a mixture is of the class y_k, and c is a label, so that

    p(x | c) ∝ Σ_{k: y_k = c} w_k N(x; m_k, s_k² I)                               (1)

is the mixture of fewer components, and without a condition it is the whole one.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Int

from sde_lib.condition import Condition
from sde_lib.gaussian_mixture import GaussianMixture
from sde_lib.prediction import Prediction
from sde_lib.pytree import Pytree
from sde_lib.sde import SDE
from sde_lib.shapes import PerExample, States, Time


class ConditionalMixture(Pytree):
    """Gaussian-mixture data whose components belong to classes.

    Args:
      mixture: K components.
      classes: y, the class of each component, int [K]; every class that is asked for has one.
    """

    mixture: GaussianMixture
    classes: Int[Array, "components"]

    def given(self, cond: Condition | None) -> GaussianMixture:
        """The mixture of each example given its label, eq. 1; the whole where it is dropped.

        Raises:
          ValueError: the condition has no label.
        """
        if cond is None:
            return self.mixture
        joint = self._joint(cond)
        total = jnp.sum(joint.weights, axis=1, keepdims=True)
        return dataclasses.replace(joint, weights=joint.weights / total)

    def log_posterior(self, sde: SDE, x: States, t: Time, cond: Condition) -> PerExample:
        """log p(c | x_t) of each example's label: what a perfect classifier says, in nats [B]."""
        return self._joint(cond).log_prob(sde, x, t) - self.mixture.log_prob(sde, x, t)

    def _joint(self, cond: Condition) -> GaussianMixture:
        """p(x, c), of weights [B, K] that are 0 for components of other classes."""
        if cond.label is None:
            raise ValueError("label: got None, takes a class for each example")
        inside = self.classes == cond.label[:, None]
        if cond.keep is not None:
            inside |= ~cond.keep[:, None]
        return dataclasses.replace(
            self.mixture, weights=jnp.where(inside, self.mixture.weights, 0.0)
        )

    def model(self, sde: SDE) -> "ConditionalMixtureModel":
        """The conditional means under `sde` as a model."""
        return ConditionalMixtureModel(data=self, sde=sde)


class ConditionalMixtureModel(Pytree):
    """The model of a mixture in classes, which takes a label or none.

    Args:
      data: the mixture.
      sde: the SDE that perturbs its data.
    """

    data: ConditionalMixture
    sde: SDE

    def __call__(self, x: States, t: Time, cond: Condition | None = None) -> Prediction:
        """The conditional means of data and noise given x [B, ...] at t and the labels."""
        return self.data.given(cond).predict(self.sde, x, t)
