"""Wrong programs of networks and of their layers, other than convolutions."""

from benchmarks.mutants import Mutant

_ADM = "tests/models/networks/test_adm.py::"
_DIT = "tests/models/networks/test_dit.py::"
_EDM2 = "tests/models/networks/test_edm2.py::"
_LAYERS = "tests/models/layers/test_layers.py::"
_RESAMPLE = "tests/models/layers/test_resample.py::"

MUTANTS: list[Mutant] = [
    Mutant(
        "positional frequencies that end early",
        "models/layers/embedding.py",
        "jnp.arange(dim // 2) / (dim // 2 - freq_shift)",
        "jnp.arange(dim // 2) / (dim // 2)",
        (_LAYERS + "test_embeddings_are_their_equations",),
    ),
    Mutant(
        "positional frequencies up to 10³",
        "models/layers/embedding.py",
        "-math.log(1e4) * exponent",
        "-math.log(1e3) * exponent",
        (_LAYERS + "test_embeddings_are_their_equations",),
    ),
    Mutant(
        "cosines before sines",
        "models/layers/embedding.py",
        "jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)",
        "jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)",
        (_LAYERS + "test_embeddings_are_their_equations",),
    ),
    Mutant(
        "cosines never first",
        "models/layers/embedding.py",
        "jnp.roll(features, dim // 2, axis=-1) if cos_first else features",
        "features",
        (_ADM + "test_positional_features_in_both_conventions",),
    ),
    Mutant(
        "Fourier features in radians",
        "models/layers/embedding.py",
        "jax.lax.stop_gradient(frequencies) * 2 * jnp.pi",
        "jax.lax.stop_gradient(frequencies)",
        (_LAYERS + "test_embeddings_are_their_equations",),
    ),
    Mutant(
        "a residual sum over 2",
        "models/layers/basic.py",
        "(x + h) / math.sqrt(2.0)",
        "(x + h) / 2.0",
        (_LAYERS + "test_a_residual_block_starts_as_its_rescaled_shortcut[none]",),
    ),
    Mutant(
        "a residual sum never rescaled",
        "models/layers/basic.py",
        "(x + h) / math.sqrt(2.0) if rescale else x + h",
        "x + h",
        (_LAYERS + "test_a_residual_block_starts_as_its_rescaled_shortcut[none]",),
    ),
    Mutant(
        "groups of interleaved channels",
        "models/layers/basic.py",
        "grouped = moments.reshape(len(moments), groups, -1)",
        "grouped = moments.reshape(len(moments), -1, groups)",
        (_LAYERS + "test_group_norm_is_its_definition_far_from_zero",),
    ),
    Mutant(
        "group normalisation without a mean",
        "models/layers/basic.py",
        "return (centred * gain[:, None, None] + bias)",
        "return (full * gain[:, None, None] + bias)",
        (_LAYERS + "test_group_norm_is_its_definition_far_from_zero",),
    ),
    Mutant(
        "group normalisation by E[x²] − m²",
        "models/layers/basic.py",
        "pool_groups(jnp.square(centred).mean((1, 2)), groups)",
        "pool_groups(jnp.square(full).mean((1, 2)), groups) - mean**2",
        (_LAYERS + "test_group_norm_is_its_definition_far_from_zero",),
    ),
    Mutant(
        "attention without 1/√d",
        "models/layers/attention.py",
        "implementation=fused)",
        "implementation=fused, scale=1.0)",
        (_LAYERS + "test_attention_is_the_plain_softmax[1]",),
    ),
    Mutant(
        "heads of interleaved channels",
        "models/layers/attention.py",
        "split = (*qkv.shape[:2], heads, -1)\n    query, key, value = (part.reshape(split) for",
        (
            "split = (*qkv.shape[:2], -1, heads)\n    query, key, value = "
            "(part.reshape(split).swapaxes(2, 3) for"
        ),
        (_LAYERS + "test_attention_is_the_plain_softmax[3]",),
    ),
    Mutant(
        "queries taken for keys",
        "models/layers/attention.py",
        "query, key, value = (part.reshape(split)",
        "key, query, value = (part.reshape(split)",
        (_LAYERS + "test_attention_is_the_plain_softmax[1]",),
    ),
    Mutant(
        "attention without the shortcut",
        "models/layers/attention.py",
        "add(x, out(attended).reshape(x.shape), self.skip_rescale)",
        "add(normed, out(attended).reshape(x.shape), self.skip_rescale)",
        (_LAYERS + "test_attention_commutes_with_a_permutation_of_the_pixels",),
    ),
    Mutant(
        "an embedding that scales by s, not 1 + s",
        "models/layers/residual.py",
        "return (1 + scale) * norm(h) + shift",
        "return scale * norm(h) + shift",
        (_ADM + "test_the_embedding_scales_and_shifts_what_is_normalised",),
    ),
    Mutant(
        "a shortcut of the hidden image",
        "models/layers/residual.py",
        "return add(x, out(h), self.skip_rescale)",
        "return add(h, out(h), self.skip_rescale)",
        (_LAYERS + "test_a_residual_block_starts_as_its_rescaled_shortcut[none]",),
    ),
    Mutant(
        "dropout that is never on",
        "models/layers/residual.py",
        "deterministic=not train",
        "deterministic=True",
        (_ADM + "test_dropout_only_in_training_and_bfloat16_close",),
    ),
    Mutant(
        "dropout that is always on",
        "models/layers/residual.py",
        "deterministic=not train",
        "deterministic=False",
        (_ADM + "test_dropout_only_in_training_and_bfloat16_close",),
    ),
    Mutant(
        "an input pyramid that forgets the hidden image",
        "models/layers/pyramid.py",
        (
            'pyramid = ConvDownsample(channels, self.fir, self.dtype, name="down")(pyramid)\n '
            "       h = add(pyramid, h, self.skip_rescale)"
        ),
        (
            'pyramid = ConvDownsample(channels, self.fir, self.dtype, name="down")(pyramid)\n '
            "       h = pyramid"
        ),
        (_RESAMPLE + "test_the_input_pyramid_joins_the_hidden_image",),
    ),
    Mutant(
        "an output pyramid that forgets the coarser image",
        "models/layers/pyramid.py",
        "upsample(pyramid, self.fir) + image",
        "0 * upsample(pyramid, self.fir) + image",
        (_RESAMPLE + "test_the_output_pyramid_takes_up_the_hidden_image",),
    ),
    Mutant(
        "sincos positions with rows for columns",
        "models/networks/dit.py",
        "[sin_cos(of_column), sin_cos(of_row)]",
        "[sin_cos(of_row), sin_cos(of_column)]",
        (_DIT + "test_positions_are_their_equations",),
    ),
    Mutant(
        "sincos positions of other frequencies",
        "models/networks/dit.py",
        "axial_angles(rows, columns, width // 4, 1e4)",
        "axial_angles(rows, columns, width // 4, 1e3)",
        (_DIT + "test_positions_are_their_equations",),
    ),
    Mutant(
        "rotations that are reflections",
        "models/networks/dit.py",
        "a * sin + b * cos]",
        "a * sin - b * cos]",
        (_DIT + "test_rotated_products_depend_on_the_distance_alone",),
    ),
    Mutant(
        "an adaptive norm by s, not 1 + s",
        "models/networks/dit.py",
        "((1 + scale) * centred",
        "(scale * centred",
        (_DIT + "test_is_its_equations_with_one_program_for_all_blocks",),
    ),
    Mutant(
        "silu as it is",
        "models/layers/magnitude_preserving.py",
        "nn.silu(x) / 0.596",
        "nn.silu(x)",
        (_EDM2 + "test_layers_keep_the_mean_square",),
    ),
    Mutant(
        "a sum over 1, not its root of squares",
        "models/layers/magnitude_preserving.py",
        "((1 - t) * a + t * b) / math.hypot(1 - t, t)",
        "((1 - t) * a + t * b)",
        (_EDM2 + "test_layers_are_their_equations",),
    ),
    Mutant(
        "a join whose parts swap shares",
        "models/layers/magnitude_preserving.py",
        "scale * (1 - t) / math.sqrt(a.shape[-1]) * a",
        "scale * t / math.sqrt(a.shape[-1]) * a",
        (_EDM2 + "test_layers_are_their_equations",),
    ),
    Mutant(
        "weights not over the root of their inputs",
        "models/layers/magnitude_preserving.py",
        "(unit_weight(w) / math.sqrt(math.prod(shape[:-1])))",
        "(unit_weight(w) / math.sqrt(shape[-2]))",
        (_EDM2 + "test_the_convolution_is_of_unit_weights_over_the_root_of_the_inputs",),
    ),
    Mutant(
        "last layers that start at full size",
        "models/layers/basic.py",
        "scale or 1e-10",
        "scale or 1.0",
        (_LAYERS + "test_a_residual_block_starts_as_its_rescaled_shortcut[none]",),
    ),
]
