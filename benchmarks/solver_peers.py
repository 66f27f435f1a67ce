"""Solvers of other packages on the same mixture: those that are installed, in float64.

    pip install torch diffusers k-diffusion azula flow_matching

Each gets the exact denoiser, starts at σ = 80, and spends its evaluations on N steps of which the
last goes to σ = 0, which is a denoising; the grid is the package's own kind, down to `least`. (The
DEIS of diffusers is left out: it is not finite where the last σ is 0.)
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.mixture8 import MAX_SIGMA, Mixture8

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
    if importlib.util.find_spec("azula"):
        yield from _azula(problem, denoise)
    if importlib.util.find_spec("flow_matching"):
        yield from _flow_matching(problem, denoise)


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
        levels = np.linspace(MAX_SIGMA ** (1 / 7), least ** (1 / 7), num) ** 7
    else:
        levels = np.exp(np.linspace(np.log(MAX_SIGMA), np.log(least), num))
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
        x = torch.tensor(MAX_SIGMA * problem.latents) / np.sqrt(1 + MAX_SIGMA**2)
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
        yield name, partial(run, make, kind)


def _k_diffusion(problem: Mixture8, denoise: Callable) -> Iterator[tuple[str, Run]]:
    import torch
    from k_diffusion import sampling

    def run(sample: Callable, kind: str, calls: int, least: float) -> np.ndarray:
        # Heun's method has two evaluations a step but for the last.
        steps = (calls + 1) // 2 if sample is sampling.sample_heun else calls
        levels = torch.tensor(_levels(kind, steps, least))
        x = torch.tensor(MAX_SIGMA * problem.latents)
        return sample(denoise, x, levels, disable=True).numpy()

    for name, kind, sample in (
        ("k-diffusion Heun", "karras", sampling.sample_heun),
        ("k-diffusion LMS-4", "karras", sampling.sample_lms),
        ("k-diffusion DPM++ 2M", "karras", sampling.sample_dpmpp_2m),
    ):
        yield name, partial(run, sample, kind)


def _azula(problem: Mixture8, denoise: Callable) -> Iterator[tuple[str, Run]]:
    """Its Adams–Bashforth methods, uniform in log σ, or in σ/(1 + σ) for the velocity."""
    import types

    import torch
    from azula import sample

    def sigma_at(kind: str, t: Any, least: float) -> Any:
        if kind == "log_snr":
            return torch.exp(np.log(least) + t * np.log(MAX_SIGMA / least))
        first, last = least / (1 + least), MAX_SIGMA / (1 + MAX_SIGMA)
        u = first + t * (last - first)
        return u / (1 - u)

    def run(method: type, kind: str, calls: int, least: float) -> np.ndarray:
        def schedule(t: Any) -> tuple:
            return torch.ones_like(t), sigma_at(kind, t, least)

        class Denoiser:
            def __init__(self) -> None:
                self.schedule = schedule

            def __call__(self, x: Any, t: Any) -> Any:
                return types.SimpleNamespace(mean=denoise(x, schedule(t)[1]))

        sampler = method(Denoiser(), order=3, steps=calls - 1, silent=True, dtype=torch.float64)
        x = sampler(torch.tensor(MAX_SIGMA * problem.latents))
        return denoise(x, torch.tensor(least)).numpy()

    for name, kind, method in (
        ("azula velocity AB-3", "rectified", sample.vABSampler),
        ("azula data exponential AB-3", "log_snr", sample.xEABSampler),
        ("azula noise exponential AB-3", "log_snr", sample.zEABSampler),
    ):
        yield name, partial(run, method, kind)


def _flow_matching(problem: Mixture8, denoise: Callable) -> Iterator[tuple[str, Run]]:
    """Its fixed steps from x = t data + (1 − t) noise, uniform in t."""
    import torch
    from flow_matching.solver import ODESolver

    def velocity(x: Any, t: Any) -> Any:
        data = denoise(x / t, (1 - t) / t)
        return data - (x - t * data) / (1 - t)

    def run(method: str, stages: int, calls: int, least: float) -> np.ndarray:
        first, last = 1 / (1 + MAX_SIGMA), 1 / (1 + least)
        times = torch.linspace(first, last, (calls - 1) // stages + 1, dtype=torch.float64)
        x = first * torch.tensor(MAX_SIGMA * problem.latents)
        solver = ODESolver(velocity_model=velocity)
        x = solver.sample(x, step_size=None, method=method, time_grid=times)
        return denoise(x / last, torch.tensor(least)).numpy()

    for name, method, stages in (
        ("flow_matching midpoint", "midpoint", 2),
        ("flow_matching RK4", "rk4", 4),
    ):
        yield name, partial(run, method, stages)
