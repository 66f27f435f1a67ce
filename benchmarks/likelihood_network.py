"""A trained network's likelihood: its problem, the variance of probes, and seconds an image."""

import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.host_loop import HostLoop
from benchmarks.likelihood_problem import Problem
from experiments.likelihood.control_variate import data_gaussian
from experiments.runtime import devices
from experiments.workdir.trained_model import TrainedModel
from samplers import Adams, ByTolerance, Equal, Hutchinson
from sde_lib import Gaussian


def trained(workdir: str) -> tuple[Problem, Gaussian]:
    """32 test images of a workdir with one fixed probe, and the Gaussian of its training data."""
    opened = TrainedModel.open(workdir, [], devices.make_mesh(1))
    test, sde = opened.dataset("test"), opened.sde
    values = jnp.asarray(test.values[:32])
    u = jax.random.uniform(jax.random.key(0), values.shape)
    x = test.codec.encode(values, u)
    problem = Problem(
        sde,
        opened.model,
        x,
        float(sde.time_of_noise_to_signal(1e-3)),
        Hutchinson.draw(jax.random.key(1), x.shape),
        opened.experiment.data.std,
        Adams(history=3, steps=Equal(num=600, grading=0.8)),
        5,
    )
    return problem, data_gaussian(opened.dataset("train"))


def probe_variances(problem: Problem, control: Gaussian) -> dict[str, Any]:
    """Standard deviation of one example's estimate [bits/dim] and seconds, by kind and number.

    One probe repeated has σ²/n after n runs of T seconds: an estimator's work is σ² T, and the
    factor is one plain probe's over it. And σ of one probe by the weight of the control.
    """
    rows: dict[str, Any] = {}
    drawn = {}
    for kind, num, controlled in (
        ("rademacher", 1, False),
        ("rademacher", 1, True),
        ("rademacher", 4, False),
        ("rademacher", 4, True),
        ("rademacher", 16, False),
        ("gaussian", 1, False),
        ("gaussian", 1, True),
        ("orthogonal", 16, False),
        ("orthogonal", 16, True),
    ):
        name = f"{kind}, {num}" + (", control" if controlled else "")
        draws, took = _draws(problem, kind, num, control if controlled else None)
        drawn[name], deviation = draws, _deviation(problem, draws)
        rows[name] = {"std": deviation, "seconds": took, "work": deviation**2 * took}
    plain = rows["rademacher, 1"]["work"]
    for name, row in rows.items():
        row["factor"] = plain / row["work"]
        print(name, {key: float(f"{value:.3g}") for key, value in row.items()})
    # The same probes with and without: the correction is linear in the weight.
    without, with_control = drawn["rademacher, 1"], drawn["rademacher, 1, control"]
    correction = (with_control - without) / Hutchinson.control_weight
    weights = {
        weight: _deviation(problem, without + weight * correction)
        for weight in (0.0, 0.25, 0.5, 0.6, 0.7, 0.8, 1.0)
    }
    print("std by weight of the control", weights)
    return {"estimators": rows, "control_weights": weights}


def _draws(
    problem: Problem, kind: str, num: int, control: Gaussian | None
) -> tuple[np.ndarray, float]:
    """Eight estimates of log p, by as many draws of the probes, and the median of seconds."""
    draws, seconds = [], []
    for repeat in range(8):
        probes = Hutchinson.draw(
            jax.random.key(10 + repeat), problem.x.shape, num, kind=kind, control=control
        )
        start = time.perf_counter()
        flow = problem.flow(Adams(history=3, steps=Equal(num=29, grading=0.8)))
        result = flow.log_prob(problem.x, probes)
        draws.append(np.asarray(result.log_prob))
        seconds.append(time.perf_counter() - start)
    return np.stack(draws), statistics.median(seconds[1:])


def _deviation(problem: Problem, draws: np.ndarray) -> float:
    """Over the draws, in bits/dim; RMS over the examples."""
    return float(np.sqrt(np.var(draws, axis=0, ddof=1).mean())) / problem.unit


def round_trip(problem: Problem) -> dict[str, float]:
    """What encode and then decode change a pixel by at most, over the data's range, by rtol."""
    changes = {}
    for tolerance in (1e-4, 1e-5):
        flow = problem.flow(Adams(steps=ByTolerance(rtol=tolerance, atol=tolerance)))
        back = flow.decode(flow.encode(problem.x).x).x
        changes[f"{tolerance:g}"] = float(jnp.abs(back - problem.x).max() / jnp.ptp(problem.x))
    print("round trip", changes)
    return changes


def speed(problem: Problem) -> dict[str, Any]:
    """Seconds an image: ours at no more than the host loop's error at 10⁻⁵, against it; paired."""
    host = HostLoop(problem, fused=False)
    log_prob, host_calls = host(1e-5)
    target = problem.error(jnp.asarray(log_prob))
    tried = (
        (t, *problem.point(Adams(steps=ByTolerance(rtol=t, atol=t)))) for t in problem.tolerances
    )
    tolerance, calls, error = next(point for point in tried if point[2] <= target)
    integrator = Adams(steps=ByTolerance(rtol=tolerance, atol=tolerance))
    ours, theirs = [], []
    for _ in range(5):
        start = time.perf_counter()
        problem.solve(integrator).log_prob.block_until_ready()
        middle = time.perf_counter()
        host(1e-5)
        ours.append(middle - start)
        theirs.append(time.perf_counter() - middle)
    num = len(problem.x)
    report = {
        "ours": statistics.median(ours) / num,
        "host": statistics.median(theirs) / num,
        "ratio": statistics.median(b / a for a, b in zip(ours, theirs, strict=True)),
        "tolerance": tolerance,
        "error": error,
        "host_error": target,
        "calls": calls,
        "host_calls": host_calls,
    }
    print("seconds an image", report)
    return report
