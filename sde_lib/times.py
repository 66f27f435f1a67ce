"""Functions of time: arrays from whatever a caller gives, and slopes.

A caller may give a time as a number or as an array of any kind. `of_times` turns it into an array
of the default float type, so that a curve is written as its formula alone, as 1 − t.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array

from sde_lib.shapes import AnyTimes, Times

Method = TypeVar("Method", bound=Callable[..., Any])


def of_times(method: Method) -> Method:
    """A method that gets its positional arguments as arrays of the default float type."""

    @functools.wraps(method)
    def with_arrays(self: Any, *times: Any, **rest: Any) -> Any:
        return method(self, *(jnp.asarray(t, dtype=float) for t in times), **rest)

    return with_arrays  # type: ignore[return-value]


def value_and_slope(curve: Callable[[Array], Array], t: AnyTimes) -> tuple[Times, Times]:
    """A curve that is elementwise in t, and its derivative, both at t."""
    t = jnp.asarray(t, dtype=float)
    return jax.jvp(curve, (t,), (jnp.ones_like(t),))
