"""Data sets: what a model is fitted to, as one array of examples per split.

    train = load("digits", "train")                     # scikit-learn's, embedded
    train = load("emoji", "train", image_size=32)       # in colour, of two packages
    train = load("npz:faces.npz", "train")              # keys images (or points), labels
    train = load("folder:photos", "test", image_size=64)
    train = load("tfds:cifar10", "train")               # prepared as array_record
    train = load("toy:moons", "train")                  # points of the plane
    train.values, train.labels                          # [N, ...], and [N] or None

What does not fit is opened, and read while the device computes:

    photos = open_split("folder:photos", "train", image_size=64)
    with Stream(photos, seed=0, batch_size=128, start=0) as stream:
        batch = next(stream)                            # batch.values, batch.cond

A source of your own is `data.source=my_module:points`:

    def points(request: Request) -> Split:              # request.split is "train" or "test"
        return Split.of(values)                         # float32 [N, D]; or grey levels, uint8
                                                        # [N, H, W, C], with levels=256

What its values are to a model is said by its codec:

    train.codec.encode(train.values)                    # in model units
    train.codec.decode(x)                               # values again

Importing this package is cheap: a source imports what it needs when it is loaded.
"""

# They register themselves.
from experiments.data import digits, emoji, folder, npz, tfds, toy  # noqa: F401
from experiments.data.codec import Codec, ContinuousCodec, PixelCodec, codec_of
from experiments.data.digests import digest
from experiments.data.order import batches, rows_of_step
from experiments.data.source import (
    WHOLE,
    Request,
    absolute,
    is_here,
    load,
    open_split,
    sources,
)
from experiments.data.split import Batch, Reader, Split
from experiments.data.stream import CROPS, Stream, check_crop

__all__ = [
    "CROPS",
    "WHOLE",
    "Batch",
    "Codec",
    "ContinuousCodec",
    "PixelCodec",
    "Reader",
    "Request",
    "Split",
    "Stream",
    "absolute",
    "batches",
    "check_crop",
    "codec_of",
    "digest",
    "is_here",
    "load",
    "open_split",
    "rows_of_step",
    "sources",
]
