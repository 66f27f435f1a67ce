"""Every whole number from 0 to 2⁶³ − 1 is a seed of its own; others are refused."""

import jax
import numpy as np
import pytest

from experiments.cli import main
from experiments.errors import UserError
from experiments.runtime import seeds
from experiments.sampling.latents import between
from tests.experiments.conftest import TOY

LARGE = (2**31, 2**32 - 1, 2**32, 2**32 + 7, 2**53 + 1, 2**63 - 1)


@pytest.mark.parametrize("seed", [0, 7, *LARGE])
def test_a_key_is_the_two_words_of_its_seed(seed):
    words = np.asarray(jax.random.key_data(seeds.key_of(seed)))
    assert (int(words[0]) << 32) + int(words[1]) == seed
    # JAX's own key, where 64-bit types are on: what the numbers of earlier versions were drawn by.
    with jax.enable_x64(True):
        np.testing.assert_array_equal(words, jax.random.key_data(jax.random.key(seed)))


def test_streams_of_numbers_are_apart():
    """NumPy pads words with zeros: [2³², 0] would be the order of seed 0 in epoch 1."""
    drawn = {
        (seed, number, stream): tuple(seeds.generator(seed, number, stream).integers(2**62, size=2))
        for seed in (0, 1, *LARGE)
        for number in (0, 1, 2)
        for stream in (seeds.ORDER, seeds.CROPS)
    }
    assert len(set(drawn.values())) == len(drawn)
    # As it was before seeds had two words.
    assert drawn[1, 2, seeds.ORDER] == tuple(np.random.default_rng([1, 2]).integers(2**62, size=2))


def test_what_is_drawn_differs():
    small, large = (between(seed, 2, 2, (3,)) for seed in (0, 2**32))
    assert np.abs(small - large).min() > 1e-3


@pytest.mark.parametrize("seed", [-1, 2**63, 2**70])
def test_others_are_refused(seed, trained, tmp_path, capsys):
    with pytest.raises(UserError, match=rf"^seed: got {seed}, takes a whole number from 0 to"):
        seeds.key_of(seed)
    named = [f"--workdir={trained}", f"--seed={seed}"]
    new = tmp_path / "run"
    for command in (
        ["sample", *named],
        ["likelihood", *named],
        ["fit_grid", *named, "--steps=2", "--name=x"],
        ["train", *TOY, f"--workdir={new}", f"--config.seed={seed}"],
        ["demo", f"--workdir={new}", f"--config.seed={seed}"],
    ):
        assert main(command) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert f"seed: got {seed}, takes a" in captured.err
    assert not new.exists()
