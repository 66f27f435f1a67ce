"""From axes to settings: the combinations of values that an ablation looks at."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from experiments.ablation.question import Axis, Question
from experiments.ablation.values import Range, range_of, unquoted
from experiments.errors import UserError

Setting = dict[str, str]
"""By field, in the order of the axes, a value as a text."""


def settings(question: Question, is_int: Callable[[str], bool]) -> list[Setting]:
    """The settings in order, the baseline first.

    All combinations, of which the last axis changes fastest; or the first values and single
    changes; or random draws, none twice.

    Args:
      question: what is asked, checked.
      is_int: whether a field takes integers, so that the numbers of its ranges are rounded.

    Raises:
      UserError: an axis with a value twice, zipped ones of different lengths, or fewer
        combinations than draws.
    """
    if question.random is not None:
        return _drawn(question, question.random, is_int)
    axes = _axes(question, is_int)
    if question.one_at_a_time:
        first = joined(question, [axis[0] for axis in axes])
        return [first, *({**first, **change} for axis in axes for change in axis[1:])]
    return [joined(question, parts) for parts in itertools.product(*axes)]


def joined(question: Question, parts: Sequence[Setting]) -> Setting:
    """The parts as one setting, in the order of the axes."""
    whole = {field: value for part in parts for field, value in part.items()}
    return {axis.field: whole[axis.field] for axis in question.over}


def independent(
    question: Question, is_int: Callable[[str], bool]
) -> tuple[list[list[Setting]], dict[str, Range]]:
    """What varies independently: of lists what each takes, and by field ranges without a number.

    Args:
      question, is_int: as of `settings`.

    Raises:
      UserError: as of `settings`.
    """
    endless: dict[str, Range] = {}
    for axis in question.over:
        found = range_of(axis.items[0], axis.flag)
        if found is not None and found.num is None:
            endless[axis.field] = found
    rest = tuple(axis for axis in question.over if axis.field not in endless)
    return _axes(_only(question, rest), is_int), endless


def _axes(question: Question, is_int: Callable[[str], bool]) -> list[list[Setting]]:
    """What varies independently: of each axis, or of several that are zipped, what it takes."""
    values = {axis.field: _values(axis, is_int(axis.field)) for axis in question.over}
    found, done = [], set()
    for field in values:
        together = next((z for z in question.zip if field in z), (field,))
        if field in done:
            continue
        done |= set(together)
        lengths = {len(values[name]) for name in together}
        if len(lengths) > 1:
            sizes = " and ".join(f"{len(values[name])} of {name}" for name in together)
            raise UserError(f"--zip: got {sizes}, takes axes of one length")
        columns = zip(*(values[name] for name in together), strict=True)
        found.append([dict(zip(together, column, strict=True)) for column in columns])
        if len(together) == 1:
            _check_once(field, values[field])
    return found


def _check_once(field: str, values: list[str]) -> None:
    """Raises UserError where a value is given twice."""
    for value in values:
        if values.count(value) > 1:
            raise UserError(f"--over={field}: got {value} twice, takes each value once")


def _values(axis: Axis, is_int: bool) -> list[str]:
    values = []
    for item in axis.items:
        found = range_of(item, axis.flag)
        values += [unquoted(item)] if found is None else found.spaced(is_int)
    return values


def _drawn(question: Question, num: int, is_int: Callable[[str], bool]) -> list[Setting]:
    """So many different settings, drawn from what the axes take."""
    # Not of `num`: more draws begin with the same.
    generator = np.random.default_rng(question.seed or 0)
    others, endless = independent(question, is_int)
    drawn: dict[tuple[str, ...], Setting] = {}
    for _ in range(100 * num):
        parts = [axis[generator.integers(len(axis))] for axis in others]
        parts += [{f: r.at(generator.random(), is_int(f))} for f, r in endless.items()]
        setting = joined(question, parts)
        drawn.setdefault(tuple(setting.values()), setting)
        if len(drawn) == num:
            return list(drawn.values())
    raise UserError(f"--random: got {num}, takes at most the {len(drawn)} that the axes have")


def _only(question: Question, over: tuple[Axis, ...]) -> Question:
    """The question about some of its axes."""
    return Question(config=question.config, over=over, zip=question.zip, seed=question.seed)
