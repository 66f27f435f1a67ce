"""What only the command `sample` needs: other SDEs, latents from a file, what made a picture."""

import importlib.metadata
import json
import platform
import shlex
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import solver_choice
from experiments.errors import UserError
from experiments.sample import latents_of
from experiments.trained import Trained
from samplers import noise
from sde_lib import SDE, Model, Translated


def under(trained: Trained, spec: str | None) -> tuple[SDE, Model]:
    """The SDE to sample with and the model under it: the trained ones, or of another SDE's name.

    Raises:
      UserError: an unknown name or field, or a value out of range.
    """
    if spec is None:
        return trained.sde, trained.model
    sde = solver_choice.named_sde(spec)
    return sde, Translated(model=trained.model, trained=trained.sde, sde=sde)


def read_latents(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """`latents` [N, ...] of an .npz.

    Raises:
      UserError: there are none, or not of examples of this shape.
    """
    try:
        with np.load(path) as file:
            latents = np.asarray(file["latents"], np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"--latents: {path}: {error}; takes an .npz with `latents`") from error
    if latents.shape[1:] != shape or not len(latents):
        raise UserError(f"--latents: {path}: got shape {latents.shape}, takes [N, *{shape}]")
    return latents


def between(seed: int, num: int, steps: int, shape: tuple[int, ...]) -> np.ndarray:
    """Latents [num, ...] in rows of `steps`, each from one of the seed's latents to the next.

    Raises:
      UserError: `num` is no multiple of `steps`, or a row has no two ends.
    """
    if steps < 2 or num % steps:
        raise UserError(f"--interpolate: got {steps}, takes 2 or more that divide --num = {num}")
    ends = latents_of(jax.random.key(seed), jnp.arange(num // steps + 1), shape)
    return np.asarray(noise.spherical(ends[:-1], ends[1:], steps)).reshape(num, *shape)


def about(command: Sequence[str], seed: int) -> dict[str, str]:
    """What made a picture: for its metadata."""
    versions = {name: importlib.metadata.version(name) for name in ("jax", "flax", "numpy")}
    return {
        "command": shlex.join(["scoresde", *command[1:]]),
        "seed": str(seed),
        "versions": json.dumps({"python": platform.python_version()} | versions),
    }
