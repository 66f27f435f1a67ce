"""What is said while a program compiles for long: "compiling the training step …", then its time.

JAX tells those who listen when its compiler begins with a program and when it has ended. So this is
said wherever a command compiles, of what is compiled alone, and not at all where the program comes
from the compilation cache at once.
"""

import functools
import sys
import threading
from typing import Any

import jax
from tqdm import tqdm

from experiments.runtime import processes

EVENT = "/jax/core/compile/backend_compile_duration"
"""What JAX calls it: a scalar at the beginning, a duration at the end, by the same thread."""

PATIENCE = 10.0
"""Seconds that pass in silence."""

NAMES = {
    "_start": "the training state",
    "training_step": "the training step",
    "draw": "the sampler",
    "decode": "the sampler",
    "decode_with_log_prob": "the sampler with its densities",
    "log_prob": "the likelihood",
    "elbo": "the variational bound",
}
"""Words for compiled functions; another is called by its own name."""


@functools.cache
def install() -> None:
    """Begin to listen to JAX; once is enough."""
    compiling: dict[int, _Notice] = {}

    def begin(event: str, value: float, **about: Any) -> None:
        if event == EVENT:
            compiling[threading.get_ident()] = _Notice(about["fun_name"])

    def end(event: str, duration_secs: float, **about: Any) -> None:
        if event == EVENT and (notice := compiling.pop(threading.get_ident(), None)):
            notice.end(duration_secs)

    jax.monitoring.register_scalar_listener(begin)
    jax.monitoring.register_event_duration_secs_listener(end)


class _Notice:
    """What is said of one program, which JAX calls jit(NAME)."""

    def __init__(self, name: str):
        name = name.removeprefix("jit(").removesuffix(")")
        self._what, self._said = NAMES.get(name, name), False
        self._timer = threading.Timer(PATIENCE, self._begin)
        self._timer.daemon = True
        self._timer.start()

    def _begin(self) -> None:
        self._said = True
        _say(f"compiling {self._what} …")

    def end(self, seconds: float) -> None:
        """The compiler is done after so many seconds."""
        self._timer.cancel()
        self._timer.join()
        if self._said:
            _say(f"compiled {self._what} in {seconds:.0f} s")


def _say(line: str) -> None:
    """Above the progress bars, where there are any; by the first process alone."""
    if processes.is_first():
        tqdm.write(line, file=sys.stderr)
