"""The discrete-time training losses of DDPM and SMLD, for models trained on a table of N scales.

    x_i = α_i data + σ_i ε,    L = E_i E_ε ‖ε̂(x_i, i) − ε‖²                       (1)

    DDPM  α_i = √ᾱ_i, σ_i = √(1 − ᾱ_i), ᾱ_i = Π_{j ≤ i} (1 − β_j), β = linspace(β_min/N, β_max/N)
    SMLD  α_i = 1, σ_i geometric from σ_min to σ_max; a score network has ε̂ = −σ_i net

The index i counts from the least noise; SMLD networks are labelled from the most, N − 1 − i.

References: Ho et al. 2020, eq. 14; Song & Ermon 2019, eq. 5 and 6.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Int

from sde_lib.sde import expand
from sde_lib.shapes import PerExample, States


class NoiseTable(NamedTuple):
    """The scales α_i of the data and σ_i of the noise, each [N]."""

    alphas: Array
    sigmas: Array


def ddpm_table(num_scales: int, beta_min: float = 0.1, beta_max: float = 20.0) -> NoiseTable:
    """The table of DDPM; log ᾱ_i is summed by log1p so that σ_i keeps its digits at small i."""
    betas = jnp.linspace(beta_min, beta_max, num_scales) / num_scales
    log_survival = jnp.cumsum(jnp.log1p(-betas))
    return NoiseTable(alphas=jnp.exp(log_survival / 2), sigmas=jnp.sqrt(-jnp.expm1(log_survival)))


def smld_table(num_scales: int, sigma_min: float = 0.01, sigma_max: float = 50.0) -> NoiseTable:
    """The table of SMLD's N scales, geometric from sigma_min to sigma_max."""
    sigmas = jnp.exp(jnp.linspace(math.log(sigma_min), math.log(sigma_max), num_scales))
    return NoiseTable(alphas=jnp.ones_like(sigmas), sigmas=sigmas)


def discrete_denoising_loss(
    table: NoiseTable,
    predict_noise: Callable[[Array, Array], Array],
    data: States,
    index: Int[Array, "batch"],
    noise: States,
) -> PerExample:
    """The squared error of the predicted noise, for each example.

    Eq. 1 of `discrete`, averaged over the dimensions of an example.

    Args:
      table: the scales.
      predict_noise: (x_i [B, ...], i [B]) → ε̂ [B, ...].
      data: [B, ...], in model units.
      index: integers [B] in 0 … N − 1.
      noise: standard normal [B, ...].

    Returns:
      The losses [B].
    """
    alpha, sigma = expand(table.alphas[index], data), expand(table.sigmas[index], data)
    error = predict_noise(alpha * data + sigma * noise, index) - noise
    return jnp.mean(error**2, axis=tuple(range(1, data.ndim)))
