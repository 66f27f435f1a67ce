"""The report as a browser reads it, from a folder whose numbers are known."""

import base64
import collections
import hashlib
import json
import pathlib
import re
import statistics

import numpy as np
import pytest

from experiments.report.parallel import told_apart
from experiments.report.rows import with_error
from tests.experiments.report import example
from tests.experiments.report.parsed import Page, report

EVIL = "</script><img src=x onerror=alert(1)>&amp;\"'$x$"
AXES = {
    EVIL: [f"a{EVIL}", "b"],
    "sampling.num_steps": [6, 20],
    "training.learning_rate": [0.001, 0.0003],
}
FAILED = (3, 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    """An ablation of eight cells, one of which has failed at one seed."""
    return example.write(
        tmp_path_factory.mktemp("report") / f"x{EVIL.replace('/', '')}", AXES, fails=FAILED
    )


@pytest.fixture(scope="module")
def page(folder) -> Page:
    return report(folder)


def test_nothing_is_asked_of_a_network(page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, attributes)
    assert {t for t, _ in page.elements} & {"iframe", "object", "embed", "base"} == set()
    assert set(re.findall(r"url\((.)", page.text)) == {"#"}
    assert "@import" not in page.text
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_one_script_is_the_one_that_the_policy_names(page):
    (script,) = page.inside["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    assert f"script-src 'sha256-{digest}'" in page.text
    assert "'unsafe-inline'; script-src" in page.text  # of the styles alone


def test_what_users_write_is_text(page):
    """In the title, cells, choices, labels of figures: an element of it would not be closed."""
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    for tag in ("title", "h1"):
        assert EVIL.replace("/", "") in page.inside[tag][0]
    for tag in ("td", "option", "figcaption", "button", "li"):
        assert any(EVIL in text for text in page.inside[tag]), tag
    # The label of a vertical axis, in a figure.
    assert EVIL in "".join(page.inside["text"])


def test_ids_are_of_one_element_and_what_is_referred_to_is_there(page):
    counts = collections.Counter(a["id"] for _, a in page.elements if "id" in a)
    assert set(counts.values()) == {1}
    used = {a["href"][1:] for _, a in page.elements if a.get("href", "").startswith("#")}
    used |= set(re.findall(r"url\(#(\w+)\)", page.text))
    assert used <= set(counts)


def test_the_numbers_are_the_tables(page, folder):
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    cells = [a for t, a in page.elements if t == "td" and a.get("class") == "number"]
    expected = [entry["mean"] for row in table["rows"] for entry in row["metrics"].values()]
    assert [float(a["data-value"]) for a in cells] == expected
    written = page.table("table.csv")
    for row, line in zip(table["rows"], written, strict=True):
        assert line["cell"] == row["name"]
        for metric, entry in row["metrics"].items():
            for part in ("mean", "standard_error", "difference", "low", "high", "p"):
                said = line[f"{metric} {part}"]
                assert (float(said) if said else None) == entry[part]
    assert [note for note in page.inside["p"] if note.startswith("Best")] == [table["rule"]]
    assert len(page.inside["strong"]) >= 1
    assert with_error(table["rows"][0]["metrics"]["bpd"]["mean"], 0.0041) in page.inside["strong"]


def test_a_row_knows_which_choices_let_it_be_seen(page):
    rows = [a["data-choices"].split() for t, a in page.elements if t == "tr" and "data-cell" in a]
    settings = [(i, j, k) for i in range(2) for j in range(2) for k in range(2)]
    assert [tuple(map(int, row)) for row in rows] == settings


def test_the_ticks_of_an_axis_differ():
    assert told_apart([1.921, 1.9215, 1.922]) == ["1.921", "1.9215", "1.922"]
    assert told_apart([0.0, 0.5, 1.0]) == ["0", "0.5", "1"]


def test_a_failed_run_is_shown_with_its_line(page):
    (line,) = [text for text in page.inside["li"] if "no finite loss" in text]
    assert "seed 1: training: 20 updates in a row had no finite loss" in line
    assert "1 of 3 failed" in "".join(page.inside["th"])
    assert "8 cells × 3 seeds, 1 failed" in page.inside["dd"]


def test_a_curve_is_the_mean_over_seeds_with_the_least_and_the_greatest(page, folder):
    losses = []
    for seed in range(3):
        file = folder / "models" / f"002-{seed}" / "metrics.jsonl"
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        losses.append({line["step"]: line["loss"] for line in lines})
    label = f"{EVIL}=a{EVIL}, sampling.num_steps=20, training.learning_rate=0.001"
    for line in page.table("curve0.csv"):
        at = [run[int(float(line["step"]))] for run in losses]
        expected = {"mean": statistics.fmean(at), "low": min(at), "high": max(at)}
        for part, value in expected.items():
            # Six digits are written.
            assert float(line[f"{label} {part}"]) == pytest.approx(value, rel=1e-5)


def test_quality_against_cost_has_a_line_for_what_differs_otherwise(page, folder):
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    rows = page.table("cost0.csv")
    assert len({row["cells"] for row in rows}) == 4
    assert [float(row["evaluations"]) for row in rows] == [7.0, 21.0] * 4
    means = {f"{row['metrics']['sw2']['mean']:.6g}" for row in table["rows"]}
    assert {row["sw2"] for row in rows} == means


def test_a_histogram_has_the_shares_of_all_seeds(page, folder):
    rows = page.table("bits.csv")
    name = f"{EVIL}=b, sampling.num_steps=20, training.learning_rate=0.0003"
    runs = [
        np.load(folder / "models" / f"007-{seed}" / "likelihood" / "test.npz")["bits_per_dim"]
        for seed in range(3)
    ]
    edges = [float(row["from"]) for row in rows[1:]]
    shares = np.array([np.diff([(x < e).mean() for e in edges]) for x in runs])
    inner = rows[1:-1]
    said = np.array(
        [[float(row[f"{name} {p}"]) for p in ("share", "standard_error")] for row in inner]
    )
    # Six digits are written, of the edges too: none of the examples is so near to one.
    np.testing.assert_allclose(said[:, 0], shares.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(said[:, 1], shares.std(axis=0, ddof=1) / 3**0.5, rtol=1e-5)


def test_config_fields_that_follow_are_told_from_those_that_were_varied(page):
    (row,) = [text for text in page.inside["tr"] if text.startswith("training.t_min")]
    assert "follows" in row
    assert "2e-05 (4)" in row
    assert not any(text.startswith("seed") for text in page.inside["tr"])


def test_every_picture_has_its_data(page):
    pictures = [a for t, a in page.elements if t == "img"]
    # Samples of every cell, and of one an animation and its nearest neighbours.
    assert len(pictures) == 8 + 2
    figures = [t for t, _ in page.elements if t == "figure"]
    links = [a for _, a in page.elements if "download" in a]
    # Those two are their own data; the table has some.
    assert len(links) == len(figures) - 2 + 1
    points = page.table("samples-0.csv")
    assert set(points[0]) == {"x0", "x1"}


def test_it_is_the_same_page_again(page, folder):
    assert report(folder).text == page.text


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2.12345, 0.0123, "2.123 ± 0.012"),
        (123.456, 4.56, "123.5 ± 4.6"),
        (-0.5, 0.0, "−0.5 ± 0"),
        (0.123456, None, "0.1235"),
        (1234.5, 99.9, "1234 ± 100"),
        (-0.000012, None, "−1.2e-05"),
    ],
)
def test_a_number_has_the_digits_that_its_error_leaves(value, error, text):
    assert with_error(value, error) == text
