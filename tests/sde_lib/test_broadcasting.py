"""A time for each example: never aligned with another axis, also where the sizes happen to agree.

x is [3, 3, 3], so α(t) x with t [3] runs and is wrong.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from sde_lib import (
    Gaussian,
    GaussianMixture,
    denoising_loss,
    discrete,
    expand,
    prediction,
    sdes,
    weightings,
)
from tests.cases import every_sde

ONES = np.ones(9, np.float32)
GAUSSIAN = Gaussian(mean=0.3 * ONES, eigenvectors=np.eye(9, dtype=np.float32), eigenvalues=ONES / 4)
MIXTURE = GaussianMixture(
    weights=np.array([0.4, 0.6], np.float32),
    means=np.stack([ONES, -ONES]),
    stds=np.array([0.3, 0.5], np.float32),
)


def loss(weighting):
    def of(sde, x, y, t):
        return denoising_loss(sde, MIXTURE.model(sde), x, t, y, weighting=weighting)

    return of


# (sde, x, y, t) → [3, ...], with y a second array like x.
FUNCTIONS = {
    "perturb": lambda sde, x, y, t: sde.perturb(x, t, y),
    "drift": lambda sde, x, y, t: sde.drift(x, t),
    "reverse_drift": lambda sde, x, y, t: sde.reverse_drift(x, t, y),
    "probability_flow_drift": lambda sde, x, y, t: sde.probability_flow_drift(x, t, y),
    "from_data": lambda sde, x, y, t: prediction.from_data(sde, x, t, y).noise,
    "from_noise": lambda sde, x, y, t: prediction.from_noise(sde, x, t, y).data,
    "from_score": lambda sde, x, y, t: prediction.from_score(sde, x, t, y).data,
    "from_v": lambda sde, x, y, t: jnp.stack(prediction.from_v(sde, x, t, y), 1),
    "from_velocity": lambda sde, x, y, t: jnp.stack(prediction.from_velocity(sde, x, t, y), 1),
    "to_score": lambda sde, x, y, t: prediction.to_score(sde, t, prediction.Prediction(x, y)),
    "to_v": lambda sde, x, y, t: prediction.to_v(sde, t, prediction.Prediction(x, y)),
    "to_velocity": lambda sde, x, y, t: prediction.to_velocity(sde, t, prediction.Prediction(x, y)),
    "gaussian.predict": lambda sde, x, y, t: jnp.stack(GAUSSIAN.predict(sde, x, t), 1),
    "gaussian.log_prob": lambda sde, x, y, t: GAUSSIAN.log_prob(sde, x, t),
    "gaussian.flow": lambda sde, x, y, t: GAUSSIAN.probability_flow(sde, x, t, t / 2),
    "mixture.predict": lambda sde, x, y, t: jnp.stack(MIXTURE.predict(sde, x, t), 1),
    "mixture.log_prob": lambda sde, x, y, t: MIXTURE.log_prob(sde, x, t),
} | {f"loss.{name}": loss(name) for name in weightings}


@every_sde
def test_each_example_has_its_own_time(sde):
    x, y = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    t = np.array([0.05, 0.4, 0.9], np.float32)

    @jax.jit
    def all_functions(x, y, t):
        return {name: function(sde, x, y, t) for name, function in FUNCTIONS.items()}

    together = all_functions(x, y, t)
    alone = [all_functions(x[i : i + 1], y[i : i + 1], t[i : i + 1]) for i in range(3)]
    for name, values in together.items():
        assert values.shape[0] == 3
        expected = np.concatenate([one[name] for one in alone])
        # The same float32 operations, fused differently; 1/α and 1/σ amplify their roundings.
        assert_allclose(values, expected, rtol=1e-4, atol=1e-4, err_msg=name)


def test_each_example_has_its_own_index():
    x, y = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    index = np.array([3, 40, 90])
    table = discrete.ddpm_table(100)

    @jax.jit
    def of(x, index, y):
        return discrete.discrete_denoising_loss(
            table, lambda x, i: x * expand(i, x) / 100, x, index, y
        )

    together = of(x, index, y)
    for i in range(3):
        rows = slice(i, i + 1)
        assert_allclose(together[i], of(x[rows], index[rows], y[rows])[0], rtol=1e-5)


def test_expand():
    x = jnp.zeros((3, 2, 4))
    assert expand(0.5, x).shape == ()
    assert expand(jnp.zeros(3), x).shape == (3, 1, 1)


@pytest.mark.parametrize("shape", [(2,), (4,), (1,), (3, 1), (3, 2, 4)])
def test_expand_takes_only_scalars_and_one_number_an_example(shape):
    with pytest.raises(ValueError, match=r"^t: got shape .*, takes a scalar or \(3,\)$"):
        expand(jnp.zeros(shape), jnp.zeros((3, 2, 4)))


@pytest.mark.usefixtures("shapes_unchecked")
def test_a_wrong_time_stops_where_it_enters():
    sde = sdes["vp"]()
    with pytest.raises(ValueError, match="takes a scalar or"):
        sde.perturb(jnp.zeros((3, 4)), jnp.zeros(4), jnp.zeros((3, 4)))
