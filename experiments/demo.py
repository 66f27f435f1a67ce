"""The command `demo`: the main job on the embedded digits, from training to bits/dim."""

import numpy as np

from experiments.config_schema.flags import load_experiment
from experiments.display.pictures import provenance
from experiments.evaluation.digit_classifier import DigitClassifier
from experiments.likelihood.measure import measure
from experiments.runtime import devices
from experiments.sampling.conditions import condition_of
from experiments.sampling.draw import draw
from experiments.training.train import train
from experiments.workdir.folder import Workdir
from experiments.workdir.trained_model import TrainedModel
from samplers import Samples

_NUM, _SEED = 500, 0


def demo(path: str, num_devices: int | None, overrides: list[str]) -> None:
    """Train on the digits, sample by two samplers, measure, and let a classifier judge.

    Args:
      path: the workdir.
      num_devices: how many to use, None for all.
      overrides: `--config.SECTION.FIELD=VALUE`.
    """
    devices.start()
    mesh = devices.make_mesh(num_devices)
    experiment = load_experiment("digits", overrides)
    workdir = Workdir(path)
    print(f"1. train {experiment.training.num_steps} steps on the digits")
    ended = train(experiment, workdir, mesh)
    if not ended.finished:
        print(ended.stopped)
        return

    print("\n2. sample by predictor–corrector and by the probability flow")
    base = TrainedModel.open(path, overrides, mesh)
    flow = TrainedModel.open(path, [*overrides, "--config.sampling.solver=probability_flow"], mesh)
    classifier = DigitClassifier(base.dataset("train"), base.dataset("test"))
    for trained in (base, flow):
        _judge(classifier, trained, _draw(trained))

    print("\n3. bits/dim of the test split")
    print(measure(base, base.dataset("test"))[0])
    print(f"(guessing all 17 grey levels alike has {np.log2(17):.3f})")


def _draw(trained: TrainedModel) -> Samples:
    """Samples of the experiment's sampler, written to the workdir unless they are there."""
    about = provenance(["scoresde", "demo"], _SEED)
    cond = condition_of(trained.experiment, trained.train, _NUM)
    drawn = draw(trained, num=_NUM, seed=_SEED, about=about, cond=cond, again=True)
    assert drawn.samples is not None
    print(drawn.summary)
    return drawn.samples


def _judge(classifier: DigitClassifier, trained: TrainedModel, samples: Samples) -> None:
    """Print what a classifier of the real digits says of the samples."""
    seen = classifier.recognise(np.asarray(trained.train.codec.decode(samples.x)))
    print(
        f"a classifier ({classifier.test_accuracy:.1%} right on the real test split) gives "
        f"{seen.confident:.1%} of them a probability above 0.9 "
        f"({classifier.of_real.confident:.1%} of the real ones)\n"
        f"each digit's share, 0 to 9: {' '.join(map(str, seen.counts))}"
    )
