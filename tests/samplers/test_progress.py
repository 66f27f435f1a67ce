"""The progress bar over a compiled loop."""

from functools import partial

import jax
from numpy.testing import assert_allclose

from samplers import Ancestral, grids, progress, sample
from sde_lib import VP
from tests.cases import mixture

SDE = VP()
KEY = jax.random.key(0)
GRID = grids["uniform"](SDE, 6, 1e-2)


def test_a_bar_counts_every_evaluation(monkeypatch):
    """It says how many evaluations there are, gets there, is closed, and changes nothing."""
    bars = []

    class Bar:
        def __init__(self, total, **options):
            self.total, self.n, self.closed = total, 0, False
            bars.append(self)

        def update(self, by):
            self.n += by

        def close(self):
            self.closed = True

    monkeypatch.setattr("samplers.progress.tqdm", Bar)
    options = {"solver": Ancestral(), "grid": GRID, "denoise": True}
    run = partial(sample, KEY, SDE, mixture().model(SDE), (3, 2), **options)
    silent = run().x
    assert not bars
    loud = jax.block_until_ready(run(progress=True).x)
    jax.effects_barrier()
    assert [(bar.total, bar.n, bar.closed) for bar in bars] == [(7, 7, True)]
    # The bar is another program, so its float32 may be fused in another way.
    assert_allclose(loud, silent, atol=1e-5)


def test_there_is_no_bar_where_jax_names_no_cpu(monkeypatch):
    """JAX calls the host through a CPU device, and stops the program that does where there is none,
    as with JAX_PLATFORMS=cuda.
    """

    def calls_host():
        return "callback" in str(jax.make_jaxpr(lambda number: progress.report(number, 7))(0))

    def no_cpu(**_):
        raise RuntimeError("Unknown backend cpu")

    assert calls_host()
    monkeypatch.setattr(jax, "local_devices", no_cpu)
    assert not calls_host()
