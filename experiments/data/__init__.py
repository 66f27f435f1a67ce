"""Data sets: what a model is fitted to, as one array of examples per split.

    train = load("digits", "train")                     # scikit-learn's, embedded
    train = load("npz:faces.npz", "train")              # keys images, labels
    train = load("folder:photos", "test", image_size=64)
    train = load("tfds:cifar10", "train")               # prepared as array_record
    train = load("toy:moons", "train")                  # points of the plane

What does not fit is opened, and read while the device computes:

    photos = open_lazy("folder:photos", "train", image_size=64)
    with Stream(photos, seed=0, batch_size=128, start=0) as stream:
        values, labels = next(stream)

Importing this package is cheap: a source imports what it needs when it is loaded.
"""

from experiments.data import digits, folder, npz, tfds, toy  # noqa: F401 (they register themselves)
from experiments.data.dataset import WHOLE, Dataset, Request, absolute, is_here, load, sources
from experiments.data.digests import digest
from experiments.data.lazy import Batch, LazyDataset, in_memory, open_lazy
from experiments.data.order import batches, rows_of_step
from experiments.data.scaling import bin_width, bits_per_dim, to_levels, to_model
from experiments.data.stream import CROPS, Stream, check_crop

__all__ = [
    "CROPS",
    "WHOLE",
    "Batch",
    "Dataset",
    "LazyDataset",
    "Request",
    "Stream",
    "absolute",
    "batches",
    "bin_width",
    "bits_per_dim",
    "check_crop",
    "digest",
    "in_memory",
    "is_here",
    "load",
    "open_lazy",
    "rows_of_step",
    "sources",
    "to_levels",
    "to_model",
]
