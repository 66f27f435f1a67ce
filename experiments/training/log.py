"""What a run says while it trains: metrics in the workdir, and a line or a bar on the terminal."""

import sys
from typing import Any

import jax
from tqdm import tqdm

from experiments.config_schema.sections import TrainingConfig
from experiments.display import progress_line
from experiments.runtime import processes
from experiments.training.input_pipeline import Throughput
from experiments.training.trackers import open_trackers
from experiments.workdir.folder import Workdir
from experiments.workdir.metrics import MetricsWriter, as_json


class TrainingLog:
    """Metrics to the workdir, by the first process, and a progress bar.

    Args:
      workdir: the run's.
      config: of the training.
      step: where the run starts.
      throughput: of its steps.
    """

    def __init__(self, workdir: Workdir, config: TrainingConfig, step: int, throughput: Throughput):
        self.config, self.throughput, self._writer = config, throughput, None
        if processes.is_first():
            trackers = open_trackers(config.trackers, workdir.path, step)
            self._writer = MetricsWriter(workdir.metrics, step, trackers)
        # disable=None: no bar where there is no terminal.
        hidden = None if processes.is_first() else True
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
        self._bar = tqdm(total=config.num_steps, initial=step, disable=hidden, bar_format=form)

    def line(self, step: int, metrics: dict[str, Any]) -> None:
        """Write the metrics of a step, and show them.

        Args:
          step: updates done.
          metrics: of `Sums.means`, as NumPy.
        """
        speed = self.throughput.read(step, self.config.batch_size)
        if self._writer is None:
            return
        values = {name: as_json(value) for name, value in metrics.items()}
        memory = progress_line.memory_in_use(jax.local_devices())
        used = {} if memory is None else {"memory_gib": round(memory / 2**30, 4)}
        self._writer.scalars(step, values | speed | used)
        words = progress_line.describe(
            step,
            self.config.num_steps,
            float(metrics["loss"]),
            speed["images_per_second"],
            self.config.batch_size,
            memory,
        )
        if self._bar.disable:
            print(progress_line.line(step, self.config.num_steps, words), file=sys.stderr)
        else:
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update(step - self._bar.n)

    def numbers(self, step: int, values: dict[str, float | None]) -> None:
        """Write numbers that are not of every line, as a line of their own."""
        if self._writer is not None:
            self._writer.scalars(step, values)

    def image(self, step: int, drawn: Any) -> None:
        """Write a grid of samples, a picture uint8 [H, W, 3]."""
        if self._writer is not None:
            self._writer.image(step, "samples", drawn)

    def __enter__(self) -> "TrainingLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._writer is not None:
            self._writer.close()
