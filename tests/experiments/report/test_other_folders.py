"""Reports of other folders: ablations of one model, large or on the way, and workdirs."""

import base64
import io
import json
import re
import shutil
import statistics

import numpy as np
import pytest
from PIL import Image

from experiments.cli import main
from experiments.report import pictures, study
from tests.experiments.report import example
from tests.experiments.report.parsed import Page, report


def test_curves_on_each_other_are_told(tmp_path):
    folder = example.write(tmp_path / "a", {"sde.name": ["vp", "ve", "flow"]}, seeds=2)
    for seed in range(2):
        models = folder / "models"
        shutil.copy(models / f"000-{seed}" / "metrics.jsonl", models / f"002-{seed}")
    assert "One line: sde.name=vp; sde.name=flow." in report(folder).text


def test_a_hundred_cells_are_a_megabyte_without_pictures(tmp_path):
    axes = {
        "sde.name": ["vp", "subvp", "ve", "flow", "edm"],
        "training.learning_rate": [1e-3, 3e-4, 1e-4, 3e-5, 1e-5],
        "sampling.num_steps": [6, 10, 20, 50],
    }
    text = report(example.write(tmp_path / "hundred", axes, seeds=2)).text
    assert len(re.sub(r'"data:image/[^"]*"', "", text).encode("utf-8")) <= 1e6


def test_an_ablation_on_the_way_shows_what_has_ended(tmp_path):
    folder = example.write(tmp_path / "a", {"sde.name": ["vp", "ve"]}, seeds=2, extra=False)
    (folder / "table.json").unlink()
    (folder / "results" / "001-1.json").unlink()
    page = report(folder)
    assert "2 cells × 2 seeds, 1 not run yet" in page.inside["dd"]
    runs = [
        json.loads((folder / "results" / f"000-{seed}.json").read_text(encoding="utf-8"))
        for seed in range(2)
    ]
    values = [run["metrics"]["bpd"]["value"] for run in runs]
    means = [float(row["bpd mean"]) for row in page.table("table.csv")]
    assert means[0] == statistics.fmean(values)
    assert "table.csv" in page.text


def test_cells_of_one_model_share_its_curve_and_its_histogram(tmp_path):
    axes = {"sde.name": ["vp"], "sampling.num_steps": [6, 20]}
    folder = example.write(tmp_path / "a", axes, seeds=2)
    for name in ("cells.json", "results/001-0.json", "results/001-1.json"):
        text = (folder / name).read_text(encoding="utf-8")
        (folder / name).write_text(text.replace("models/001", "models/000"), encoding="utf-8")
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    first, second = (row["metrics"] for row in table["rows"])
    second["bpd"]["mean"] = first["bpd"]["mean"]
    (folder / "table.json").write_text(json.dumps(table), encoding="utf-8")
    page = report(folder)
    assert list(page.table("curve0.csv")[0])[1:] == [
        f"sde.name=vp {x}" for x in ("mean", "low", "high")
    ]
    assert "sde.name=vp share" in page.table("bits.csv")[0]
    assert any(a.get("data-cells") == "0 1" for t, a in page.elements if t == "g")
    assert "One line: " not in page.text
    # What is the same at every cost is no question of it.
    names = [a["download"] for _, a in page.elements if "download" in a]
    assert [name for name in names if name.startswith("cost")] == ["cost0.csv"]


def test_a_workdir(tmp_path, capsys):
    """Its results are rows; curves are drawn once."""
    example.write(tmp_path / "a", {"sde.name": ["vp"]}, seeds=2)
    workdir = tmp_path / "a" / "models" / "000-0"
    (workdir / "evaluation").mkdir()
    measured = {"fd": {"value": 12.5, "standard_error": 0.25}, "note": {"value": None}}
    (workdir / "evaluation" / "first.json").write_text(
        json.dumps({"metrics": measured, "protocol": {}}), encoding="utf-8"
    )
    config = {
        "sde": {"name": "vp"},
        "model": {"name": "mlp", "parameterization": "edm"},
        "data": {"source": "toy:moons"},
        "training": {"num_steps": 2000, "batch_size": 8},
    }
    (workdir / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (workdir / "samples" / "step1000.png").rename(workdir / "evaluation" / "first.png")
    (workdir / "likelihood" / "test.json").write_text(
        json.dumps({"bits_per_dim": 2.25, "standard_error": None}), encoding="utf-8"
    )
    for kind in ("likelihood", "samples"):
        # Of another program, and cut off.
        text = json.dumps({"bits_per_dim": 2.75, "protocol": {}})
        (workdir / kind / "other.json").write_text(text, encoding="utf-8")
        (workdir / kind / "other.npz").write_bytes(b"PK\x03\x04")
        for name, content in (("cut", '{"protocol"'), ("list", "[3]")):
            (workdir / kind / f"{name}.json").write_text(content, encoding="utf-8")
    assert main(["report", str(workdir)]) == 0
    assert capsys.readouterr().out == f"{workdir / 'report.html'}\n"
    page = Page((workdir / "report.html").read_text(encoding="utf-8"))
    text = " ".join(page.inside["td"])
    assert "12.50 ± 0.25" in text
    assert "2.25" in text
    assert "2.75" in text
    assert {"mlp (edm) under vp on toy:moons", "step 1000 of 2000"} <= set(page.inside["dd"])
    # Those that the evaluation has drawn, and points.
    assert [a["width"] for t, a in page.elements if t == "img"][:2] == ["64", "200"]
    # One run has no band, and all results share its curve.
    assert page.data("curve0.csv").splitlines()[0] == "step,000-0 mean"


def test_a_workdir_of_another_time(tmp_path, capsys):
    """Its config has other fields, its run no finite loss, its points one value of bits/dim."""
    example.write(tmp_path / "a", {"sde.name": ["vp"]}, seeds=2)
    workdir = tmp_path / "a" / "models" / "000-0"
    (workdir / "config.json").write_text('{"old": 3}', encoding="utf-8")
    (workdir / "metrics.jsonl").write_text('{"step": 5, "loss": null}\n', encoding="utf-8")
    np.savez(workdir / "likelihood" / "test.npz", bits_per_dim=np.full(20, 2.5))
    (workdir / "samples" / "step1000.npz").write_bytes(b"")
    page = report(workdir)
    assert page.inside["dd"] == [str(workdir), "2 results"]
    assert page.data("curve0.csv").splitlines() == ["step"]
    rows = page.table("bits.csv")
    (full,) = [row for row in rows if float(row["test share"]) > 0]
    assert float(full["test share"]) == 1
    assert float(full["from"]) <= 2.5 <= float(full["to"])
    assert (float(rows[0]["from"]), float(rows[-1]["to"])) == (2, 3)


def test_points_of_many_dimensions_are_seen_where_they_vary_most(tmp_path):
    """Three times as wide as high; a single one is in the middle."""
    example.write(tmp_path / "a", {"sde.name": ["vp"]}, seeds=2)
    samples = tmp_path / "a" / "models" / "000-0" / "samples" / "step1000.npz"
    samples.with_suffix(".png").unlink()
    angles = np.linspace(0, 2 * np.pi, 60)[:, None]
    circle = np.concatenate([0 * angles, np.sin(angles), 0 * angles, 3 * np.cos(angles)], axis=1)
    for points, extent in ((circle, (3, 1)), (circle[:1], (0, 0))):
        np.savez(samples, points=points)
        (shown,) = pictures.samples(study.read(samples.parents[1]))
        content = base64.b64decode(shown.uri.partition(",")[2])
        drawn = Image.open(io.BytesIO(content)).convert("RGBA")
        dots = np.argwhere(np.asarray(drawn)[..., 3])
        height, width = np.ptp(dots, axis=0) - 1  # a dot has two pixels
        # From edge to edge are 1.1 of the largest range.
        assert (width, height) == pytest.approx(np.array(extent) / 3.3 * drawn.width, abs=2)
        assert dots.mean(axis=0) == pytest.approx(drawn.width / 2, abs=2)


@pytest.mark.parametrize("content", [{}, {"notes.txt": "x"}])
def test_a_folder_of_something_else(tmp_path, capsys, content):
    for name, text in content.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert main(["report", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "takes the folder of an ablation (ablation.toml) or a workdir (config.json)" in error
    assert not (tmp_path / "report.html").exists()
