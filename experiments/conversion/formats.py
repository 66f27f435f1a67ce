"""The formats that `scoresde import` reads, by name.

A reader makes an `Imported` of a path and of the experiment that was asked for, which some files
need and others bring with them. A user's own is `--from=my_module:format`.
"""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

from experiments.config_schema.sections import Experiment
from experiments.conversion.imported import Imported
from sde_lib import Registry

formats = Registry("format")


class Format(NamedTuple):
    """A kind of file that `scoresde import` reads.

    Args:
      read: makes an `Imported` of a path and of the experiment that was asked for.
      config: whether the command takes a config: "needed"; "optional"; or "none", where the file
        holds it.
    """

    read: Callable[[pathlib.Path, Experiment], Imported]
    config: str


def _score_sde_pytorch(path: pathlib.Path, experiment: Experiment) -> Imported:
    from experiments.conversion.score_sde import checkpoint

    return checkpoint.read(path, experiment)


def _safetensors(path: pathlib.Path, experiment: Experiment) -> Imported:
    from experiments.conversion import safetensors_file

    return safetensors_file.read(path)


def _diffusers(path: pathlib.Path, experiment: Experiment) -> Imported:
    from experiments.conversion.diffusers.folder import read

    return read(path, experiment)


formats.register("score_sde_pytorch")(Format(_score_sde_pytorch, "needed"))
formats.register("safetensors")(Format(_safetensors, "none"))
formats.register("diffusers")(Format(_diffusers, "optional"))
