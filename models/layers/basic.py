"""What every network is made of: linear maps, group normalisation, the residual sum.

Images are NHWC. `dtype` is the type that is computed in; parameters and normalisation stay float32.
"""

import dataclasses
import math
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from models.layers import winograd

Image = Float[Array, "batch height width channels"]
Embedding = Float[Array, "batch embedding"]
Layer = TypeVar("Layer", bound=nn.Module)

STACKED = "blocks"
"""A module of this name is scanned over: the first axis of its parameters is that of its blocks."""


def fan_average(scale: float = 1.0) -> nn.initializers.Initializer:
    """Uniform weights of variance 2 scale / (fan in + fan out); a scale of 0 means 1e-10."""
    return nn.initializers.variance_scaling(scale or 1e-10, "fan_avg", "uniform")


def linear(features: int, *, init_scale: float = 1.0, dtype: Any = None, name: str) -> nn.Dense:
    """A matrix product over the last axis; on images the 1×1 convolution, and faster on the CPU."""
    return nn.Dense(features, kernel_init=fan_average(init_scale), dtype=dtype, name=name)


def rematerialised(layer: type[nn.Module], network: Any, **fields: Any) -> Any:
    """A layer of a network, computed again for gradients where the network's `remat` says so.

    Not while the parameters are made: what a rematerialised layer computes cannot be left out.
    """
    return nn.remat(layer, **fields) if network.remat and not network.is_initializing() else layer


def layer_of(network: nn.Module, layer: type[Layer], **fields: Any) -> Layer:
    """A layer of a network, with the network's values of the fields that both have.

    Args:
      network: the network.
      layer: the class of the layer.
      **fields: its other fields, and those whose values differ from the network's.
    """
    names = {field.name for field in dataclasses.fields(layer)} - {"parent", "name"}
    names &= {field.name for field in dataclasses.fields(network)}
    return layer(**{name: getattr(network, name) for name in names} | fields)


def conv3x3(
    features: int,
    *,
    init_scale: float = 1.0,
    convolution: str = "xla",
    name: str,
    **fields: Any,
) -> nn.Conv:
    """A 3×3 convolution, one of `CONVOLUTIONS`; other `fields` as of `nn.Conv`."""
    return nn.Conv(
        features,
        (3, 3),
        kernel_init=fan_average(init_scale),
        conv_general_dilated=winograd.convolution(convolution),
        name=name,
        **fields,
    )


def add(x: Array, h: Array, rescale: bool) -> Array:
    """x + h, over √2 if `rescale`: then the variance stays, where the two are independent."""
    return (x + h) / math.sqrt(2.0) if rescale else x + h


def num_groups(channels: int) -> int:
    """min(channels/4, 32) as published, or the nearest smaller number that divides the channels."""
    most = max(1, min(channels // 4, 32))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def pool_groups(
    moments: Float[Array, "batch channels"], groups: int
) -> Float[Array, "batch channels"]:
    """The mean of a per-channel moment over each channel's group."""
    grouped = moments.reshape(len(moments), groups, -1)
    return jnp.broadcast_to(grouped.mean(-1, keepdims=True), grouped.shape).reshape(moments.shape)


class GroupNorm(nn.Module):
    """Group normalisation, over the pixels and the channels of a group.

        y = scale (x − m) / √(v + ε) + bias,    m = E[x],  v = E[(x − m)²] over the group

    The moments are taken channel by channel and only then pooled, without a reshape of the image
    (measured on the CPU: 2 to 5 times faster). The variance is that of x − m: unlike E[x²] − m² it
    does not cancel, and it costs the same.

    Args:
      groups: how many; None for `num_groups`, those of NCSN++.
      epsilon: ε.

    Raises:
      ValueError: groups that do not divide the channels.

    Reference: Wu and He, "Group normalization" (2018).
    """

    groups: int | None = None
    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: Image) -> Image:
        channels = x.shape[-1]
        groups = self.groups or num_groups(channels)
        if channels % groups:
            raise ValueError(
                f"norm_groups: got {groups}, takes a divisor of the {channels} channels"
            )
        scale = self.param("scale", nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        full = x.astype(jnp.float32)
        mean = pool_groups(full.mean((1, 2)), groups)
        centred = full - mean[:, None, None]
        variance = pool_groups(jnp.square(centred).mean((1, 2)), groups)
        gain = scale * jax.lax.rsqrt(variance + self.epsilon)
        return (centred * gain[:, None, None] + bias).astype(x.dtype)


class Head(nn.Module):
    """From hidden channels to image channels: convolution of silu(norm(h))."""

    features: int
    init_scale: float = 0.0
    norm_groups: int | None = None
    norm_epsilon: float = 1e-6
    dtype: Any = None

    @nn.compact
    def __call__(self, h: Image) -> Array:
        h = nn.silu(GroupNorm(self.norm_groups, self.norm_epsilon, name="norm")(h))
        return conv3x3(self.features, init_scale=self.init_scale, dtype=self.dtype, name="conv")(h)
