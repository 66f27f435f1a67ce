"""What the tests of conditions share: labelled images, a conditional model, a refusal."""

import numpy as np

from experiments.config_schema.flags import load_experiment
from experiments.data.experiment_split import split_of
from experiments.workdir.trained_model import TrainedModel
from tests.experiments.data import sources

NAMES = np.array(["ant", "bee", "cat", "dog"])


def refused(message: str, source: str, split: str = "train", **options):
    """Asserts that the source is refused with one line that the pattern begins."""
    sources.refused(source, message, split, **options)


IMAGES = sources.numbered(6, 2, 2)
LABELS = {"images": IMAGES, "labels": np.arange(6) % 3}


def model_of(source: str, *fields: str) -> TrainedModel:
    """A conditional model of a source, of which nothing but its data is there."""
    given = [f"--config.data.source={source}", "--config.model.conditional=True", *fields]
    experiment = load_experiment("toy2d", given)
    train = split_of(experiment, "train")
    return TrainedModel(None, experiment, None, None, 0, "ema", None, train)
