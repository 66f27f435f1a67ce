"""Published experiments, for the config files: networks by name, and the words that choose one.

A config file takes words after its name, as in `cifar10:subvp,deep`; `chosen` reads them. Every
network is one of `models.NCSNpp`: DDPM and DDPM++ are options of NCSN++.

Reference: Ho et al., "Denoising diffusion probabilistic models" (2020), App. B; Song et al.,
"Score-based generative modeling through SDEs" (2021), App. C and H.
"""

from typing import Any

from ml_collections import ConfigDict

from experiments.config_schema.resolve import default_config
from sde_lib.registry import unknown_name

# `deep` doubles the number of blocks, so it is said where it is the default too.
_DDPMPP = {"num_res_blocks": 4}
_DDPM = {"resblock": "ddpm", "skip_rescale": False, "norm_groups": 32, "num_res_blocks": 2}
_NCSNPP = {"num_res_blocks": 4, "fir": True, "progressive_input": "residual"}
# At high resolution the image goes in and comes out at every level.
_NCSNPP_SKIP = {
    "fir": True,
    "progressive_input": "input_skip",
    "progressive": "output_skip",
    "dropout": 0.0,
}

NETWORKS: dict[str, dict[str, Any]] = {
    "ddpm": _DDPM,
    "ddpm_256": _DDPM | {"ch_mult": (1, 1, 2, 2, 4, 4), "dropout": 0.0},
    "ddpmpp": _DDPMPP,
    "ncsnpp": _NCSNPP,
    "ncsnpp_256": _NCSNPP_SKIP | {"ch_mult": (1, 1, 2, 2, 2, 2, 2), "num_res_blocks": 2},
    "ncsnpp_1024": _NCSNPP_SKIP
    | {"nf": 16, "ch_mult": (1, 2, 4, 8, 16, 32, 32, 32), "num_res_blocks": 1},
}
"""Fields of `NCSNpp`, where they differ from its defaults, which are DDPM++'s."""


def choose(words: str, **axes: tuple[str, ...]) -> dict[str, str]:
    """One word an axis, from a list with commas in any order.

    Args:
      words: as given after the config's name.
      axes: the words of each axis; the first is meant where none is given.

    Raises:
      ValueError: an unknown word, or two of one axis.
    """
    found: dict[str, str] = {}
    for word in filter(None, words.split(",")):
        axis = next((name for name, known in axes.items() if word in known), None)
        if axis is None:
            known = [word for known in axes.values() for word in known]
            raise ValueError(unknown_name("word", word, known))
        if axis in found:
            raise ValueError(f"words: got {found[axis]} and {word}, takes one {axis}")
        found[axis] = word
    return {axis: found.get(axis, known[0]) for axis, known in axes.items()}


def published(sde: str, network: str, source: str) -> ConfigDict:
    """An experiment on images of the published kind, unlocked.

    Args:
      sde: its name.
      network: one of `NETWORKS`.
      source: of the data.
    """
    config = default_config().unlock()
    config.sde.name = sde
    config.data.source = source
    config.data.flip = True
    config.data.std = 0.5
    config.model.update(NETWORKS[network])
    if network.startswith("ddpm") and sde == "vp" and network != "ddpmpp":
        config.model.parameterization = "ddpm_noise"  # it was trained at a thousand times
    config.sampling.batch_size = 128
    config.likelihood.batch_size = 128
    return config


def at_high_resolution(config: ConfigDict, image_size: int, sigma_max: float) -> None:
    """What all published runs at 256 pixels and more have in common.

    Args:
      config: of `published`; changed.
      image_size: height and width.
      sigma_max: of VE, the largest distance between two images of the data.
    """
    config.sde.sigma_max = sigma_max
    config.data.image_size = image_size
    config.training.num_steps = 2_400_000
    config.training.batch_size = 64
    config.sampling.snr = 0.075
    config.sampling.batch_size = config.likelihood.batch_size = 16
    if config.model.resblock == "ddpm":
        config.training.learning_rate = 2e-5


def of_faces(config: ConfigDict, image_size: int) -> None:
    """What the published runs on faces have in common.

    Args:
      config: of `published`; changed.
      image_size: 256 or 1024.
    """
    at_high_resolution(config, image_size, sigma_max=348.0 if image_size == 256 else 1348.0)
    if image_size == 1024:
        config.training.batch_size = 8
        config.training.ema_decay = 0.9999
        config.sampling.snr = 0.15
        config.sampling.batch_size = config.likelihood.batch_size = 2
