"""Resampling, convolutions that resample and pyramids, against explicit references."""

from functools import partial

import numpy as np
import pytest

from models.layers.basic import Head
from models.layers.pyramid import InputPyramid, OutputPyramid
from models.layers.resample import ConvDownsample, ConvUpsample, downsample, upsample
from tests.cases import float32_tolerance
from tests.models.layers.reference import bordered, correlated
from tests.models.parameters import normal, quick_jit, random_params


def dense_fir(size, up):
    """One axis as a matrix: insert zeros, pad, correlate with k, keep every other."""
    k = np.array([1, 3, 3, 1]) / 8
    matrix = np.zeros((2 * size, size) if up else (size // 2, size))
    for row, column in np.ndindex(*matrix.shape):
        tap = 2 * column - row + 2 if up else column - 2 * row + 1
        if 0 <= tap < 4:
            matrix[row, column] = k[tap] * (2 if up else 1)
    return matrix


@pytest.mark.parametrize("up", [False, True])
def test_fir_resampling_is_the_dense_filter(up):
    x = normal(1, 2, 6, 8, 3)
    got = quick_jit(partial(upsample if up else downsample, fir=True))(x)
    rows, columns = dense_fir(6, up), dense_fir(8, up)
    want = np.einsum("ph,bhwc,qw->bpqc", rows, x, columns)
    # Sixteen pixels, whose weights add up to 1 for each that is made.
    atol = float32_tolerance(np.full(16, np.abs(x).max() / 16))
    np.testing.assert_allclose(got, want, atol=atol)


def test_plain_resampling_is_mean_and_repetition():
    x = np.asarray(normal(1, 2, 6, 8, 3))
    fours = np.moveaxis(x.reshape(2, 3, 2, 4, 2, 3), (2, 4), (-2, -1)).reshape(2, 3, 4, 3, 4)
    atol = float32_tolerance(fours / 4)
    np.testing.assert_allclose(downsample(x, fir=False), fours.mean(axis=-1), atol=atol)
    np.testing.assert_array_equal(upsample(x, fir=False), np.kron(x, np.ones((1, 2, 2, 1))))


def transposed(x, kernel):
    """Scatter the flipped kernel at every second pixel; the rim beyond the image stays."""
    batch, height, width, _ = x.shape
    y = np.zeros((batch, 2 * height + 1, 2 * width + 1, kernel.shape[-1]))
    for i, j, a, b in np.ndindex(height, width, 3, 3):
        y[:, 2 * i + a, 2 * j + b] += x[:, i, j] @ kernel[2 - a, 2 - b]
    return y


def filtered(y, before, gain):
    """k along both axes, `before` zeros around."""
    y = bordered(y, before, before)
    for axis in (1, 2):
        size = y.shape[axis] - 3
        taps = [np.take(y, np.arange(i, i + size), axis) for i in range(4)]
        y = gain * sum(k * tap for k, tap in zip((1, 3, 3, 1), taps, strict=True)) / 8
    return y


def convolution_tolerance(x, kernel):
    """Of float32 sums over a 3×3 window and the channels; filters take means, or less."""
    signs = (-1) ** np.arange(kernel[..., 0].size)
    return float32_tolerance(signs * np.abs(x).max() * np.abs(kernel).max())


@pytest.mark.parametrize("fir", [False, True])
def test_convolution_up_is_transposed_and_filtered_or_of_repeated_pixels(fir):
    net, x = ConvUpsample(5, fir), normal(2, 1, 4, 6, 3)
    params = random_params(net, x)
    kernel, bias = params["conv"]["kernel"], params["conv"]["bias"]
    if fir:
        want = filtered(transposed(x, kernel), before=1, gain=2)
    else:
        want = correlated(bordered(np.kron(x, np.ones((1, 2, 2, 1))), 1, 1), kernel, stride=1)
    got = quick_jit(net.apply)({"params": params}, x)
    np.testing.assert_allclose(got, want + bias, atol=convolution_tolerance(x, kernel))


@pytest.mark.parametrize("fir", [False, True])
def test_convolution_down_is_strided(fir):
    net, x = ConvDownsample(5, fir), normal(2, 1, 4, 6, 3)
    params = random_params(net, x)
    wide = filtered(x, before=2, gain=1) if fir else bordered(x, 0, 1)
    got = quick_jit(net.apply)({"params": params}, x)
    kernel, bias = params["conv"]["kernel"], params["conv"]["bias"]
    want = correlated(wide, kernel, stride=2)
    np.testing.assert_allclose(got, want + bias, atol=convolution_tolerance(x, kernel))


def test_the_input_pyramid_joins_the_hidden_image():
    h, pyramid = normal(9, 2, 2, 4, 6), normal(8, 2, 4, 8, 3)
    for kind, combine in (("residual", "sum"), ("input_skip", "sum"), ("input_skip", "cat")):
        net = InputPyramid(kind, combine, fir=True, skip_rescale=True)
        params = random_params(net, pyramid, h)
        got_pyramid, got = quick_jit(net.apply)({"params": params}, pyramid, h)
        if kind == "residual":
            convolve = quick_jit(ConvDownsample(6, fir=True).apply)
            down = convolve({"params": params["down"]}, pyramid)
            want_pyramid = want = (down + h) / np.sqrt(2)
        else:
            want_pyramid = np.asarray(filtered(pyramid, before=1, gain=1)[:, ::2, ::2])
            seen = want_pyramid @ params["combine"]["kernel"] + params["combine"]["bias"]
            want = seen + h if combine == "sum" else np.concatenate([seen, h], -1)
        np.testing.assert_allclose(got_pyramid, want_pyramid, atol=1e-5)
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_the_output_pyramid_takes_up_the_hidden_image():
    h, pyramid = normal(9, 2, 4, 8, 8), normal(8, 2, 2, 4, 3)
    for kind in ("output_skip", "residual"):
        net = OutputPyramid(kind, features=3, fir=True, skip_rescale=True)
        params = random_params(net, pyramid, h)
        got_pyramid, got = quick_jit(net.apply)({"params": params}, pyramid, h)
        if kind == "output_skip":
            image = quick_jit(Head(3).apply)({"params": params["head"]}, h)
            want_pyramid, want = quick_jit(partial(upsample, fir=True))(pyramid) + image, h
        else:
            up = quick_jit(ConvUpsample(8, fir=True).apply)({"params": params["up"]}, pyramid)
            want_pyramid = want = (up + h) / np.sqrt(2)
        np.testing.assert_allclose(got_pyramid, want_pyramid, atol=1e-5)
        np.testing.assert_allclose(got, want, atol=1e-5)
