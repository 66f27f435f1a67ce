"""The times at which a solver's steps suit a trained model best."""

import re
from typing import Any

import numpy as np

import samplers
from experiments import paths
from experiments.builders.grid import sampling_t_min
from experiments.builders.sampling import method_of
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.sampling.diagnosis import reason
from experiments.workdir.results import JSON, Result
from experiments.workdir.trained_model import TrainedModel

_LATENTS = 64
"""At most so many are fitted to, and as many others measure."""


def fit(trained: TrainedModel, name: str, seed: int) -> str:
    """Fit, keep it in the workdir, and say what it has gained.

    Raises:
      UserError: the name is none or that of another grid, the solver draws noise, or the folder
        cannot be written.
    """
    config, data_std = trained.experiment.sampling, trained.experiment.data.std
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise UserError(f"--name: got {name!r}, takes letters, digits, '_', '.' and '-'")
    method = method_of(trained.experiment, trained.sde).on_grid()
    solver = method.solver
    if solver.draws or solver.renoises:
        raise UserError(f"--solver: got {config.solver!r}, takes one that draws no noise")
    how: dict[str, Any] = {
        "num_steps": method.num_steps,
        "t_min": sampling_t_min(config, trained.sde),
        "data_std": data_std,
        "denoise": config.denoise,
    }
    num = min(config.batch_size, _LATENTS)
    result = Result(
        trained.workdir.grids / name,
        {
            **trained.protocol,
            **how,
            "solver": repr(solver),
            "seed": seed,
            "num": num,
        },
        flag="--name",
    )
    before = result.is_there()
    if not before:
        fitted = samplers.fit_grid(
            seeds.key_of(seed),
            trained.sde,
            trained.model,
            (num, *trained.train.shape),
            solver=solver,
            **how,
        )
        if not np.isfinite(fitted.after):
            why = reason(config, method.sampler, trained.sde)
            raise UserError(f"fit_grid: the error is not finite: {why}")
        result.record(
            {
                "solver": config.solver,
                "step": trained.step,
                "noise_to_signal": [float(n) for n in np.asarray(fitted.noise_to_signal)],
                "error_of_the_uniform_grid": float(fitted.before),
                "error": float(fitted.after),
            }
        )
    told = "fitted before, by the same protocol\n" if before else ""
    return told + _summary(trained, config.solver, result)


def _summary(trained: TrainedModel, solver: str, result: Result) -> str:
    """What the grid has gained, where it is, and how to use it, in three lines."""
    report, workdir = result.report, trained.workdir.path
    use = f"--grid=fitted:{result.path.name}"
    return (
        "RMS error at the end, on other latents: "
        f"{report['error_of_the_uniform_grid']:.2e} on the grid uniform in the angle, "
        f"{report['error']:.2e} on this one\n{result.file(JSON)}\n"
        f"use: {paths.command('sample', f'--workdir={workdir}', f'--solver={solver}', use)}"
    )
