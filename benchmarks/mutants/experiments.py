"""Wrong programs of experiments."""

from benchmarks.mutants import Mutant

_FILES = "tests/experiments/data/test_image_files.py"
_CONDITIONS = "tests/experiments/data/test_conditions.py"
_STANDARDISED = "test_vectors_are_standardised_by_the_rows_that_are_trained_on"
_EMOJI = "tests/experiments/data/test_emoji.py"
_CHANGED = "tests/experiments/workdir/test_changed_data.py"
_CHANGED_FIELDS = "tests/experiments/training/test_changed_fields.py"
_CLASSES = "tests/experiments/conversion/test_conditional_import.py"
_EXPORT = "tests/experiments/conversion/test_diffusers_export.py"

MUTANTS: list[Mutant] = [
    Mutant(
        "seeds are cut to 32 bits",
        "experiments/runtime/seeds.py",
        "[check(seed) >> 32, seed % 2**32]",
        "[0 * check(seed), seed % 2**32]",
        ("tests/experiments/runtime/test_seeds.py::test_a_key_is_the_two_words_of_its_seed",),
    ),
    Mutant(
        "the order of the examples takes 32 bits of the seed",
        "experiments/runtime/seeds.py",
        "[seed % 2**32, number, stream, seed >> 32]",
        "[seed % 2**32, number, stream]",
        ("tests/experiments/runtime/test_seeds.py::test_streams_of_numbers_are_apart",),
    ),
    Mutant(
        "the times of a grid do not decide the name",
        "experiments/builders/method.py",
        '"times": grid,',
        '"times": None,',
        (
            "tests/experiments/workdir/test_results.py::test_a_grid_of_the_same_name_with_other_times",
        ),
    ),
    Mutant(
        "any result of a name is taken for this one",
        "experiments/workdir/results.py",
        'if self.report.get("protocol") == self.protocol:',
        "if self.report:",
        ("tests/experiments/workdir/test_results.py::test_a_result_replaces_no_other",),
    ),
    Mutant(
        "points are drawn along the directions of least variance",
        "experiments/display/pictures.py",
        "directions[:2].T",
        "directions[-2:].T",
        (
            "tests/experiments/display/test_pictures.py::"
            "test_points_of_many_dimensions_lie_along_their_two_largest_directions",
        ),
    ),
    Mutant(
        name="transparent images composed without rounding",
        file="experiments/data/decoding.py",
        old="(255 - alpha) * background + 127) // 255",
        new="(255 - alpha) * background) // 255",
        tests=(f"{_FILES}::test_alpha_is_composed_to_the_nearest_level",),
    ),
    Mutant(
        name="transparent images composed over black",
        file="experiments/data/decoding.py",
        old="(255 - alpha) * background + 127",
        new="0 * background + 127",
        tests=(f"{_FILES}::test_alpha_is_composed_to_the_nearest_level",),
    ),
    Mutant(
        name="16 bits a channel cut to 8",
        file="experiments/data/decoding.py",
        old='if image.mode not in _MODES or re.search(";16[BLN]", mode):',
        new="if image.mode not in _MODES:",
        tests=(f"{_FILES}::test_more_than_8_bits_are_refused",),
    ),
    Mutant(
        name="validation images trained on",
        file="experiments/data/source.py",
        old='HELD_OUT = ("test", "validation", "valid", "val")',
        new='HELD_OUT = ("test",)',
        tests=(f"{_FILES}::test_what_is_held_out_is_the_test_split[val]",),
    ),
    Mutant(
        name="skin tones of an emoji on both sides of the split",
        file="experiments/data/emoji_names.py",
        old='return _TONE.sub("", self.name).removesuffix(" person person")',
        new="return self.name",
        tests=(f"{_EMOJI}::test_splits_are_disjoint_and_complete_and_share_no_subject",),
    ),
    Mutant(
        name="emoji with the same picture on both sides of the split",
        file="experiments/data/emoji.py",
        old="number_parts(subjects, [picture.tobytes() for picture in visible])",
        new="number_parts(subjects)",
        tests=(f"{_EMOJI}::test_splits_are_disjoint_and_complete_and_share_no_subject",),
    ),
    Mutant(
        name="colours that nobody sees tint the edges of an emoji",
        file="experiments/data/emoji.py",
        old="box_filter(picture[..., :3] * alpha, side)",
        new="box_filter(picture[..., :3].astype(np.int64), side) * box_filter(alpha, side)",
        tests=(f"{_EMOJI}::test_pictures_are_composed_over_the_background",),
    ),
    Mutant(
        name="a box filter of whole pixels",
        file="experiments/data/images.py",
        old="ends = num * total[row] + part * rows[row]",
        new="ends = num * total[row]",
        tests=(f"{_EMOJI}::test_the_box_filter_is_the_mean_over_areas",),
    ),
    Mutant(
        name="a digest of arrays without their grey levels",
        file="experiments/data/digests.py",
        old="json.dumps([shape, data.codec.levels, data.num_classes])",
        new="json.dumps([shape, data.num_classes])",
        tests=(f"{_CHANGED}::test_a_digest_of_arrays_knows_values_labels_and_levels",),
    ),
    Mutant(
        name="a digest of npz by sizes alone",
        file="experiments/data/npz_keys.py",
        old="[[key, members[key].file_size, members[key].CRC] for key",
        new="[[key, members[key].file_size] for key",
        tests=(f"{_CHANGED}::test_a_digest_of_npz_knows_every_key_that_counts",),
    ),
    Mutant(
        name="vectors standardised by those of the test split too",
        file="experiments/data/npz.py",
        old="vectors = vectors[training_rows(num, request.holdout)]",
        new="vectors = vectors[:]",
        tests=(f"{_CONDITIONS}::{_STANDARDISED}[shape1-images]",),
    ),
    Mutant(
        name="vectors in the order of the files and images in that of the split",
        file="experiments/data/npz_shards.py",
        old="jax.tree.map(lambda leaf: leaf[rows], self.cond)",
        new="jax.tree.map(lambda leaf: leaf[: len(rows)], self.cond)",
        tests=(f"{_CONDITIONS}::test_vectors_follow_their_examples_through_a_stream[shards]",),
    ),
    Mutant(
        name="a digest of npz without the column that is read",
        file="experiments/data/npz_keys.py",
        old="[key for key in keys_read(cond) if key in members and",
        new="[key for key in keys_read(None) if key in members and",
        tests=(f"{_CHANGED}::test_a_digest_of_npz_knows_points_and_the_column_that_is_read",),
    ),
    Mutant(
        name="the deviation of a regression is its variance",
        file="experiments/data/toy.py",
        old="return mean + std[:, None] * rng.normal(size=(num, 2)), c[:, None]",
        new="return mean + std[:, None] ** 2 * rng.normal(size=(num, 2)), c[:, None]",
        tests=(f"{_CONDITIONS}::test_points_of_a_regression_have_their_closed_form",),
    ),
    Mutant(
        name="the learning rate of a new optimizer starts over",
        file="experiments/state/resuming.py",
        old="fresh = dataclasses.replace(fresh, opt_state=_at_step(fresh.opt_state, state.step))",
        new="fresh = dataclasses.replace(fresh)",
        tests=(
            f"{_CHANGED_FIELDS}::test_accepting_other_averages_and_another_optimizer_keeps_the_rest",
        ),
    ),
    Mutant(
        name="a checkpoint of a deeper network taken for one of this",
        file="experiments/state/checkpoints.py",
        old="if shapes[1].get(part) == leaves}",
        new="if leaves.items() <= shapes[1].get(part, {}).items()}",
        tests=(f"{_CHANGED_FIELDS}::test_accepting_another_network_changes_nothing",),
    ),
    Mutant(
        name="the first class of a file is its null",
        file="experiments/conversion/diffusers/class_rows.py",
        old='{"embedding": rows[:classes]}, "null": rows[classes]}',
        new='{"embedding": rows[1:]}, "null": rows[0]}',
        tests=(f"{_CLASSES}::test_the_null_is_the_same_function_as_the_last_class",),
    ),
    Mutant(
        name="a file without a null is trained as with one",
        file="experiments/conversion/diffusers/folder.py",
        old="if classes < rows:",
        new="if classes <= rows:",
        tests=(f"{_CLASSES}::test_rows_are_classes_and_the_null_is_zero_where_none_is_told",),
    ),
    Mutant(
        name="an export of what no UNet2DModel is",
        file="experiments/conversion/diffusers/export.py",
        old="if not _alike(got, takes):",
        new="if False:",
        tests=(f"{_EXPORT}::test_what_no_unet_of_theirs_is_leaves_nothing",),
    ),
]
