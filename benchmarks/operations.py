"""Floating-point operations of a program, counted from the shapes of what it multiplies.

A compiler's own count leaves out what it hands to a library, as XLA's on a GPU does with every
convolution, and has the operations of the algorithm that was chosen. Counted here is what is asked
for: of matrix products and direct convolutions every multiplication and every addition of one, with
no padding and no zeros between the pixels of a transposed convolution. What is done number by
number is left out: of a U-Net's training step a part in three hundred. A product within a library's
own call (cuDNN's attention) has no shapes to be seen: such a network is counted with it off.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr


def operations(function: Callable[..., Any], *arguments: Any) -> int:
    """Of one call; nothing is compiled or computed.

    Args:
      function: of arrays; compiled or not.
      arguments: its own, arrays or `jax.ShapeDtypeStruct`.

    Raises:
      ValueError: a loop multiplies matrices in as many turns as its values decide.
    """
    compiled = function if hasattr(function, "trace") else jax.jit(function)
    return _of_program(compiled.trace(*arguments).jaxpr.jaxpr)


def _of_program(program: Jaxpr) -> int:
    return sum(_of_equation(equation) for equation in program.eqns)


def _of_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        return _of_product(equation)
    if name == "conv_general_dilated":
        return _of_convolution(equation)
    within = [_of_program(program) for program in _programs(params.values())]
    if name == "cond":
        return max(within)
    if name == "while" and any(within):
        raise ValueError("operations: got a while loop, takes loops of a length that shapes tell")
    return sum(within) * (params["length"] if name == "scan" else 1)


def _programs(values: Any) -> Iterator[Jaxpr]:
    """Those among an equation's parameters."""
    for value in values:
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value
        elif isinstance(value, tuple | list):
            yield from _programs(value)


def _of_product(equation: Any) -> int:
    """2 × the numbers of the result × the length of what is summed."""
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    summed = math.prod(left[axis] for axis in contracted)
    return 2 * math.prod(equation.outvars[0].aval.shape) * summed


def _of_convolution(equation: Any) -> int:
    """2 × (batch × output channels × input channels of a group) × pairs along each axis."""
    params, (image, kernel) = equation.params, (v.aval.shape for v in equation.invars)
    out = equation.outvars[0].aval.shape
    lhs, rhs, result = (params["dimension_numbers"][k] for k in range(3))
    count = 2 * out[result[0]] * out[result[1]] * kernel[rhs[1]]
    for k, axis in enumerate(lhs[2:]):
        count *= _pairs(
            image[axis],
            kernel[rhs[2 + k]],
            out[result[2 + k]],
            params["window_strides"][k],
            params["padding"][k][0],
            params["lhs_dilation"][k],
            params["rhs_dilation"][k],
        )
    return count


def _pairs(
    size: int, taps: int, out: int, stride: int, before: int, spread: int, dilation: int
) -> int:
    """How often along one axis a tap of the kernel meets a pixel, and neither padding nor a gap.

    Args:
      size: pixels of the image, `spread` apart.
      taps: of the kernel, `dilation` apart.
      out: pixels of the result.
      stride: between the kernel's places.
      before: padding before the first pixel.
      spread: distance of the pixels; 1 without gaps.
      dilation: distance of the taps.
    """
    places = (
        place * stride + tap * dilation - before for place in range(out) for tap in range(taps)
    )
    return sum(place % spread == 0 and 0 <= place < size * spread for place in places)
