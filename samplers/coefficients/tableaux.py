"""Tableaux of explicit Runge–Kutta methods, by name.

    k_i = F(u + c_i h, y + h Σ_j a_ij k_j),   y' = y + h Σ_i b_i k_i

References: Dormand & Prince 1980; Bogacki & Shampine 1989; Hairer, Nørsett & Wanner 1993, §II.1,
§II.4 and §II.10.
"""

from typing import NamedTuple

import numpy as np

from samplers.coefficients import dop853
from sde_lib import Registry


class Tableau(NamedTuple):
    """The coefficients of an explicit Runge–Kutta method of S stages.

    Args:
      a: [S, S], lower triangular.
      b: [S].
      order: of y'.
      error: b − b̂ [S] of a method with an embedded one, whose last stage is the first of the next
        step: the last row of a is b. None of a method without.
      embedded_order: of b̂.
    """

    a: np.ndarray
    b: np.ndarray
    order: int
    error: np.ndarray | None = None
    embedded_order: int = 0

    @property
    def c(self) -> np.ndarray:
        """Where in a step the stages are, as fractions of h, [S]."""
        return self.a.sum(axis=1)

    @property
    def needed(self) -> "Tableau":
        """The same method without an error, and without the stages that only an error takes."""
        stages = np.flatnonzero(self.b)[-1] + 1
        return Tableau(self.a[:stages, :stages], self.b[:stages], self.order)


tableaux = Registry("tableau")


def pairs() -> list[str]:
    """The names of methods with an embedded one, which steps by tolerance take."""
    return [name for name in tableaux if tableaux[name].error is not None]


def _tableau(rows: list[list[float]], b: list[float], order: int) -> Tableau:
    """From the rows of a below the first."""
    a = np.zeros((len(b), len(b)))
    for i, row in enumerate(rows, start=1):
        a[i, : len(row)] = row
    return Tableau(a, np.array(b, dtype=float), order)


def _pair(
    rows: list[list[float]], embedded: list[float], order: int, embedded_order: int
) -> Tableau:
    """From the rows of a below the first, of which the last is b, and b̂."""
    method = _tableau(rows, [*rows[-1], 0.0], order)
    error = method.b - np.pad(embedded, (0, len(method.b) - len(embedded)))
    return method._replace(error=error, embedded_order=embedded_order)


tableaux.register("euler")(_tableau([], [1], 1))
tableaux.register("heun")(_tableau([[1]], [1 / 2, 1 / 2], 2))
tableaux.register("midpoint")(_tableau([[1 / 2]], [0, 1], 2))
tableaux.register("kutta3")(_tableau([[1 / 2], [-1, 2]], [1 / 6, 2 / 3, 1 / 6], 3))
tableaux.register("rk4")(
    _tableau([[1 / 2], [0, 1 / 2], [0, 0, 1]], [1 / 6, 1 / 3, 1 / 3, 1 / 6], 4)
)
tableaux.register("bosh3")(
    _pair([[1 / 2], [0, 3 / 4], [2 / 9, 1 / 3, 4 / 9]], [7 / 24, 1 / 4, 1 / 3, 1 / 8], 3, 2)
)
tableaux.register("dopri5")(
    _pair(
        [
            [1 / 5],
            [3 / 40, 9 / 40],
            [44 / 45, -56 / 15, 32 / 9],
            [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
            [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
            [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
        ],
        [5179 / 57600, 0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40],
        order=5,
        embedded_order=4,
    )
)
tableaux.register("dop853")(_pair(dop853.ROWS, dop853.EMBEDDED, order=8, embedded_order=5))
