"""Weights of published networks: a file is checked, its tensors become parameters.

Files are .pth (or .pt) of PyTorch, .npz or .safetensors; none runs code. A parameter called
a/b/kernel in Flax is a.b.weight in the file, with the axes of PyTorch.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import flax.traverse_util
import jax
import numpy as np
import safetensors

from experiments.errors import UserError
from experiments.paths import expand
from experiments.runtime import torch_file

_SUFFIXES = (".pth", ".pt", ".npz", ".safetensors")
_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
_COUNTERS = ".num_batches_tracked"
"""What batch normalisation counts in training."""


@dataclasses.dataclass(frozen=True)
class Weights:
    """The tensors of a file.

    Args:
      path: of the file.
      sha256: of its content.
      tensors: by name.
    """

    path: pathlib.Path
    sha256: str
    tensors: dict[str, np.ndarray]


def read_weights(given: str, path: str, *, takes: str = "", hash: str = "") -> Weights:
    """Read a file of weights, once its hash is checked.

    Args:
      given: the file.
      path: the field that it is from, for messages.
      takes: first digits of the SHA-256 of the published file; "" where none is known.
      hash: those that the user names, of a file that may be another.

    Raises:
      UserError: no file, of another kind, with another hash, or damaged.
    """
    file = expand(given)
    if file.suffix not in _SUFFIXES:
        raise UserError(f"{path}: got {given!r}, takes a file *{', *'.join(_SUFFIXES)}")
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        expected = hash.lower() or takes
        if not found.startswith(expected):
            raise UserError(
                f"{path}: {file} has the SHA-256 {found}, takes {expected}…; "
                f"hash={found[:16]} takes it as it is"
            )
        return Weights(file, found, _tensors(file))
    except OSError as error:
        raise UserError(f"{path}: {file} cannot be read ({error.strerror})") from error


def _tensors(file: pathlib.Path) -> dict[str, np.ndarray]:
    if file.suffix in (".pth", ".pt"):
        return torch_file.named(torch_file.load(file))
    try:
        if file.suffix == ".npz":
            with np.load(file) as arrays:
                return dict(arrays)
        with safetensors.safe_open(file, framework="numpy") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
    except OSError:
        raise
    except Exception as error:  # whatever a damaged archive makes of its reader
        raise UserError(f"{file}: is damaged ({type(error).__name__})") from error


def params_of(
    weights: Weights,
    network: nn.Module,
    side: int,
    name_of: Callable[[str], str],
    unused: tuple[str, ...] = (),
) -> Any:
    """The parameters of a network of images, float32, from the tensors of a file.

    Args:
      weights: the file.
      network: the network.
      side: of its images.
      name_of: from a module's path, "a/b", to its name in the file.
      unused: tensors that the file has besides.

    Raises:
      UserError: a tensor is missing, or of another shape, or there is one more; names the first.
    """
    image = jax.ShapeDtypeStruct((1, side, side, 3), np.float32)
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)["params"]
    flat, params = flax.traverse_util.flatten_dict(shapes, sep="/"), {}
    left = {name for name in weights.tensors if not name.endswith(_COUNTERS)} - set(unused)
    for path, shape in flat.items():
        module, _, leaf = path.rpartition("/")
        name = f"{name_of(module)}.{_LEAVES.get(leaf, leaf)}" if module else name_of(leaf)
        params[path] = _param(weights, name, leaf, shape.shape)
        left.discard(name)
    if left:
        raise UserError(f"{weights.path}: tensor {min(left)}: is none of {type(network).__name__}")
    return flax.traverse_util.unflatten_dict(params, sep="/")


def _param(weights: Weights, name: str, leaf: str, shape: tuple[int, ...]) -> np.ndarray:
    """One parameter, of a tensor with the axes of PyTorch: outputs first."""
    if name not in weights.tensors:
        has = ", ".join([*weights.tensors][:3])
        raise UserError(f"{weights.path}: tensor {name}: is missing; the file has {has}, …")
    tensor = weights.tensors[name]
    axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(len(shape)) if leaf == "kernel" else None
    takes = shape if axes is None else tuple(shape[axes.index(i)] for i in range(len(shape)))
    if tensor.shape != takes:
        raise UserError(f"{weights.path}: tensor {name}: got shape {tensor.shape}, takes {takes}")
    return np.ascontiguousarray(np.transpose(tensor, axes) if axes else tensor, np.float32)
