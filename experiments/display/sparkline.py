"""A curve in a line of text."""

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_NOT_FINITE = "×"


def sparkline(values: Sequence[float], *, log: bool = False) -> str:
    """A block a value, from the lowest to the highest; "×" for a value that is not finite.

    Args:
      values: the curve.
      log: a logarithmic axis; takes positive values.
    """
    heights = [math.log(v) if log and math.isfinite(v) else v for v in values]
    finite = [h for h in heights if math.isfinite(h)]
    if not finite:
        return _NOT_FINITE * len(heights)
    low, high = min(finite), max(finite)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        _BLOCKS[round((h - low) * scale)] if math.isfinite(h) else _NOT_FINITE for h in heights
    )


def spans_a_decade(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis suits: all positive, and the largest ten times the smallest."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and 0 < 10 * min(finite) < max(finite)


def resample(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: means of the finite ones of equal parts, NaN where there are none."""
    num = len(values)
    if num <= width:
        return list(values)
    return [_mean(values[i * num // width : (i + 1) * num // width]) for i in range(width)]


def _mean(values: Sequence[float]) -> float:
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else math.nan
