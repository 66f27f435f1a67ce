"""The table, against SciPy's paired t-test and by reading the files back."""

import csv
import json
import math
import pathlib
import shutil

import numpy as np
import pytest
from scipy import stats

from experiments.ablation.folder import AblationFolder
from experiments.ablation.table import table_of
from experiments.ablation.table_files import NONE, as_csv, as_latex, as_markdown, write_tables
from experiments.errors import UserError

EXAMPLE = pathlib.Path(__file__).parent / "example"


def folder_of(path: pathlib.Path, numbers: dict[str, list[float | None]]) -> AblationFolder:
    """A folder with a cell for each number, which has failed where there is none."""
    cells = []
    (path / "results").mkdir(parents=True)
    for name, by_seed in numbers.items():
        for seed, number in enumerate(by_seed):
            result = f"results/{name}{seed}.json"
            values = {"x": name}
            cell = {"name": f"x={name}", "seed": seed, "values": values, "workdir": "models/m"}
            cells.append({**cell, "result": result})
            metrics = {} if number is None else {"bpd": {"value": number, "standard_error": None}}
            report = {"protocol": {"metrics": ["bpd"]}, "metrics": metrics}
            report["error"] = "no" if number is None else None
            (path / result).write_text(json.dumps(report), encoding="utf-8")
    (path / "cells.json").write_text(json.dumps(cells), encoding="utf-8")
    return AblationFolder(path)


@pytest.mark.parametrize("name", ["cells.json", "results/a0.json", "table.json"])
def test_files_that_are_damaged_or_gone(name, tmp_path):
    """Those that an ablation has always; a cell that has no result has not been run."""
    folder = folder_of(tmp_path, {"a": [1.0], "b": [2.0]})
    write_tables(folder)

    def read():
        return folder.cells, folder.results, folder.table()

    read()
    (tmp_path / name).write_text('[{"x": ', encoding="utf-8")
    with pytest.raises(UserError, match=rf"^{tmp_path / name}: not valid JSON \("):
        read()
    (tmp_path / name).unlink()
    if name == "cells.json":
        with pytest.raises(UserError, match=r"holds no ablation \(no cells.json\)"):
            read()
    else:
        cells, results, table = read()
        assert len(cells) == 2
        assert len(results) == 2 - name.startswith("results")
        assert (table == {}) is (name == "table.json")


def test_numbers_are_those_of_the_paired_t_test(tmp_path):
    rng = np.random.default_rng(0)
    runs = rng.normal(size=6)  # what a seed does to all cells alike
    shifts = {"a": 0, "b": 0.4, "c": 1}
    numbers = {name: runs + rng.normal(shift, 0.3, 6) for name, shift in shifts.items()}
    table = table_of(folder_of(tmp_path, {k: v.tolist() for k, v in numbers.items()}))
    entries = {row.name[-1]: row.metrics["bpd"] for row in table.rows}
    tests = {name: stats.ttest_rel(numbers[name], numbers["a"]) for name in "bc"}
    p = sorted(float(test.pvalue) for test in tests.values())
    holm = {p[0]: 2 * p[0], p[1]: max(2 * p[0], p[1])}
    for name, test in tests.items():
        entry, interval = entries[name], test.confidence_interval(0.95)
        assert entry.mean == pytest.approx(numbers[name].mean())
        assert entry.standard_error == pytest.approx(stats.sem(numbers[name]))
        assert (entry.low, entry.high) == pytest.approx((interval.low, interval.high))
        assert entry.difference == pytest.approx((numbers[name] - numbers["a"]).mean())
        assert entry.p == pytest.approx(min(1, holm[float(test.pvalue)]))
    assert entries["a"].difference is entries["a"].p is None


def test_a_seed_that_has_failed_is_left_out_of_its_pair(tmp_path):
    folder = folder_of(tmp_path, {"a": [1, 2, 3], "b": [2, None, 5], "c": [None, None, None]})
    rows = {row.name: row for row in table_of(folder).rows}
    assert rows["x=b"].metrics["bpd"].difference == pytest.approx(1.5)  # of seeds 0 and 2 alone
    assert (rows["x=b"].seeds, rows["x=b"].failed, rows["x=b"].metrics["bpd"].n) == (2, 1, 2)
    assert (rows["x=c"].failed, rows["x=c"].metrics) == (3, {})


@pytest.mark.parametrize(
    ("numbers", "best"),
    [
        # Better than each other by far more than seeds differ.
        ({"a": [3, 3.1, 3.2], "b": [1, 1.1, 1.21], "c": [2, 2.11, 2.2]}, "x=b"),
        # Better than the baseline, but not than the runner-up.
        ({"a": [3, 3.1, 3.2], "b": [1, 1.5, 1.2], "c": [1.3, 1.1, 1.4]}, None),
        # One seed tells nothing.
        ({"a": [3], "b": [1]}, None),
        # p = 0.03 against each of two: not after the correction.
        ({"a": [0, 0, 0], "b": [1, 1.45, 0.75], "c": [1.45, 0.75, 1]}, None),
    ],
)
def test_the_best_is_marked_where_it_is_better_than_every_other(numbers, best, tmp_path):
    table = table_of(folder_of(tmp_path, numbers))
    marked = [row.name for row in table.rows if row.metrics["bpd"].best]
    assert marked == ([] if best is None else [best])


def test_what_numbers_rest_on(tmp_path):
    """Examples of the data, and so few seeds that error bars are wide or missing."""
    assert "bits/dim: of 500 examples at each seed." in table_of(AblationFolder(EXAMPLE)).notes
    notes = [
        table_of(folder_of(tmp_path / str(num), {"a": [1.0] * num, "b": [2.0] * num})).notes
        for num in (1, 2, 3)
    ]
    assert ["One seed" in notes[0][0], "Two seeds" in notes[1][0], notes[2]] == [True, True, []]


def test_rows_of_one_measurement_are_tested_once(tmp_path):
    """As bits/dim of cells that share a model: p = 0.03 stays so, and all that are best are."""
    shared = {"a": [1, 1.45, 0.75], "b": [0, 0, 0], "c": [1, 1.45, 0.75], "d": [0, 0, 0]}
    rows = {row.name[-1]: row.metrics["bpd"] for row in table_of(folder_of(tmp_path, shared)).rows}
    want = stats.ttest_rel(shared["b"], shared["a"]).pvalue
    assert rows["b"].p == rows["d"].p == pytest.approx(want)
    assert rows["c"].p == 1
    assert [name for name, entry in rows.items() if entry.best] == ["b", "d"]


def test_files_say_what_the_table_says(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "dir")
    folder = AblationFolder(tmp_path / "dir")
    for file in folder.path.glob("table.*"):
        file.unlink()
    table = write_tables(folder)
    for kind in ("json", "csv", "md", "tex"):  # the examples, which the report is tried on
        written = (folder.path / f"table.{kind}").read_text(encoding="utf-8")
        assert written == (EXAMPLE / f"table.{kind}").read_text(encoding="utf-8")
    assert folder.table() == json.loads(json.dumps(table.as_json()))
    rows = list(csv.DictReader(as_csv(table).splitlines()))
    assert [float(row["bpd_mean"]) for row in rows] == [
        row.metrics["bpd"].mean for row in table.rows
    ]
    assert rows[0]["bpd_p"] == ""
    lines = as_markdown(table).splitlines()
    assert {line.count("|") for line in lines[:6]} == {lines[0].count("|")}
    assert "**1.970 ± 0.015**" in lines[4]
    assert NONE in lines[2]
    latex = as_latex(table)
    assert r"\textbf{1.970 $\pm$ 0.015}" in latex
    assert r"training.learning\_rate" in latex
    body = [line for line in latex.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in body} == {6}


def test_what_users_write_is_escaped(tmp_path):
    table = table_of(folder_of(tmp_path, {"a|b_{%&": [1.0, 2.0]}))
    assert r"a\|b_{%&" in as_markdown(table)
    assert r"a|b\_\{\%\&" in as_latex(table)


def test_a_number_that_is_not_finite_is_none(tmp_path):
    folder = folder_of(tmp_path, {"a": [math.nan, 1.0], "b": [2.0, 3.0]})
    rows = table_of(folder).rows
    assert rows[0].metrics["bpd"].n == 1
    assert rows[1].metrics["bpd"].difference == 2.0
