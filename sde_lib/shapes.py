"""Shapes of arrays, as annotations; the tests check them at run time.

`batch` is the number of examples, `*shape` the shape of one, `*times` any shape of times. A name
stands for one size, or one shape, in all the arguments and the result of a function.
"""

from typing import TYPE_CHECKING, Any

from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float, Real

States = Float[Array, "batch *shape"]
"""States, data, noise or scores: an array for each example."""

PerExample = Float[Array, "batch"]
"""A number for each example."""

Times = Float[Array, "*times"]
"""Times as the formula of a curve gets them; also the curve's values at them."""

if TYPE_CHECKING:
    Time = ArrayLike
    AnyTimes = Any  # a subclass of SDE takes less than its callers give: `Times`
else:
    Time = Real[ArrayLike, ""] | Real[ArrayLike, "batch"]
    AnyTimes = Real[ArrayLike, "*#times"]
"""`Time` is one time for all examples, or a time for each; `AnyTimes` are those at which a caller
asks for a curve. Both are numbers of any type."""
