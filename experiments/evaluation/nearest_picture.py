"""A picture of samples and the training images that lie nearest to them."""

import numpy as np

from experiments.data import Split
from experiments.display.pictures import beside
from experiments.evaluation.metrics.distances import neighbours

_ROWS, _NEIGHBOURS = 10, 5


def nearest_picture(
    values: np.ndarray,
    features: np.ndarray,
    train: Split,
    train_features: np.ndarray,
    rows: np.ndarray | slice,
) -> np.ndarray:
    """Of some samples the ten nearest to training images, the nearest first: uint8 [., ., 3].

    Each stands left of the five training images that are nearest to it in the features.

    Args:
      values: of samples, [S, H, W, C].
      features: theirs, [S, D].
      train: the training split.
      train_features: of some of its examples, [N, D].
      rows: of these examples in the split.
    """
    each = min(_NEIGHBOURS, len(train_features))
    distances, found = neighbours(features[: len(values)], train_features, each)
    order = np.argsort(distances[:, 0], kind="stable")[:_ROWS]
    places = np.arange(train.num)[rows][found[order].ravel()]
    others = train.read(places).values
    shown = values[order]
    brightness = train.codec.brightness
    return beside(
        brightness(shown, others),
        brightness(others, others).reshape(len(shown), each, *train.shape),
    )
