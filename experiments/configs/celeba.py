"""CelebA at 64 pixels: NCSN++ as published for VE, and DDPM++ for VP and sub-VP.

    scoresde train --config=celeba:ve --workdir=runs/celeba

62.8 M parameters (61.8 M for DDPM++); days on 8 GPUs. Published samples are those of
`--solver=reverse_diffusion --corrector=langevin --steps=1000`.

Data: `--config.data.source=folder:DIR`; by default TFDS's celeb_a, resized.
"""

from ml_collections import ConfigDict

from experiments.configs import _published


def get_config(words: str = "ve") -> ConfigDict:
    """The experiment as a config, for flags to change.

    Args:
      words: the SDE.

    Raises:
      ValueError: unknown words.
    """
    sde = _published.choose(words, sde=("ve", "vp", "subvp"))["sde"]
    config = _published.published(sde, "ncsnpp" if sde == "ve" else "ddpmpp", "tfds:celeb_a")
    config.sde.sigma_max = 90.0
    config.data.image_size = 64
    config.sampling.snr = 0.17
    return config.lock()
