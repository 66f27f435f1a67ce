"""Codecs: grey levels and model units against their definition, and what pictures show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.config_schema.flags import load_experiment
from experiments.data import ContinuousCodec, PixelCodec
from experiments.data.experiment_split import split_of
from experiments.workdir.data_spec import DataSpec

CODECS = [PixelCodec(n, centered) for n in (2, 17, 256) for centered in (True, False)]
every_codec = pytest.mark.parametrize("codec", CODECS, ids=repr)


def edges(codec):
    """The ends of the bins, from the least."""
    return np.linspace(-1 if codec.centered else 0, 1, codec.levels + 1)


@every_codec
@pytest.mark.parametrize("array", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
def test_every_level_survives_the_way_to_model_units_and_back(codec, array):
    k = array(np.arange(codec.levels, dtype=codec.dtype))
    x = codec.encode(k)
    assert x.dtype == np.float32
    ends = edges(codec)
    np.testing.assert_allclose(x, (ends[1:] + ends[:-1]) / 2, atol=1e-6)
    np.testing.assert_allclose(np.diff(ends), codec.bin_width, rtol=1e-12)
    back = codec.decode(x)
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, k)


@every_codec
def test_noise_fills_the_bin_and_is_undone(codec):
    k = np.repeat(np.arange(codec.levels, dtype=np.uint8), 50)
    u = np.random.default_rng(0).uniform(1e-3, 1 - 1e-3, k.shape).astype(np.float32)
    x = codec.encode(k, u)
    ends = edges(codec)
    assert np.all((ends[:-1][k] < x) & (x < ends[1:][k]))
    np.testing.assert_allclose((x - ends[k]) / (ends[1] - ends[0]), u, atol=1e-4)
    np.testing.assert_array_equal(codec.decode(x), k)


def test_a_codec_is_the_same_under_jit():
    codec, k = PixelCodec(256), np.arange(256, dtype=np.uint8)
    x = jax.jit(codec.encode)(k)
    np.testing.assert_array_equal(x, codec.encode(k))
    assert jax.jit(codec.decode)(x).tolist() == k.tolist()


@pytest.mark.parametrize("centered", [True, False])
def test_values_outside_the_range_get_the_first_and_the_last_level(centered):
    x = np.array([-7.0, 1.0, 7.0], np.float32)
    assert PixelCodec(17, centered).decode(x).tolist() == [0, 16, 16]


def test_continuous_data_pass_unchanged_and_have_no_bins():
    x, codec = np.array([[0.3, -4.0]], np.float32), ContinuousCodec()
    assert codec.encode(x) is codec.encode(x, 0.1) is codec.decode(x) is x
    assert codec.bin_width is None
    assert codec.arrays(x)["points"] is x


def test_arrays_are_what_the_source_npz_reads(tmp_path):
    codec, k = PixelCodec(17, False), np.arange(17, dtype=np.uint8).reshape(17, 1, 1, 1)
    np.savez(tmp_path / "some.npz", **codec.arrays(codec.encode(k)))
    overrides = [f"--config.data.source=npz:{tmp_path}/some.npz", "--config.data.centered=False"]
    split = split_of(load_experiment("digits", overrides), "all")
    assert split.codec == codec
    np.testing.assert_array_equal(split.values, k)


def test_the_first_level_is_black_and_the_last_white():
    k = np.array([0, 1, 8, 16], np.uint8)
    assert PixelCodec(17).brightness(k, reference=k[1:3]).tolist() == [0, 16, 128, 255]
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(PixelCodec(256).brightness(every), every)


@pytest.mark.parametrize("centered", [True, False])
def test_the_range_is_the_experiments(centered):
    """As its data are opened, and as a workdir knows them without."""
    experiment = load_experiment("digits", [f"--config.data.centered={centered}"])
    for name in ("train", "test"):
        assert split_of(experiment, name).codec == PixelCodec(17, centered)
    spec = DataSpec(shape=(8, 8, 1), levels=17)
    assert spec.split(experiment).codec == PixelCodec(17, centered)
    points = load_experiment("toy2d", [f"--config.data.centered={centered}"])
    assert split_of(points, "train").codec == ContinuousCodec()
    assert DataSpec(shape=(2,), levels=None).split(points).codec == ContinuousCodec()
