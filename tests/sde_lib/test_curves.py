"""α, σ and what is derived from them, in float64 unless said otherwise."""

import dataclasses
from functools import partial

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


@partial(jax.jit, static_argnames="names")
def values(sde, t, names):
    """Curves or inverses of an SDE by name, as one program."""
    return {name: getattr(sde, name)(t) for name in names}


@jax.jit
def own_and_derived(sde, t):
    """Every curve of an SDE, and those that follow from its α and σ."""
    derived = BareSDE(curves=sde)
    return [
        {name: getattr(which, name)(t) for name in ("alpha", "sigma", *CURVES)}
        for which in (sde, derived)
    ]


@float64
@every_registered_sde
def test_curves_solve_the_moment_equations(sde):
    """dm/dt = f m, dv/dt = 2 f v + g², started at the SDE's own values at a small time."""

    @jax.jit
    def slope(t, y):
        f, g = sde.drift_coefficient(t), sde.diffusion(t)
        return jnp.array([f * y[0], 2 * f * y[1] + g**2])

    own, _ = jax.device_get(own_and_derived(sde, TIMES))
    alpha, sigma = own["alpha"], own["sigma"]
    ends, y0 = (TIMES[0], TIMES[-1]), [alpha[0], sigma[0] ** 2]
    solution = solve_ivp(slope, ends, y0, t_eval=TIMES, method="DOP853", rtol=1e-10, atol=1e-14)
    # 1e-7: the integrator's 1e-10 a step over some tens of steps, with a margin for growth.
    assert_allclose(solution.y[0], alpha, rtol=1e-7)
    assert_allclose(solution.y[1], sigma**2, rtol=1e-7)


@float64
@every_registered_sde
def test_closed_form_equals_derived(sde):
    """1e-9: what differences of σ² cost of sixteen digits at t = 1e-3."""
    own, derived = own_and_derived(sde, TIMES)
    for name in CURVES:
        assert_allclose(own[name], derived[name], rtol=1e-9, err_msg=name)


@float64
@every_registered_sde
def test_closed_form_inverse_equals_bisection(sde):
    """Times back from log-SNR and σ/α, by the SDE's own inverse and by the derived one."""

    @jax.jit
    def there_and_back(sde, t):
        return {
            name: [
                getattr(solver, name)(getattr(sde, of)(t)) for solver in (sde, BareSDE(curves=sde))
            ]
            for name, of in INVERSES.items()
        }

    for name, times in there_and_back(sde, TIMES).items():
        # 1e-10: rounding of log-SNR (1e-15 of up to 14) over its slope, relative to t ≥ 1e-3.
        assert_allclose(times, [TIMES] * 2, rtol=1e-10, err_msg=name)


@float64
@every_registered_sde
def test_closed_form_transition_equals_derived(sde):

    @jax.jit
    def both(sde, s, t):
        return [which.transition(s, t) for which in (sde, BareSDE(curves=sde))]

    own, derived = both(sde, TIMES[:-1], TIMES[1:])
    for ours, theirs in zip(own, derived, strict=True):
        assert_allclose(ours, theirs, rtol=1e-9)


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
    ours = values(sde, t32, names)
    with jax.enable_x64(True):
        exact = values(BareSDE(curves=sde), t32.astype(np.float64), names)
    for name in names:
        assert ours[name].dtype == np.float32
        assert_allclose(ours[name], exact[name], rtol=1e-5, err_msg=name)


@every_registered_sde
def test_float32_inverts_log_snr(sde):
    """The time at which σ/α has a given value, found in float32, gives σ/α back in float64.

    The error of log n is |n'/n| δt ≤ 2e-5: a rounding 6e-8 of log-SNR (up to 14, hence 1e-6 or so)
    and of t, whose effect grows as 1/(1 − t) towards t = 1 where α vanishes.
    """
    level, time = ("noise_to_signal",), ("time_of_noise_to_signal",)
    (ends,) = values(sde, np.array([1e-4, 0.98]), level).values()
    levels = np.geomspace(*np.asarray(ends), 40).astype(np.float32)
    (t,) = values(sde, levels, time).values()
    with jax.enable_x64(True):
        (n,) = values(sde, np.asarray(t, np.float64), level).values()
    assert_allclose(np.log(n), np.log(levels.astype(np.float64)), atol=2e-5)


@float64
@every_registered_sde
def test_inverse_stays_between_the_ends(sde):
    """Levels beyond those of the SDE have the nearer end as their time."""
    (ends,) = values(sde, jnp.array([200.0, -200.0]), ("time_of_log_snr",)).values()
    assert_allclose(ends, [0.0, 1.0], atol=1e-15)


def numbers_of(sde):
    """Its fields that are one number; those of a learned SDE are tested below."""
    return [field.name for field in dataclasses.fields(sde) if field.name != "increments"]


@float64
@pytest.mark.parametrize("bare", [False, True], ids=["own", "derived"])
@pytest.mark.parametrize("name", [name for name, sde in REGISTERED.items() if numbers_of(sde)])
def test_inverse_is_differentiable_in_the_fields(name, bare):
    """dt/dθ at a fixed log-SNR, by reverse mode, against central differences of the inverse."""
    sde = REGISTERED[name]
    (level,) = values(sde, 0.4, ("log_snr",)).values()

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    @jax.value_and_grad
    def time(sde, level):
        return (BareSDE(curves=sde) if bare else sde).time_of_log_snr(level)

    swept, steps = [sde], {}
    for field in numbers_of(sde):
        value = float(getattr(sde, field))
        steps[field] = 1e-4 * value
        for sign in (1, -1):
            swept.append(dataclasses.replace(sde, **{field: value + sign * steps[field]}))
    stacked = jax.tree.map(lambda *leaves: jnp.array(leaves, dtype=float), *swept)
    (_, *ends), slopes = jax.device_get(time(stacked, level))
    for number, (field, step) in enumerate(steps.items()):
        difference = (ends[2 * number] - ends[2 * number + 1]) / (2 * step)
        # Third derivative · step² ≈ 1e-8 relative, and rounding 1e-15/step ≈ 1e-10.
        assert_allclose(getattr(slopes, field)[0], difference, rtol=1e-5, atol=1e-9, err_msg=field)
        assert abs(difference) > 1e-6, field


@float64
@every_registered_sde
def test_inverse_is_differentiable_in_the_level(sde):
    """dt/d(log-SNR) = 1/(d log-SNR/dt)."""

    @jax.jit
    def slopes(sde, t):
        level, slope = jax.value_and_grad(sde.log_snr)(t)
        solvers = sde, BareSDE(curves=sde)
        return 1 / slope, [jax.grad(solver.time_of_log_snr)(level) for solver in solvers]

    expected, inverses = slopes(sde, 0.4)
    assert_allclose(inverses, [expected] * 2, rtol=1e-9)


@float64
def test_learned_increments_have_gradients():
    """Central differences of log-SNR and of its inverse by one increment; the two are inverse."""

    def moved(step):
        increments = tuple(0.1 * i + step * (i == 3) for i in range(8))
        return LearnedLogSNR(increments=increments)

    bent, t = moved(0.0), np.linspace(0.0, 1.0, 21)
    (levels,) = values(bent, t, ("log_snr",)).values()
    (back,) = values(bent, levels, ("time_of_log_snr",)).values()
    assert_allclose(back, t, atol=1e-12)
    assert np.max(np.abs(np.diff(levels, 2))) > 0.1  # and no straight line

    for curve, at in ((LearnedLogSNR.log_snr, 0.4), (LearnedLogSNR.time_of_log_snr, 1.0)):
        value = jax.jit(jax.value_and_grad(curve))
        gradient = value(moved(0.0), at)[1].increments[3]
        difference = (value(moved(1e-5), at)[0] - value(moved(-1e-5), at)[0]) / 2e-5
        assert_allclose(gradient, difference, rtol=1e-6)
        assert abs(difference) > 1e-3
