"""CelebA-HQ at 256 and at 1024 pixels: NCSN++ as published for VE, and DDPM for VP at 256.

    scoresde train --config=celebahq:ve,256 --workdir=runs/celebahq

65,574,549 parameters at 256 pixels, 105,785,896 at 1024 (VE), 111,569,923 (VP); weeks on 8 GPUs.
Published samples are those of `--solver=reverse_diffusion --corrector=langevin --steps=2000`.

Data: `--config.data.source=folder:DIR`; by default TFDS's celeb_a_hq/256 or /1024.
"""

from ml_collections import ConfigDict

from experiments.configs import _published


def get_config(words: str = "ve,256") -> ConfigDict:
    """The experiment as a config, for flags to change.

    Args:
      words: the SDE and the image size, "256" or "1024".

    Raises:
      ValueError: unknown words, or VP at 1024 pixels.
    """
    choice = _published.choose(words, sde=("ve", "vp"), size=("256", "1024"))
    sde, size = choice["sde"], choice["size"]
    if sde == "vp" and size == "1024":
        raise ValueError("words: got vp and 1024, takes vp at 256 pixels")
    network = f"ncsnpp_{size}" if sde == "ve" else "ddpm_256"
    config = _published.published(sde, network, f"tfds:celeb_a_hq/{size}")
    _published.of_faces(config, int(size))
    return config.lock()
