"""From the config of a UNet2DModel to the config fields of our network."""

import dataclasses
import json
import math
import pathlib
from typing import Any

from experiments.conversion import json_config
from experiments.conversion.json_config import one_of
from experiments.errors import UserError

# Of a moving average's config: how it was taken. num_train_timesteps is of "learned" embeddings.
IGNORED = frozenset(
    (
        "decay",
        "inv_gamma",
        "max_value",
        "min_decay",
        "min_value",
        "num_train_timesteps",
        "power",
        "update_after_step",
        "use_ema_warmup",
    )
)

# Counts and sizes; None is left to the types.
POSITIVE = (
    "sample_size",
    "in_channels",
    "block_out_channels",
    "layers_per_block",
    "norm_num_groups",
    "attn_norm_num_groups",
    "num_class_embeds",
)

# Block types: whether the pixels attend to each other. Those of `SKIP` make an NCSN++.
DOWN = {"DownBlock2D": False, "ResnetDownsampleBlock2D": False, "AttnDownBlock2D": True}
UP = {"UpBlock2D": False, "ResnetUpsampleBlock2D": False, "AttnUpBlock2D": True}
SKIP_DOWN = {"SkipDownBlock2D": False, "AttnSkipDownBlock2D": True}
SKIP_UP = {"SkipUpBlock2D": False, "AttnSkipUpBlock2D": True}


@dataclasses.dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """A UNet2DModel's config, with its defaults; optimization_step is a moving average's."""

    class_name: str = "UNet2DModel"
    sample_size: int | tuple[int, ...] | None = None
    in_channels: int = 3
    out_channels: int = 3
    center_input_sample: bool = False
    time_embedding_type: str = "positional"
    time_embedding_dim: int | None = None
    freq_shift: float = 0
    flip_sin_to_cos: bool = True
    down_block_types: tuple[str, ...] = ("DownBlock2D", *["AttnDownBlock2D"] * 3)
    mid_block_type: str | None = "UNetMidBlock2D"
    up_block_types: tuple[str, ...] = (*["AttnUpBlock2D"] * 3, "UpBlock2D")
    block_out_channels: tuple[int, ...] = (224, 448, 672, 896)
    layers_per_block: int = 2
    mid_block_scale_factor: float = 1
    downsample_padding: int = 1
    downsample_type: str | None = "conv"
    upsample_type: str | None = "conv"
    dropout: float = 0.0
    act_fn: str = "silu"
    attention_head_dim: int | None = 8
    norm_num_groups: int | None = 32
    attn_norm_num_groups: int | None = None
    norm_eps: float = 1e-5
    resnet_time_scale_shift: str = "default"
    add_attention: bool = True
    class_embed_type: str | None = None
    num_class_embeds: int | None = None
    optimization_step: int = 0

    @property
    def levels(self) -> int:
        """Number of resolutions."""
        return len(self.block_out_channels)

    @property
    def height(self) -> int | None:
        """Height of an image in pixels; None where the config does not say it."""
        return self.sample_size[0] if isinstance(self.sample_size, tuple) else self.sample_size


def load(path: pathlib.Path) -> UNetConfig:
    """The config of a file.

    Raises:
      UserError: a damaged file, an unknown key, or a value of another type.
    """
    return json_config.load(UNetConfig, path, IGNORED)


def network_fields(config: UNetConfig, path: pathlib.Path) -> dict[str, Any]:
    """The config fields, by path, of the network that is the same function.

    Args:
      config: of the UNet2DModel.
      path: its file, for messages.

    Raises:
      UserError: an option that no network here has.
    """
    _check(config, path)
    down, up = _plain(config.down_block_types), _plain(config.up_block_types)
    skip = any(block in SKIP_DOWN for block in down[:1])
    for name, given, takes in (
        ("down_block_types", down, SKIP_DOWN if skip else DOWN),
        ("up_block_types", up, SKIP_UP if skip else UP),
    ):
        if len(given) != config.levels:
            raise UserError(f"{path}: {name}: got {len(given)}, takes {config.levels}, one a level")
        for block in given:
            one_of(f"{path}: {name}", block, tuple(takes))
    fields = _shared_fields(config)
    return fields | (_ncsnpp if skip else _adm)(config, down, up[::-1], path)


def _plain(blocks: tuple[str, ...]) -> tuple[str, ...]:
    """Block types without the prefix of old files."""
    return tuple(block.removeprefix("UNetRes") for block in blocks)


def _check(config: UNetConfig, path: pathlib.Path) -> None:
    """What neither network has."""
    for name, takes in (
        ("class_name", ("UNet2DModel",)),
        ("out_channels", (config.in_channels,)),
        ("time_embedding_type", ("positional", "fourier")),
        ("act_fn", ("silu", "swish")),
        ("resnet_time_scale_shift", ("default", "scale_shift")),
        ("class_embed_type", (None, "identity")),
        ("downsample_padding", (0, 1)),
    ):
        key = "_class_name" if name == "class_name" else name
        one_of(f"{path}: {key}", getattr(config, name), takes)
    for name in POSITIVE:
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if not numbers or any(number is not None and number < 1 for number in numbers):
            raise UserError(f"{path}: {name}: got {json.dumps(value)}, takes positive numbers")


def _shared_fields(config: UNetConfig) -> dict[str, Any]:
    """Of both networks, and of the data."""
    nf, width = config.block_out_channels[0], config.time_embedding_dim
    mults = (channels / nf for channels in config.block_out_channels)
    fields = {
        "model.nf": nf,
        "model.ch_mult": tuple(int(m) if m.is_integer() else m for m in mults),
        "model.num_res_blocks": config.layers_per_block,
        "model.dropout": float(config.dropout),
        "model.embedding": config.time_embedding_type,
        "model.center_input": config.center_input_sample,
    }
    if config.class_embed_type == "identity":
        fields["model.cond_dim"] = width or 4 * nf
    elif config.num_class_embeds is not None:
        fields["model.num_classes"] = config.num_class_embeds
    if "model.cond_dim" in fields or "model.num_classes" in fields:
        # Nothing there says that there is a null.
        fields |= {"model.conditional": True, "training.cond_dropout": 0.0}
    square = isinstance(config.sample_size, int) or len(set(config.sample_size or ())) == 1
    return fields | ({"data.image_size": config.height} if square else {})


def _adm(
    config: UNetConfig, down: tuple[str, ...], up: tuple[str, ...], path: pathlib.Path
) -> dict[str, Any]:
    """An ADM; `up` from the finest level, as `down`."""
    one_of(f"{path}: mid_block_scale_factor", config.mid_block_scale_factor, (1,))
    one_of(f"{path}: mid_block_type", config.mid_block_type, ("UNetMidBlock2D", None))
    for name, blocks in (("downsample_type", down), ("upsample_type", up)):
        if "AttnDownBlock2D" in blocks or "AttnUpBlock2D" in blocks:
            one_of(f"{path}: {name}", getattr(config, name) or "conv", ("conv", "resnet"))
    if config.norm_num_groups is None:
        raise UserError(f"{path}: norm_num_groups: got null, takes a number for these blocks")
    middle = "attention" if config.add_attention else "residual"
    return {
        "model.name": "adm",
        "model.norm_groups": config.norm_num_groups,
        "model.attn_resolutions": (),
        "model.attn_down": tuple(i for i, block in enumerate(down) if DOWN[block]),
        "model.attn_up": tuple(i for i, block in enumerate(up) if UP[block]),
        "model.conv_down": _convolved(down, config.downsample_type),
        "model.conv_up": _convolved(up, config.upsample_type),
        "model.symmetric": config.downsample_padding == 1,
        "model.middle": middle if config.mid_block_type else "none",
        "model.middle_norm_groups": _middle_norm_groups(config),
        "model.scale_shift": config.resnet_time_scale_shift == "scale_shift",
        "model.norm_epsilon": config.norm_eps,
        "model.freq_shift": float(config.freq_shift),
        "model.cos_first": config.flip_sin_to_cos,
        "model.embedding_width": config.time_embedding_dim,
        "model.head_dim": config.attention_head_dim or 0,
    }


def _convolved(blocks: tuple[str, ...], resample: str | None) -> tuple[int, ...]:
    """The levels that resample by a convolution; blocks that attend do as `resample` says."""
    convolving = {"DownBlock2D", "UpBlock2D"}
    if resample != "resnet":
        convolving |= {"AttnDownBlock2D", "AttnUpBlock2D"}
    return tuple(i for i, block in enumerate(blocks) if block in convolving)


def _middle_norm_groups(config: UNetConfig) -> int:
    """Of the middle's attention, which under scale_shift is normalised only if asked for."""
    if config.attn_norm_num_groups is not None:
        return config.attn_norm_num_groups
    return 0 if config.resnet_time_scale_shift == "scale_shift" else config.norm_num_groups or 0


def _ncsnpp(
    config: UNetConfig, down: tuple[str, ...], up: tuple[str, ...], path: pathlib.Path
) -> dict[str, Any]:
    """An NCSN++ with input and output skips, where it is one; `up` from the finest level."""
    for name, takes in (
        ("in_channels", (3,)),
        ("mid_block_type", ("UNetMidBlock2D",)),
        ("add_attention", (True,)),
        ("resnet_time_scale_shift", ("default",)),
        ("time_embedding_dim", (None, 4 * config.block_out_channels[0])),
        ("attention_head_dim", (None,)),
        ("attn_norm_num_groups", (None,)),
        ("norm_eps", (1e-6,)),
    ):
        one_of(f"{path}: {name}", getattr(config, name), takes)
    if any(channels % config.block_out_channels[0] for channels in config.block_out_channels):
        got = list(config.block_out_channels)
        raise UserError(f"{path}: block_out_channels: got {got}, takes multiples of the first")
    if not math.isclose(config.mid_block_scale_factor, math.sqrt(2), rel_tol=1e-6):
        scale = config.mid_block_scale_factor
        raise UserError(f"{path}: mid_block_scale_factor: got {scale}, takes √2 with such blocks")
    if config.time_embedding_type == "positional":
        one_of(f"{path}: flip_sin_to_cos", config.flip_sin_to_cos, (False,))
        one_of(f"{path}: freq_shift", config.freq_shift, (1,))
    attn = tuple(i for i, block in enumerate(down) if SKIP_DOWN[block])
    if attn != tuple(i for i, block in enumerate(up) if SKIP_UP[block]):
        raise UserError(
            f"{path}: up_block_types: got {up[::-1]}, takes attention where {down} has it"
        )
    return {
        "model.name": "ncsnpp",
        "model.attn_resolutions": _heights(config, attn, path),
        "model.resblock": "biggan",
        "model.fir": True,
        "model.progressive": "output_skip",
        "model.progressive_input": "input_skip",
        "model.progressive_combine": "sum",
        "model.skip_rescale": True,
    }


def _heights(config: UNetConfig, attn: tuple[int, ...], path: pathlib.Path) -> tuple[int, ...]:
    """Of the images that attend, where UNet2DModel's groups are those of NCSN++.

    Blocks that attend have 32 groups whatever their channels; others min(channels/4, 32).
    """
    channels = config.block_out_channels
    for level in attn:
        if channels[level] < 128:
            got = f"{channels[level]} at a level that attends"
            raise UserError(f"{path}: block_out_channels: got {got}, takes 128 or more there")
    for outer in {channels[0], channels[-1]}:
        one_of(f"{path}: norm_num_groups", config.norm_num_groups, (None, min(outer // 4, 32)))
    if attn and config.height is None:
        raise UserError(f"{path}: sample_size: got null, takes the images' size: it attends")
    return tuple((config.height or 0) // 2**level for level in attn)
