"""A user's own functions, tried out on a few numbers before any work: what they return is checked.

Nothing is computed: the shapes alone are traced.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.errors import UserError, blaming


def check_returns(whose: str, call: Callable, arguments: tuple, takes: Any) -> None:
    """Stop what raises, or returns other shapes than those.

    Args:
      whose: the field and the name in it.
      call: what is tried.
      arguments: trees of arrays or of their shapes.
      takes: a tree of arrays or of shapes.

    Raises:
      UserError: it does.
    """
    with blaming(whose):
        returned = jax.eval_shape(call, *arguments)
    got, expected = (jax.tree.map(jnp.shape, tree) for tree in (returned, takes))
    if got != expected:
        raise UserError(f"{whose}: returned shapes {got}, takes {expected}")
