"""Training states on disk, by Orbax."""

import contextlib
import pathlib
from typing import Any

from orbax.checkpoint import v1 as ocp

from experiments.errors import UserError


class Checkpoints:
    """The states of one run, by step; the newest `keep` are kept.

    Args:
      folder: where they are.
      keep: how many are kept.
      writer: whether this is the run, which removes what a killed one left half written; a reader
        leaves alone what a run may be writing now.
    """

    def __init__(self, folder: pathlib.Path, keep: int = 2, *, writer: bool = False):
        policy = ocp.training.preservation_policies.LatestN(keep)
        self._folder = folder
        self._checkpointer = ocp.training.Checkpointer(
            folder.absolute(), preservation_policy=policy, cleanup_tmp_directories=writer
        )

    @property
    def latest(self) -> int | None:
        """The newest step, None before the first."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def save(self, step: int, state: Any) -> None:
        """Write a state; it is on disk when this returns.

        Raises:
          UserError: it could not be written; the states before it are as they were.
        """
        if step == self.latest:
            return
        try:
            self._checkpointer.save(step, state)
        except Exception as error:
            raise UserError(
                f"{self._folder}: the checkpoint of step {step} could not be written "
                f"({_one_line(error)}); takes a writable disk with room"
            ) from error

    def restore(self, state: Any, step: int | None = None) -> Any:
        """The state of `step`, the newest by default, with the shapes and shardings of `state`.

        Raises:
          UserError: there is none, or it cannot be read.
        """
        step = self.latest if step is None else step
        if step is None:
            raise UserError(f"{self._folder}: holds no checkpoint, takes one; run train first")
        try:
            return self._checkpointer.load(step, state)
        except Exception as error:
            raise UserError(
                f"{self._folder / str(step)}: the checkpoint cannot be read ({_one_line(error)})"
            ) from error

    def close(self) -> None:
        """Release the folder."""
        self._checkpointer.close()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type | None, *_: Any) -> None:
        # After a failed save closing fails again, and would hide the error that says why.
        with contextlib.suppress(Exception) if kind else contextlib.nullcontext():
            self.close()


def _one_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
