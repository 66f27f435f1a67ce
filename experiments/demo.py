"""The command `demo`: the main job on the embedded digits, from training to bits/dim."""

import pathlib
from typing import Any

import numpy as np

from experiments import devices, flags, sample
from experiments.config import resolve
from experiments.data import to_levels
from experiments.digit_classifier import recognise
from experiments.measure import measure
from experiments.train import train
from experiments.trained import Trained
from experiments.workdir import Workdir

_NUM = 500


def demo(path: str, num_devices: int | None, overrides: list[str]) -> None:
    """Train on the digits, sample by two samplers, measure, and let a classifier judge.

    Args:
      path: the workdir.
      num_devices: how many to use, None for all.
      overrides: `--config.SECTION.FIELD=VALUE`.
    """
    devices.start()
    mesh = devices.make_mesh(num_devices)
    experiment = resolve(flags.override(flags.load_config("digits"), overrides))
    workdir = Workdir(path)
    print(f"1. train {experiment.training.num_steps} steps on the digits")
    ended = train(experiment, workdir, mesh)
    if not ended.finished:
        print(ended.stopped)
        return

    print("\n2. sample by predictor–corrector and by the probability flow")
    base = Trained.open(path, overrides, mesh)
    _judge(base, _draw(base))
    flow = Trained.open(path, [*overrides, "--config.sampling.solver=probability_flow"], mesh)
    _judge(flow, _draw(flow))

    print("\n3. bits/dim of the test split")
    print(measure(base, base.dataset("test"))[0])
    print(f"(guessing all 17 grey levels alike has {np.log2(17):.3f})")


def _draw(trained: Trained) -> sample.Samples:
    """Samples of the experiment's sampler, written to the workdir."""
    train = trained.train
    sampler = sample.Sampler(
        trained.experiment, trained.sde, trained.model, train.shape, trained.mesh
    )
    samples = sampler.draw(_NUM, seed=0)
    name = f"step{trained.step}-{sample.describe(trained.experiment)}-seed0"
    output: pathlib.Path = trained.workdir.folder("samples") / name
    sample.save(samples, trained.experiment, train, output, {"command": "scoresde demo"})
    print(sample.summary(samples, output))
    return samples


def _judge(trained: Trained, samples: sample.Samples) -> None:
    """Print what a classifier of the real digits says of the samples."""
    train: Any = trained.dataset("train")
    levels = to_levels(samples.values, train.levels, bool(trained.experiment.data.centered))
    seen = recognise(np.asarray(levels), train, trained.dataset("test"))
    print(
        f"a classifier ({seen.test_accuracy:.1%} right on the real test split) gives "
        f"{seen.confident:.1%} of them a probability above 0.9 "
        f"({seen.confident_real:.1%} of the real ones)\n"
        f"each digit's share, 0 to 9: {' '.join(map(str, seen.counts))}"
    )
