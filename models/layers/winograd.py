"""3×3 convolutions with fewer multiplications: Winograd's filtering along the height.

Four rows of output are made of six rows of input d with six products by column of the kernel w, not
twelve (F(4, 3)); along the width and over the channels each is an ordinary 1×3 convolution ∗:

    y = Aᵀ M,    M_k = V_k ∗ U_k,    V = Bᵀ d,    U = G w,                         k < 6       (1)
    ∂w = Gᵀ ∂U,    ∂U_k = V_k ⋆ ∂M_k,    ∂M = A ∂y                                              (2)

with ⋆ the correlation that is the gradient of ∗ by its kernel. ∂d is (1) of ∂y with the kernel
turned round. A, B and G are Cook and Toom's: A and G take a polynomial's values at the points p_k
and its leading coefficient, B is what interpolates.

On CPUs a U-Net takes less time than with the direct sum, at some two times its rounding error, and
longer to compile (benchmarks/networks.py has the figures). On GPUs cuDNN chooses its own algorithm.

Reference: Winograd, "Arithmetic complexity of computations" (1980); Lavin and Gray, "Fast
algorithms for convolutional neural networks" (2016), §4.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

CONVOLUTIONS = ("xla", "winograd", "winograd_vjp", "loop_vjp")
"""How 3×3 convolutions are computed. "winograd_vjp" has (2) for its gradient, and no forward-mode
derivative; the gradient of "winograd" is that of (1), slow backwards. "loop_vjp" is "winograd_vjp",
and where that gains nothing the direct sum, whose gradient by x is fast inside loops, too."""

Image = Float[Array, "batch height width channels"]
Kernel = Float[Array, "3 3 channels outputs"]
Output = Float[Array, "batch height width outputs"]

_ROWS = 4
# Of those tried (±1, ±2; ±1, ±1/2; …) these round least.
_POINTS = (0.0, 0.75, -0.75, 1.5, -1.5)
# Below them the sums before and after the products cost what these save.
_MIN_PIXELS, _MIN_CHANNELS = 4096, 64


def cook_toom(points: Sequence[float], rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices A [n, rows], B [n, n], G [n, 3] of (1), for n − 1 points and one at infinity.

    Args:
      points: n − 1 of them, distinct; n = rows + 2.
      rows: of the output.
    """
    p, n = np.array(points), rows + 2
    a, b, g = np.zeros((n, rows)), np.zeros((n, n)), np.zeros((n, 3))
    for k in range(n - 1):
        others = np.delete(p, k)
        a[k] = p[k] ** np.arange(rows)
        g[k] = p[k] ** np.arange(3) / np.prod(p[k] - others)
        b[: n - 1, k] = np.poly(others)[::-1]
    a[-1, -1] = g[-1, -1] = 1.0
    b[:, -1] = np.poly(p)[::-1]
    return a, b, g


_A, _B, _G = cook_toom(_POINTS, _ROWS)


def winograd(x: Image, w: Kernel) -> Output:
    """The 3×3 convolution by eq. 1 of `winograd`, zeros outside; the height is a multiple of 4."""
    batch, height, width, _ = x.shape
    kernels = jnp.tensordot(jnp.asarray(_G, w.dtype), w, 1)
    parts = [_along_width(v, u) for v, u in zip(_transformed(x), kernels, strict=True)]
    rows = [_weighted_sum(column, parts) for column in _A.T]
    return jnp.stack(rows, axis=2).reshape(batch, height, width, -1)


@jax.custom_vjp
def winograd_vjp(x: Image, w: Kernel) -> Output:
    """`winograd`, whose gradient is (2)."""
    return winograd(x, w)


def _forward(x: Image, w: Kernel) -> tuple[Output, tuple[Image, Kernel]]:
    return winograd(x, w), (x, w)


def _backward(kept: tuple[Image, Kernel], dy: Output) -> tuple[Image, Kernel]:
    x, w = kept
    dx = winograd(dy, _turned(w))
    rows = [dy[:, row::_ROWS] for row in range(_ROWS)]
    u = jax.ShapeDtypeStruct(w.shape[1:], w.dtype)
    du = [
        jax.linear_transpose(lambda u, v=v: _along_width(v, u), u)(_weighted_sum(weights, rows))[0]
        for v, weights in zip(_transformed(x), _A, strict=True)
    ]
    return dx, jnp.tensordot(jnp.asarray(_G.T, w.dtype), jnp.stack(du), 1)


winograd_vjp.defvjp(_forward, _backward)


def _turned(w: Kernel) -> Float[Array, "3 3 outputs channels"]:
    """The kernel turned round, from outputs to channels."""
    return w[::-1, ::-1].swapaxes(2, 3)


def direct(x: Image, w: Kernel) -> Output:
    """The 3×3 convolution as the direct sum, zeros outside."""
    return jax.lax.conv_general_dilated(
        x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@jax.custom_vjp
def direct_vjp(x: Image, w: Kernel) -> Output:
    """`direct`, whose gradient by x is `direct` with the kernel turned round.

    XLA's CPU backend has the axes of the kernel changed in its own, which inside a loop is many
    times slower than the convolution itself.
    """
    return direct(x, w)


def _direct_forward(x: Image, w: Kernel) -> tuple[Output, tuple[Image, Kernel]]:
    return direct(x, w), (x, w)


def _direct_backward(kept: tuple[Image, Kernel], dy: Output) -> tuple[Image, Kernel]:
    x, w = kept
    (dw,) = jax.linear_transpose(lambda w: direct(x, w), w)(dy)
    return direct(dy, _turned(w)), dw


direct_vjp.defvjp(_direct_forward, _direct_backward)


def convolution(kind: str) -> Callable[..., Array]:
    """The function that stands in for `jax.lax.conv_general_dilated` in a layer.

    Args:
      kind: one of `CONVOLUTIONS`; where the Winograd form gains nothing, or is not the same, it is
        the direct sum all the same.
    """

    def convolve(x: Array, w: Array, strides: Any, padding: Any, **fields: Any) -> Array:
        plain = w.shape[:2] == (3, 3) and tuple(strides) == (1, 1) and padding == "SAME"
        if kind == "loop_vjp" and plain and not _gains(x, w):
            return direct_vjp(x, w)
        if kind == "xla" or not (plain and _gains(x, w)):
            return jax.lax.conv_general_dilated(x, w, strides, padding, **fields)
        return winograd(x, w) if kind == "winograd" else winograd_vjp(x, w)

    return convolve


def _gains(x: Image, w: Kernel) -> bool:
    batch, height, width, _ = x.shape
    many = batch * height * width >= _MIN_PIXELS and min(w.shape[2:]) >= _MIN_CHANNELS
    return many and height % _ROWS == 0 and x.dtype in (jnp.float32, jnp.float64)


def _transformed(x: Image) -> list[Image]:
    """V, each of a quarter of the rows."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))
    last = x.shape[1] - _ROWS + 1
    rows = [padded[:, row : row + last : _ROWS] for row in range(len(_B))]
    return [_weighted_sum(column, rows) for column in _B.T]


def _along_width(x: Image, kernel: Float[Array, "3 channels outputs"]) -> Output:
    return jax.lax.conv_general_dilated(
        x, kernel[None], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _weighted_sum(weights: Sequence[float], parts: Sequence[Array]) -> Array:
    """Σ weights parts, without those of weight 0."""
    terms = [float(c) * part for c, part in zip(weights, parts, strict=True) if c != 0]
    return sum(terms[1:], terms[0])
