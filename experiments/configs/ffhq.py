"""FFHQ at 256 and at 1024 pixels: NCSN++ as published for VE.

    scoresde train --config=ffhq:256 --workdir=runs/ffhq

65,574,549 parameters at 256 pixels, 105,785,896 at 1024; weeks on 8 GPUs. Published samples are
those of `--solver=reverse_diffusion --corrector=langevin --steps=2000`.

Data: `--config.data.source=folder:DIR`, by default the folder ffhq.
"""

from ml_collections import ConfigDict

from experiments.configs import _published


def get_config(words: str = "256") -> ConfigDict:
    """The experiment as a config, for flags to change.

    Args:
      words: the image size, "256" or "1024".

    Raises:
      ValueError: unknown words.
    """
    size = _published.choose(words, size=("256", "1024"))["size"]
    config = _published.published("ve", f"ncsnpp_{size}", "folder:ffhq")
    _published.of_faces(config, int(size))
    return config.lock()
