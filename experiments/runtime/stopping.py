"""SIGTERM and Ctrl-C ask a run to save and to end, on every process at the same step.

Python calls its own handlers between two of its instructions, so not while XLA compiles or a file
system hangs. A thread hears of a signal at once, and ends the process where there is nothing to be
saved, or at the second signal.
"""

import os
import signal
import socket
import sys
import threading
from types import FrameType
from typing import Any

import jax
from jax.experimental import multihost_utils


class Stop:
    """Whether to stop: `with Stop() as stop: … stop.asked()`.

    Until `must_save` is called a signal ends the process at once.

    Among many processes JAX's own handler of SIGTERM spreads the word, and they agree on one of
    their next questions, by number; so all must ask as often. It has that signal alone, so Ctrl-C
    sends it.
    """

    def __init__(self) -> None:
        self._asked, self._must_save, self._questions = False, False, 0

    def __enter__(self) -> "Stop":
        self._many = jax.process_count() > 1
        # Python allows handlers in its main thread alone.
        main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT,) if self._many else (signal.SIGTERM, signal.SIGINT)
        self._before: dict[int, Any] = {}
        if main:
            heard, self._wakes = socket.socketpair()
            self._wakes.setblocking(False)
            self._before = {number: signal.signal(number, self._ask) for number in numbers}
            # To it the system's own handler writes the number of a signal.
            self._wakeup = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
            threading.Thread(target=self._listen, args=[heard], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._before:
            signal.set_wakeup_fd(self._wakeup)
            for number, handler in self._before.items():
                signal.signal(number, handler)
            self._wakes.close()

    def must_save(self) -> None:
        """Say that from here on there are updates that no checkpoint has."""
        self._must_save = True

    def asked(self) -> bool:
        """Whether to stop now."""
        self._questions += 1
        if self._many:
            return multihost_utils.reached_preemption_sync_point(self._questions)
        return self._asked

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asked = True

    def _listen(self, heard: socket.socket) -> None:
        """Until the other end is closed."""
        with heard:
            numbers = (byte[0] for byte in iter(lambda: heard.recv(1), b""))
            for count, number in enumerate(n for n in numbers if n in self._before):
                if count or not self._must_save:
                    self._end(signal.Signals(number))
                if self._many:
                    os.kill(os.getpid(), signal.SIGTERM)
                _say("stopping after this step, to save; once more ends the run at once")

    def _end(self, number: signal.Signals) -> None:
        what = "the updates since the last checkpoint are" if self._must_save else "nothing is"
        _say(f"ended by {number.name}; {what} lost")
        os._exit(128 + number)


def _say(line: str) -> None:
    print(f"scoresde: {line}", file=sys.stderr, flush=True)
