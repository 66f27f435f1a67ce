"""Work in threads, with a progress bar where it takes long."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

MANY = 2000
"""Examples from which on reading takes seconds, and a progress bar is worth its line."""


def in_parallel(function: Callable[[int], T], rows: range, title: str) -> list[T]:
    """What a function returns for every row, called in threads.

    Args:
      function: of the first row of a chunk.
      rows: from 0 to the number of rows, by the size of a chunk.
      title: of the bar, which a terminal shows if there are many rows.

    Returns:
      The results in the order of the rows.
    """
    from tqdm import tqdm

    # disable=None shows the bar only to a terminal: a log file would get a line per redraw.
    disable = True if rows.stop <= MANY else None
    results = []
    with (
        ThreadPoolExecutor() as pool,
        tqdm(desc=title, total=rows.stop, disable=disable) as bar,
    ):
        for row, result in zip(rows, pool.map(function, rows), strict=True):
            results.append(result)
            bar.update(min(rows.step, rows.stop - row))
    return results
