"""What a study may ask for: of each list its values, of each range the numbers in it."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.ablation.grid import Setting, independent, joined
from experiments.ablation.question import Question
from experiments.ablation.values import Range, as_text
from experiments.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """The parameters of a study, and the settings that they mean.

    Args:
      question: whose axes they are.
      lists: by the name of a parameter what it chooses from; zipped axes are one parameter. Its
        value is a place in the list, from 0.
      ranges: by the name of a parameter, which is the field, the numbers that it takes.
      integers: the fields of ranges that take integers.
    """

    question: Question
    lists: Mapping[str, Sequence[Setting]]
    ranges: Mapping[str, Range]
    integers: frozenset[str]

    @classmethod
    def of(cls, question: Question, is_int: Callable[[str], bool]) -> "Space":
        """The space of a question.

        Args:
          question: what is asked, checked.
          is_int: whether a field takes integers.

        Raises:
          UserError: a list has a value twice, zipped ones have different lengths, or a range of an
            integer field has no integer in it.
        """
        lists, ranges = independent(question, is_int)
        integers = frozenset(filter(is_int, ranges))
        return cls(
            question=question,
            lists={",".join(values[0]): values for values in lists},
            ranges={f: _integers(f, r) if f in integers else r for f, r in ranges.items()},
            integers=integers,
        )

    def distributions(self) -> dict[str, Any]:
        """The parameters as Optuna has them."""
        from optuna.distributions import (
            CategoricalDistribution,
            FloatDistribution,
            IntDistribution,
        )

        found: dict[str, Any] = {
            name: CategoricalDistribution(tuple(range(len(values))))
            for name, values in self.lists.items()
        }
        for field, numbers in self.ranges.items():
            is_log = numbers.scale == "log"
            if field in self.integers:
                found[field] = IntDistribution(int(numbers.low), int(numbers.high), log=is_log)
            else:
                found[field] = FloatDistribution(numbers.low, numbers.high, log=is_log)
        return found

    def setting(self, params: Mapping[str, Any]) -> Setting:
        """What the values of the parameters mean; numbers of ranges are rounded."""
        parts = [values[params[name]] for name, values in self.lists.items()]
        parts += [{f: as_text(params[f], f in self.integers)} for f in self.ranges]
        return joined(self.question, parts)

    def baseline(self, fields_of: Callable[[Setting], Mapping[str, Any]]) -> dict[str, Any]:
        """The parameters of the first trial.

        Of each list it is the first value; of each range the number that the config has itself, or
        the low end where that is not in the range.

        Args:
          fields_of: the fields of the experiment that has some of the axes' values.
        """
        first = {f: v for values in self.lists.values() for f, v in values[0].items()}
        fields = fields_of(first)
        found: dict[str, Any] = dict.fromkeys(self.lists, 0)
        for field, numbers in self.ranges.items():
            own = fields.get(field)
            is_inside = isinstance(own, int | float) and numbers.low <= own <= numbers.high
            found[field] = own if is_inside else numbers.low
        return found

    def single_changes(self, baseline: Mapping[str, Any]) -> list[Setting]:
        """The baseline, and it with each other value of a list and each end of a range."""
        changes: list[dict[str, Any]] = [{}]
        changes += [{n: k} for n, values in self.lists.items() for k in range(1, len(values))]
        changes += [{f: end} for f, r in self.ranges.items() for end in (r.low, r.high)]
        return [self.setting({**baseline, **change}) for change in changes]


def _integers(field: str, numbers: Range) -> Range:
    """A range whose ends are integers in it.

    Raises:
      UserError: there are none.
    """
    low, high = math.ceil(numbers.low), math.floor(numbers.high)
    if low > high:
        text = f"{numbers.low:g}..{numbers.high:g}:{numbers.scale}"
        raise UserError(f"--over={field}: got {text}, takes a range with an integer in it")
    return dataclasses.replace(numbers, low=low, high=high)
