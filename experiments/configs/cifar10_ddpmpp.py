"""DDPM++ (continuous) on CIFAR-10, published for VP and sub-VP.

    scoresde train --config=cifar10_ddpmpp --workdir=runs/cifar10_vp
    scoresde train --config=cifar10_ddpmpp --workdir=runs/cifar10_subvp --config.sde.name=subvp

61.8 M parameters; days on 8 GPUs. Published: FID 2.55 and 3.16 bits/dim (VP), 2.61 and 3.02
(sub-VP), by `--solver=euler_maruyama --steps=1000`. `cifar10_ddpmpp:small` has 1.6 M parameters,
for a trial on a CPU: 300 steps take ten minutes on 2 cores.

Data: `--config.data.source=npz:FILE` or `folder:DIR`; by default TFDS's cifar10.
"""

from ml_collections import ConfigDict

from experiments.config import default_config


def get_config(size: str = "full") -> ConfigDict:
    """The experiment.

    Args:
      size: "full", as published, or "small".

    Raises:
      ValueError: another size.
    """
    config = default_config()
    config.data.source = "tfds:cifar10"
    config.data.flip = True
    config.data.std = 0.5
    config.likelihood.batch_size = 128
    config.sampling.batch_size = 128
    if size == "small":
        shrink(config)
    elif size != "full":
        raise ValueError(f"size: got {size!r}, takes 'full' or 'small'")
    return config.lock()


def shrink(config: ConfigDict) -> None:
    """Make the network and the training fit a trial on a CPU.

    EDM's preconditioning and training reach far more in a few hundred steps than the published
    noise prediction.
    """
    config.model.parameterization = "edm"
    config.model.conditioning = "log_noise"
    config.training.weighting = "edm"
    config.training.times = "log_normal"
    config.training.schedule = "cosine"
    config.model.nf = 32
    config.model.ch_mult = (1, 2, 2)
    config.model.num_res_blocks = 1
    config.model.attn_resolutions = (8,)
    config.training.num_steps = 300
    config.training.batch_size = 32
    config.training.learning_rate = 1e-3
    config.training.warmup = 50
    config.training.ema_decay = 0.99
    config.training.log_every = 10
    config.training.save_every = 100
    config.training.sample_every = 0
    config.sampling.batch_size = 16
    config.sampling.num = 16
    config.likelihood.batch_size = 16
