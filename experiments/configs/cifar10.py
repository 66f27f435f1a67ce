"""CIFAR-10: the published experiments, by words after the name.

    scoresde train --config=cifar10:vp,deep --workdir=runs/cifar10

words         network     parameters     published: FID, bits/dim
vp            DDPM++       61,804,419    2.55, 3.16
vp,deep       DDPM++      106,632,579    2.41, 3.13
vp,ddpm       DDPM         35,218,947    3.24, 3.28
subvp         DDPM++       61,804,419    2.61, 3.02
subvp,deep    DDPM++      106,632,579    2.41, 2.99
ve            NCSN++       62,758,915    2.38
ve,deep       NCSN++      107,587,075    2.20

Any SDE goes with `ddpm`, `ddpmpp` and `ncsnpp`. Days on 8 GPUs. The figures are those of the
published samplers: `--solver=euler_maruyama --steps=1000` for VP and sub-VP,
`--solver=reverse_diffusion --corrector=langevin --steps=1000` for VE. `small` is a trial for a CPU:
1.3 M parameters, 300 steps in ten minutes on 2 cores.

Data: `--config.data.source=npz:FILE` or `folder:DIR`; by default TFDS's cifar10.
"""

from ml_collections import ConfigDict

from experiments.configs import _published


def get_config(words: str = "vp") -> ConfigDict:
    """The experiment as a config, for flags to change.

    Args:
      words: an SDE, a network, "deep" and "small", with commas between.

    Raises:
      ValueError: unknown words, two of a kind, or deep and small.
    """
    choice = _published.choose(
        words,
        sde=("vp", "subvp", "ve"),
        network=("usual", "ddpm", "ddpmpp", "ncsnpp"),
        depth=("shallow", "deep"),
        size=("full", "small"),
    )
    if (choice["depth"], choice["size"]) == ("deep", "small"):
        raise ValueError("words: got deep and small, takes one of the two")
    network = choice["network"]
    if network == "usual":
        network = "ncsnpp" if choice["sde"] == "ve" else "ddpmpp"
    config = _published.published(choice["sde"], network, "tfds:cifar10")
    if choice["depth"] == "deep":
        config.model.num_res_blocks *= 2
        config.training.num_steps = 950_000
    if choice["size"] == "small":
        shrink(config)
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
