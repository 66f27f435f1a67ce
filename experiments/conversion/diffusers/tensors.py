"""From the tensors of a UNet2DModel to the parameter tree of our network.

A leaf of ours names its tensors: down_1_block_0/conv_1/kernel is down_blocks.1.resnets.0.conv2
.weight with its axes reordered. Their decoder counts levels from the coarsest.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np
from jax.tree_util import keystr, tree_flatten_with_path, tree_unflatten
from safetensors import SafetensorError, safe_open

from experiments.conversion.torch_names import plain_name
from experiments.errors import UserError
from experiments.state.trees import flatten

Tensors = dict[str, np.ndarray]

# The names of attention's parts in older files.
_NEW_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

_MODULES = {
    "time/dense_0": "time_embedding.linear_1",
    "time/dense_1": "time_embedding.linear_2",
    "time/class": "class_embedding",
    "time/fourier": "time_proj",
    "conv_in": "conv_in",
    "out/norm": "conv_norm_out",
    "out/conv": "conv_out",
    "up_0_pyramid/head/norm": "conv_norm_out",
    "up_0_pyramid/head/conv": "conv_out",
}
_BLOCK = {
    "norm_0": "norm1",
    "conv_0": "conv1",
    "dense": "time_emb_proj",
    "norm_1": "norm2",
    "conv_1": "conv2",
    "shortcut": "conv_shortcut",
}
_PARTS = {
    "block": _BLOCK,
    "attention": {"norm": "group_norm", "out": "to_out.0"},
    "resample": _BLOCK | {"conv": "conv"},
    "pyramid": {"combine": "skip_conv", "head/norm": "skip_norm", "head/conv": "skip_conv"},
}
_QKV = ("to_q", "to_k", "to_v")
# Convolutions there that may be matrices here.
_POINTS = ("conv_shortcut", "skip_conv")


def read(path: pathlib.Path) -> Tensors:
    """The tensors of a file in float32, attention's by their new names.

    Raises:
      UserError: no such file, or a damaged one.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, takes one that diffusers' save_pretrained wrote")
    try:
        with safe_open(path, framework="np") as file:
            return {_renamed(n): file.get_tensor(n).astype(np.float32) for n in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({error})") from error


def to_params(tensors: Tensors, shapes: Any, path: pathlib.Path) -> Any:
    """Our tree of parameters, made of their tensors.

    Args:
      tensors: by name.
      shapes: the network's tree, of anything with a shape.
      path: the tensors' file, for messages.

    Raises:
      UserError: a tensor that is missing, of another shape, or not of this network.
    """
    leaves, tree = tree_flatten_with_path(shapes)
    names, left, params = Names.of(shapes), dict(tensors), []
    for key, leaf in leaves:
        module, _, kind = keystr(key, simple=True, separator="/").rpartition("/")
        theirs = names.modules(module)
        shape = (*leaf.shape[:-1], leaf.shape[-1] // max(1, len(theirs)))
        parts = []
        for name in theirs:
            full = f"{name}.{'bias' if kind == 'bias' else 'weight'}"
            parts.append(_array(left.pop(full, None), shape, kind, f"{path}: tensor {full}"))
        params.append(np.concatenate(parts, axis=-1) if parts else _identity(leaf.shape))
    if left:
        name = min(left)
        raise UserError(
            f"{path}: tensor {name}: got shape {list(left[name].shape)}, takes none of that name: "
            "the config has no such part"
        )
    return tree_unflatten(tree, params)


def from_params(params: Any) -> Tensors:
    """Their tensors by name, made of our tree of parameters; `to_params` undoes it."""
    names, tensors = Names.of(params), {}
    for path, leaf in flatten(params).items():
        module, _, kind = path.rpartition("/")
        theirs = names.modules(module)
        parts = np.split(np.asarray(leaf), len(theirs), axis=-1) if theirs else []
        for name, part in zip(theirs, parts, strict=True):
            tensor = np.moveaxis(part, (-1, -2), (0, 1)) if kind == "kernel" else part
            if name.endswith(_POINTS) and kind == "kernel" and tensor.ndim == 2:
                tensor = tensor[..., None, None]
            full = f"{name}.{'bias' if kind == 'bias' else 'weight'}"
            tensors[full] = np.ascontiguousarray(tensor, np.float32)
    return tensors


@dataclasses.dataclass(frozen=True)
class Names:
    """What the modules of a network are called there.

    Args:
      levels: how many resolutions there are.
      skip: whether the image stands beside the network at all of them.
    """

    levels: int
    skip: bool

    @classmethod
    def of(cls, params: Any) -> "Names":
        """Those of a network with such a tree of parameters."""
        levels = sum(name.startswith("down_") and name.endswith("_block_0") for name in params)
        return cls(levels, any(name.endswith("_pyramid") for name in params))

    def modules(self, ours: str) -> list[str]:
        """Theirs of one of ours: three for queries, keys and values; none for the linear map of an
        embedding, which is there added as it is, and for the null, which is a row of its own."""
        if ours in ("time", "time/cond"):
            return []
        if ours in _MODULES:
            return [_MODULES[ours]]
        top, _, part = ours.partition("/")
        place, kind = self._place(top.split("_"))
        return [f"{place}.{name}" for name in (_QKV if part == "qkv" else [_PARTS[kind][part]])]

    def _place(self, top: list[str]) -> tuple[str, str]:
        """The prefix of a module as ["down", "1", "block", "0"], and its kind."""
        match top:
            case ["middle", "block", index]:
                return f"mid_block.resnets.{index}", "block"
            case ["middle", kind]:
                return "mid_block.attentions.0", kind
            case [side, level, "block", index]:
                return f"{self._level(side, level)}.resnets.{index}", "block"
            case [side, level, "attention", *index]:
                # NCSN++ has one a level in its decoder, which has no number.
                return f"{self._level(side, level)}.attentions.{(*index, 0)[0]}", "attention"
            case [side, level, "resample"]:
                name = f"resnet_{side}" if self.skip else f"{side}samplers.0"
                return f"{self._level(side, level)}.{name}", "resample"
            case _:
                side, level, kind = top
                return self._level(side, level), kind

    def _level(self, side: str, level: str) -> str:
        return f"{side}_blocks.{int(level) if side == 'down' else self.levels - 1 - int(level)}"


def _renamed(name: str) -> str:
    """A tensor's name as of today."""
    return ".".join(_NEW_NAMES.get(part, part) for part in plain_name(name).split("."))


def _array(tensor: np.ndarray | None, shape: tuple[int, ...], kind: str, what: str) -> np.ndarray:
    """A tensor with our axes: a kernel's output channels come last, and 1×1 is a matrix.

    Raises:
      UserError: there is none, or it has another shape.
    """
    is_kernel = kind == "kernel"
    takes = (*shape[:-3:-1], *shape[:-2]) if is_kernel else shape
    if tensor is None:
        raise UserError(f"{what}: got none, takes shape {list(takes)}")
    if tensor.shape not in (takes, (*takes, 1, 1)):
        raise UserError(f"{what}: got shape {list(tensor.shape)}, takes {list(takes)}")
    return np.moveaxis(tensor.reshape(takes), (0, 1), (-1, -2)) if is_kernel else tensor


def _identity(shape: tuple[int, ...]) -> np.ndarray:
    """The identity's matrix; or zeros, of its bias and of a null that there is not."""
    return np.eye(*shape, dtype=np.float32) if len(shape) == 2 else np.zeros(shape, np.float32)
