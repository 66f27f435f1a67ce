"""Points of the plane: a diffusion model in half a minute on a CPU, its density exact.

    scoresde train --config=toy2d --workdir=runs/toy2d
    scoresde likelihood --workdir=runs/toy2d

`--config.data.source=toy:NAME` chooses the points: moons, rings, checkerboard, mixture, spiral,
regression.
Bits/dim are of the density (differential), by the exact trace.
"""

from ml_collections import ConfigDict

from experiments.config_schema.resolve import default_config


def get_config() -> ConfigDict:
    """The experiment as a config, for flags to change."""
    config = default_config()
    config.data.source = "toy:moons"
    config.data.centered = True
    config.data.std = 1.0

    config.model.name = "mlp"
    config.model.parameterization = "edm"
    config.model.conditioning = "log_noise"

    config.training.num_steps = 3000
    config.training.batch_size = 512
    config.training.learning_rate = 2e-3
    config.training.warmup = 100
    config.training.weighting = "edm"
    config.training.ema_decay = 0.999
    config.training.log_every = 200
    config.training.save_every = 1000
    config.training.sample_every = 0

    config.sampling.num = 2000
    config.sampling.batch_size = 1000
    config.likelihood.divergence = "exact"
    config.likelihood.batch_size = 1000
    return config.lock()
