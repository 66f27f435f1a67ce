"""An experiment on a line: its network, a x + b, its data and its objective."""

import flax.linen as nn
import numpy as np

from experiments.config_schema.sections import (
    DataConfig,
    Experiment,
    LikelihoodConfig,
    ModelConfig,
    SamplingConfig,
    SDEConfig,
    TrainingConfig,
)
from experiments.data import Split
from experiments.training.denoising import Denoising
from sde_lib import VP

STD, MEAN = 0.6, 0.4


class Line(nn.Module):
    """a x + b, and dropout of it where asked for."""

    dropout: float = 0.0

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The network's output."""
        a, b = (
            self.param(name, nn.initializers.constant(value), ())
            for name, value in (("a", 2.0), ("b", -0.3))
        )
        return nn.Dropout(self.dropout, deterministic=not train)(a * x + b)


def experiment(sde="vp", data=None, parameterization="v", **training):
    """An experiment on the line, with all that its SDE would decide."""
    fields = {"weighting": "sigma2", "times": "uniform", "t_min": 0.01, "ema_decay": 0.9}
    return Experiment(
        sde=SDEConfig(name=sde),
        data=DataConfig(**{"centered": True, "std": STD} | (data or {})),
        model=ModelConfig(parameterization=parameterization, conditioning="time"),
        training=TrainingConfig(**fields | training),
        sampling=SamplingConfig(),
        likelihood=LikelihoodConfig(),
    )


def denoising(config, sde=None, network=None, levels=None):
    """The objective of an experiment on data of some grey levels."""
    data = Split.of(np.zeros((2, 1)), levels=levels)
    return Denoising(config, sde or VP(), network or Line(), data)
