"""Point sets of the plane, centred and of about unit scale: the quickest to fit and to see."""

import numpy as np

from experiments.data.source import Request, sources
from experiments.data.split import Split
from experiments.errors import UserError
from sde_lib.registry import Registry

NUM = {"train": 20_000, "test": 5_000}
SEED = {"train": 0, "test": 1}

# Each entry draws (points [n, 2], labels [n] or None); its coordinates have mean 0 and a root mean
# square of 1 over both, by its own constants, so that the two splits have the same distribution.
toys = Registry("toy data set")


@sources.register("toy")
def open_toy(request: Request) -> Split:
    """20,000 points to train on and 5,000 to test on, from fixed seeds.

    Raises:
      UserError: no such point set, or an image size is given.
    """
    if request.image_size is not None:
        raise UserError(f"data.image_size: got {request.image_size}; points take None")
    try:
        draw = toys[request.argument]
    except ValueError as error:
        raise UserError(f"data.source: {error}") from error
    # RandomState, because NumPy promises that its stream never changes between versions.
    points, labels = draw(np.random.RandomState(SEED[request.split]), NUM[request.split])
    return Split.of(points.astype(np.float32), None if labels is None else labels.astype(np.int32))


def _polar(radius, angle) -> np.ndarray:
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


@toys.register("moons")
def _moons(rng, num):
    """Two interleaved half circles, labelled."""
    label = rng.randint(2, size=num)
    x, y = _polar(1.0, np.pi * rng.uniform(size=num)).T
    # The second moon is the first one turned by half a turn about (1/2, 1/4).
    points = np.where(label == 0, [x - 0.5, y - 0.25], [0.5 - x, 0.25 - y]).T
    noise = 0.05
    # E(x − ½)² = ¾ and E(y − ¼)² = ½ − 1/π + 1/16.
    scale = np.sqrt((0.75 + 0.5625 - 1 / np.pi) / 2 + noise**2)
    return (points + noise * rng.normal(size=(num, 2))) / scale, label


@toys.register("checkerboard")
def _checkerboard(rng, num):
    """The dark fields of a 4×4 board, uniformly; a side of 2√3 gives unit variance."""
    column = rng.randint(4, size=num)
    row = 2 * rng.randint(2, size=num) + column % 2
    corner = np.stack([column, row], axis=-1)
    return ((corner + rng.uniform(size=(num, 2))) / 2 - 1) * np.sqrt(3.0), None


@toys.register("rings")
def _rings(rng, num):
    """Three concentric rings of radii 1 : 2 : 3, labelled, with normal noise."""
    label = rng.randint(3, size=num)
    noise = 0.05
    # Half the mean squared radius and the noise make the variance: unit·(1 + 4 + 9)/6 + noise².
    unit = np.sqrt((1 - noise**2) * 6 / 14)
    points = _polar(unit * (label + 1), 2 * np.pi * rng.uniform(size=num))
    return points + noise * rng.normal(size=(num, 2)), label


@toys.register("mixture")
def _mixture(rng, num):
    """Eight Gaussians on a circle, labelled."""
    label = rng.randint(8, size=num)
    noise = 0.15
    radius = np.sqrt(2 * (1 - noise**2))
    return _polar(radius, label * np.pi / 4) + noise * rng.normal(size=(num, 2)), label


@toys.register("spiral")
def _spiral(rng, num):
    """Two arms of a spiral of 1½ turns, labelled."""
    label = rng.randint(2, size=num)
    noise = 0.05
    # The radius is √(6(1 − noise²))·s with s uniform: half its mean square is 1 − noise².
    s = rng.uniform(size=num)
    points = _polar(np.sqrt(6 * (1 - noise**2)) * s, 3 * np.pi * s + np.pi * label)
    return points + noise * rng.normal(size=(num, 2)), label
