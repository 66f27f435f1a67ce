"""α, σ and what is derived from them, in float64 unless said otherwise."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import solve_ivp

from sde_lib import SDE, LearnedLogSNR
from tests.cases import REGISTERED, TIMES, BareSDE, every_registered_sde

CURVES = ("log_alpha", "noise_to_signal", "log_snr", "drift_coefficient", "diffusion")
INVERSES = {"time_of_log_snr": "log_snr", "time_of_noise_to_signal": "noise_to_signal"}
# Definitions and choices, not consequences of the curves: their values are tested elsewhere.
OWN = {"alpha", "sigma", "validate", "discrete_transition", "prior_std"}

float64 = pytest.mark.usefixtures("float64")


@float64
@every_registered_sde
def test_curves_solve_the_moment_equations(sde):
    """dm/dt = f m, dv/dt = 2 f v + g², started at the SDE's own values at a small time."""

    @jax.jit
    def slope(t, y):
        f, g = sde.drift_coefficient(t), sde.diffusion(t)
        return jnp.array([f * y[0], 2 * f * y[1] + g**2])

    start = TIMES[0]
    y0 = [float(sde.alpha(start)), float(sde.sigma(start)) ** 2]
    solution = solve_ivp(
        slope, (start, TIMES[-1]), y0, t_eval=TIMES, method="DOP853", rtol=1e-10, atol=1e-14
    )
    # 1e-7: the integrator's 1e-10 a step over some tens of steps, with a margin for growth.
    assert_allclose(solution.y[0], sde.alpha(TIMES), rtol=1e-7)
    assert_allclose(solution.y[1], sde.sigma(TIMES) ** 2, rtol=1e-7)


@float64
@every_registered_sde
@pytest.mark.parametrize("name", CURVES)
def test_closed_form_equals_derived(sde, name):
    """1e-9: what differences of σ² cost of sixteen digits at t = 1e-3."""
    assert_allclose(getattr(sde, name)(TIMES), getattr(BareSDE(curves=sde), name)(TIMES), rtol=1e-9)


@float64
@every_registered_sde
@pytest.mark.parametrize("inverse", INVERSES)
def test_closed_form_inverse_equals_bisection(sde, inverse):
    """Times back from log-SNR and σ/α, by the SDE's own inverse and by the derived one."""
    levels = getattr(sde, INVERSES[inverse])(TIMES)
    for solver in (sde, BareSDE(curves=sde)):
        # 1e-10: rounding of log-SNR (1e-15 of up to 14) over its slope, relative to t ≥ 1e-3.
        assert_allclose(getattr(solver, inverse)(levels), TIMES, rtol=1e-10)


@float64
@every_registered_sde
def test_closed_form_transition_equals_derived(sde):
    s, t = TIMES[:-1], TIMES[1:]
    for own, derived in zip(
        sde.transition(s, t), BareSDE(curves=sde).transition(s, t), strict=True
    ):
        assert_allclose(own, derived, rtol=1e-9)


@every_registered_sde
def test_every_override_is_compared(sde):
    """An override that the tests above do not know of fails here until they do."""
    public = {name for name in vars(SDE) if not name.startswith("_")}
    overridden = {name for name in public if getattr(type(sde), name) is not getattr(SDE, name)}
    assert overridden <= {*CURVES, *INVERSES, *OWN, "transition"}


@every_registered_sde
def test_float32_keeps_its_digits_at_small_times(sde):
    """1e-5 is a hundred roundings; the cancellation in 1 − e^{−B} costs 1e-2 at these times."""
    t32 = np.geomspace(1e-5, 0.95, 50).astype(np.float32)
    names = ("alpha", "sigma", "noise_to_signal", "diffusion")
    ours = {name: np.asarray(getattr(sde, name)(t32)) for name in names}
    with jax.enable_x64(True):
        for name in names:
            assert ours[name].dtype == np.float32
            exact = getattr(BareSDE(curves=sde), name)(t32.astype(np.float64))
            assert_allclose(ours[name], exact, rtol=1e-5, err_msg=name)


@every_registered_sde
def test_float32_inverts_log_snr(sde):
    """The time at which σ/α has a given value, found in float32, gives σ/α back in float64.

    The error of log n is |n'/n| δt ≤ 2e-5: a rounding 6e-8 of log-SNR (up to 14, hence 1e-6 or so)
    and of t, whose effect grows as 1/(1 − t) towards t = 1 where α vanishes.
    """
    levels = np.geomspace(*np.asarray(sde.noise_to_signal(np.array([1e-4, 0.98]))), 40)
    t = np.asarray(sde.time_of_noise_to_signal(levels.astype(np.float32)))
    with jax.enable_x64(True):
        n = sde.noise_to_signal(t.astype(np.float64))
    assert_allclose(np.log(n), np.log(levels.astype(np.float32).astype(np.float64)), atol=2e-5)


@float64
@every_registered_sde
def test_inverse_stays_between_the_ends(sde):
    """Levels beyond those of the SDE have the nearer end as their time."""
    assert_allclose(sde.time_of_log_snr(jnp.array([200.0, -200.0])), [0.0, 1.0], atol=1e-15)


@float64
@pytest.mark.parametrize("bare", [False, True], ids=["own", "derived"])
@pytest.mark.parametrize(
    ("name", "field"),
    [
        (name, field.name)
        for name, sde in REGISTERED.items()
        for field in dataclasses.fields(sde)
        if field.name != "increments"  # not one number, and tested below
    ],
)
def test_inverse_is_differentiable_in_the_fields(name, field, bare):
    """dt/dθ at a fixed log-SNR, by reverse mode, against central differences of the inverse."""
    sde = REGISTERED[name]
    level = sde.log_snr(0.4)

    def time(value):
        swept = dataclasses.replace(sde, **{field: value})
        return (BareSDE(curves=swept) if bare else swept).time_of_log_snr(level)

    value = float(getattr(sde, field))
    step = 1e-4 * value
    difference = (time(value + step) - time(value - step)) / (2 * step)
    # Central differences: third derivative · step² ≈ 1e-8 relative, rounding 1e-15/step ≈ 1e-10.
    assert_allclose(jax.grad(time)(value), difference, rtol=1e-5, atol=1e-9)
    assert abs(difference) > 1e-6


@float64
@every_registered_sde
def test_inverse_is_differentiable_in_the_level(sde):
    """dt/d(log-SNR) = 1/(d log-SNR/dt)."""
    level = sde.log_snr(0.4)
    slope = jax.grad(sde.log_snr)(0.4)
    for solver in (sde, BareSDE(curves=sde)):
        assert_allclose(jax.grad(solver.time_of_log_snr)(level), 1 / slope, rtol=1e-9)


@float64
def test_learned_increments_have_gradients():
    """Central differences of log-SNR and of its inverse by one increment; the two are inverse."""

    def moved(step):
        increments = tuple(0.1 * i + step * (i == 3) for i in range(8))
        return LearnedLogSNR(increments=increments)

    bent, t = moved(0.0), jnp.linspace(0.0, 1.0, 21)
    assert_allclose(bent.time_of_log_snr(bent.log_snr(t)), t, atol=1e-12)
    assert jnp.max(jnp.abs(jnp.diff(bent.log_snr(t), 2))) > 0.1  # and no straight line

    for curve, at in ((LearnedLogSNR.log_snr, 0.4), (LearnedLogSNR.time_of_log_snr, 1.0)):
        gradient = jax.grad(lambda sde, curve=curve, at=at: curve(sde, at))(moved(0.0)).increments[
            3
        ]
        difference = (curve(moved(1e-5), at) - curve(moved(-1e-5), at)) / 2e-5
        assert_allclose(gradient, difference, rtol=1e-6)
        assert abs(difference) > 1e-3
