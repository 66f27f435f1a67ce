"""The network of a published checkpoint, inferred from the names and shapes of its tensors.

Names and shapes say nothing of skip_rescale, norm_groups, dropout and what the output means, nor of
fir where no convolution resamples. A guess counts only if it has exactly the tensors of the file.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from experiments.conversion.score_sde.layout import Shape, layout
from models.networks.ncsnpp import NCSNpp

FROZEN = "all_modules.0.W"
"""The frequencies of a Fourier embedding, which are not trained."""

# Ten levels halve the largest published image, of 1024 pixels, to 2.
_MAX_LEVELS = 10

Module = dict[str, Shape]
"""One entry of the published list: its tensors' shapes by name."""


class Structure(NamedTuple):
    """The network's structure, inferred from tensor names and shapes.

    Args:
      fields: fields of `NCSNpp` by name, without attn_resolutions.
      attention: levels with attention, from 0, the finest. Their resolutions follow from the size
        of an image, which the tensors do not say.
    """

    fields: dict[str, Any]
    attention: tuple[int, ...]

    def fields_for(self, size: int) -> dict[str, Any]:
        """All fields of `NCSNpp`, for images of this height."""
        return self.fields | {
            "attn_resolutions": tuple(size >> level for level in self.attention),
        }


def infer(shapes: dict[str, Shape]) -> Structure | None:
    """Find the structure that has exactly these tensors; None if there is none.

    Args:
      shapes: shapes of the tensors by name ("all_modules.0.weight").
    """
    wanted = {name: shape for name, shape in shapes.items() if name not in unused(shapes)}
    try:
        channels = _alone(_parse(shapes))[0][1]
        for structure in _candidates(shapes):
            size = 2 ** len(structure.fields["ch_mult"])
            net = NCSNpp(**structure.fields_for(size))
            if published_shapes(net, channels, size) == wanted:
                return structure
    # Of tensors that are no such network's, a field that none takes, as an odd nf.
    except (ValueError, IndexError, ZeroDivisionError):
        pass
    return None


def published_shapes(net: NCSNpp, channels: int, size: int) -> dict[str, Shape]:
    """Shapes of the tensors of a published network, by name."""
    leaves, ours = layout(net, channels, size)
    return {name: leaf.their_shape(ours[leaf.ours]) for leaf in leaves for name in leaf.theirs}


def unused(shapes: dict[str, Shape]) -> set[str]:
    """Names of tensors that a network without time stores but does not use."""
    if any(len(module.get("weight", ())) == 2 for module in _parse(shapes)):
        return set()
    return {name for name in shapes if ".Dense_0." in name or name == FROZEN}


def _parse(shapes: dict[str, Shape]) -> list[Module]:
    indexed: dict[int, Module] = {}
    for name, shape in shapes.items():
        if match := re.fullmatch(r"all_modules\.(\d+)\.(.+)", name):
            indexed.setdefault(int(match[1]), {})[match[2]] = shape
    return [indexed[index] for index in sorted(indexed)]


def _candidates(shapes: dict[str, Shape]) -> Iterator[Structure]:
    """Structures with as many residual blocks, by the number of levels."""
    modules = _parse(shapes)
    blocks = [m["Conv_1.weight"][0] for m in modules if "Conv_1.weight" in m]
    fixed = _fixed(shapes)
    resampling = fixed["resblock"] == "biggan"
    strided = sum(bool(_strided(m)) for m in modules)
    pyramids = [fixed["progressive"], fixed["progressive_input"]].count("residual")
    for levels in range(1, _MAX_LEVELS + 1):
        # Down L n, in the middle 2, up L (n + 1), and between levels 2 (L − 1) that resample.
        left = len(blocks) - 2 - levels - 2 * (levels - 1) * resampling
        num, rest = divmod(left, 2 * levels)
        each = num + resampling
        widths = blocks[: levels * each : each] if num > 0 else []
        if rest or not widths or any(width % fixed["nf"] for width in widths):
            continue
        fields: dict[str, Any] = {"ch_mult": tuple(width // fixed["nf"] for width in widths)}
        fields |= {"num_res_blocks": num}
        if not resampling:
            fields["resamp_with_conv"] = strided > (levels - 1) * pyramids
        yield Structure(fixed | fields, _attention(modules, levels, each, resampling))


def _fixed(shapes: dict[str, Shape]) -> dict[str, Any]:
    """The fields that do not depend on the number of levels."""
    modules = _parse(shapes)
    (nf, channels, *_), *heads = _alone(modules)
    fields: dict[str, Any] = {
        "nf": nf,
        "embedding": "fourier" if FROZEN in shapes else "positional",
        "resblock": _resblock(modules),
        "progressive": _progressive(heads, channels),
    }
    if any(map(_strided, modules)):
        fields["fir"] = any("Conv2d_0.weight" in module for module in modules)
    if unused(shapes):
        fields["time_conditioned"] = False
    return fields | _progressive_input(modules, channels)


def _alone(modules: list[Module]) -> list[Shape]:
    """The convolutions that are entries of their own, that of the image first."""
    return [m["weight"] for m in modules if len(m.get("weight", ())) == 4]


def _strided(module: Module) -> Shape:
    """Of the 3×3 convolution of a module that has nothing else."""
    for name in ("Conv_0", "Conv2d_0"):
        if set(module) == {f"{name}.weight", f"{name}.bias"}:
            shape = module[f"{name}.weight"]
            return shape if shape[2:] == (3, 3) else ()
    return ()


def _resblock(modules: list[Module]) -> str:
    """By the shortcuts, one of which every decoder has."""
    ddpm = any("Conv_1.weight" in m and "NIN_0.W" in m for m in modules)
    return "ddpm" if ddpm else "biggan"


def _progressive(heads: list[Shape], channels: int) -> str:
    if len(heads) == 1:
        return "none"
    return "output_skip" if all(shape[0] == channels for shape in heads) else "residual"


def _progressive_input(modules: list[Module], channels: int) -> dict[str, str]:
    for module, after in itertools.pairwise(modules):
        seen = module.get("Conv_0.weight", ())
        if len(module) == 2 and seen[2:] == (1, 1):
            both = after.get("GroupNorm_0.weight") == (2 * seen[0],)
            combine = "cat" if both else "sum"
            return {"progressive_input": "input_skip", "progressive_combine": combine}
    # The first of them takes the image itself.
    of_image = any(shape and shape[1] == channels for shape in map(_strided, modules))
    return {"progressive_input": "residual" if of_image else "none"}


def _attention(modules: list[Module], levels: int, each: int, resampling: bool) -> tuple[int, ...]:
    """The levels of the encoder that have it; `each` blocks a level, one less at the coarsest."""
    encoder, seen, found = levels * each - resampling, 0, []
    for module in modules:
        seen += "Conv_1.weight" in module
        if "NIN_3.W" in module and 0 < seen <= encoder:
            found.append((seen - 1) // each)
    return tuple(dict.fromkeys(found))
