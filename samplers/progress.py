"""A progress bar over a compiled loop."""

import jax
from jax import Array
from tqdm import tqdm

_bars: dict[int, tqdm] = {}


def report(index: Array, total: int) -> None:
    """Show, from inside a compiled loop, that turn `index` of `total` begins.

    The host is called a hundred times at most, so the bar costs nothing that shows.
    """
    every = max(total // 100, 1)
    due = (index % every == 0) | (index == total - 1)
    jax.lax.cond(due, lambda: jax.debug.callback(_show, index, total=total), lambda: None)


def _show(index: Array, *, total: int) -> None:
    bar = _bars.get(total)
    if bar is None:
        bar = _bars[total] = tqdm(total=total, unit="eval", leave=False)
    bar.update(int(index) + 1 - bar.n)
    if bar.n >= total:
        _bars.pop(total).close()
