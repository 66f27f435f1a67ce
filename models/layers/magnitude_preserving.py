"""Layers that keep the mean square of what passes through them: 1 in, 1 out.

    weights      ŵ = w/(ε + rms(w)),     rms over all that makes one output                (1)
    linear       y = ŵ x/√n,             n inputs; no bias                                 (2)
    silu         silu(x)/0.596,          0.596² = E[silu(z)²], z ~ N(0, 1)                 (3)
    sum          ((1 − t) a + t b)/√((1 − t)² + t²)                                        (4)
    cat          √((A + B)/((1 − t)² + t²)) [(1 − t) a/√A, t b/√B],   A and B channels     (5)
    pixel norm   x/(ε + rms(x)),         rms over the channels                             (6)
    fourier      √2 cos(2π (W c + φ)),   W ~ N(0, scale²), φ ~ U(0, 1), drawn once         (7)

(2) is blind to the scale of w, so its gradient is orthogonal to w and each step makes w longer: the
learning rate falls by itself. `constrain` sets w to ŵ, after every step, which ends that.

Reference: Karras et al., "Analyzing and improving the training dynamics of diffusion models"
(2024), §2.2–2.4, App. B.
"""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers import winograd
from models.layers.basic import Image

WEIGHT = "weight"
"""The name of the parameters that (1) normalises."""

EPSILON = 1e-4


def unit_rms(x: Array, axis: int | tuple[int, ...]) -> Array:
    """x over ε and its root mean square along the axes, computed in float32: (1) and (6)."""
    full = x.astype(jnp.float32)
    square = jnp.mean(jnp.square(full), axis, keepdims=True)
    # What is added is far below ε², and gives the root a derivative at 0.
    return (full / (EPSILON + jnp.sqrt(square + 1e-20))).astype(x.dtype)


def unit_weight(w: Float[Array, "*inputs out"]) -> Array:
    """The weight ŵ = w/(ε + rms(w)) of (1)."""
    return unit_rms(w, tuple(range(w.ndim - 1)))


def constrain(params: Any) -> Any:
    """Parameters whose weights are normalised by (1); the others stay as they are."""

    def one(path: tuple, leaf: Array) -> Array:
        return unit_weight(leaf) if path[-1].key == WEIGHT else leaf

    return jax.tree_util.tree_map_with_path(one, params)


def mp_silu(x: Array) -> Array:
    """The silu that keeps the mean square, (3)."""
    return nn.silu(x) / 0.596


def mp_sum(a: Array, b: Array, t: float) -> Array:
    """The sum of a and b that keeps the mean square, (4); t is the share of b."""
    return ((1 - t) * a + t * b) / math.hypot(1 - t, t)


def mp_cat(a: Array, b: Array, t: float) -> Array:
    """The concatenation that keeps the mean square, (5), along the last axis.

    a and b have shares (1 − t)² : t² in the mean square.
    """
    channels = a.shape[-1] + b.shape[-1]
    scale = math.sqrt(channels) / math.hypot(1 - t, t)
    parts = [scale * (1 - t) / math.sqrt(a.shape[-1]) * a, scale * t / math.sqrt(b.shape[-1]) * b]
    return jnp.concatenate(parts, axis=-1)


def pixel_norm(x: Array) -> Array:
    """Each pixel of x over the root mean square of its channels, (6)."""
    return unit_rms(x, -1)


class MPFourier(nn.Module):
    """Random Fourier features that keep the mean square, (7).

    W and φ are parameters that training leaves alone, as in `FourierFeatures`.
    """

    features: int
    scale: float

    @nn.compact
    def __call__(self, c: Float[Array, "batch"]) -> Float[Array, "batch {self.features}"]:
        shape = (self.features,)
        frequencies = self.param("frequencies", nn.initializers.normal(self.scale), shape)
        phases = self.param("phases", nn.initializers.uniform(1.0), shape)
        turns = c[:, None] * frequencies + phases
        return math.sqrt(2) * jnp.cos(2 * jnp.pi * jax.lax.stop_gradient(turns))


def _scaled_weight(module: nn.Module, shape: tuple[int, ...], dtype: Any) -> Array:
    """ŵ/√n of a parameter that starts as ŵ."""

    def init(key: Array, shape: tuple[int, ...]) -> Array:
        return unit_weight(jax.random.normal(key, shape))

    w = module.param(WEIGHT, init, shape)
    return (unit_weight(w) / math.sqrt(math.prod(shape[:-1]))).astype(dtype)


class MPLinear(nn.Module):
    """The linear map (2) over the last axis; on images the 1×1 convolution."""

    features: int
    dtype: Any = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch {self.features}"]:
        w = _scaled_weight(self, (x.shape[-1], self.features), self.dtype)
        return x.astype(self.dtype) @ w


class MPConv(nn.Module):
    """The 3×3 convolution, zeros outside, whose weights are those of (2).

    Args:
      features: output channels.
      dtype: what to compute in.
      convolution: how, one of `winograd.CONVOLUTIONS`.
    """

    features: int
    dtype: Any = "float32"
    convolution: str = "xla"

    @nn.compact
    def __call__(self, x: Image) -> Array:
        w = _scaled_weight(self, (3, 3, x.shape[-1], self.features), self.dtype)
        convolve = winograd.convolution(self.convolution)
        layout = ("NHWC", "HWIO", "NHWC")
        return convolve(x.astype(self.dtype), w, (1, 1), "SAME", dimension_numbers=layout)
