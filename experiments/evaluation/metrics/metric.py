"""What a metric is, the registry of them, and their names on the command line."""

import abc
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from experiments.config_schema.choice import check_fields, parse, split_choices
from experiments.config_schema.lookup import lookup
from experiments.errors import UserError, blaming
from experiments.evaluation.estimate import Estimate
from experiments.evaluation.sets import Examples, Moments, blocks
from sde_lib import Registry

# What a metric may need besides the features of the generated examples.
EXAMPLES, PROBABILITIES, LABELS, TEST = "examples", "probabilities", "labels", "test"


class Metric(abc.ABC):
    """A way to say in a few numbers how near a generated set is to a reference.

    A metric of one's own is a frozen dataclass that has `compute`, and is called as
    `--metrics=my_module:MyMetric`. Its fields are what `--metrics=NAME:field=value` gives.

    Attributes:
      needs: what it needs besides the features of the generated examples: `examples` of the
        reference (else its moments suffice), `probabilities` and `labels` of the generated
        examples, a `test` set.
      wants: what it has more numbers of, where it is there: a `test` set.
      widest: the largest number of features; None for any.
    """

    needs: ClassVar[frozenset[str]] = frozenset({EXAMPLES})
    wants: ClassVar[frozenset[str]] = frozenset()
    widest: ClassVar[int | None] = None

    @property
    def least(self) -> int:
        """The smallest number of generated examples."""
        return 2

    @property
    def least_reference(self) -> int:
        """The smallest number of reference examples: as many, where it needs them themselves."""
        return self.least if EXAMPLES in self.needs else min(self.least, 2)

    @abc.abstractmethod
    def compute(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None,
        seed: int,
    ) -> dict[str, Estimate]:
        """The numbers by name, of sets that have what the metric needs; as of `measure`."""

    def measure(
        self,
        generated: Examples,
        reference: Examples | Moments,
        test: Examples | None = None,
        seed: int = 0,
    ) -> dict[str, Estimate]:
        """The numbers by name.

        Args:
          generated: what a model made.
          reference: what it is compared with: as a rule the training set.
          test: held-out examples of the data, for metrics that need them.
          seed: of all that is drawn; the same seed gives the same numbers.

        Raises:
          UserError: a set lacks what the metric needs, has features of another width, or is too
            small.
        """
        self._check(generated, reference, test)
        return self.compute(generated, reference, test, seed)

    def check(self, *, examples: bool, probabilities: bool, labels: bool, test: bool) -> None:
        """Stop before anything is drawn where the metric needs what there will not be.

        Args:
          examples: whether the reference is examples, not moments alone.
          probabilities: whether the features have probabilities of classes.
          labels: whether the generated examples have labels.
          test: whether there is a test set.

        Raises:
          UserError: it needs something that there is not.
        """
        there = {EXAMPLES: examples, PROBABILITIES: probabilities, LABELS: labels, TEST: test}
        for need, what in _WHAT.items():
            if need in self.needs and not there[need]:
                raise UserError(f"metrics: {name_of(type(self))}: got {what}")

    def _check(
        self, generated: Examples, reference: Examples | Moments, test: Examples | None
    ) -> None:
        """Stop sets that the metric cannot be measured of.

        Raises:
          UserError: they are.
        """
        self.check(
            examples=isinstance(reference, Examples),
            probabilities=generated.probabilities is not None,
            labels=generated.labels is not None,
            test=test is not None,
        )
        name = name_of(type(self))
        for whose, other in {"reference": reference, "test": test}.items():
            if other is not None and other.dim != generated.dim:
                raise UserError(
                    f"metrics: {name}: got {whose} features of {other.dim} dimensions, takes "
                    f"{generated.dim} as the generated ones have"
                )
        nums = {
            "generated": (generated.num, self.least),
            "reference": (reference.num, self.least_reference),
        }
        for whose, (num, least) in nums.items():
            if num is not None and num < least:
                raise UserError(
                    f"metrics: {name}: got {num} {whose} examples, takes {least} or more"
                )
        for whose, examples in {"generated": generated, "reference": reference}.items():
            if isinstance(examples, Examples) and (wrong := _not_finite(examples.features)):
                raise UserError(
                    f"metrics: {name}: got {wrong} {whose} examples that are not finite, takes none"
                )


_WHAT = {
    EXAMPLES: "moments as the reference, takes examples (--reference of images, or a data set)",
    PROBABILITIES: "features without probabilities of classes, takes such as classifier",
    LABELS: "samples without labels, takes those of a conditional model",
    TEST: "no test set, takes data with one",
}

metrics = Registry("metric", Metric)


def _not_finite(features: np.ndarray) -> int:
    """How many examples have a feature that is not finite."""
    return sum(
        int(np.count_nonzero(~np.isfinite(features[block]).all(axis=1)))
        for block in blocks(len(features))
    )


def name_of(metric: type[Metric]) -> str:
    """The name under which a metric is registered; its class's where it is not."""
    return next((name for name in metrics if metrics[name] is metric), metric.__name__)


def asked(text: str, flag: str = "--metrics") -> dict[str, Metric]:
    """The metrics that a flag asks for, by the words that ask for each.

    Args:
      text: choices after each other, as "fd,prdc:k=3,k_density=5,is".
      flag: by which it was given.

    Raises:
      UserError: nothing is asked for, one of them twice, or there is no such metric, field or
        value.
    """
    found: dict[str, Metric] = {}
    for choice in split_choices(text, flag):
        name, fields = parse(choice)
        make: Callable[..., Metric] = lookup(metrics, name, flag)
        check_fields(fields, make, f"{flag}: {name}")
        if choice in found:
            raise UserError(f"{flag}: got {choice} twice, takes each once")
        with blaming(f"{flag}: {name}"):
            found[choice] = make(**fields)
    return found
