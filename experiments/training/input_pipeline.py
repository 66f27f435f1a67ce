"""What feeds the training step: rows of data that are on the devices, or streamed batches."""

import itertools
import time

import jax
import numpy as np
from jax import Array
from jax.sharding import Mesh

from experiments.config_schema.sections import DataConfig
from experiments.data import Batch, Split, Stream, batches
from experiments.runtime.devices import put, replicated, sharded

_GIB = 2**30


class OnDevice:
    """An input pipeline of data that stay on the devices, indexed inside the compiled step.

    Args:
      split: the examples, in memory.
      conditional: whether what they are conditioned on is read too.
      seed, batch_size, start: batch k has the rows of `batches`, from k = start on.
      mesh: the devices.
    """

    waited = 0.0

    def __init__(
        self,
        split: Split,
        conditional: bool,
        seed: int,
        batch_size: int,
        start: int,
        mesh: Mesh,
    ):
        examples = _needed(split.reader.load(), conditional)
        self.examples = jax.tree.map(lambda leaf: put(leaf, replicated(mesh)), examples)
        self._rows = batches(seed, split.num, batch_size, start)
        self._sharding = sharded(mesh, axis=1)

    def read(self, count: int) -> Array:
        """The rows of the next `count` batches [count, B]."""
        return put(np.stack(list(itertools.islice(self._rows, count))), self._sharding)

    def close(self) -> None:
        """Do nothing: nothing is open."""


class Streaming:
    """An input pipeline of data that are read meanwhile, by every process its part of each batch.

    Args:
      split: the examples.
      conditional: as of `OnDevice`.
      config: how they are read.
      seed, batch_size, start: as of `OnDevice`.
      mesh: the devices.
    """

    examples = None

    def __init__(
        self,
        split: Split,
        conditional: bool,
        config: DataConfig,
        seed: int,
        batch_size: int,
        start: int,
        mesh: Mesh,
    ):
        self._sharding, self._size = sharded(mesh, axis=1), batch_size
        self._conditional = conditional
        places = sharded(mesh).addressable_devices_indices_map((batch_size,)).values()
        spans = sorted({place[0].indices(batch_size) for place in places if place})
        first, last = spans[0][0], max(span[1] for span in spans)
        # Those of a process need not lie side by side.
        self._rows = np.concatenate([np.arange(*span) for span in spans]) - first
        self._stream = Stream(
            split,
            seed=seed,
            batch_size=batch_size,
            start=start,
            part=(first, last),
            workers=config.workers,
            crop=config.crop,
        )

    @property
    def waited(self) -> float:
        """Seconds that `read` has waited for data."""
        return self._stream.waited

    def read(self, count: int) -> Batch:
        """The examples of the next `count` batches [count, B, ...]."""
        parts = [_needed(next(self._stream), self._conditional) for _ in range(count)]
        return jax.tree.map(self._put, *(part.take(self._rows) for part in parts))

    def _put(self, *parts: np.ndarray) -> Array:
        """An array [count, B, ...] over all processes, of which this one has the parts."""
        part = np.stack(parts)
        shape = (len(parts), self._size, *part.shape[2:])
        return jax.make_array_from_process_local_data(self._sharding, part, shape)

    def close(self) -> None:
        """Stop reading."""
        self._stream.close()


InputPipeline = OnDevice | Streaming


def _needed(examples: Batch, conditional: bool) -> Batch:
    """The examples, without what an unconditional model does not read."""
    return examples if conditional else examples._replace(cond=None)


class Throughput:
    """Measures examples a second, and the part of the time that was spent waiting for data.

    Args:
      step: where to count from.
      pipeline: says how long it was waited for.
    """

    def __init__(self, step: int, pipeline: InputPipeline):
        self._pipeline = pipeline
        self.restart(step)

    def restart(self, step: int) -> None:
        """Count from here."""
        self._since, self._step, self._waited = time.perf_counter(), step, self._pipeline.waited

    def read(self, step: int, batch_size: int) -> dict[str, float]:
        """`images_per_second` and `data_wait` since the last reading; counts from here."""
        seconds = time.perf_counter() - self._since
        rate = (step - self._step) * batch_size / seconds
        waited = self._pipeline.waited - self._waited
        self.restart(step)
        return {"images_per_second": round(rate, 1), "data_wait": round(waited / seconds, 4)}
