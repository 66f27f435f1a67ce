"""Emoji, 32 × 32 pixels in colour, by group: a conditional diffusion model on a CPU.

    pip install 'scoresde[emoji]'
    scoresde train --config=emoji --workdir=runs/emoji
    scoresde sample --workdir=runs/emoji --classes=smileys-emotion,flags --guidance=2

All 2000 steps take 42 minutes of CPU time, 21 minutes on 2 cores; the loss falls from 1.2 to 0.148.
Smileys are then round and yellow, symbols white signs on blue squares, flags rectangles of stripes;
the other groups have their colours and outlines, but nothing one could name. The 1,726 pictures
without tones of skin are trained on; `--config.data.source=emoji` takes all 3,601 of its split.
"""

from ml_collections import ConfigDict

from experiments.config_schema.resolve import default_config


def get_config() -> ConfigDict:
    """The experiment as a config, for flags to change."""
    config = default_config()
    config.data.source = "emoji:skin_tones=False"
    config.data.image_size = 32
    config.data.dequantization = True
    config.data.centered = True
    config.data.std = 0.6

    # The largest distance between two emoji, for VE.
    config.sde.sigma_max = 86.0

    config.model.conditional = True
    # EDM's preconditioning, noise conditioning and objective mean the same under every SDE.
    config.model.parameterization = "edm"
    config.model.conditioning = "log_noise"
    config.model.nf = 32
    config.model.ch_mult = (1, 2, 2, 2)
    config.model.num_res_blocks = 1
    config.model.attn_resolutions = (8,)
    config.model.dropout = 0.0

    config.training.num_steps = 2000
    config.training.batch_size = 32
    config.training.learning_rate = 2e-3
    config.training.warmup = 100
    config.training.schedule = "cosine"
    config.training.weighting = "edm"
    config.training.times = "log_normal"
    config.training.ema_decay = 0.99
    config.training.log_every = 20
    config.training.save_every = 200
    config.training.sample_every = 600

    config.sampling.num = 36
    config.sampling.batch_size = 36
    config.likelihood.batch_size = 32
    return config.lock()
