"""scikit-learn's 1797 handwritten digits, 8×8 with 17 grey levels: no file, no network."""

import functools

import numpy as np

from experiments.data.source import Request, sources
from experiments.data.split import Split
from experiments.errors import UserError

NUM_TEST = 360
"""A fifth of the 1797."""


@sources.register("digits")
def open_digits(request: Request) -> Split:
    """1437 digits to train on and 360 to test on, a fixed random split (`holdout` does not apply).

    Raises:
      UserError: an argument after "digits", or an image size other than theirs.
    """
    if request.source != "digits":
        raise UserError(f"data.source: got {request.source!r}; digits takes nothing after its name")
    if request.image_size not in (None, 8):
        raise UserError(
            f"data.image_size: got {request.image_size}; the digits are 8x8, have 17 grey "
            "levels and are not resized: takes 8 or None"
        )
    values, labels = _read()
    # RandomState, because NumPy promises that its stream never changes between versions.
    order = np.random.RandomState(0).permutation(len(values))
    rows = order[-NUM_TEST:] if request.split == "test" else order[:-NUM_TEST]
    return Split.of(values[rows], labels[rows], levels=17, class_names=tuple("0123456789"))


@functools.cache
def _read() -> tuple[np.ndarray, np.ndarray]:
    """Grey levels uint8 [1797, 8, 8, 1] and labels int32 [1797]: their text is read once."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    return bunch.images[..., None].astype(np.uint8), bunch.target.astype(np.int32)
