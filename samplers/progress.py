"""A progress bar over a compiled loop."""

import threading
from functools import partial

import jax
from jax import Array
from tqdm import tqdm

_bars: dict[int, tqdm] = {}
_lock = threading.Lock()


def report(number: Array, total: int) -> None:
    """Show, from inside a compiled loop, that an evaluation begins.

    The host is called about a hundred times, so the bar costs nothing that shows. JAX calls it
    through a CPU device, so that there is no bar where `JAX_PLATFORMS` names no CPU.

    Args:
      number: of the evaluation, from 0, a scalar.
      total: how many there are.
    """
    if not _has_cpu():
        return
    every = max(total // 100, 1)
    due = (number % every == 0) | (number == total - 1)
    jax.lax.cond(due, lambda: jax.debug.callback(partial(_show, total), number), lambda: None)


def _has_cpu() -> bool:
    try:
        return bool(jax.local_devices(backend="cpu"))
    except RuntimeError:
        return False


def _show(total: int, number: Array) -> None:
    """Callbacks come from several threads, and not always in order."""
    done = int(number) + 1
    with _lock:
        if total not in _bars:
            _bars[total] = tqdm(total=total, unit="eval", leave=False)
        bar = _bars[total]
        bar.update(max(done - bar.n, 0))
        if done == total:
            del _bars[total]
            bar.close()
