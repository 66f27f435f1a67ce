"""Starting JAX: devices, the mesh, what is where.

A mesh has the axes "data" and "fsdp". A batch is split over all devices; parameters, averages and
the optimizer's state are split over "fsdp" and repeated along "data". It is one program under
`jit`, on 1 device or on those of many hosts, which does what `pmap` used to.
"""

import os
import pathlib
import sys
from typing import Any

import jax
import numpy as np
from jax import Array
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments.errors import UserError, first_line
from experiments.runtime import compile_notice
from experiments.runtime.compile_cache import repair

# A program for each virtual device is compiled and scheduled; beyond this many they gain nothing.
_MAX_CPU_DEVICES = 8
_CPU_DEVICES = "xla_force_host_platform_device_count"

BATCH_AXES = ("data", "fsdp")


def start(*, deterministic: bool = False, connects: bool = False) -> None:
    """Configure JAX before its first use and find its devices.

    On the CPU there is one virtual device a core (a power of two of them, so that common batch
    sizes divide): XLA keeps all cores busy with several devices, not with one. The compilation
    cache is kept in ~/.cache/scoresde. JAX's own settings, where given, come first; where it has
    been used before, as in a notebook, its devices stay as they are. What compiles for long is told
    (`compile_notice`).

    Args:
      deterministic: let GPUs compute what does not depend on the order of their threads.
      connects: whether other processes are to be found first, and the devices afterwards.

    Raises:
      UserError: there are no devices of the platform asked for, or JAX was used too early.
    """
    compile_notice.install()
    used = _is_used()
    if not used:
        _divide_cpu()
    if deterministic:
        if used:
            raise UserError("--deterministic: takes a process in which JAX has not been used")
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_gpu_deterministic_ops=true"
    _cache_programs()
    if not connects:
        available()


def _is_used() -> bool:
    """Whether JAX has its devices, whose number can then no longer be set."""
    settings: Any = jax.config  # its attributes are made at run time
    num = settings.jax_num_cpu_devices
    try:
        # The one question that JAX answers in public: it refuses another number.
        jax.config.update("jax_num_cpu_devices", num + 1)
        jax.config.update("jax_num_cpu_devices", num)
    except RuntimeError:
        return True
    return False


def _divide_cpu() -> None:
    settings: Any = jax.config
    if settings.jax_num_cpu_devices >= 0 or _CPU_DEVICES in os.environ.get("XLA_FLAGS", ""):
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    devices = min(1 << ((cores or 1).bit_length() - 1), _MAX_CPU_DEVICES)
    jax.config.update("jax_num_cpu_devices", devices)
    # An all-reduce holds a thread of XLA's pool for each device until all have come. With no
    # more threads than devices the last one may find none to run on: a deadlock.
    os.environ.setdefault("NPROC", str((cores or 1) + devices))


def _cache_programs() -> None:
    settings: Any = jax.config
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    # Where nobody has a home, there is no cache either.
    if settings.jax_compilation_cache_dir is None and not home.startswith("~"):
        jax.config.update("jax_compilation_cache_dir", str(pathlib.Path(home) / "scoresde" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    if settings.jax_compilation_cache_dir:
        for entry in repair(pathlib.Path(settings.jax_compilation_cache_dir)):
            print(f"removed {entry} from the compilation cache: it was cut short", file=sys.stderr)


def available() -> list[jax.Device]:
    """The devices that there are.

    Raises:
      UserError: none of the platform that was asked for.
    """
    settings: Any = jax.config
    try:
        return jax.devices()
    # JAX asserts where the platform's own plugin has found nothing.
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"JAX_PLATFORMS: got {settings.jax_platforms!r}, of which there are no devices here "
            f"({first_line(error) or type(error).__name__}); takes cpu, or '' for what there is"
        ) from error


def make_mesh(num: int | None = None, fsdp: int = 1) -> Mesh:
    """The first `num` devices, all by default, as a mesh of num/fsdp × fsdp.

    Raises:
      UserError: there are fewer, or fsdp does not divide them.
    """
    devices = available()
    num = len(devices) if num is None else num
    if not 1 <= num <= len(devices):
        raise UserError(f"--devices: got {num}, takes 1 to {len(devices)}, the devices there are")
    if num % fsdp:
        raise UserError(f"--fsdp: got {fsdp}, takes a divisor of the {num} devices")
    axes = (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh((num // fsdp, fsdp), BATCH_AXES, axes, devices=devices[:num])


def compiler_options() -> dict[str, str] | None:
    """What a program with gradients is compiled with, for `jax.jit`.

    On the CPU XLA drops the barriers of rematerialisation before it orders the operations, and then
    computes early what was to be computed again late. With the barriers kept, rematerialisation
    frees memory there as elsewhere (a U-Net's step takes a third; without, as much as ever).
    """
    if jax.default_backend() != "cpu":
        return None
    return {"xla_disable_hlo_passes": "cse_barrier_expander"}


def sharded(mesh: Mesh, axis: int = 0) -> NamedSharding:
    """The sharding that splits `axis` over all devices."""
    return NamedSharding(mesh, PartitionSpec(*[None] * axis, BATCH_AXES))


def replicated(mesh: Mesh) -> NamedSharding:
    """The sharding that puts a copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def put(values: Any, sharding: NamedSharding) -> Any:
    """A pytree of arrays, the same on every host, on the devices."""
    if jax.process_count() == 1:
        return jax.device_put(values, sharding)

    def place(value: Any) -> Array:
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(place(jax.random.key_data(value)))
        value = np.asarray(value)
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    return jax.tree.map(place, values)


def fetch(values: Any) -> Any:
    """A pytree of arrays as NumPy, whole on every host."""
    if jax.process_count() == 1:
        return jax.device_get(values)
    return jax.tree.map(
        lambda value: (
            np.asarray(value)
            if value.is_fully_addressable
            else multihost_utils.process_allgather(value, tiled=True)
        ),
        values,
    )


def check_batch(mesh: Mesh, batch_size: int, field: str, parts: int = 1) -> None:
    """Stop a batch that the devices cannot share equally.

    Args:
      mesh: the devices.
      batch_size: number of examples.
      field: the name of the config's field that it is from.
      parts: number of equal parts that are computed one after the other.

    Raises:
      UserError: `batch_size`, the value of `field`, is not a multiple of devices times parts.
    """
    if batch_size % (mesh.size * parts):
        times = f" times {parts} parts" if parts > 1 else ""
        raise UserError(
            f"{field}: got {batch_size}, takes a multiple of the {mesh.size} devices{times}"
        )
