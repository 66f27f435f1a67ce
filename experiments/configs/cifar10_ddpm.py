"""DDPM on CIFAR-10, published as trained at VP's thousand discrete times.

    scoresde import --from=score_sde_pytorch FILE.pth --config=cifar10_ddpm --workdir=runs/ddpm

35.2 M parameters. Published: FID 3.24 and 3.28 bits/dim, by `--solver=ancestral --steps=1000`.

Data: `--config.data.source=npz:FILE` or `folder:DIR`; by default TFDS's cifar10.
"""

from ml_collections import ConfigDict

from experiments.configs import cifar10_ddpmpp


def get_config() -> ConfigDict:
    """The experiment."""
    config = cifar10_ddpmpp.get_config().unlock()
    config.model.parameterization = "ddpm_noise"
    config.model.resblock = "ddpm"
    config.model.num_res_blocks = 2
    config.model.skip_rescale = False
    config.model.norm_groups = 32
    return config.lock()
