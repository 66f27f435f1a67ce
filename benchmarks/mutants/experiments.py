"""Wrong programs of experiments."""

from benchmarks.mutants import Mutant

MUTANTS: list[Mutant] = [
    Mutant(
        "seeds are cut to 32 bits",
        "experiments/seeds.py",
        "[check(seed) >> 32, seed % 2**32]",
        "[0 * check(seed), seed % 2**32]",
        ("tests/experiments/test_seeds.py::test_a_key_is_the_two_words_of_its_seed",),
    ),
    Mutant(
        "the order of the examples takes 32 bits of the seed",
        "experiments/seeds.py",
        "[seed % 2**32, number, stream, seed >> 32]",
        "[seed % 2**32, number, stream]",
        ("tests/experiments/test_seeds.py::test_streams_of_numbers_are_apart",),
    ),
    Mutant(
        "the times of a grid do not decide the name",
        "experiments/sample.py",
        '"times_digest": digest(self._on_grid["grid"]),',
        '"times_digest": None,',
        ("tests/experiments/test_results.py::test_a_grid_of_the_same_name_with_other_times",),
    ),
    Mutant(
        "any result of a name is taken for this one",
        "experiments/results.py",
        'if self.report.get("protocol") == self.protocol:',
        "if self.report:",
        ("tests/experiments/test_results.py::test_a_result_replaces_no_other",),
    ),
    Mutant(
        "points are drawn along the directions of least variance",
        "experiments/pictures.py",
        "directions[:2].T",
        "directions[-2:].T",
        (
            "tests/experiments/test_pictures.py::"
            "test_points_of_many_dimensions_lie_along_their_two_largest_directions",
        ),
    ),
]
