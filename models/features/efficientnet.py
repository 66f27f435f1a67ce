"""EfficientNet-Lite0: inverted bottlenecks with relu6 and without squeeze and excitation.

A stage of r blocks, each from C channels to C' with an expansion e, is

    h ← relu6(norm(W_e x)),         C → eC by 1×1; left out where e = 1                  (1)
    h ← relu6(norm(K ∗ h)),         k×k, each channel by itself; stride s in the first block
    y = norm(W_p h),                eC → C' by 1×1; plus x where its shape is y's

Lite0 is the unscaled network of Table 1 of the paper; the Lite ones keep its stem and head as they
are, and have relu6 for swish, so that they can be quantised.

Reference: Tan and Le, "EfficientNet" (2019), Table 1; Sandler et al., "MobileNetV2" (2018).
"""

from typing import NamedTuple

import flax.linen as nn
from jaxtyping import Array, Float

from models.features.fixed_norm import FixedNorm, Map
from models.layers.basic import Image


class Stage(NamedTuple):
    """Blocks of one shape: r, k, s, e and C' of eq. 1 of `efficientnet`."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


LITE0 = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


class EfficientNetLite(nn.Module):
    """A classifier of images [B, H, W, 3] in [-1, 1], 224 pixels a side as it was trained.

    Args:
      stages: of its blocks.
      stem: channels of the first convolution.
      dim: channels of the last, which are averaged over the pixels: the features.
      num_classes: number of logits.
    """

    stages: tuple[Stage, ...] = LITE0
    stem: int = 32
    dim: int = 1280
    num_classes: int = 1000

    @nn.compact
    def __call__(
        self, x: Image
    ) -> tuple[Float[Array, "batch {self.dim}"], Float[Array, "batch {self.num_classes}"]]:
        """The features and the logits."""
        h = nn.Conv(self.stem, (3, 3), strides=2, use_bias=False, name="stem_conv")(x)
        h = nn.relu6(FixedNorm(name="stem_norm")(h))
        block = 0
        for stage in self.stages:
            for i in range(stage.repeats):
                first = stage if i == 0 else stage._replace(stride=1)
                h = InvertedBottleneck(first, name=f"block_{block}")(h)
                block += 1
        h = nn.Conv(self.dim, (1, 1), use_bias=False, name="head_conv")(h)
        features = nn.relu6(FixedNorm(name="head_norm")(h)).mean(axis=(1, 2))
        return features, nn.Dense(self.num_classes, name="logits")(features)


class InvertedBottleneck(nn.Module):
    """A block, eq. 1 of `efficientnet`."""

    stage: Stage

    @nn.compact
    def __call__(self, x: Image) -> Map:
        _, kernel, stride, expansion, channels = self.stage
        wide, h = expansion * x.shape[-1], x
        if expansion > 1:
            h = nn.Conv(wide, (1, 1), use_bias=False, name="expand_conv")(h)
            h = nn.relu6(FixedNorm(name="expand_norm")(h))
        h = nn.Conv(
            wide,
            (kernel, kernel),
            strides=stride,
            feature_group_count=wide,
            use_bias=False,
            name="depthwise_conv",
        )(h)
        h = nn.relu6(FixedNorm(name="depthwise_norm")(h))
        h = nn.Conv(channels, (1, 1), use_bias=False, name="project_conv")(h)
        h = FixedNorm(name="project_norm")(h)
        return x + h if h.shape == x.shape else h
