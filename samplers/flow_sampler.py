"""The probability flow as a sampler: from latents to samples by an ODE integrator."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from samplers import noise
from samplers.divergence import Divergence
from samplers.integrators.integrator import Integrator
from samplers.probability_flow import ProbabilityFlow
from samplers.sampler import Sampler, Samples, check_no_path
from sde_lib import SDE, Model, static


class FlowSampler(Sampler):
    """The probability-flow ODE, integrated with steps that each example chooses.

    Args:
      integrator: one of `samplers.integrators`.
      t_min: where it ends; it starts with the SDE's prior, at t = 1.
      data_std: s, about the standard deviation of the data in model units.
      denoise: end with E[x_0 | x] at t_min; no further evaluation.
      divergence: (key, shape [B, ...], indices [B]) → the divergence by which the samples'
        log-densities are integrated along with them; they are then not denoised. None: no
        densities.

    Reference: Song et al. 2021, eq. 13.
    """

    reference = "Song et al. 2021; Hairer, Nørsett & Wanner 1993, §III.5"
    remedy = "smaller tolerances (rtol), or another solver"

    integrator: Integrator
    t_min: Array | float
    data_std: Array | float = 0.5
    denoise: bool = static(default=False)
    divergence: Callable[[Array, tuple[int, ...], Array], Divergence] | None = static(default=None)

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
        """Samples of `shape` [B, ...]: `Sampler.draw`."""
        del progress
        check_no_path(keep)
        indices = jnp.arange(shape[0]) if indices is None else indices
        if latents is None:
            latents = noise.latents(key, indices, shape[1:])
        latents = sde.prior_std() * latents
        flow = ProbabilityFlow(
            sde=sde,
            model=model,
            cond=cond,
            t_min=self.t_min,
            data_std=self.data_std,
            integrator=self.integrator,
        )
        if self.divergence is None:
            end = flow.decode(latents, denoise=self.denoise)
            return Samples(end.x, end.evaluations, end.finished)
        divergence = self.divergence(key, shape, indices)
        known = flow.decode_with_log_prob(latents, divergence)
        return Samples(
            known.x,
            known.evaluations,
            log_prob=known.log_prob,
            log_prob_error=known.standard_error,
        )
