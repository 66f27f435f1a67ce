"""The check of shapes, while tests run, where an annotation says one.

Types are mypy's matter: numbers may be traced, and NumPy's arrays stand for JAX's.
"""

import types
import typing
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from beartype import beartype
from jaxtyping import AbstractArray


def checked(function: Callable) -> Callable:
    """A function that checks the shapes of its arguments and of its result."""
    hints = {name: _shapes(hint) for name, hint in function.__annotations__.items()}
    hints = {name: hint for name, hint in hints.items() if hint is not Any}
    if not hints:
        return function
    function.__annotations__ = hints
    return beartype(function)


def _shapes(hint: Any) -> Any:
    """What a hint says of shapes; `Any` where it says nothing."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        is_jax = hint.array_type is jax.Array
        return hint.dtype[jax.Array | np.ndarray, hint.dim_str] if is_jax else hint
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    known = [_shapes(part) for part in parts]
    if origin not in (tuple, types.UnionType, typing.Union) or all(part is Any for part in known):
        return Any
    if origin is tuple:
        return tuple[tuple(known)]
    # A number may stand for an array of no dimension, None for an absent one.
    either = (part if shape is Any else shape for part, shape in zip(parts, known, strict=True))
    return typing.Union[tuple(either)]  # noqa: UP007
