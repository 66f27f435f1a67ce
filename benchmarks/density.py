"""The densities that trained models of points have: pictures, and whether they integrate to 1.

    python -m benchmarks.density [--runs=runs/density]

Trains `toy2d` on the moons and on a mixture on a line (half a minute each on 2 CPU cores), then
integrates exp(log p) over a box by the rectangle rule. Written to benchmarks/results/density.json
and docs/density.png.
"""

import argparse
import math
import pathlib
from typing import Any

import jax.numpy as jnp
import numpy as np

from benchmarks.report import ROOT, into_pages, save
from benchmarks.runs import train_once
from experiments.data import Request, Split
from experiments.runtime import devices
from experiments.workdir.trained_model import TrainedModel
from samplers import Adams, ByTolerance, ProbabilityFlow

_SIDE = 200


def line(request: Request) -> Split:
    """A data source: points of a line, three normal components."""
    rng = np.random.default_rng(0 if request.split == "train" else 1)
    component = rng.choice(3, size=20_000, p=[0.3, 0.5, 0.2])
    centres, widths = np.array([-1.2, 0.0, 1.3]), np.array([0.3, 0.2, 0.15])
    points = centres[component] + widths[component] * rng.normal(size=20_000)
    return Split.of(points[:, None].astype(np.float32))


def main() -> None:
    """Train, integrate, draw, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", default="runs/density")
    runs = pathlib.Path(parser.parse_args().runs)
    devices.start()
    plane = open_trained("toy:moons", runs / "moons")
    flat = open_trained("benchmarks.density:line", runs / "line")

    edge = 3.0
    axis = np.linspace(-edge, edge, _SIDE)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(log_density(plane, grid)).reshape(_SIDE, _SIDE)
    points = np.linspace(-4, 4, 2001)[:, None]
    profile = np.exp(log_density(flat, points))
    cell = axis[1] - axis[0]
    integrals = {
        "moons": float(density.sum() * cell**2),
        "line": float(profile.sum() * (points[1, 0] - points[0, 0])),
    }
    print(integrals)
    result = {"integral": integrals}
    save("density", result)
    into_pages("density", words(result))
    draw(density, edge, plane, points[:, 0], profile, flat)


def words(result: dict[str, Any]) -> str:
    """How far the worst integral is from 1, for the docs."""
    worst = max(abs(value - 1) for value in result["integral"].values())
    return f"{math.ceil(worst * 1e4) / 1e4:.2%}".replace("%", " %")


def open_trained(source: str, workdir: pathlib.Path) -> TrainedModel:
    """Train `toy2d` on a source where it is not trained yet."""
    train_once("toy2d", [f"--config.data.source={source}"], workdir)
    return TrainedModel.open(workdir, [], devices.make_mesh())


def log_density(trained: TrainedModel, points: np.ndarray) -> np.ndarray:
    """log p of points [N, D], by the exact trace."""
    flow = ProbabilityFlow(
        sde=trained.sde,
        model=trained.model,
        t_min=float(trained.sde.time_of_noise_to_signal(1e-2)),
        data_std=trained.experiment.data.std,
        integrator=Adams(steps=ByTolerance(rtol=1e-4, atol=1e-4)),
    )
    return np.asarray(flow.log_prob(jnp.asarray(points, jnp.float32)).log_prob)


def draw(
    density: np.ndarray,
    edge: float,
    plane: TrainedModel,
    points: np.ndarray,
    profile: np.ndarray,
    flat: TrainedModel,
) -> None:
    """The data and the density of the plane; histogram and density of the line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), dpi=80, layout="constrained")
    data, learned, curve = figure.subplots(1, 3)
    values: Any = plane.dataset("train").values[:4000]
    data.plot(values[:, 0], values[:, 1], ",", color="C0")
    data.set(title="data", xlim=(-edge, edge), ylim=(-edge, edge), aspect="equal")
    extent = (-edge, edge, -edge, edge)
    shown = learned.imshow(density, origin="lower", extent=extent, cmap="magma")
    learned.set(title="density of the trained model")
    figure.colorbar(shown, ax=learned)
    sample = flat.dataset("train").values[:, 0]
    curve.hist(sample, bins=100, density=True, color="0.8", label="data")
    curve.plot(points, profile, color="C0", label="trained model")
    curve.set(title="on a line", xlim=(-3, 3))
    curve.legend()
    path = ROOT / "docs" / "density.png"
    figure.savefig(path)
    print(path)


if __name__ == "__main__":
    main()
