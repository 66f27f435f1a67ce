"""Point sets of the plane, centred and of about unit scale: the quickest to fit and to see."""

import numpy as np

from experiments.data.source import Request, sources
from experiments.data.split import Split
from experiments.errors import UserError
from sde_lib.registry import Registry

NUM = {"train": 20_000, "test": 5_000}
SEED = {"train": 0, "test": 1}

# Each entry draws points [n, 2], and labels int [n], or vectors float [n, D] in place of labels, or
# None. Coordinates have mean 0 and a root mean square of 1 over both, and vectors mean 0 and
# deviation 1, by the entry's own constants, so that the two splits have the same distribution.
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
    points, cond = draw(np.random.RandomState(SEED[request.split]), NUM[request.split])
    points = points.astype(np.float32)
    if cond is None or cond.ndim == 1:
        return Split.of(points, None if cond is None else cond.astype(np.int32))
    dim = cond.shape[1]
    return Split.of(points, vectors=cond, cond_mean=(0.0,) * dim, cond_std=(1.0,) * dim)


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


def regression_moments(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and deviations of `toy:regression`, p(x | c) = N(x; m(c), s(c)² I), in closed form.

        u = c/√3,   m(c) = a (√3 u, √2 sin πu),   s(c) = 0.2 + 0.1 u,   a² = 1 − E s²        (1)

    for c uniform in [−√3, √3]: along a wave, and ever wider.

    Args:
      c: [n].

    Returns:
      m [n, 2] and s [n].
    """
    u = c / np.sqrt(3)
    # E u² = 1/3, so that E s² = 0.04 + 0.01/3; E sin² πu = 1/2.
    scale = np.sqrt(1 - 0.04 - 0.01 / 3)
    return scale * np.stack([c, np.sqrt(2) * np.sin(np.pi * u)], axis=-1), 0.2 + 0.1 * u


@toys.register("regression")
def _regression(rng, num):
    """A Gaussian whose mean and deviation depend on a number, a vector [n, 1]; eq. 1."""
    c = rng.uniform(-np.sqrt(3), np.sqrt(3), size=num)
    mean, std = regression_moments(c)
    return mean + std[:, None] * rng.normal(size=(num, 2)), c[:, None]
