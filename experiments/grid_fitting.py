"""The times at which a solver's steps suit a trained model best."""

import json

import jax
import numpy as np

import samplers
from experiments import solver_choice
from experiments.errors import UserError
from experiments.finite import reason
from experiments.trained import Trained


def fit(trained: Trained, name: str, seed: int) -> str:
    """Fit, keep it in the workdir, and say what it has gained.

    Raises:
      UserError: the name is taken, or the solver draws noise.
    """
    config, data_std = trained.experiment.sampling, trained.experiment.data.std
    file = trained.workdir.folder("grids") / f"{name}.json"
    if file.exists():
        raise UserError(f"--name: {name} is taken, takes a new name")
    if solver_choice.is_adaptive(config):
        raise UserError(f"--solver: got {config.solver!r}, takes a solver on a grid")
    solver = solver_choice.solver(config, data_std)
    if solver.draws or solver.lifts:
        raise UserError(f"--solver: got {config.solver!r}, takes one that draws no noise")
    fitted = samplers.fit_grid(
        jax.random.key(seed),
        trained.sde,
        trained.model,
        (min(config.batch_size, 64), *trained.train.shape),
        solver=solver,
        num_steps=solver_choice.num_steps(config, data_std),
        t_min=solver_choice.sampling_t_min(config, trained.sde),
        data_std=data_std,
        denoise=config.denoise,
    )
    if not np.isfinite(fitted.after):
        why = reason(config, trained.sde, data_std, None)
        raise UserError(f"fit_grid: the error is not finite: {why}")
    levels = [float(n) for n in np.asarray(fitted.noise_to_signal)]
    kept = {
        "solver": config.solver,
        "step": trained.step,
        "noise_to_signal": levels,
        "error_of_the_uniform_grid": float(fitted.before),
        "error": float(fitted.after),
    }
    file.write_text(json.dumps(kept, indent=2) + "\n")
    return (
        f"RMS error at the end, on other latents: {fitted.before:.2e} on the grid uniform in the "
        f"angle, {fitted.after:.2e} on this one\n{file}\n"
        f"use: scoresde sample --workdir={trained.workdir.path} --solver={config.solver} "
        f"--grid=fitted:{name}"
    )
