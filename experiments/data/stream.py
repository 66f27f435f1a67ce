"""Training batches that are read while the device computes."""

import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Self

import numpy as np

from experiments.data.order import rows_of_step
from experiments.data.split import Batch, Split
from experiments.errors import UserError
from experiments.runtime import seeds
from sde_lib.registry import unknown_name

CROPS = ("center", "random")


class Stream(Iterator[Batch]):
    """The batches of the steps from `start` on, those that `batches` orders, without an end.

    Threads read whole batches ahead, in this process or in worker processes. What a step gets is a
    function of (seed, step): it does not depend on `start`, nor on who reads it.

    Args:
      split: the split.
      seed: of the run.
      batch_size: of all hosts together.
      start: the first step.
      part: the positions [first, last) of each batch that this host reads; None reads all.
      workers: number of processes; 0 reads in threads of this one. Each gets a copy of `split`.
      threads: number of threads, in each process.
      prefetch: number of batches that are read ahead, in each process; `threads` or more.
      crop: "center", or "random": before the resize each image is cut to a random square, as large
        as it has, not to the central one.

    Attributes:
      waited: seconds spent in `next`, waiting for a batch.

    Raises:
      UserError: no such crop, or one that the split's source does not do. By `next`: an example is
        missing, damaged, or not like the others.
    """

    def __init__(
        self,
        split: Split,
        *,
        seed: int,
        batch_size: int,
        start: int,
        part: tuple[int, int] | None = None,
        workers: int = 0,
        threads: int = 8,
        prefetch: int = 16,
        crop: str = "center",
    ):
        import grain

        check_crop(crop, split)
        read = _StepReader(
            split=split,
            seed=seed,
            batch_size=batch_size,
            part=slice(*(part or (0, batch_size))),
            random_crop=crop == "random",
        )
        self.waited = 0.0
        ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=prefetch)
        dataset = grain.MapDataset.range(start, sys.maxsize).map(read).to_iter_dataset(ahead)
        if workers:
            dataset = _in_workers(dataset, workers)
        # A list, so that `close` drops the iterator: Grain's are not to outlive their modules.
        self._open = [iter(dataset)]
        self._open[0].start_prefetch()
        # Called once: by `close`, when the stream is collected, or when the program ends.
        self._stop = weakref.finalize(self, _close, self._open)

    def __next__(self) -> Batch:
        """The next step's batch; none comes after an error, or when the stream is closed."""
        if not self._open:
            raise StopIteration
        since = time.perf_counter()
        try:
            return next(self._open[0])
        except BaseException:  # an interrupt, too, must not leave processes behind
            self.close()
            raise
        finally:
            self.waited += time.perf_counter() - since

    def close(self) -> None:
        """Stop reading; the stream has no more batches."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _StepReader:
    """Reads one host's part of the batch of a step; worker processes get a pickled copy."""

    split: Split
    seed: int
    batch_size: int
    part: slice
    random_crop: bool

    def __call__(self, step: int) -> Batch:
        rows = rows_of_step(self.seed, self.split.num, self.batch_size, step)[self.part]
        return self.split.read(rows, self._places(step)[self.part] if self.random_crop else None)

    def _places(self, step: int) -> np.ndarray:
        """Where the images of a step are cropped, float [B, 2]."""
        return seeds.generator(self.seed, step, seeds.CROPS).random((self.batch_size, 2))


def _close(iterators: list[Any]) -> None:
    """Closes Grain's iterators and forgets them."""
    while iterators:
        iterators.pop().close()


def _in_workers(dataset: Any, workers: int) -> Any:
    """A Grain dataset that is read by processes of its own, which send it through pipes."""
    import grain
    from absl import flags

    # Grain reads its flags through absl, which nothing here parses: they have their defaults.
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
    # Not through shared memory: a container has little, and what a program that ends still holds
    # of it is leaked.
    pipes = grain.experimental.DatasetOptions(min_shm_size=sys.maxsize)
    dataset = grain.experimental.WithOptionsIterDataset(dataset, pipes)
    options = grain.MultiprocessingOptions(num_workers=workers)
    return dataset.mp_prefetch(options, worker_init_fn=_follow_parent)


def _follow_parent(worker: int, workers: int) -> None:
    """Let a worker end with the process that reads from it, and not by the terminal's Ctrl-C.

    Grain tells its workers to end; a process that was killed does not.
    """
    del worker, workers
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def check_crop(crop: str, split: Split) -> None:
    """Refuses a crop that there is not, or that the source does not do."""
    if crop not in CROPS:
        raise UserError(unknown_name("data.crop", crop, list(CROPS)))
    if crop == "random" and not split.crops:
        raise UserError(
            f"data.crop: got 'random'; {split.source} takes 'center', because its images are "
            "loaded whole, or not resized (data.image_size)"
        )
