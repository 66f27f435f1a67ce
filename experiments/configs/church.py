"""LSUN's churches at 256 pixels: NCSN++ as published for VE, and DDPM for VP.

    scoresde train --config=church:ve --workdir=runs/church

65,574,549 parameters (VE), 111,569,923 (VP); weeks on 8 GPUs. Published samples are those of
`--solver=reverse_diffusion --corrector=langevin --steps=2000` (VE) and `--solver=ancestral
--steps=1000` (VP).

Data: `--config.data.source=folder:DIR`; by default TFDS's lsun/church_outdoor.
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
    sde = _published.choose(words, sde=("ve", "vp"))["sde"]
    config = _published.published(
        sde, "ncsnpp_256" if sde == "ve" else "ddpm_256", "tfds:lsun/church_outdoor"
    )
    _published.at_high_resolution(config, image_size=256, sigma_max=380.0)
    return config.lock()
