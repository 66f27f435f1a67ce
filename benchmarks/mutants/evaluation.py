"""Wrong programs of metrics."""

from benchmarks.mutants import Mutant

_TESTS = "tests/experiments/evaluation/"
_METRICS = "experiments/evaluation/metrics/"


def _test(module: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{_TESTS}{module}.py::{name}" for name in names)


_MOMENTS = _test("test_sets", "test_moments_of_batches_are_those_of_the_whole")
_ROOT = _test("metrics/test_frechet", "test_by_the_root_of_a_matrix")
_COVERS = _test("metrics/test_frechet", "test_error_bars_cover_what_they_say")
_LINE = _test("metrics/test_prdc", "test_by_hand")
_SPLITS = _test("metrics/test_inception_score", "test_splits")
_CLASSES = _test("metrics/test_inception_score", "test_between_one_and_the_number_of_classes")
_KERNEL = _test("metrics/test_discrepancy", "test_kernel_distance_in_one_dimension[0.3-0.9]")
_NOISE = _test("metrics/test_discrepancy", "test_errors_of_equal_laws")
_P_VALUES = _test("metrics/test_discrepancy", "test_p_values_of_equal_laws")
_STRETCHED = _test("metrics/test_sliced_wasserstein", "test_moved_and_stretched")
_SLICES = _test("metrics/test_sliced_wasserstein", "test_the_error_is_that_of_other_sets")
_OF_THE_LAW = _test("metrics/test_nearest", "test_samples_of_the_law[1-0.6666666666666666]")
_BOOTSTRAP = _test("metrics/test_intervals", "test_the_bootstrap_covers")
_HOLM = _test("metrics/test_intervals", "test_holms_correction")
_WILSON = _test("metrics/test_intervals", "test_wilsons_interval_is_scipys[7-20]")
_FAR = _test("metrics/test_distances", "test_distances_far_from_zero")
_OWN = _test("test_reference", "test_one_s_own")
_KILLED = _test("test_evaluate", "test_a_run_that_is_killed_goes_on_with_the_same_bits")
_CONDITIONS = _test("test_evaluate", "test_conditions_are_those_of_the_data")
_NEIGHBOURS = _test("test_evaluate", "test_the_nearest_training_images_stand_beside_a_copy_first")
_WHILE_TRAINING = _test("test_while_training", "test_while_training")

MUTANTS = [
    # --- moments and the Fréchet distance ---------------------------------------------------------
    Mutant(
        "a covariance over N",
        "experiments/evaluation/sets.py",
        "self._scatter / (self.num - 1)",
        "self._scatter / self.num",
        _MOMENTS,
    ),
    Mutant(
        "batches joined as if they had one mean",
        "experiments/evaluation/sets.py",
        "np.outer(shift, shift) * (self.num * len(batch) / num)",
        "np.outer(shift, shift) * 0",
        _MOMENTS,
    ),
    Mutant(
        "sums in float32",
        "experiments/evaluation/sets.py",
        "batch = np.asarray(features, dtype=np.float64)",
        "batch = np.asarray(features, dtype=np.float32)",
        _MOMENTS,
    ),
    Mutant(
        "the trace of the root of a product by the roots of its factors",
        f"{_METRICS}frechet.py",
        "values = np.linalg.eigvalsh(self._product(moments))",
        "values = np.linalg.eigvalsh(moments.covariance) * np.linalg.eigvalsh(self.root) ** 2",
        _ROOT,
    ),
    Mutant(
        "the influence without the shift of the means",
        f"{_METRICS}frechet.py",
        "2 * centred @ shift + quadratic",
        "quadratic",
        _COVERS,
    ),
    Mutant(
        "FD∞ on a line in N",
        f"{_METRICS}frechet.py",
        "intercept(1 / sizes, np.asarray(distances))",
        "intercept(1.0 * sizes, np.asarray(distances))",
        _COVERS,
    ),
    Mutant(
        "FD∞ with the line's error alone",
        f"{_METRICS}frechet.py",
        "float(np.hypot(line_error, overall.standard_error))",
        "line_error",
        _COVERS,
    ),
    # --- neighbours -------------------------------------------------------------------------------
    Mutant(
        "an example is its own neighbour",
        f"{_METRICS}distances.py",
        "return _search(features).kneighbors(n_neighbors=k)",
        "return _search(features).kneighbors(features, n_neighbors=k)",
        _LINE,
    ),
    Mutant(
        "distances that cancel",
        f"{_METRICS}distances.py",
        "x, y = x - origin.astype(np.float64), y - origin.astype(np.float64)",
        "x, y = x - np.float32(0), y - np.float32(0)",
        _FAR,
    ),
    Mutant(
        "recall by the balls of the reference",
        f"{_METRICS}prdc.py",
        "(squares <= own[rows, None]).any(axis=0)",
        "(squares <= narrow[columns]).any(axis=0)",
        _LINE,
    ),
    Mutant(
        "density not over k",
        f"{_METRICS}prdc.py",
        "student_interval(balls.holding / self.k_density)",
        "student_interval(balls.holding / (self.k_density + 1))",
        _LINE,
    ),
    Mutant(
        "authentic by the sample's own second neighbour",
        f"{_METRICS}nearest.py",
        "authentic = distances[:, 0] > among[rows[:, 0]]",
        "authentic = distances[:, 0] > 0.5 * distances[:, 1]",
        _OF_THE_LAW,
    ),
    # --- the Inception score ----------------------------------------------------------------------
    Mutant(
        "samples that are not shuffled",
        f"{_METRICS}inception_score.py",
        "inception_scores(generated.probabilities[order], self.splits)",
        "inception_scores(generated.probabilities, self.splits)",
        _SPLITS,
    ),
    Mutant(
        "the mean of exponentials",
        f"{_METRICS}inception_score.py",
        "rel_entr(part, part.mean(axis=0)).sum(axis=1).mean()",
        "np.log(np.exp(rel_entr(part, part.mean(axis=0)).sum(axis=1)).mean())",
        _CLASSES,
    ),
    # --- kernels ----------------------------------------------------------------------------------
    Mutant(
        "a kernel distance with bias",
        f"{_METRICS}discrepancy.py",
        "                np.fill_diagonal(values, 0)",
        "                pass",
        _KERNEL,
    ),
    Mutant(
        "a polynomial of degree 2",
        f"{_METRICS}kernel_distance.py",
        "return values * values * values",
        "return values * values",
        _KERNEL,
    ),
    Mutant(
        "the noise of pairs counted once where it is twice",
        f"{_METRICS}discrepancy.py",
        "2 * xx.left / xx.pairs + 2 * yy.left / yy.pairs + 4 * xy.left / xy.pairs",
        "xx.left / xx.pairs + yy.left / yy.pairs + xy.left / xy.pairs",
        _NOISE,
    ),
    Mutant(
        "permutations that keep the sets",
        f"{_METRICS}mmd.py",
        "members = rng.permuted(np.repeat(first, permutations, axis=1), axis=0)",
        "members = np.repeat(first, permutations, axis=1)",
        _P_VALUES,
    ),
    # --- the sliced Wasserstein distance ----------------------------------------------------------
    Mutant(
        "a mean of distances for one of squares",
        f"{_METRICS}sliced_wasserstein.py",
        "square += float(np.sum(move**2)) / len(x) / num_directions",
        "square += float(np.sum(np.abs(move))) / len(x) / num_directions",
        _STRETCHED,
    ),
    Mutant(
        "potentials in the order of the last direction",
        f"{_METRICS}sliced_wasserstein.py",
        "np.add.at(potential, order, potentials / num_directions)",
        "potential += potentials.sum(axis=1) / num_directions",
        _SLICES,
    ),
    # --- error bars -------------------------------------------------------------------------------
    Mutant(
        "quantiles of the replicates as the interval",
        f"{_METRICS}intervals.py",
        "value + np.quantile(drawn - drawn.mean(axis=0), tails, axis=0)",
        "np.quantile(drawn, tails, axis=0)",
        _BOOTSTRAP,
    ),
    Mutant(
        "Holm's correction without the order",
        f"{_METRICS}intervals.py",
        "np.maximum.accumulate(raw[order] * factors)",
        "raw[order] * factors",
        _HOLM,
    ),
    Mutant(
        "Wald's interval for Wilson's",
        f"{_METRICS}intervals.py",
        "centre = successes + z**2 / 2",
        "centre = successes",
        _WILSON,
    ),
    Mutant(
        "statistics of other features are compared",
        "experiments/evaluation/reference.py",
        "if stored.get(key) != ours.get(key):",
        "if key not in stored:",
        _OWN,
    ),
    # --- what is evaluated ------------------------------------------------------------------------
    Mutant(
        "evaluated: a run that was killed draws all batches again",
        "experiments/evaluation/feature_files.py",
        '    if not (folder / f"{_LAST}.npy").is_file():\n',
        '    if not (folder / f"{_LAST}.npy").is_file():\n        shutil.rmtree(parts, True)\n',
        _KILLED,
    ),
    Mutant(
        "evaluated: every class as often, whatever the data have",
        "experiments/evaluation/labels.py",
        "return Condition(label=reference.labels[rows])",
        "return condition_of(experiment, data, num)",
        _CONDITIONS,
    ),
    Mutant(
        "evaluated: samples of some classes against examples of all",
        "experiments/evaluation/comparison.py",
        "return whole if self.classes is None else whole.take(self._rows(whole))",
        "return whole",
        _CONDITIONS,
    ),
    Mutant(
        "evaluated: neighbours by their place among the compared, not in the split",
        "experiments/evaluation/nearest_picture.py",
        "places = np.arange(train.num)[rows][found[order].ravel()]",
        "places = found[order].ravel()",
        _NEIGHBOURS,
    ),
    Mutant(
        "evaluated: features of training samples are kept",
        "experiments/training/evaluation.py",
        "keep=False",
        "keep=True",
        _WHILE_TRAINING,
    ),
]
