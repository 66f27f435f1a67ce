"""Where samples start: standard normal latents, read or between two of a seed's."""

import jax.numpy as jnp
import numpy as np

from experiments.errors import UserError
from experiments.paths import expand
from experiments.runtime import seeds
from experiments.runtime.array_files import UNREADABLE
from samplers import noise


def read_latents(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """The `latents` [N, ...] of an .npz file.

    Raises:
      UserError: there are none, or not of examples of this shape.
    """
    try:
        opened = np.load(expand(path))
        if isinstance(opened, np.ndarray):
            raise UserError(f"--latents: {path}: is one array, takes an .npz with `latents`")
        with opened as file:
            latents = np.asarray(file["latents"], np.float32)
    except UserError:
        raise
    except UNREADABLE as error:
        raise UserError(f"--latents: {path}: {error}; takes an .npz with `latents`") from error
    if latents.shape[1:] != shape or not latents.size:
        takes = ", ".join(map(str, ("N", *shape)))
        raise UserError(f"--latents: {path}: got shape {latents.shape}, takes ({takes})")
    if not np.isfinite(latents).all():
        raise UserError(f"--latents: {path}: got numbers that are not finite, takes normal ones")
    return latents


def between(seed: int, num: int, steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """Latents [num, ...] in rows of `steps`, each from one of the seed's latents to the next.

    Raises:
      UserError: `num` is no multiple of `steps`, or a row has no two ends.
    """
    if steps < 2 or num % steps:
        raise UserError(f"--interpolate: got {steps}, takes 2 or more that divide --num = {num}")
    ends = noise.latents(seeds.key_of(seed), jnp.arange(num // steps + 1), shape)
    return np.asarray(noise.spherical(ends[:-1], ends[1:], steps)).reshape(num, *shape)
