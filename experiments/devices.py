"""Starting JAX: devices, the mesh, the compilation cache.

Batches are sharded over the mesh axis "data" and the rest is replicated: one program under `jit`,
on 1 device or many, does what `pmap` used to.
"""

import os
import pathlib
from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.errors import UserError

# A program for each virtual device is compiled and scheduled; beyond this many they gain nothing.
_MOST_CPU_DEVICES = 8


def start() -> None:
    """Configure JAX before its first use.

    On the CPU there is one virtual device a core (a power of two of them, so that common batch
    sizes divide): XLA keeps all cores busy with several devices, not with one. The compilation
    cache is kept in ~/.cache/scoresde. JAX's own settings, where given, come first.
    """
    settings: Any = jax.config  # its attributes are made at run time
    if settings.jax_num_cpu_devices < 0:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        devices = 1 << ((cores or 1).bit_length() - 1)
        devices = min(devices, _MOST_CPU_DEVICES)
        jax.config.update("jax_num_cpu_devices", devices)
        # An all-reduce holds a thread of XLA's pool for each device until all have come. With no
        # more threads than devices the last one may find none to run on: a deadlock.
        os.environ.setdefault("NPROC", str((cores or 1) + devices))
    if settings.jax_compilation_cache_dir is None:
        home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(home) / "scoresde" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def make_mesh(num: int | None = None) -> Mesh:
    """The first `num` devices, all by default, as a mesh with the axis "data".

    Raises:
      UserError: there are fewer.
    """
    available = len(jax.devices())
    num = available if num is None else num
    if not 1 <= num <= available:
        raise UserError(f"--devices: got {num}, takes 1 to {available}, the devices there are")
    return jax.make_mesh((num,), ("data",), (AxisType.Auto,), devices=jax.devices()[:num])


def sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """Split along `axis` over the devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, "data"))


def replicated(mesh: Mesh) -> NamedSharding:
    """A copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def check_batch(mesh: Mesh, batch_size: int, field: str) -> None:
    """Stop a batch that the devices cannot share equally.

    Raises:
      UserError: `batch_size`, the value of `field`, is not a multiple of the number of devices.
    """
    if batch_size % mesh.size:
        raise UserError(f"{field}: got {batch_size}, takes a multiple of the {mesh.size} devices")
