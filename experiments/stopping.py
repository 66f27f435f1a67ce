"""SIGTERM asks a run to save and to end, on every process at the same step."""

import signal
import threading
from types import FrameType

import jax
from jax.experimental import multihost_utils


class Stop:
    """Whether to stop: `with Stop() as stop: … if stop.asked()`.

    Among many processes JAX's own handler spreads the word, and they agree on the next of their
    questions, by number; so all must ask as often.
    """

    def __init__(self) -> None:
        self._asked, self._questions = False, 0

    def __enter__(self) -> "Stop":
        # Python allows handlers in its main thread alone.
        self._handles = (
            jax.process_count() == 1 and threading.current_thread() is threading.main_thread()
        )
        if self._handles:
            self._before = signal.signal(signal.SIGTERM, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._handles:
            signal.signal(signal.SIGTERM, self._before)

    def asked(self) -> bool:
        """Whether to stop now."""
        self._questions += 1
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(self._questions)
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asked = True
