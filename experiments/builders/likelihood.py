"""From the `likelihood` section to an integrator, a divergence, and where the flow starts."""

import sys

from jax import Array

from experiments.builders.model import t_min_of
from experiments.config_schema.lookup import lookup, one_of
from experiments.config_schema.sections import LikelihoodConfig
from experiments.data import Codec
from experiments.data.dequantization import dequantizations, noise_to_signal_min
from experiments.errors import UserError
from samplers import (
    REPLICATES,
    Adams,
    ByTolerance,
    Divergence,
    Equal,
    Exact,
    Hutchinson,
    Integrator,
    RungeKutta,
    pairs,
    probe_kinds,
)
from sde_lib import SDE, Gaussian

# Below it rounding in float32, 6e-8 of every term, decides which steps are accepted.
_MIN_RTOL = 1e-6


def build_integrator(config: LikelihoodConfig, *, finer: bool = False) -> Integrator:
    """Build the integrator of the section `likelihood`.

    Args:
      config: the section.
      finer: whether to take twice the steps, or a tenth of the tolerances.
    """
    if config.num_steps:
        num = config.num_steps * (1 + finer)
        if config.solver == "adams":
            # With the history that benchmarks/likelihood.py measures equal steps with.
            return Adams(history=3, steps=Equal(num=num, grading=config.grading))
        return RungeKutta(tableau=config.solver, steps=Equal(num=num))
    share = 10 if finer else 1
    steps = ByTolerance(rtol=config.rtol / share, atol=config.atol / share)
    if config.solver == "adams":
        return Adams(steps=steps)
    return RungeKutta(tableau=config.solver, steps=steps)


def make_divergence(
    config: LikelihoodConfig,
    key: Array,
    shape: tuple[int, ...],
    indices: Array,
    control: Gaussian | None,
) -> Divergence:
    """Build the divergence of the section `likelihood`.

    Args:
      config: the section.
      key: of the probes, which depend on (key, indices[i]) alone.
      shape: of the states, [B, ...].
      indices: [B], the examples' places in the data.
      control: Gaussian of the data, for Hutchinson's control variate; None for none.
    """
    if config.divergence == "exact":
        return Exact(chunk=config.chunk)
    return Hutchinson.draw(
        key, shape, config.probes, kind=config.probe_kind, indices=indices, control=control
    )


def likelihood_t_min(config: LikelihoodConfig, process: SDE, codec: Codec) -> float:
    """The time at which the flow of a likelihood starts.

    It is where σ/α has the value of the config, else the value that the dequantization takes. Under
    an SDE that never has so little noise it is t = 0; a line says so where the value was given.

    Raises:
      UserError: σ/α is never so large.
    """
    asked = config.noise_to_signal_min
    if asked is None:
        asked = noise_to_signal_min(config.dequantization, codec)
    most = float(process.noise_to_signal(1.0))
    if asked >= most:
        raise UserError(
            f"likelihood.noise_to_signal_min: got {asked:g}, takes less than {most:g}, σ/α at t = 1"
        )
    t_min = t_min_of(None, asked, process)
    got = float(process.noise_to_signal(t_min))
    if config.noise_to_signal_min is not None and got > 1.01 * asked:
        print(
            f"likelihood.noise_to_signal_min: got {asked:g}, below σ/α = {got:g} at t = 0, which "
            "is used",
            file=sys.stderr,
        )
    return t_min


def check_likelihood(config: LikelihoodConfig) -> None:
    """Check the names and ranges of the section `likelihood`.

    Raises:
      UserError: the first that is wrong.
    """
    one_of(config.solver, ("adams", *pairs()), "likelihood.solver", "solver")
    lookup(probe_kinds, config.probe_kind, "likelihood.probe_kind")
    lookup(dequantizations, config.dequantization, "likelihood.dequantization")
    if not config.num_steps and config.rtol < _MIN_RTOL:
        raise UserError(
            f"likelihood.rtol: got {config.rtol:g}, takes {_MIN_RTOL:g} or more: float32 has no "
            "more digits"
        )
    if config.num_times % REPLICATES:
        raise UserError(
            f"likelihood.num_times: got {config.num_times}, takes a multiple of {REPLICATES}"
        )
    if config.estimator == "elbo" and config.dequantization != "uniform":
        raise UserError(
            f"likelihood.dequantization: got {config.dequantization!r}, takes 'uniform' with "
            "estimator 'elbo', whose data are not states at t_min"
        )
