"""Metrics: numbers that say how near a generated set is to a reference, with error bars.

    measured = metrics["fd"]().measure(generated, reference)      # {"fd": Estimate(…), …}
    asked("fd,prdc:k=3")                                          # of a flag

One file a concept; `protocols` in the documentation has every formula.
"""

# They register themselves.
from experiments.evaluation.metrics import (  # noqa: F401
    accuracy,
    c2st,
    frechet,
    inception_score,
    kernel_distance,
    mmd,
    nearest,
    prdc,
    sliced_wasserstein,
)
from experiments.evaluation.metrics.distances import neighbours
from experiments.evaluation.metrics.metric import Metric, asked, metrics

__all__ = ["Metric", "asked", "metrics", "neighbours"]
