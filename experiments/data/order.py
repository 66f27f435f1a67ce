"""The order of the training examples: what a step gets is a function of (seed, step) alone."""

import functools
import itertools
from collections.abc import Iterator

import numpy as np

from experiments.runtime import seeds


def batches(seed: int, num: int, batch_size: int, start: int) -> Iterator[np.ndarray]:
    """The rows of each batch from step `start` on, [B]: a new permutation for every epoch.

    Args:
      seed, num, batch_size: as of `rows_of_step`.
      start: the first step.
    """
    for step in itertools.count(start):
        yield rows_of_step(seed, num, batch_size, step)


def rows_of_step(seed: int, num: int, batch_size: int, step: int) -> np.ndarray:
    """The rows of one batch: an endless stream of permutations is cut into batches.

    Args:
      seed: of the run.
      num: number of examples.
      batch_size: B; it may exceed `num`.
      step: from 0.

    Returns:
      int [B], rows 0..num-1.
    """
    position, end = step * batch_size, (step + 1) * batch_size
    parts = []
    while position < end:
        epoch, row = divmod(position, num)
        parts.append(_permutation(seed, num, epoch)[row : row + end - position])
        position += len(parts[-1])
    return np.concatenate(parts)


# Batches that are read at the same time lie in one epoch, or on both sides of the end of one.
@functools.lru_cache(maxsize=2)
def _permutation(seed: int, num: int, epoch: int) -> np.ndarray:
    """The rows in the order of an epoch, [num]."""
    return seeds.generator(seed, epoch, seeds.ORDER).permutation(num)
