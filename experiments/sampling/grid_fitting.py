"""The times at which a solver's steps suit a trained model best."""

import re
from typing import Any

import numpy as np

import samplers
from experiments import paths
from experiments.builders.grid import sampling_t_min
from experiments.builders.method import GridMethod
from experiments.builders.sampling import method_of
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.sampling.conditions import check_guidance, condition_of
from experiments.sampling.diagnosis import reason
from experiments.workdir.results import JSON, Result
from experiments.workdir.trained_model import TrainedModel

_LATENTS = 64
"""At most so many latents are fitted to, and as many others measure: with at least one residual
each, many more than the eight unknowns of a grid."""


def fit(trained: TrainedModel, name: str, seed: int) -> str:
    """Fit a grid, keep it in the workdir, and say what it has gained.

    Args:
      trained: the model, whose experiment names the solver and the number of steps.
      name: the grid's, for `--grid=fitted:NAME`.
      seed: of the latents.

    Returns:
      What was gained, where the grid is, and how to use it, for a person to read.

    Raises:
      UserError: the name is none or that of another grid, the solver draws noise, or the folder
        cannot be written.
    """
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise UserError(f"--name: got {name!r}, takes letters, digits, '_', '.' and '-'")
    config = trained.experiment.sampling
    method = method_of(trained.experiment, trained.sde).on_grid()
    if method.solver.draws or method.solver.renoises:
        raise UserError(f"--solver: got {config.solver!r}, takes one that draws no noise")
    how = {
        "num_steps": method.num_steps,
        "t_min": sampling_t_min(config, trained.sde),
        "data_std": trained.experiment.data.std,
        "denoise": config.denoise,
    }
    check_guidance(trained.experiment)
    num = min(config.batch_size, _LATENTS)
    protocol = {**trained.protocol, **how, "solver": repr(method.solver), "seed": seed, "num": num}
    protocol |= {"guidance": config.guidance} if trained.experiment.model.conditional else {}
    result = Result(trained.workdir.grids / name, protocol, flag="--name")
    note = "fitted before, by the same protocol\n"
    if not result.is_there():
        result.record(_fitted(trained, method, seed, num, how))
        note = ""
    return note + _summary(trained, config.solver, result)


def _fitted(
    trained: TrainedModel, method: GridMethod, seed: int, num: int, how: dict[str, Any]
) -> dict[str, Any]:
    """A fitted grid and what it has gained, for its file.

    Raises:
      UserError: the error is not finite.
    """
    fitted = samplers.fit_grid(
        seeds.key_of(seed),
        trained.sde,
        samplers.guided(trained.model, trained.sde, scale=method.config.guidance),
        (num, *trained.train.shape),
        solver=method.solver,
        cond=condition_of(trained.experiment, trained.train, num),
        **how,
    )
    if not np.isfinite(fitted.after):
        why = reason(method.config, method.sampler, trained.sde)
        raise UserError(f"fit_grid: the error is not finite: {why}")
    return {
        "solver": method.config.solver,
        "step": trained.step,
        "noise_to_signal": [float(n) for n in np.asarray(fitted.noise_to_signal)],
        "error_of_the_uniform_grid": float(fitted.before),
        "error": float(fitted.after),
    }


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
