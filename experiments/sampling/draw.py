"""Samples of a trained model, drawn and written to files: what commands do that need samples."""

import dataclasses
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from experiments.builders.sampling import method_of
from experiments.paths import name_of_files
from experiments.sampling import files
from experiments.sampling.classifier_guide import ClassifierGuide
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.results import JSON, Result
from experiments.workdir.trained_model import TrainedModel
from samplers import Samples
from sde_lib import Condition


class Drawn(NamedTuple):
    """What has been drawn.

    Args:
      samples: NumPy arrays [num, ...]; None where files of the same protocol were there.
      summary: what was made and where, in two lines.
      result: its name and protocol; `result.report` has what it cost.
    """

    samples: Samples | None
    summary: str
    result: Result


def draw(
    trained: TrainedModel,
    *,
    num: int,
    seed: int,
    about: dict[str, str],
    sde: str | None = None,
    keep: int = 0,
    latents: np.ndarray | None = None,
    cond: Condition | None = None,
    class_names: tuple[str, ...] = (),
    guide: ClassifierGuide | None = None,
    output: str | None = None,
    progress: bool = False,
    again: bool = False,
) -> Drawn:
    """Draw samples as the experiment says, and write them unless they are there.

    Args:
      trained: the model, its experiment and its workdir.
      num: how many.
      seed: sample i depends on (seed, i) alone.
      about: goes into the picture's metadata.
      sde: another SDE to sample under, NAME[:field=value,…].
      keep: frames of an animation of the way there.
      latents: standard normal [num, ...] to start from, instead of draws.
      cond: what each is conditioned on, NumPy arrays [num, ...]; None for nothing.
      class_names: of the labels of `cond`; () where they have none.
      guide: a classifier that guides the model.
      output: a name for the files; by default they are in the workdir, named by their protocol.
      progress: show a bar.
      again: draw them also where their files are there.

    Raises:
      UserError: no such solver, corrector, grid or SDE, files of something else have the name, or
        a sample is not finite.
    """
    sampler = BatchedSampler.of(trained, sde, guide)
    protocol = files.protocol(
        sampler, trained, seed=seed, num=num, latents=latents, cond=cond, frames=keep
    )
    result = _result(trained, files.words(sampler, trained, sde, seed), protocol, output)
    is_there = result.is_there(*files.suffixes(keep))
    if is_there and not again:
        return Drawn(None, files.drawn_before(result), result)
    start = time.perf_counter()
    samples = sampler.draw(num, seed, progress=progress, keep=keep, latents=latents, cond=cond)
    seconds = time.perf_counter() - start
    if not is_there:
        by_class, data = latents is None, trained.train
        files.save(samples, cond, seconds, data, class_names, by_class, result, about)
    return Drawn(samples, files.summary(samples, seconds, result), result)


def with_flags(trained: TrainedModel, flags: Mapping[str, Any]) -> TrainedModel:
    """The experiment with the flags whose meaning depends on the kind of sampler.

    Args:
      trained: opened with the flags that are fields of its config.
      flags: of the command `sample`, by name.

    Raises:
      UserError: a flag that the experiment's sampler does not take.
    """
    method = method_of(trained.experiment, trained.sde)
    method.check_flags(flags)
    if not flags["rtol"]:
        return trained
    sampling = method.with_tolerance(flags["rtol"])
    return dataclasses.replace(
        trained, experiment=dataclasses.replace(trained.experiment, sampling=sampling)
    )


def _result(
    trained: TrainedModel, words: str, protocol: dict[str, Any], output: str | None
) -> Result:
    """Where to write: as named by hand, without the suffix of one of the files, or by protocol.

    Raises:
      UserError: a folder is no name.
    """
    if output is None:
        return Result.named(trained.workdir.path / "samples", words, protocol)
    path = name_of_files(output, "--output")
    if path.suffix in (JSON, *files.suffixes(frames=1)):
        path = path.with_suffix("")
    return Result(path, protocol, flag="--output")
