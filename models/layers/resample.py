"""Halving and doubling an image, with or without a convolution.

Plain resampling is the mean of 2×2 pixels and the repetition of a pixel. FIR resampling filters
with the separable kernel k = (1, 3, 3, 1)/8; outside the image there are zeros:

    down   y[i] = (x[2i−1] + 3 x[2i] + 3 x[2i+1] + x[2i+2]) / 8                          (1)
    up     y[2i] = (x[i−1] + 3 x[i]) / 4,    y[2i+1] = (3 x[i] + x[i+1]) / 4              (2)

Both work on the even and odd phases, one axis at a time. As measured on the CPU, forward or
gradient, these shifted sums take 1/7 to 1/370 of the time of XLA's depthwise convolution.

Reference: Zhang, "Making convolutional networks shift-invariant again" (2019); Karras et al.,
StyleGAN-2 (2020).
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from models.layers.basic import Image, conv3x3

HEIGHT, WIDTH = 1, 2


def neighbour(x: Array, axis: int, step: int) -> Array:
    """x[i + step] along an axis for step ±1; zero beyond the edge."""
    size = x.shape[axis]
    zero = jnp.zeros_like(lax.slice_in_dim(x, 0, 1, axis=axis))
    if step > 0:
        return jnp.concatenate([lax.slice_in_dim(x, 1, size, axis=axis), zero], axis)
    return jnp.concatenate([zero, lax.slice_in_dim(x, 0, size - 1, axis=axis)], axis)


def phases(x: Array, axis: int) -> tuple[Array, Array]:
    """The even and the odd samples along an axis."""
    pairs = x.reshape(*x.shape[:axis], x.shape[axis] // 2, 2, *x.shape[axis + 1 :])
    return lax.index_in_dim(pairs, 0, axis + 1, False), lax.index_in_dim(pairs, 1, axis + 1, False)


def interleave(even: Array, odd: Array, axis: int) -> Array:
    """The inverse of `phases`."""
    pairs = jnp.stack([even, odd], axis + 1)
    return pairs.reshape(*even.shape[:axis], 2 * even.shape[axis], *even.shape[axis + 1 :])


def fir_down(x: Array, axis: int) -> Array:
    """Half an axis, filtered: eq. 1 of `resample`."""
    even, odd = phases(x, axis)
    return (neighbour(odd, axis, -1) + 3 * (even + odd) + neighbour(even, axis, 1)) / 8


def fir_up(x: Array, axis: int) -> Array:
    """Twice an axis, filtered: eq. 2 of `resample`."""
    even = (neighbour(x, axis, -1) + 3 * x) / 4
    odd = (3 * x + neighbour(x, axis, 1)) / 4
    return interleave(even, odd, axis)


def downsample(x: Image, fir: bool) -> Array:
    """Half the height and width."""
    if fir:
        return fir_down(fir_down(x, HEIGHT), WIDTH)
    even, odd = phases(x, HEIGHT)
    left, right = phases(even + odd, WIDTH)
    return (left + right) / 4


def upsample(x: Image, fir: bool) -> Array:
    """Twice the height and width."""
    if fir:
        return fir_up(fir_up(x, WIDTH), HEIGHT)
    wide = interleave(x, x, WIDTH)
    return interleave(wide, wide, HEIGHT)


def check_size(x: Image, halvings: int) -> None:
    """Stop an image that cannot be halved so often.

    Raises:
      ValueError: height or width is not a multiple of 2^halvings.
    """
    multiple = 2**halvings
    if x.shape[1] % multiple or x.shape[2] % multiple:
        size = f"{x.shape[1]}×{x.shape[2]}"
        raise ValueError(f"image size: got {size}, takes multiples of {multiple} (ch_mult)")


def pad(x: Array, before: int, after: int) -> Array:
    """Zeros around height and width."""
    return jnp.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))


def blur(x: Array, axis: int) -> Array:
    """y[i] = (x[i] + 3 x[i+1] + 3 x[i+2] + x[i+3]) / 8 along an axis, three samples shorter."""
    size = x.shape[axis] - 3
    x0, x1, x2, x3 = (lax.slice_in_dim(x, i, i + size, axis=axis) for i in range(4))
    return (x0 + 3 * (x1 + x2) + x3) / 8


class ConvDownsample(nn.Module):
    """A 3×3 convolution of stride 2; with `fir` of the image blurred by k.

    Without FIR the zeros stand below and to the right only, as published for DDPM.

    Args:
      features: output channels.
      fir: whether to blur.
      symmetric: zeros all around instead, as in ADM.
    """

    features: int
    fir: bool
    dtype: Any = None
    symmetric: bool = False

    @nn.compact
    def __call__(self, x: Image) -> Array:
        before = int(self.symmetric)
        x = blur(blur(pad(x, 2, 2), HEIGHT), WIDTH) if self.fir else pad(x, before, 1)
        conv = conv3x3(self.features, strides=2, padding="VALID", dtype=self.dtype, name="conv")
        return conv(x)


class ConvUpsample(nn.Module):
    """A 3×3 convolution of the upsampled image.

    With FIR it equals the published transposed convolution followed by k: the two commute if the
    upsampled image keeps the rim that (2) gives it outside, which is what the padding is for.

    Args:
      features: output channels.
      fir: (2) instead of repeated pixels.
    """

    features: int
    fir: bool
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Image) -> Array:
        wide = upsample(pad(x, 1, 1), self.fir)[:, 1:-1, 1:-1]
        return conv3x3(self.features, padding="VALID", dtype=self.dtype, name="conv")(wide)
