"""Wrong programs of convolutions and resampling."""

from benchmarks.mutants import Mutant

_RESAMPLE = "tests/models/layers/test_resample.py::"
_WINOGRAD = "tests/models/layers/test_winograd.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "a FIR filter that gains",
        "models/layers/resample.py",
        "+ neighbour(even, axis, 1)) / 8",
        "+ neighbour(even, axis, 1)) / 6",
        (_RESAMPLE + "test_fir_resampling_is_the_dense_filter[False]",),
    ),
    Mutant(
        "a FIR filter shifted by a pixel",
        "models/layers/resample.py",
        "neighbour(odd, axis, -1) + 3 * (even + odd) + neighbour(even, axis, 1)",
        "neighbour(odd, axis, 1) + 3 * (even + odd) + neighbour(even, axis, -1)",
        (_RESAMPLE + "test_fir_resampling_is_the_dense_filter[False]",),
    ),
    Mutant(
        "FIR doubling with its phases swapped",
        "models/layers/resample.py",
        "return interleave(even, odd, axis)",
        "return interleave(odd, even, axis)",
        (_RESAMPLE + "test_fir_resampling_is_the_dense_filter[True]",),
    ),
    Mutant(
        "halving by a sum",
        "models/layers/resample.py",
        "return (left + right) / 4",
        "return (left + right) / 2",
        (_RESAMPLE + "test_plain_resampling_is_mean_and_repetition",),
    ),
    Mutant(
        "a strided convolution of zeros on all sides",
        "models/layers/resample.py",
        "pad(x, before, 1)",
        "pad(x, 1 - before, 1 - before)",
        (_RESAMPLE + "test_convolution_down_is_strided[False]",),
    ),
    Mutant(
        "Winograd's input gradient with the kernel unturned",
        "models/layers/winograd.py",
        "w[::-1, ::-1].swapaxes(2, 3)",
        "w.swapaxes(2, 3)",
        (_WINOGRAD + "test_value_and_gradients_are_those_of_the_direct_sum[size0-winograd_vjp]",),
    ),
    Mutant(
        "Winograd's kernel gradient of other rows",
        "models/layers/winograd.py",
        "rows = [dy[:, row::_ROWS] for row in range(_ROWS)]",
        "rows = [dy[:, row::_ROWS] for row in reversed(range(_ROWS))]",
        (_WINOGRAD + "test_value_and_gradients_are_those_of_the_direct_sum[size0-winograd_vjp]",),
    ),
    Mutant(
        "Winograd's points without their products",
        "models/layers/winograd.py",
        "p[k] ** np.arange(3) / np.prod(p[k] - others)",
        "p[k] ** np.arange(3)",
        (_WINOGRAD + "test_matrices_filter_exactly",),
    ),
    Mutant(
        "Winograd's image moved by a row",
        "models/layers/winograd.py",
        "jnp.pad(x, ((0, 0), (1, 1), (0, 0), (0, 0)))",
        "jnp.pad(x, ((0, 0), (0, 2), (0, 0), (0, 0)))",
        (_WINOGRAD + "test_value_and_gradients_are_those_of_the_direct_sum[size0-winograd]",),
    ),
    Mutant(
        "Winograd where strides are 2",
        "models/layers/winograd.py",
        "and tuple(strides) == (1, 1) and",
        "and",
        (_WINOGRAD + "test_what_it_does_not_suit_is_the_direct_sum[shape3-64-fields3]",),
    ),
    Mutant(
        "a convolution's gradient by the kernel as it is",
        "models/layers/winograd.py",
        "direct(dy, _turned(w))",
        "direct(dy, w.swapaxes(2, 3))",
        (_WINOGRAD + "test_value_and_gradients_are_those_of_the_direct_sum[size1-direct_vjp]",),
    ),
]
