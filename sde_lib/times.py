"""Times, and the methods that are functions of them.

A caller may give a time as a number or as an array of any kind. `of_times` turns it into an array
of the default float type, so that a curve is written as its formula alone, as 1 − t.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Real

if TYPE_CHECKING:
    Time = Any  # a subclass takes less, the array that `of_times` makes
else:
    Time = Real[ArrayLike, "*times"]
"""A time, or one for each example, as a caller may give it."""

Times = Float[Array, "*times"]
"""Times as a formula gets them; also what an elementwise curve is at them."""

Method = TypeVar("Method", bound=Callable[..., Any])


def of_times(method: Method) -> Method:
    """A method that gets its positional arguments as arrays of the default float type."""

    @functools.wraps(method)
    def with_arrays(self: Any, *times: ArrayLike, **rest: Any) -> Any:
        return method(self, *(jnp.asarray(t, dtype=float) for t in times), **rest)

    return with_arrays  # type: ignore[return-value]


def value_and_slope(curve: Callable[[Array], Array], t: ArrayLike) -> tuple[Array, Array]:
    """A curve that is elementwise in t, and its derivative, both at t."""
    t = jnp.asarray(t, dtype=float)
    return jax.jvp(curve, (t,), (jnp.ones_like(t),))
