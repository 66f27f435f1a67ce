"""The published PyTorch layout of DDPM, DDPM++ and NCSN++, as a walk over our own modules.

A published network is a list, `all_modules.<i>`, in the order of the computation; so are the parts
of `modules`. Tensors of a convolution lie (out, in, height, width) there and (height, width, in,
out) here, of a linear map (out, in) and (in, out); of the maps called NIN they lie alike.

Reference: the checkpoints of github.com/yang-song/score_sde_pytorch (Song et al. 2021).
"""

from collections.abc import Iterator
from typing import NamedTuple

import flax.linen as nn
import numpy as np

from experiments.state.trees import flatten
from models import abstract_params
from models.networks.ncsnpp import NCSNpp

Shape = tuple[int, ...]


class Leaf(NamedTuple):
    """One of our arrays, and the published tensors that it is made of.

    Args:
      ours: path of our array ("conv_in/kernel").
      theirs: names of their tensors, which lie side by side in our array.
      axes: transposition from their axes to ours.
    """

    ours: str
    theirs: tuple[str, ...]
    axes: tuple[int, ...]

    def their_shape(self, ours: Shape) -> Shape:
        """Shape of each of their tensors; a matrix of ours may be a 1×1 convolution there."""
        single = (*ours[:-1], ours[-1] // len(self.theirs))
        single = (1,) * (len(self.axes) - len(single)) + single
        return tuple(size for _, size in sorted(zip(self.axes, single, strict=True)))

    def our_array(self, theirs: list[np.ndarray], ours: Shape) -> np.ndarray:
        """Our array, made of their tensors, each of `their_shape`."""
        moved = [tensor.transpose(self.axes) for tensor in theirs]
        return np.ascontiguousarray(np.concatenate(moved, axis=-1).reshape(ours), np.float32)


Kind = dict[str, tuple[str, tuple[int, ...]]]
"""Of a layer: our array → its name there, and `axes`."""

_CONV: Kind = {"kernel": ("weight", (2, 3, 1, 0)), "bias": ("bias", (0,))}
_LINEAR: Kind = {"kernel": ("weight", (1, 0)), "bias": ("bias", (0,))}
_NIN: Kind = {"kernel": ("W", (0, 1)), "bias": ("b", (0,))}
_NORM: Kind = {"scale": ("weight", (0,)), "bias": ("bias", (0,))}
_FOURIER: Kind = {"frequencies": ("W", (0,))}

Module = list[Leaf]
"""One entry of the published list."""


def layout(net: NCSNpp, channels: int, size: int) -> tuple[list[Leaf], dict[str, Shape]]:
    """Every array of a network with its published names, and the shapes of ours by path.

    Args:
      net: the network.
      channels: of its images.
      size: their height.
    """
    shapes = our_shapes(net, (size, size, channels))
    leaves = [
        leaf._replace(theirs=tuple(f"all_modules.{index}{name}" for name in leaf.theirs))
        for index, module in enumerate(_modules(net, shapes))
        for leaf in module
        if leaf.ours in shapes  # a shortcut or a convolution may be left out
    ]
    return leaves, shapes


def our_shapes(net: nn.Module, shape: Shape) -> dict[str, Shape]:
    """Shapes of our parameters by path ("conv_in/kernel"); nothing is computed."""
    return {path: leaf.shape for path, leaf in flatten(abstract_params(net, shape)).items()}


def _modules(net: NCSNpp, shapes: dict[str, Shape]) -> Iterator[Module]:
    """The published list, in its order."""
    levels = range(len(net.ch_mult))
    if net.embedding == "fourier":
        yield _layer("time/fourier", "", _FOURIER)
    if net.time_conditioned:
        yield _layer("time/dense_0", "", _LINEAR)
        yield _layer("time/dense_1", "", _LINEAR)
    yield _layer("conv_in", "", _CONV)
    for level in levels:
        for i in range(net.num_res_blocks):
            yield _residual(net, f"down_{level}_block_{i}")
            yield from _attention(f"down_{level}_attention_{i}", shapes)
        if level < levels[-1]:
            yield _resample(net, f"down_{level}_resample")
            yield from _input_pyramid(net, f"down_{level}_pyramid")
    yield _residual(net, "middle_block_0")
    yield from _attention("middle_attention", shapes)
    yield _residual(net, "middle_block_1")
    for level in reversed(levels):
        for i in range(net.num_res_blocks + 1):
            yield _residual(net, f"up_{level}_block_{i}")
        yield from _attention(f"up_{level}_attention", shapes)
        yield from _output_pyramid(net, f"up_{level}_pyramid", coarsest=level == levels[-1])
        if level > 0:
            yield _resample(net, f"up_{level}_resample")
    if net.progressive != "output_skip":
        yield from _head("out")


def _residual(net: NCSNpp, name: str) -> Module:
    biggan = net.resblock == "biggan"
    return [
        *_layer(f"{name}/norm_0", "GroupNorm_0", _NORM),
        *_layer(f"{name}/conv_0", "Conv_0", _CONV),
        *_layer(f"{name}/dense", "Dense_0", _LINEAR),
        *_layer(f"{name}/norm_1", "GroupNorm_1", _NORM),
        *_layer(f"{name}/conv_1", "Conv_1", _CONV),
        *_layer(f"{name}/shortcut", *(("Conv_2", _CONV) if biggan else ("NIN_0", _NIN))),
    ]


def _attention(name: str, shapes: dict[str, Shape]) -> Iterator[Module]:
    """Where there is one, by the resolution."""
    if f"{name}/qkv/kernel" in shapes:
        query, key, value = (_layer(f"{name}/qkv", f"NIN_{i}", _NIN) for i in range(3))
        yield [
            *_layer(f"{name}/norm", "GroupNorm_0", _NORM),
            *(
                q._replace(theirs=q.theirs + k.theirs + v.theirs)
                for q, k, v in zip(query, key, value, strict=True)
            ),
            *_layer(f"{name}/out", "NIN_3", _NIN),
        ]


def _resample(net: NCSNpp, name: str) -> Module:
    """Between two levels: an entry of the list even where it has no convolution."""
    return _residual(net, name) if net.resblock == "biggan" else _strided(net, name)


def _strided(net: NCSNpp, name: str) -> Module:
    return _layer(f"{name}/conv", "Conv2d_0" if net.fir else "Conv_0", _CONV)


def _input_pyramid(net: NCSNpp, name: str) -> Iterator[Module]:
    if net.progressive_input == "input_skip":
        yield _layer(f"{name}/combine", "Conv_0", _CONV)
    if net.progressive_input == "residual":
        yield _strided(net, f"{name}/down")


def _output_pyramid(net: NCSNpp, name: str, *, coarsest: bool) -> Iterator[Module]:
    if net.progressive == "output_skip" or (net.progressive == "residual" and coarsest):
        yield from _head(f"{name}/head")
    elif net.progressive == "residual":
        yield _strided(net, f"{name}/up")


def _head(name: str) -> Iterator[Module]:
    yield _layer(f"{name}/norm", "", _NORM)
    yield _layer(f"{name}/conv", "", _CONV)


def _layer(ours: str, theirs: str, kind: Kind) -> Module:
    prefix = f".{theirs}." if theirs else "."
    return [Leaf(f"{ours}/{leaf}", (prefix + name,), axes) for leaf, (name, axes) in kind.items()]
