"""SDE quantities against the reference's, computed in float64 (tests/golden/README.md)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import VE, VP, SubVP, discrete, expand

# The reference itself rounds 1 − e^{−B} to about 1e-10 at t = 1e-5, even in float64.
RTOL = 1e-9

CASES = {
    "vp": (VP(), 1000),
    "subvp": (SubVP(), 1000),
    "ve": (VE(), 1000),
    "vp_alt": (VP(), 500),
    "subvp_alt": (SubVP(), 500),
    "ve_alt": (VE(sigma_max=348.0), 2000),
}
every_case = pytest.mark.parametrize("case", CASES)
float64 = pytest.mark.usefixtures("float64")


def score_of(sde, x, t):
    """Of data N(0, 0.25 I)."""
    return -x / expand(sde.alpha(t) ** 2 * 0.25 + sde.sigma(t) ** 2, x)


def quantities(sde, num_scales, x, t):
    """Everything the file holds, at x [B, ...] and t, a scalar or [B]."""
    score = score_of(sde, x, t)
    step = sde.discrete_transition(t, num_scales=num_scales)
    gain, variance = expand(step.alpha - 1, x), expand(step.variance, x)
    return {
        "drift": sde.drift(x, t),
        "mean": sde.perturb(x, t, jnp.zeros_like(x)),
        "score": score,
        "rev_drift": sde.reverse_drift(x, t, score),
        "pf_drift": sde.probability_flow_drift(x, t, score),
        "disc_f": gain * x,
        "rev_disc_f": gain * x - variance * score,
        "pf_disc_f": gain * x - variance * score / 2,
        "alpha": sde.alpha(t),
        "std": sde.sigma(t),
        "diffusion": sde.diffusion(t),
        "rev_diffusion": sde.diffusion(t),
        "disc_G": jnp.sqrt(step.variance),
        "rev_disc_G": jnp.sqrt(step.variance),
    }


@float64
@every_case
def test_quantities(golden, case):
    values = golden("sde")
    sde, num_scales = CASES[case]
    times, rows = ("t_alt", "rows_alt") if case.endswith("_alt") else ("t", "rows")
    x = jnp.array(values["x_corner"][:2])
    evaluate = jax.jit(jax.vmap(lambda t: quantities(sde, num_scales, x, t)))
    ours = evaluate(jnp.array(values[times]))
    for name, value in ours.items():
        if value.ndim > 1:
            value = value[values[rows]]
        assert_allclose(value, values[f"{case}/{name}"], rtol=RTOL, err_msg=name)


@float64
@pytest.mark.parametrize("case", ["vp", "subvp", "ve"])
def test_quantities_with_a_time_for_each_example(golden, case):
    values = golden("sde")
    sde, num_scales = CASES[case]
    evaluate = jax.jit(lambda x, t: quantities(sde, num_scales, x, t))
    ours = evaluate(values["x_corner"], values["t_mixed"])
    for name, value in ours.items():
        assert_allclose(value, values[f"{case}/mixed/{name}"], rtol=RTOL, err_msg=name)


@float64
@pytest.mark.parametrize("case", ["vp", "subvp", "ve"])
def test_prior(golden, case):
    values = golden("sde")
    sde, _ = CASES[case]
    sample = sde.prior_std() * values["z_prior"]
    assert_allclose(sample, values[f"{case}/prior_sample"], rtol=RTOL)
    for x, name in ((values["x"], "prior_logp_x"), (sample, "prior_logp_sample")):
        assert_allclose(sde.prior_log_prob(jnp.asarray(x)), values[f"{case}/{name}"], rtol=RTOL)


@float64
def test_tables(golden):
    values = golden("sde")
    every = slice(None, None, 37)
    for case in ("vp", "vp_alt"):
        table = discrete.ddpm_table(CASES[case][1])
        survival = values[f"{case}/alphas_cumprod"]
        assert_allclose(table.alphas[every] ** 2, survival, rtol=RTOL)
        # 1 − ᾱ of the reference cancels to 1e-12 where 1 − ᾱ is 1e-4.
        assert_allclose(table.sigmas[every] ** 2, 1 - survival, rtol=RTOL)
    for case in ("ve", "ve_alt"):
        sde, num_scales = CASES[case]
        table = discrete.smld_table(num_scales, sde.sigma_min, sde.sigma_max)
        assert_allclose(table.sigmas[every], values[f"{case}/discrete_sigmas"], rtol=RTOL)
        assert_allclose(table.alphas, 1.0)


@pytest.mark.parametrize("case", ["vp", "subvp"])
def test_float32_is_right_where_the_published_one_is_not(golden, case):
    """The reference's float32 1 − e^{−B} (σ² for VP, σ for sub-VP) is off by 1.2 % at t = 1e-5.

    (Over times near 1e-5 by up to 3.7 % and 7.5 %.)
    """
    values = golden("sde")
    sde, _ = CASES[case]
    exact = values[f"{case}/std"]
    # 1e-5, the bar of the design; t itself is rounded to 6e-8 on the way to float32.
    assert_allclose(sde.sigma(values["t"].astype(np.float32)), exact, rtol=1e-5)
    power = 2 if case == "vp" else 1
    published = (values[f"{case}/float32/std"].astype(np.float64) / exact) ** power - 1
    assert np.abs(published).max() > 0.01


@pytest.mark.parametrize("case", ["vp", "subvp", "ve"])
def test_float32_quantities(golden, case):
    values = golden("sde")
    sde, num_scales = CASES[case]
    t = values["t"].astype(np.float32)

    # The step a time belongs to is ⌊t (N − 1)⌋; no time of the file is within rounding of an edge.
    @jax.jit
    def evaluate(t):
        step = sde.discrete_transition(t, num_scales=num_scales)
        return {"alpha": sde.alpha(t), "diffusion": sde.diffusion(t), "disc_G": step.variance**0.5}

    for name, ours in evaluate(t).items():
        assert_allclose(ours, values[f"{case}/{name}"], rtol=1e-5, err_msg=name)
