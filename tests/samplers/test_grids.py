"""Time grids."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import grids
from tests.cases import SDES, every_sde

every_grid = pytest.mark.parametrize("name", list(grids))
T_MIN, T_MAX = 1e-3, 0.98


@every_sde
@every_grid
def test_shape_and_ends(sde, name):
    grid = np.asarray(grids[name](sde, 20, T_MIN, T_MAX))
    assert grid.shape == (21,)
    assert grid.dtype == np.float32
    assert grid[0] == np.float32(T_MAX)
    assert grid[-1] == np.float32(T_MIN)
    falling = np.diff(grid)
    assert np.all(falling[:-1] < 0)
    assert falling[-1] <= 0


@pytest.mark.usefixtures("float64")
@every_sde
@pytest.mark.parametrize(
    ("name", "fields", "level"),
    [
        ("uniform", {}, lambda sde, t: t),
        ("quadratic", {}, lambda sde, t: t**0.5),
        ("log_snr", {}, lambda sde, t: sde.log_snr(t)),
        ("edm", {"rho": 5.0}, lambda sde, t: sde.noise_to_signal(t) ** (1 / 5)),
        ("rectified", {"data_std": 1.3}, lambda sde, t: 1 / (1 + 1.3 / sde.noise_to_signal(t))),
        ("cosine", {"data_std": 1.3}, lambda sde, t: np.arctan(sde.noise_to_signal(t) / 1.3)),
    ],
)
def test_uniform_in_its_own_variable(sde, name, fields, level):
    steps = np.diff(level(sde, grids[name](sde, 20, T_MIN, T_MAX, **fields)))
    # 1e-8: inversion of log-SNR to 1e-10, over steps a twentieth of the range.
    assert_allclose(steps, steps[0], rtol=1e-8)


@pytest.mark.usefixtures("float64")
def test_edm_grid_is_that_of_the_paper():
    """Karras et al. 2022, eq. 5: σ_i = (σ_max^{1/7} + i/(N − 1) (σ_min^{1/7} − σ_max^{1/7}))^7."""
    sde = SDES["ve"]
    t_min, t_max = (float(sde.time_of_noise_to_signal(n)) for n in (0.02, 40.0))
    grid = grids["edm"](sde, 17, t_min, t_max)
    i = np.arange(18)
    levels = (40 ** (1 / 7) + i / 17 * (0.02 ** (1 / 7) - 40 ** (1 / 7))) ** 7
    assert_allclose(sde.sigma(grid), levels, rtol=1e-9)


def test_published_grid():
    """N times from t_max to t_min, each the start of a step; the last step has no length."""
    grid = np.asarray(grids["published"](SDES["ve"], 5, 0.2, 1.0))
    assert_allclose(grid, [1.0, 0.8, 0.6, 0.4, 0.2, 0.2], rtol=1e-6)


@every_sde
@every_grid
def test_new_ends_run_the_program_that_is_there(sde, name):
    traces = []

    @jax.jit
    def build(sde, t_min):
        traces.append(0)
        return grids[name](sde, 8, t_min, T_MAX)

    first, second = build(sde, 1e-3), build(sde, 1e-2)
    assert len(traces) == 1
    assert first[-1] != second[-1]
