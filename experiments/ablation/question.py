"""What an ablation asks: what is varied, from where, over which seeds, and what is measured."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from experiments.ablation.values import range_of
from experiments.config_schema.choice import split_choices
from experiments.errors import UserError, as_user_error
from sde_lib import declared, ranged

CONFIG = "config"
"""The axis whose values are configs."""


@dataclasses.dataclass(frozen=True)
class Axis:
    """A field and the values that it is given.

    Args:
      field: its path, as "sde.name"; or "config", whose values are configs with their words.
      items: values and ranges, as `ablation.values` reads them.
    """

    field: str
    items: tuple[str, ...]

    @property
    def flag(self) -> str:
        """What it is called in messages."""
        return f"--over={self.field}"

    @classmethod
    def parse(cls, text: str) -> "Axis":
        """The axis of FIELD=VALUE,VALUE,…

        Raises:
          UserError: it is something else.
        """
        field, equals, values = text.partition("=")
        field = field.strip().removeprefix("--").removeprefix("config.")
        if not equals or not field:
            raise UserError(f"--over: got {text!r}, takes FIELD=VALUE,VALUE,…")
        return cls(field, split_choices(values, f"--over={field}"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """An ablation, as flags or a file say it.

    Args:
      config: the config that all cells begin with; None where an axis has configs, or `model` is
        given.
      model: the workdir of a trained model, which is not trained again; None to train.
      overrides: `--config.SECTION.FIELD=VALUE` of all cells.
      over: what is varied.
      zip: fields of axes of one length that vary together.
      one_at_a_time: the first value of each axis, and single changes of it, instead of all
        combinations.
      random: so many draws from the axes instead; None for all combinations.
      study: so many trials of an Optuna study instead; None for none.
      seeds: of each cell.
      seed: the first of them; None for the config's.
      metrics: names with commas between; None for what suits the axes.
      features: of the metrics that compare features; None for what suits the data.
      num: of samples; None for the config's.
      limit: of examples whose bits/dim are measured; None for all of the split.
    """

    config: str | None = None
    model: str | None = None
    overrides: tuple[str, ...] = ()
    over: tuple[Axis, ...] = ()
    zip: tuple[tuple[str, ...], ...] = ()
    one_at_a_time: bool = False
    random: int | None = ranged(None, low=1)
    study: int | None = ranged(None, low=1)
    seeds: int = ranged(1, low=1)
    seed: int | None = ranged(None, low=0)
    metrics: str | None = None
    features: str | None = None
    num: int | None = ranged(None, low=1)
    limit: int | None = ranged(None, low=1)

    def check(self) -> None:
        """Stop what contradicts itself, whatever the fields are.

        Raises:
          UserError: the first such thing.
        """
        for name, takes in declared(type(self)).items():
            if name not in ("over", "zip"):
                with as_user_error():
                    takes.check(f"--{name}", getattr(self, name))
        fields = [axis.field for axis in self.over]
        for axis in self.over:
            if fields.count(axis.field) > 1:
                raise UserError(f"{axis.flag}: given twice, takes all its values at once")
            if not axis.items:
                raise UserError(f"{axis.flag}: got no values, takes one or more")
        shared = {override.partition("=")[0] for override in self.overrides}
        for field in fields:
            if f"--config.{field}" in shared:
                raise UserError(f"--config.{field}: takes no --over={field} beside it")
        if "seed" in fields or "--config.seed" in shared:
            raise UserError("--over=seed: takes --seed=N, or --seeds=N for several")
        configs = [self.config is not None, CONFIG in fields, self.model is not None]
        if sum(configs) != 1:
            what = "nothing" if not any(configs) else "several"
            raise UserError(
                f"--config: got {what} to begin with, takes one of --config=NAME, "
                "--over=config=NAME,NAME and --model=DIR"
            )
        if self.one_at_a_time and self.random:
            raise UserError("--one_at_a_time: takes no --random, which draws its cells")
        self._check_study()
        self._check_zip(fields)
        self._check_ranges()

    def _check_study(self) -> None:
        """Raises UserError where a study has nothing to ask for, or something else says it."""
        if self.study is None:
            return
        for flag, given in (("random", self.random), ("one_at_a_time", self.one_at_a_time)):
            if given:
                raise UserError(f"--study: takes no --{flag}: a study asks for its own settings")
        if not self.over:
            raise UserError("--study: takes --over=FIELD=V,…, of which it asks for values")

    def _check_zip(self, fields: list[str]) -> None:
        """Raises UserError where what is to vary together cannot."""
        seen: list[str] = []
        for together in self.zip:
            if len(together) < 2:
                raise UserError(f"--zip={','.join(together)}: takes two fields or more")
            for field in together:
                if field not in fields:
                    raise UserError(f"--zip: got {field}, takes fields of --over")
                if field in seen:
                    raise UserError(f"--zip: got {field} twice, takes each field once")
                seen.append(field)

    def _check_ranges(self) -> None:
        """Raises UserError where a range without a number of values is not drawn from."""
        for axis in self.over:
            ranges = [range_of(item, axis.flag) for item in axis.items]
            if any(r is not None and r.num is None for r in ranges):
                if self.random is None and self.study is None:
                    raise UserError(
                        f"{axis.flag}: got {','.join(axis.items)}, takes a number of values, as in "
                        ":log:5, or --random or --study"
                    )
                if len(ranges) > 1 or any(axis.field in together for together in self.zip):
                    raise UserError(f"{axis.flag}: takes one range alone, not zipped, to draw from")


def with_axes(asked: Sequence[Axis], given: Sequence[Axis]) -> tuple[Axis, ...]:
    """The axes that are asked, with the values of those that are given again, and new ones."""
    again = {axis.field: axis for axis in reversed(given)}
    kept = tuple(again.pop(axis.field, axis) for axis in asked)
    return kept + tuple(axis for axis in given if axis not in kept)


def differing(ours: Question, theirs: Question) -> tuple[str, Any, Any] | None:
    """The first field in which two questions differ, and its values; None where they agree."""
    for field in dataclasses.fields(Question):
        got, there = getattr(ours, field.name), getattr(theirs, field.name)
        if got != there:
            return field.name, got, there
    return None


def as_overrides(arguments: Iterable[str]) -> tuple[str, ...]:
    """Overrides of the config as `--config.SECTION.FIELD=VALUE`; of one field the last.

    Raises:
      UserError: an argument is none.
    """
    fields = dict(map(field_of_flag, arguments))
    return tuple(f"--config.{name}={value}" for name, value in fields.items())


def field_of_flag(argument: str) -> tuple[str, str]:
    """The field of an override of the config, and its value as a text.

    Args:
      argument: `--config.SECTION.FIELD=VALUE`, or of a field that is true or false `--config.…`
        and `--noconfig.…`.

    Raises:
      UserError: it is none.
    """
    name, equals, value = argument.partition("=")
    field = name.removeprefix("--no" if name.startswith("--noconfig.") else "--")
    if not field.startswith("config.") or (equals and name.startswith("--noconfig.")):
        raise UserError(f"unknown argument {argument!r}; takes --config.SECTION.FIELD=VALUE")
    if not equals:
        value = str(not name.startswith("--noconfig."))
    return field.removeprefix("config."), value
