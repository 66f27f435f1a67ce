"""What the terminal shows of a run: loss, images/s, time left, memory.

`describe` is the postfix of a progress bar; `line` is for where there is no terminal. Nothing here
imports JAX.
"""

import math
import os
import pathlib
from collections.abc import Iterable
from typing import Any

_STATM = pathlib.Path("/proc/self/statm")


def describe(
    step: int,
    num_steps: int,
    loss: float,
    images_per_second: float,
    batch_size: int,
    memory_bytes: int | None,
) -> str:
    """The state of a run in a few words, as "loss 0.1234, 512 images/s, 1 h 03 min left, 2.50 GiB".

    Args:
      step: updates done.
      num_steps: updates in all.
      loss: mean since the last time.
      images_per_second: likewise.
      batch_size: images an update.
      memory_bytes: of `memory_in_use`; None is left out.
    """
    words = [f"loss {number(loss)}", f"{number(images_per_second, 3)} images/s"]
    left = seconds_left(step, num_steps, images_per_second, batch_size)
    if left is not None:
        words.append(f"{duration(left)} left")
    if memory_bytes is not None:
        words.append(gibibytes(memory_bytes))
    return ", ".join(words)


def line(step: int, num_steps: int, description: str) -> str:
    """A line of its own: the step and what `describe` says of it."""
    return f"step {step}/{num_steps}: {description}"


def seconds_left(
    step: int, num_steps: int, images_per_second: float, batch_size: int
) -> float | None:
    """The time until `num_steps` at this rate; None without a rate, or at the end.

    Args: as of `describe`.
    """
    if step >= num_steps or not 0 < images_per_second < math.inf:
        return None
    return (num_steps - step) * batch_size / images_per_second


def duration(seconds: float) -> str:
    """The two largest units of a time, as "2 d 03 h", "1 h 03 min", "4 min 05 s", "12 s"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24:02d} h"


def gibibytes(count: int) -> str:
    """Bytes as "2.50 GiB"."""
    return f"{count / 2**30:.2f} GiB"


def number(value: float, digits: int = 4) -> str:
    """Significant digits, and all digits of a large number, which an exponent would hide."""
    large = math.isfinite(value) and abs(value) >= 10**digits
    return f"{value:.0f}" if large else f"{value:.{digits}g}"


def memory_in_use(devices: Iterable[Any]) -> int | None:
    """Bytes in use on the fullest device; of this process where devices do not count.

    Args:
      devices: JAX devices of this process.
    """
    counted = [stats["bytes_in_use"] for device in devices if (stats := device.memory_stats())]
    return max(counted) if counted else _resident_bytes()


def _resident_bytes() -> int | None:
    """This process's memory; None where there is no /proc."""
    if not _STATM.is_file():
        return None
    return int(_STATM.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
