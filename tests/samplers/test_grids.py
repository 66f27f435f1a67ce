"""Time grids."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from samplers import grids
from tests.cases import SDES, every_sde

T_MIN, T_MAX = 1e-3, 0.98


@every_sde
def test_shape_and_ends(sde):
    """Of every grid; other ends run the program that is there."""
    traces = []

    @jax.jit
    def build(sde, t_min):
        traces.append(0)
        return {name: grids[name](sde, 20, t_min, T_MAX) for name in grids}

    for t_min in (T_MIN, 1e-2):
        for name, grid in jax.device_get(build(sde, t_min)).items():
            assert grid.shape == (21,), name
            assert grid.dtype == np.float32, name
            assert grid[0] == np.float32(T_MAX), name
            assert grid[-1] == np.float32(t_min), name
            falling = np.diff(grid)
            assert np.all(falling[:-1] < 0), name
            assert falling[-1] <= 0, name
    assert len(traces) == 1


@pytest.mark.usefixtures("float64")
@every_sde
def test_uniform_in_its_own_variable(sde):
    level = {
        "uniform": lambda t, snr, n: t,
        "quadratic": lambda t, snr, n: t**0.5,
        "log_snr": lambda t, snr, n: snr,
        "edm": lambda t, snr, n: n ** (1 / 5),
        "rectified": lambda t, snr, n: 1 / (1 + 1.3 / n),
        "cosine": lambda t, snr, n: np.arctan(n / 1.3),
    }
    fields = {"edm": {"rho": 5.0}, "rectified": {"data_std": 1.3}, "cosine": {"data_std": 1.3}}

    @jax.jit
    def build(sde):
        times = {name: grids[name](sde, 20, T_MIN, T_MAX, **fields.get(name, {})) for name in level}
        return {name: (t, sde.log_snr(t), sde.noise_to_signal(t)) for name, t in times.items()}

    assert set(level) == set(grids) - {"published"}
    for name, grid in jax.device_get(build(sde)).items():
        steps = np.diff(level[name](*grid))
        # 1e-8: inversion of log-SNR to 1e-10, over steps a twentieth of the range.
        assert_allclose(steps, steps[0], rtol=1e-8, err_msg=name)


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
