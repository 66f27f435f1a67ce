"""Dequantization: from a density of continuous states to the probability of a discrete image.

Level k is the bin of width Δ around its centre m (`data.codec`). For any q whose support is the
bin, by Jensen's inequality and its K-sample form (Burda et al. 2016),

    log P(k) = log ∫_bin p ≥ E_q[log p(x) − log q(x)]                             (1)
    log P(k) ≥ E[log 1/K Σ_k p(x_k)/q(x_k)],   x_k ~ q independent                (2)

    uniform            x = m + Δ (u − ½), u uniform on [0, 1);   log q = −D log Δ  (3)
    truncated_normal   x = α₀ m + σ₀ ε, ε ~ N(0, 1) on [−τ, τ], τ = α₀ Δ/(2 σ₀);  (4)
                       log q(x) = −D log(σ₀ √(2π) Z) − ‖ε‖²/2,   Z = erf(τ/√2)
                       E[−log q] = D [log(σ₀ √(2πe) Z) − τ φ(τ)/Z]                (5)

with α₀ and σ₀ those of t_min and φ the normal density. Under (4) x is the state that the model was
trained on at t_min, and the bins are those of α₀ x. The choice τ = 3 sets σ/α at t_min to Δ/6,
where the SDE has so little noise.

References: Theis et al. 2016, §3.1 (3); Zheng et al. 2023, "i-DODE", §4.2 (4, 5).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erf, ndtri
from jax.typing import ArrayLike

from experiments.data import Codec, PixelCodec
from samplers import noise
from sde_lib import SDE, Registry

dequantizations = Registry("dequantization")

_TAU = 3.0


class Draw(NamedTuple):
    """Dequantized examples.

    Args:
      x: float32 [B, ...], states at t_min.
      log_q: float32 [B], log q(x) in nats.
      entropy: float32 [], E[−log q] in nats.
    """

    x: Array
    log_q: Array
    entropy: Array


Dequantize = Callable[[Array, Array, PixelCodec, SDE, ArrayLike], Draw]
"""A function (keys [B], grey levels [B, ...], their codec, SDE, t_min) → Draw."""


@dequantizations.register("uniform")
def uniform(keys: Array, values: Array, codec: PixelCodec, sde: SDE, t_min: ArrayLike) -> Draw:
    """Uniform noise in each bin, eq. 3 of this module; the arguments are those of `Dequantize`."""
    del sde, t_min
    u = noise.uniform(keys, 0, values.shape[1:])
    entropy = jnp.asarray(math.prod(values.shape[1:]) * math.log(codec.bin_width))
    return Draw(codec.encode(values, u), jnp.full(len(values), -entropy), entropy)


@dequantizations.register("truncated_normal")
def truncated_normal(
    keys: Array, values: Array, codec: PixelCodec, sde: SDE, t_min: ArrayLike
) -> Draw:
    """The model's own noise at t_min, cut off at the bin's ends: eq. 4 and 5 of this module.

    The arguments are those of `Dequantize`.
    """
    alpha, sigma = sde.alpha(t_min), sde.sigma(t_min)
    tau = alpha * codec.bin_width / (2 * sigma)
    inside = erf(tau / math.sqrt(2))
    # Off 0, which is one draw in 2²³ and would be −∞ where Z rounds to 1.
    u = jnp.maximum(noise.uniform(keys, 0, values.shape[1:]), 2.0**-24)
    # Φ(ε) runs over [Φ(−τ), Φ(τ)] = ½ ± ½ Z; the clip mends what rounding puts beyond.
    eps = jnp.clip(ndtri(0.5 + (u - 0.5) * inside), -tau, tau)
    dim = math.prod(values.shape[1:])
    log_norm = jnp.log(sigma * inside) + math.log(2 * math.pi) / 2
    squares = jnp.sum(eps**2, axis=tuple(range(1, values.ndim)))
    density = jnp.exp(-(tau**2) / 2) / math.sqrt(2 * math.pi)
    return Draw(
        x=alpha * codec.encode(values) + sigma * eps,
        log_q=-dim * log_norm - squares / 2,
        entropy=dim * (log_norm + 0.5 - tau * density / inside),
    )


def dequantize(
    name: str, keys: Array, values: Array, codec: Codec, sde: SDE, t_min: ArrayLike
) -> Draw:
    """Examples as states at t_min, by the dequantization of that name; continuous ones as they are.

    The other arguments are those of `Dequantize`.
    """
    if codec.bin_width is None:
        return Draw(codec.encode(values), jnp.zeros(len(values)), jnp.zeros(()))
    return dequantizations[name](keys, values, codec, sde, t_min)


def noise_to_signal_min(name: str, codec: Codec) -> float:
    """The σ/α at t_min that suits: Δ/(2τ) for the truncated normal, 1e-3 otherwise."""
    if name == "truncated_normal" and codec.bin_width is not None:
        return codec.bin_width / (2 * _TAU)
    return 1e-3
