"""Measures batches of examples: log-densities by the ODE or the variational bound, in bits/dim."""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh

import samplers
from experiments.builders.likelihood import build_integrator, likelihood_t_min, make_divergence
from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.data.dequantization import dequantize
from experiments.data.experiment_split import split_of
from experiments.errors import UserError
from experiments.likelihood.control_variate import MAX_DIMENSIONS, data_gaussian
from experiments.runtime import seeds
from experiments.runtime.devices import check_batch, replicated, sharded
from samplers import Hutchinson, noise
from samplers.divergence import value_and_divergence
from sde_lib import SDE, Condition, Gaussian, Model


class Estimator:
    """Measures batches of examples as the experiment's `likelihood` section says.

    Args:
      experiment: the experiment.
      sde: its SDE.
      model: its model.
      train: the training split, read only where a Gaussian is fitted to it.
      seed: of the draws.
      mesh: the devices that share a batch.
    """

    def __init__(
        self,
        experiment: Experiment,
        sde: SDE,
        model: Model,
        train: Split,
        seed: int,
        mesh: Mesh,
    ):
        config = experiment.likelihood
        check_batch(mesh, config.batch_size, "likelihood.batch_size")
        self.config, self.sde, self.mesh = config, sde, mesh
        self.model = jax.device_put(model, replicated(mesh))
        self.conditional = experiment.model.conditional
        self.data_std, self.key = experiment.data.std, seeds.key_of(seed)
        self.t_min = likelihood_t_min(config, sde, train.codec)
        self.control = _control(experiment, train)
        self.time_std = (
            self.data_std if self.control is None else jnp.sqrt(self.control.eigenvalues)
        )
        if config.probe_kind == "orthogonal" and config.probes > math.prod(train.shape):
            raise UserError(
                f"likelihood.probes: got {config.probes} orthogonal ones, takes at most the "
                f"{math.prod(train.shape)} dimensions"
            )

    @property
    def degrees_of_freedom(self) -> int:
        """Of the standard error of one draw, in Student's t."""
        if self.config.estimator == "elbo":
            return samplers.REPLICATES - 1
        return self.config.probes - 1

    def batch(
        self,
        dataset: Split,
        rows: np.ndarray,
        *,
        cond: Condition | None = None,
        finer: bool = False,
    ) -> dict:
        """The fields of a `Likelihood` for some rows of a data set.

        Args:
          dataset: whose examples.
          rows: their numbers [B].
          cond: what a conditional model is given, [B]; None for the examples' own.
          finer: solve twice as finely.
        """
        start = time.perf_counter()
        integrator = build_integrator(self.config, finer=finer)
        examples = dataset.read(np.minimum(rows, dataset.num - 1))
        cond = (examples.cond if cond is None else cond) if self.conditional else None
        inputs = jax.device_put((examples.values, cond, jnp.asarray(rows)), sharded(self.mesh))
        draws = [
            jax.device_get(
                self._draw(jax.random.fold_in(self.key, r), dataset, integrator, *inputs)
            )
            for r in range(self.config.repeats)
        ]
        stacked = {name: np.stack([draw[name] for draw in draws], axis=-1) for name in draws[0]}
        each = (time.perf_counter() - start) / len(rows)
        return stacked | {
            "evaluations": stacked["evaluations"].sum(axis=-1),
            "seconds": np.full(len(rows), each),
        }

    def _draw(
        self,
        key: Array,
        dataset: Split,
        integrator: Any,
        values: Array,
        cond: Condition | None,
        indices: Array,
    ) -> dict[str, Array]:
        dim, name = math.prod(dataset.shape), self.config.dequantization
        keys = noise.stream(noise.example_keys(key, indices), "dequantization")
        drawn = dequantize(name, keys, values, dataset.codec, self.sde, self.t_min)
        log_prob, error, evaluations = self._log_prob(key, drawn.x, cond, indices, integrator)
        return {
            "draws": -(log_prob + drawn.entropy) / dim / math.log(2),
            "probe_errors": error / dim / math.log(2),
            "log_weights": log_prob - drawn.log_q,
            "evaluations": evaluations,
        }

    def _log_prob(
        self, key: Array, x: Array, cond: Condition | None, indices: Array, integrator: Any
    ) -> tuple[Array, Array, Array]:
        """log p(x | cond) in nats, its standard error and evaluations, [B] each."""
        if self.config.estimator == "elbo":
            return samplers.elbo(
                key,
                self.sde,
                self.model,
                x,
                t_min=self.t_min,
                num_times=self.config.num_times,
                data_std=self.time_std,
                cond=cond,
                indices=indices,
            )
        flow = samplers.ProbabilityFlow(
            sde=self.sde,
            model=self.model,
            cond=cond,
            t_min=self.t_min,
            data_std=self.data_std,
            integrator=integrator,
        )
        divergence = make_divergence(self.config, key, x.shape, indices, self.control)
        result = flow.log_prob(x, divergence)
        return result.log_prob, result.standard_error, result.evaluations

    def exact_hours(self, dataset: Split, num: int) -> float:
        """How long the exact divergence of `num` examples takes, from the time of one product."""
        size = self.config.batch_size
        examples = dataset.read(np.arange(min(size, dataset.num)))
        x, cond = dataset.codec.encode(jnp.asarray(examples.values)), None
        if self.conditional:
            cond = jax.tree.map(jnp.asarray, examples.cond)
        probe = Hutchinson.draw(self.key, x.shape)

        @jax.jit
        def product(model: Model, x: Array) -> Array:
            return value_and_divergence(lambda x: model(x, 0.5, cond).noise, x, probe)[1]

        product(self.model, x).block_until_ready()
        start = time.perf_counter()
        product(self.model, x).block_until_ready()
        evaluations = 50 * math.prod(dataset.shape) * math.ceil(num / size) * self.config.repeats
        return evaluations * (time.perf_counter() - start) / 3600


def _control(experiment: Experiment, train: Split) -> Gaussian | None:
    """The Gaussian of the training data, where the divergence or the bound takes one.

    Raises:
      UserError: the data cannot be loaded.
    """
    config = experiment.likelihood
    uses = config.estimator == "elbo" or config.divergence == "hutchinson"
    if not (config.control and uses) or math.prod(train.shape) > MAX_DIMENSIONS:
        return None
    try:
        return data_gaussian(split_of(experiment, "train").load())
    except UserError as error:
        raise UserError(
            f"{error}; or --config.likelihood.control=False, which needs no training data"
        ) from error
