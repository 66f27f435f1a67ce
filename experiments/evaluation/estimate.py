"""An estimate: a number with its error bars, as metrics return it and as JSON keeps it."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its error bars, and what else is to be said of it.

    `Estimate(**json.loads(text))` is the estimate whose `as_json` was written.

    Args:
      value: the number; NaN where there is none.
      standard_error: of the number.
      low, high: ends of its 95 % interval.
      details: of JSON's types: the same number by class, p-values, flags such as
        `rank_deficient`.
    """

    value: float
    standard_error: float | None = None
    low: float | None = None
    high: float | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The fields, as JSON takes them: numbers of Python, null for what is not finite."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    def text(self) -> str:
        """The number to the digits that its error bars let stand, as "1.234 ± 0.025"."""
        error = self.standard_error
        if error is not None and 0 < error < math.inf and math.isfinite(self.value):
            places = max(0, 1 - math.floor(math.log10(error)))
            return f"{self.value:.{places}f} ± {error:.{places}f}"
        number = f"{self.value:.4g}"
        if self.low is None or self.high is None:
            return number
        return f"{number} ({self.low:.3g} to {self.high:.3g})"


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
