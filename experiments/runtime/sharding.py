"""How a training state is laid out over a mesh: fully sharded data parallelism (FSDP).

An array is split along its largest dimension that the axis "fsdp" divides, the last of equal ones,
and repeated along "data"; one that is small or that nothing divides is on every device. The rule
sees shapes alone, so averages and the optimizer's moments lie as the parameters they belong to.

Reference: Rajbhandari et al. 2020, "ZeRO" (stage 3), as XLA's partitioner does it.
"""

import math
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

MIN_SIZE = 1024
"""Elements (4 KiB of float32) of the smallest array that is split: a smaller one saves no memory to
speak of, and would have to be gathered all the same."""


def spec(shape: tuple[int, ...], size: int) -> PartitionSpec:
    """How one array is split over `size` devices."""
    if size == 1 or math.prod(shape) < MIN_SIZE:
        return PartitionSpec()
    dimensions = [axis for axis, length in enumerate(shape) if length % size == 0]
    if not dimensions:
        return PartitionSpec()
    largest = max(dimensions, key=lambda axis: (shape[axis], axis))
    return PartitionSpec(*[None] * largest, "fsdp")


def shardings(tree: Any, mesh: Mesh) -> Any:
    """The shardings of a pytree of arrays, or of their shapes."""
    size = mesh.shape["fsdp"]
    return jax.tree.map(lambda leaf: NamedSharding(mesh, spec(leaf.shape, size)), tree)


def explain(params: Any, mesh: Mesh) -> str:
    """A table: every parameter's shape, the part of it that a device holds, and its bytes."""
    rows = [("parameter", "shape", "on a device", "bytes on a device")]
    held = whole = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        part = NamedSharding(mesh, spec(leaf.shape, mesh.shape["fsdp"])).shard_shape(leaf.shape)
        number = math.prod(part) * leaf.dtype.itemsize
        held, whole = held + number, whole + leaf.size * leaf.dtype.itemsize
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        rows.append((name, _times(leaf.shape), _times(part), f"{number:,}"))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    axes = " × ".join(f"{name} {number}" for name, number in mesh.shape.items())
    return "\n".join(
        [*lines, f"mesh: {axes}; {held:,} of {whole:,} bytes of parameters on a device"]
    )


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "scalar"
