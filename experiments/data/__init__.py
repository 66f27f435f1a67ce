"""Data sets: what a model is fitted to, as one array of examples per split.

    train = load("digits", "train")                     # scikit-learn's, embedded
    train = load("npz:faces.npz", "train")              # keys images, labels
    train = load("folder:photos", "test", image_size=64)
    train = load("tfds:cifar10", "train")               # prepared as array_record
    train = load("toy:moons", "train")                  # points of the plane

Importing this package is cheap: a source imports what it needs when it is loaded.
"""

from experiments.data import digits, folder, npz, tfds, toy  # noqa: F401 (they register themselves)
from experiments.data.dataset import WHOLE, Dataset, Request, load, sources
from experiments.data.scaling import bin_width, bits_per_dim, to_levels, to_model

__all__ = [
    "WHOLE",
    "Dataset",
    "Request",
    "bin_width",
    "bits_per_dim",
    "load",
    "sources",
    "to_levels",
    "to_model",
]
