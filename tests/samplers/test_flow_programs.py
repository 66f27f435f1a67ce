"""Programs of the probability flow: one for all numbers, the same in a batch and on devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from numpy.testing import assert_allclose

from samplers import Adams, ByTolerance, Equal, ProbabilityFlow, RungeKutta
from sde_lib import VP, Prediction
from tests.cases import mixture, takes_devices
from tests.samplers.flows import T_MIN, flow_of
from tests.samplers.reference import drawn

float64 = pytest.mark.usefixtures("float64")


@float64
def test_an_example_does_not_depend_on_its_batch():
    """In float64, as a rounding in float32 may decide whether a step is accepted."""
    oracle = mixture()
    flow, x = flow_of(VP(), oracle), drawn(oracle, jax.random.key(1), (5, 2))
    together = flow.log_prob(x)
    others = flow.log_prob(x.at[1:].multiply(-2.0))
    alone = flow.log_prob(x[:1])
    for result in (others, alone):
        assert result.evaluations[0] == together.evaluations[0]
        # Some fifty steps in another order, spread by what lies between the components.
        assert_allclose(result.log_prob[0], together.log_prob[0], atol=1e-11)
        assert_allclose(result.latents[0], together.latents[0], atol=1e-11)


def test_new_numbers_run_the_program_that_is_there():
    """Parameters, SDE, tolerances, ends and data_std of all three; one trace each."""
    traces = []

    def predict(std, x, t, cond):
        traces.append(0)
        # An ad-hoc denoiser; it need not be any data's.
        return Prediction(data=std * x / (1 + x**2), noise=x / (1 + std))

    def run(std, sde, rtol, t_min, data_std):
        flow = ProbabilityFlow(
            sde=sde,
            model=jax.tree_util.Partial(predict, jnp.float32(std)),
            t_min=t_min,
            data_std=data_std,
            integrator=RungeKutta(steps=ByTolerance(rtol=rtol, atol=rtol)),
        )
        x = jnp.array([[0.3, -0.8], [1.0, 0.2]])
        return flow.decode(x).x, flow.encode(x).x, flow.log_prob(x).log_prob

    first = run(0.5, VP(), 1e-3, 1e-2, 0.5)
    once = len(traces)
    for arguments in (
        (0.7, VP(), 1e-3, 1e-2, 0.5),
        (0.5, VP(beta_max=10.0), 1e-3, 1e-2, 0.5),
        (0.5, VP(), 1e-5, 2e-2, 0.7),
    ):
        for ours, before in zip(run(*arguments), first, strict=True):
            assert np.abs(ours - before).max() > 1e-6
    assert len(traces) == once


def test_one_copy_of_the_network():
    """Also in the density's program, in which the network is linearised: one more for its jvp."""

    def predict(x, t, cond=None):
        return Prediction(data=jax.lax.asinh(x), noise=x)

    flow = ProbabilityFlow(sde=VP(), model=jax.tree_util.Partial(predict), t_min=T_MIN)
    for run in (flow.decode, flow.encode, flow.log_prob):
        program = str(jax.make_jaxpr(run)(jnp.ones((2, 2))))
        assert program.count("asinh") == 1


@takes_devices(2)
def test_on_several_devices():
    """The same numbers from a batch that devices share."""
    oracle = mixture()
    x = drawn(oracle, jax.random.key(7), (32, 2))
    mesh = jax.make_mesh((jax.device_count(),), ("data",), (AxisType.Auto,))
    shared = jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))
    flow = flow_of(VP(), oracle)
    one, many = flow.log_prob(x).log_prob, flow.log_prob(shared).log_prob
    assert not many.sharding.is_fully_replicated
    assert_allclose(many, one, atol=1e-4)
    # Divergences are the same on equal steps.
    flow = flow_of(VP(), oracle, integrator=Adams(history=3, steps=Equal(num=20)))
    one, many = flow.encode(x).x, flow.encode(shared).x
    assert not many.sharding.is_fully_replicated
    assert_allclose(many, one, atol=1e-4)
