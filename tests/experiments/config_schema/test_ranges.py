"""What fields take: everything that a config or a flag gives values to says so itself."""

import dataclasses
import math
import typing
from typing import Annotated, Any

import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config_schema.resolve import default_config, resolve
from experiments.config_schema.sections import Experiment, TrainingConfig
from experiments.state.optimizers import optimizers
from models import networks
from samplers import correctors, grids, solvers, transforms
from sde_lib import Pytree, Range, check_ranges, declared, number, sdes, static


class Holder(Pytree):
    """A field of each kind."""

    size: Any = number(default=1.0, above=0)
    share: float = number(default=0.5, low=0, below=1)
    count: int = static(default=2, low=1, high=4)
    word: str = static(default="left", choices=("left", "right"))
    places: tuple[int, ...] = static(default=(1,), low=1)
    flag: bool | None = static(default=None)
    cut: float = number(default=1.0, above=0, infinite=True)


class Larger(Holder):
    """Another default, and the range that it had."""

    share: float = 0.7


GOOD = {
    "size": [1, 1e-30, jnp.ones(())],
    "share": [0, 0.999, np.float32(0.5)],
    "count": [1, 4, np.int64(4)],
    "word": ["right"],
    "places": [(), (1, 2)],
    "flag": [None, True],
    "cut": [math.inf],
}
BAD = [
    ("size", 0, "size: got 0, takes .* > 0"),
    ("share", 1, "share: got 1, takes a number ≥ 0 and < 1"),
    ("share", -1e-9, "share: got -1e-09, takes a number ≥ 0 and < 1"),
    ("share", math.nan, "share: got nan, takes a number ≥ 0 and < 1"),
    ("share", "half", "share: got 'half', takes a number ≥ 0 and < 1"),
    ("share", True, "share: got True, takes a number"),
    ("share", None, "share: got None, takes a number"),
    ("count", 0, "count: got 0, takes an integer from 1 to 4"),
    ("count", 5, "count: got 5, takes an integer from 1 to 4"),
    ("count", 2.0, "count: got 2.0, takes an integer from 1 to 4"),
    ("word", "rihgt", "word: unknown value 'rihgt'; did you mean 'right'. Known: left, right"),
    ("places", (1, 0), r"places: got \(1, 0\), takes a tuple of integers ≥ 1"),
    ("places", 3, "places: got 3, takes a tuple of integers ≥ 1"),
    ("flag", 1, "flag: got 1, takes True or False, or None"),
    ("cut", math.nan, "cut: got nan, takes a number > 0"),
]


@pytest.mark.parametrize("cls", [Holder, Larger])
def test_in_and_out_of_range(cls):
    for name, values in GOOD.items():
        for value in values:
            check_ranges(cls(**{name: value}))
    for name, value, message in BAD:
        with pytest.raises(ValueError, match=f"^{message}"):
            check_ranges(cls(**{name: value}))


def test_of_a_function():
    def grid(sde, *, rho: Annotated[float, Range(above=0)] = 7.0, word: str = "a", own: "Gone" = 1):
        """With an annotation that names nothing, all are free."""

    assert list(declared(grid)) == ["rho", "word", "own"]
    takes = declared(grids["edm"])["rho"]
    for value in (0, -7, "abc", math.inf):
        with pytest.raises(ValueError, match=f"^rho: got {value!r}, takes a (finite )?number > 0$"):
            takes.check("rho", value)


def sections(cls=Experiment):
    """The section and those in it."""
    return [cls, *(k for k in typing.get_type_hints(cls).values() if dataclasses.is_dataclass(k))]


OPTIMIZERS = [optimizers[name] for name in optimizers]


def entries():
    """Everything that a config or a flag gives numbers to."""
    for registry in (solvers, correctors, grids, transforms, sdes, networks, optimizers):
        for name in registry:
            yield f"{registry.kind} {name}", registry[name]
    for section in sections():
        yield section.__name__, section


def with_defaults(make):
    """A dataclass as it is where nothing is said of it."""
    experiment = resolve(default_config())
    known = [experiment, *(getattr(experiment, f.name) for f in dataclasses.fields(experiment))]
    return next((section for section in known if isinstance(section, make)), None) or make()


# The value of one follows from another's, which `validate` says, or any will do.
FREE = {"beta_min", "beta_max", "sigma_min", "sigma_max", "log_snr_min", "log_snr_max", "high"}
FREE |= {"increments", "seed", "freq_shift", "scale", "guidance"}


@pytest.mark.parametrize(("name", "make"), list(entries()))
def test_every_number_has_a_range_that_its_default_is_in(name, make):
    for field, takes in declared(make).items():
        numbers = {int, float} & set(typing.get_args(takes.kind) or [takes.kind])
        if make in OPTIMIZERS and field in declared(TrainingConfig):
            takes = declared(TrainingConfig)[field]  # from there
        assert not numbers or takes.range != Range() or field in FREE, field
    if dataclasses.is_dataclass(make):
        check_ranges(with_defaults(make))
