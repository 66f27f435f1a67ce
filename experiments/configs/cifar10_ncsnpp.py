"""NCSN++ (continuous) on CIFAR-10, published for VE.

    scoresde train --config=cifar10_ncsnpp --workdir=runs/cifar10_ve

62.8 M parameters; days on 8 GPUs. Published: FID 2.38, IS 9.83, by `--solver=reverse_diffusion
--corrector=langevin --steps=1000`. `cifar10_ncsnpp:small` is a trial for a CPU.

Data: `--config.data.source=npz:FILE` or `folder:DIR`; by default TFDS's cifar10.
"""

from ml_collections import ConfigDict

from experiments.configs import cifar10_ddpmpp


def get_config(size: str = "full") -> ConfigDict:
    """The experiment.

    Args:
      size: "full", as published, or "small".

    Raises:
      ValueError: another size.
    """
    config = cifar10_ddpmpp.get_config(size).unlock()
    config.sde.name = "ve"
    config.sde.sigma_max = 50.0
    config.model.fir = True
    config.model.progressive_input = "residual"
    return config.lock()
