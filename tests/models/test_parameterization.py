"""What a network's output means, where a closed form says it."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from models.conditioning import conditionings
from models.parameterization import ddpm_sigmas, parameterizations, rounding
from models.score_model import ScoreModel
from sde_lib import sdes


def test_ddpm_noise_has_the_sigma_of_the_discrete_chain(float64):
    sde = sdes["vp"](beta_min=0.2, beta_max=15.0)
    t = np.array([1e-5, 0.5 / 999, 0.3, 0.7771, 1.0])
    index = np.array([0, 0, 299, 776, 999])
    left = 1 - np.cumprod(1 - np.linspace(0.2 / 1000, 15.0 / 1000, 1000))
    rng = np.random.default_rng(0)
    x, output = rng.standard_normal((2, 5, 3))
    predict = parameterizations["ddpm_noise"]()
    got = jax.jit(lambda x, t: predict(lambda x: 2 * x + output, sde, x, t))(x, t)
    score = -np.asarray(got.noise) / np.asarray(sde.sigma(t))[:, None]
    want = -(2 * x + output) / np.sqrt(left[index])[:, None]
    np.testing.assert_allclose(score, want, rtol=1e-9)
    alpha, sigma = np.asarray(sde.alpha(t))[:, None], np.asarray(sde.sigma(t))[:, None]
    np.testing.assert_allclose(alpha * got.data + sigma * got.noise, x, rtol=1e-9)


def test_smld_has_a_table_of_noises_from_the_largest(float64):
    """The published code looks both the label and σ up in a geometric table."""
    sde = sdes["ve"](sigma_min=0.01, sigma_max=50.0)
    t = np.array([1e-5, 0.4 / 999, 0.30021, 0.7771, 1.0])
    labels = np.array([999, 999, 699, 223, 0])
    table = np.exp(np.linspace(np.log(50.0), np.log(0.01), 1000))
    np.testing.assert_array_equal(conditionings["smld_step"](sde, jnp.asarray(t)), labels)
    rng = np.random.default_rng(0)
    x, output = rng.standard_normal((2, 5, 3))
    got = parameterizations["smld_score"]()(lambda x: 2 * x + output, sde, x, t)
    score = -np.asarray(got.noise) / np.asarray(sde.sigma(t))[:, None]
    np.testing.assert_allclose(score, (2 * x + output) / table[labels][:, None], rtol=1e-9)
    np.testing.assert_allclose(got.data + sde.sigma(t)[:, None] * got.noise, x, rtol=1e-9)


# Of a network with output F, at x = α data + σ noise: F that predicts data and noise exactly.
EXACT = {
    "noise": lambda sde, t, data, noise: noise,
    "scaled_score": lambda sde, t, data, noise: -noise,
    "score": lambda sde, t, data, noise: -noise / sde.sigma(t),
    "data": lambda sde, t, data, noise: data,
    "v": lambda sde, t, data, noise: sde.alpha(t) * noise - sde.sigma(t) * data,
    "velocity": lambda sde, t, data, noise: (
        jax.grad(lambda t: sde.alpha(t))(t) * data + jax.grad(lambda t: sde.sigma(t))(t) * noise
    ),
    # Eq. 8 of EDM: (data − c_skip y)/c_out at y = x/α.
    "edm": lambda sde, t, data, noise: (
        (sde.sigma(t) * data - sde.alpha(t) * STD**2 * noise)
        / (STD * jnp.hypot(sde.sigma(t), sde.alpha(t) * STD))
    ),
}
STD = 0.6


def make(name, std=STD):
    """The parameterization of a name, for data of a standard deviation."""
    return parameterizations[name](**({"data_std": std} if name == "edm" else {}))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("sde", ["vp", "subvp", "ve", "flow"])
def test_data_and_noise_make_the_state(sde):
    """α·data + σ·noise = x whatever the network says, and each is exact where the network is."""
    sde, t = sdes[sde](), 0.4
    data, noise = np.random.default_rng(0).standard_normal((2, 1, 3))
    x = sde.alpha(t) * data + sde.sigma(t) * noise

    @jax.jit
    def run(x, t):
        network = lambda x: jnp.sin(3 * x) + 0.2  # noqa: E731
        whatever = {name: make(name)(network, sde, x, t) for name in parameterizations}
        outputs = {name: output(sde, t[0], data, noise) for name, output in EXACT.items()}
        exact = {
            name: make(name)(lambda _, output=output: output, sde, x, t)
            for name, output in outputs.items()
        }
        return whatever, exact

    whatever, exact = jax.device_get(run(x, np.array([t])))
    for name, got in whatever.items():
        if not np.isfinite(got.noise).all():
            assert name in ("ddpm_noise", "smld_score")  # of a chain that this SDE has not
            continue
        again = sde.alpha(t) * got.data + sde.sigma(t) * got.noise
        np.testing.assert_allclose(again, x, rtol=1e-9, err_msg=name)
    for name, got in exact.items():
        # σ/α ≤ 150 times a rounding of 1e-16, and slopes by differentiation.
        np.testing.assert_allclose(got.data, data, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(got.noise, noise, atol=1e-9, err_msg=name)
    assert set(EXACT) | {"ddpm_noise", "smld_score"} == set(parameterizations)


def test_the_input_of_edms_network_has_unit_variance():
    sde, t, x = sdes["ve"](), jnp.array([0.7]), jnp.array([[0.3, -2.0]])
    inputs = []
    make("edm")(lambda x: inputs.append(x) or x, sde, x, t)
    np.testing.assert_allclose(inputs[0], x / np.hypot(sde.sigma(0.7), STD), rtol=1e-6)


def test_the_number_that_stands_for_the_time():
    """log σ/α, whether α or σ moves, within ±12; log σ; 999 t."""
    t = jnp.array([0.2, 0.5, 1.0])
    flow, ve = sdes["flow"](), sdes["ve"](sigma_min=0.01, sigma_max=50.0)
    given = conditionings["log_noise"](flow, t)
    np.testing.assert_allclose(given, [np.log(0.25), 0, 12], atol=1e-6)
    assert conditionings["log_noise"](flow, jnp.zeros(1)) == -12
    want = np.log(0.01) + np.asarray(t) * np.log(5000)
    np.testing.assert_allclose(conditionings["log_noise"](ve, t), want, rtol=1e-5)
    np.testing.assert_allclose(conditionings["log_sigma"](ve, t), want, rtol=1e-5)
    np.testing.assert_allclose(conditionings["log_sigma"](flow, t), np.log(t), rtol=1e-6)
    np.testing.assert_allclose(conditionings["time"](flow, t), 999 * np.asarray(t), rtol=1e-6)


class Shown(nn.Module):
    """x times a parameter, c and the condition."""

    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        """The network's output."""
        scale = self.param("scale", nn.initializers.ones, ())
        return scale * x * c[:, None] * (cond[:, None] if not train else 1)


def test_a_score_model_is_its_network_and_its_meaning():
    sde, t, cond = sdes["flow"](), jnp.array([0.3, 0.6]), jnp.array([2.0, 5.0])
    x = jnp.array([[0.4, -1.0], [2.0, 0.1]])
    edm = parameterizations["edm"](data_std=0.8)
    model = ScoreModel(
        network=Shown(),
        params={"scale": jnp.array(3.0)},
        sde=sde,
        parameterization=edm,
        conditioning="log_noise",
    )
    c = conditionings["log_noise"](sde, t)
    for key, factor in ((None, cond), (jax.random.key(0), jnp.ones(2))):
        want = edm(lambda x, factor=factor: 3 * x * (c * factor)[:, None], sde, x, t)
        got = model(x, t, cond, dropout_key=key)
        np.testing.assert_allclose(got, want, rtol=1e-5)


def test_rounding_tells_where_a_prediction_is_lost():
    """Of the state r ≈ σ, in data x/α over s: 2⁻²⁴ σ/(α s); in noise x/σ: 2⁻²⁴ r/σ."""

    @partial(jax.jit, static_argnums=0)
    def share(names, sde, t):
        return {name: rounding(make(name, 0.5), sde, t, 0.5) for name in names}

    vp, t = sdes["vp"](), np.array([1e-5, 1.0], np.float32)
    n = np.asarray(vp.noise_to_signal(t), np.float64)
    r = np.hypot(1, n / 0.5)  # over α s
    under_vp = share(("noise", "data"), vp, t)
    np.testing.assert_allclose(under_vp["noise"], 2**-24 * r, rtol=1e-3)
    np.testing.assert_allclose(under_vp["data"], 2**-24 * r * 0.5 / n, rtol=1e-3)
    under_flow = share(tuple(parameterizations), sdes["flow"](), np.array([0, 1e-3, 1], np.float32))
    for name, found in jax.device_get(under_flow).items():
        assert (found[1:] < 1e-3).all() == (name in ("data", "v", "velocity", "edm")), name
    assert under_flow["data"][0] == np.inf


@pytest.mark.parametrize("name", ["subvp", "cosine", "flow"])
def test_every_sde_that_shrinks_the_data_has_such_a_chain(name):
    """Its ᾱ is the SDE's own α² but for the steps: 1000 of them are fine enough for 2 %."""
    sde = sdes[name]()
    sigmas = np.asarray(jax.jit(ddpm_sigmas)(sde))
    assert np.isfinite(sigmas).all()
    assert (np.diff(sigmas) >= 0).all()
    middle = np.arange(300, 800)
    alpha = np.asarray(sde.alpha(jnp.asarray(middle / 999)))
    np.testing.assert_allclose(np.sqrt(1 - sigmas[middle] ** 2), alpha, rtol=2e-2)
