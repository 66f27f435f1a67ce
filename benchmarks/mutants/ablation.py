"""Wrong programs of ablations."""

from benchmarks.mutants import Mutant

_ROOM, _TESTS = "experiments/ablation/", "tests/experiments/ablation/"


def _test(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{_TESTS}{module}.py::{name}" for name in names)


_PAIRED = _test("test_table", "test_numbers_are_those_of_the_paired_t_test")
_FAILED = _test("test_table", "test_a_seed_that_has_failed_is_left_out_of_its_pair")
_BEST = _test("test_table", "test_the_best_is_marked_where_it_is_better_than_every_other")
_MODELS = _test("test_question", "test_cells_share_a_model_where_training_is_the_same")
_RANGE = _test("test_question", "test_a_range_is_equally_spaced_in_its_scale")
_DRAWS = _test("test_question", "test_random_draws_are_seeded_and_never_twice")
_SINGLE = _test("test_question", "test_one_at_a_time_changes_one_axis_of_the_baseline")
_TAKEN = _test("test_run", "test_a_process_takes_what_no_other_has")
_RETRY = _test("test_run", "test_what_failed_is_run_again_once_where_it_is_asked_for")

MUTANTS = [
    Mutant(
        "p-values that nobody has corrected",
        f"{_ROOM}table.py",
        "p_values = holm([_p(differences[name]) for name in distinct])",
        "p_values = [_p(differences[name]) for name in distinct]",
        _PAIRED,
    ),
    Mutant(
        "rows of one measurement are as many comparisons",
        f"{_ROOM}table.py",
        "distinct = [name for name in compared if alike[name] == name]",
        "distinct = compared",
        _test("test_table", "test_rows_of_one_measurement_are_tested_once"),
    ),
    Mutant(
        "pairs of different seeds",
        f"{_ROOM}table.py",
        "[values[s] for s in both], [baseline[s] for s in both]",
        "list(values.values()), list(baseline.values())[: len(values)]",
        _FAILED,
    ),
    Mutant(
        "the best mean is always marked",
        f"{_ROOM}table.py",
        "return best if np.all(holm(p_values) < _LEVEL) else None",
        "return best",
        _BEST,
    ),
    Mutant(
        "a best mean without a correction",
        f"{_ROOM}table.py",
        "np.all(holm(p_values) < _LEVEL)",
        "np.all(np.array(p_values) < _LEVEL)",
        _BEST,
    ),
    Mutant(
        "sampling makes another model",
        f"{_ROOM}cell.py",
        'if not k.startswith(_AFTER_TRAINING)}\n        workdir = f"models',
        'if not k.startswith("likelihood.")}\n        workdir = f"models',
        _MODELS,
    ),
    Mutant(
        "seeds that share a model",
        f"{_ROOM}cell.py",
        "experiment = dataclasses.replace(experiment, seed=seed)",
        "experiment = dataclasses.replace(experiment)",
        _MODELS,
    ),
    Mutant(
        "equal distances for equal ratios",
        f"{_ROOM}values.py",
        'np.geomspace if self.scale == "log" else np.linspace',
        "np.linspace",
        _RANGE,
    ),
    Mutant(
        "draws that are not uniform in the logarithm",
        f"{_ROOM}values.py",
        "number = self.low * (self.high / self.low) ** u",
        "number = self.low + (self.high - self.low) * u",
        _DRAWS,
    ),
    Mutant(
        "a single change that keeps the one before",
        f"{_ROOM}grid.py",
        "for change in axis[1:])]",
        "for change in axis)]",
        _SINGLE,
    ),
    Mutant(
        "a held cell ends the process",
        f"{_ROOM}run.py",
        "    except HeldError:\n        return False",
        "    except HeldError:\n        raise",
        _TAKEN,
    ),
    Mutant(
        "finished cells are run again",
        f"{_ROOM}run.py",
        'return self.folder.result(cell.record)["error"] is not None',
        "return True",
        _RETRY,
    ),
]
