"""Solvers of other packages on the same mixture: those that are installed, in float64.

    pip install torch diffusers k-diffusion azula

Each gets the exact denoiser, starts at σ = 80, and spends its evaluations on N steps of which the
last goes to σ = 0, which is a denoising; the grid is the package's own kind, down to `least`. (The
DEIS of diffusers is left out: it is not finite where the last σ is 0.)
"""

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.mixture8 import MOST, Mixture8

Run = Callable[[int, float], np.ndarray]
"""(evaluations, least σ above 0) → end points."""


def peers(problem: Mixture8) -> Iterator[tuple[str, Run]]:
    """Names and how to run them."""
    if importlib.util.find_spec("torch") is None:
        return
    denoise = _denoiser(problem)
    if importlib.util.find_spec("diffusers"):
        yield from _diffusers(problem, denoise)
    if importlib.util.find_spec("k_diffusion"):
        yield from _k_diffusion(problem, denoise)


def _denoiser(problem: Mixture8) -> Callable:
    """E[x_0 | x, σ] in torch."""
    import torch

    weights, means, stds = (torch.tensor(a) for a in (problem.weights, problem.means, problem.stds))

    def denoise(x: Any, sigma: Any) -> Any:
        variance = stds**2 + torch.as_tensor(sigma, dtype=torch.float64).reshape(-1)[0] ** 2
        gaps = x[:, None] - means
        log = torch.log(weights) - (gaps**2).sum(-1) / 2 / variance - 4 * torch.log(variance)
        posterior = torch.softmax(log, -1)[..., None]
        return (posterior * (means + (stds**2 / variance)[:, None] * gaps)).sum(1)

    return denoise


def _levels(kind: str, num: int, least: float) -> np.ndarray:
    """num levels from 80 to least, then 0."""
    if kind == "karras":
        levels = np.linspace(MOST ** (1 / 7), least ** (1 / 7), num) ** 7
    else:
        levels = np.exp(np.linspace(np.log(MOST), np.log(least), num))
    return np.append(levels, 0.0)


def _diffusers(problem: Mixture8, denoise: Callable) -> Iterator[tuple[str, Run]]:
    import diffusers
    import torch

    def run(make: Callable, kind: str, calls: int, least: float) -> np.ndarray:
        scheduler = make()
        scheduler.set_timesteps(calls)
        scheduler.sigmas = torch.tensor(_levels(kind, calls, least))
        scheduler.timesteps = torch.arange(calls)
        scheduler.num_inference_steps = calls
        # Its coordinate is variance preserving: x/√(1 + σ²).
        x = torch.tensor(MOST * problem.latents) / np.sqrt(1 + MOST**2)
        for i in range(calls):
            sigma = scheduler.sigmas[i]
            data = denoise(x * torch.sqrt(1 + sigma**2), sigma)
            x = scheduler.step(data, scheduler.timesteps[i], x).prev_sample
        return x.numpy()

    common = {"prediction_type": "sample", "lower_order_final": True}
    multistep = diffusers.DPMSolverMultistepScheduler
    for name, kind, make in (
        ("diffusers DPM++ 2M", "karras", lambda: multistep(solver_order=2, **common)),
        ("diffusers DPM++ 3M", "log_snr", lambda: multistep(solver_order=3, **common)),
        (
            "diffusers UniPC-3",
            "log_snr",
            lambda: diffusers.UniPCMultistepScheduler(solver_order=3, **common),
        ),
    ):
        yield name, lambda calls, least, make=make, kind=kind: run(make, kind, calls, least)


def _k_diffusion(problem: Mixture8, denoise: Callable) -> Iterator[tuple[str, Run]]:
    import torch
    from k_diffusion import sampling

    def run(sample: Callable, kind: str, calls: int, least: float) -> np.ndarray:
        # Heun's method has two evaluations a step but for the last.
        steps = (calls + 1) // 2 if sample is sampling.sample_heun else calls
        levels = torch.tensor(_levels(kind, steps, least))
        x = torch.tensor(MOST * problem.latents)
        return sample(denoise, x, levels, disable=True).numpy()

    for name, kind, sample in (
        ("k-diffusion Heun", "karras", sampling.sample_heun),
        ("k-diffusion LMS-4", "karras", sampling.sample_lms),
        ("k-diffusion DPM++ 2M", "karras", sampling.sample_dpmpp_2m),
    ):
        yield name, lambda calls, least, s=sample, kind=kind: run(s, kind, calls, least)
