"""From our network to the config of the UNet2DModel that may be the same function.

The inverse of `unet.network_fields`; what it cannot say, reading the config back shows.
"""

import dataclasses
import math
from typing import Any

from experiments.config_schema.sections import ModelConfig
from experiments.errors import UserError


def with_levels(model: ModelConfig, shape: tuple[int, ...]) -> Any:
    """The network with what depends on the images' height or on its channels written out.

    Args:
      model: an ADM or NCSN++.
      shape: of an example.

    Raises:
      UserError: another network, or examples that are no square images.
    """
    if model.name not in ("adm", "ncsnpp"):
        raise UserError(f"model.name: got {model.name!r}, takes 'adm' or 'ncsnpp' for diffusers")
    if len(shape) != 3 or shape[0] != shape[1]:
        raise UserError(f"--to: got 'diffusers', takes a model of square images, not of {shape}")
    adm: Any = model
    heights = [shape[0] >> level for level in range(len(adm.ch_mult))]
    attends = tuple(level for level, h in enumerate(heights) if h in adm.attn_resolutions)
    if model.name == "ncsnpp":
        resolutions = tuple(heights[level] for level in attends)
        return dataclasses.replace(adm, attn_resolutions=resolutions)
    # min(channels/4, 32), where that is one number.
    wide = min(adm.ch_mult) * adm.nf >= 128
    groups = 32 if adm.norm_groups is None and wide else adm.norm_groups
    middle = groups if adm.middle_norm_groups is None else adm.middle_norm_groups
    return dataclasses.replace(
        adm,
        attn_resolutions=(),
        attn_down=attends if adm.attn_down is None else adm.attn_down,
        attn_up=attends if adm.attn_up is None else adm.attn_up,
        norm_groups=groups,
        middle_norm_groups=middle,
    )


def levels_left(model: Any) -> Any:
    """An ADM without the kind of resampling of levels that are not left; an NCSN++ as it is.

    The coarsest is not left downwards, nor the finest upwards.
    """
    if model.name != "adm":
        return model
    levels = range(len(model.ch_mult))
    return dataclasses.replace(
        model,
        conv_down=tuple(level for level in levels[:-1] if level in model.conv_down),
        conv_up=tuple(level for level in levels[1:] if level in model.conv_up),
    )


def unet_of(model: Any, shape: tuple[int, ...], rows: int) -> dict[str, Any]:
    """The config of a UNet2DModel.

    Args:
      model: of `with_levels`.
      shape: of an example.
      rows: of its class embedding, 0 for none.

    Raises:
      UserError: it is conditioned on vectors.
    """
    if model.cond_dim:
        raise UserError(f"model.cond_dim: got {model.cond_dim}, takes 0 with --to=diffusers")
    shared = {
        "_class_name": "UNet2DModel",
        "sample_size": shape[0],
        "in_channels": shape[2],
        "out_channels": shape[2],
        "block_out_channels": [round(model.nf * mult) for mult in model.ch_mult],
        "layers_per_block": model.num_res_blocks,
        "dropout": model.dropout,
        "time_embedding_type": model.embedding,
        "center_input_sample": model.center_input,
        "act_fn": "silu",
        "num_class_embeds": rows or None,
        "class_embed_type": None,
    }
    return shared | (_adm(model) if model.name == "adm" else _ncsnpp(model, shape))


def _adm(model: Any) -> dict[str, Any]:
    levels = range(len(model.ch_mult))
    kinds: dict[str, Any] = {}
    for side, attends, convolves, left in (
        ("Down", model.attn_down, model.conv_down, levels[:-1]),
        ("Up", model.attn_up, model.conv_up, levels[1:]),
    ):
        # A level that is not left may have any kind.
        blocks = [
            f"Attn{side}Block2D"
            if level in attends
            else f"{side}Block2D"
            if level in convolves
            else f"Resnet{side}sampleBlock2D"
            for level in levels
        ]
        deciding = [level for level in left if level in attends] or attends
        resnet = any(level not in convolves for level in deciding)
        kinds[f"{side.lower()}_block_types"] = blocks if side == "Down" else blocks[::-1]
        kinds[f"{side.lower()}sample_type"] = "resnet" if resnet else "conv"
    return kinds | {
        "mid_block_type": None if model.middle == "none" else "UNetMidBlock2D",
        "add_attention": model.middle != "residual",
        "mid_block_scale_factor": 1,
        "downsample_padding": int(model.symmetric),
        "norm_num_groups": model.norm_groups,
        "attn_norm_num_groups": model.middle_norm_groups or None,
        "norm_eps": model.norm_epsilon,
        "resnet_time_scale_shift": "scale_shift" if model.scale_shift else "default",
        "freq_shift": model.freq_shift,
        "flip_sin_to_cos": model.cos_first,
        "time_embedding_dim": model.embedding_width,
        "attention_head_dim": model.head_dim or None,
    }


def _ncsnpp(model: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    heights = [shape[0] >> level for level in range(len(model.ch_mult))]
    attends = ["Attn" if height in model.attn_resolutions else "" for height in heights]
    return {
        "down_block_types": [f"{attn}SkipDownBlock2D" for attn in attends],
        "up_block_types": [f"{attn}SkipUpBlock2D" for attn in attends[::-1]],
        "mid_block_type": "UNetMidBlock2D",
        "add_attention": True,
        "mid_block_scale_factor": math.sqrt(2),
        "norm_num_groups": None,
        "attn_norm_num_groups": None,
        "norm_eps": 1e-6,
        "attention_head_dim": None,
        "time_embedding_dim": None,
        "resnet_time_scale_shift": "default",
        "freq_shift": 1,
        "flip_sin_to_cos": False,
    }
