"""Ablations that do not begin: bad cells, and folders that hold something else."""

import pytest

from experiments.ablation import record
from experiments.ablation.folder import AblationFolder
from experiments.ablation.question import Question
from tests.experiments.ablation.tiny import ASKED, ablate
from tests.experiments.conftest import TOY


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--over=data.flip=False,True"], "data.flip=True: data.flip: got True, takes False"),
        (["--over=training.weighting=edm,edn"], "training.weighting=edn: training.weighting: "),
        (["--over=sampling.solver=adams,unipc:ordr=2"], "sampling.solver: unknown field 'ordr'"),
        (["--over=training.accumulate=2,3"], "takes a multiple of the 1 devices times 3 parts"),
        (["--over=data.source=toy:moons,toy:moon"], "data.source=toy:moon: data.source: "),
        (["--metrics=bpd,fid"], "--metrics: unknown metric 'fid'"),
        (["--metrics=accuracy"], "baseline: metrics: accuracy: got samples without labels"),
        (["--metrics=sw2", "--features=pixel"], "baseline: --features: unknown"),
        (["--metrics=sw2", "--num=1"], "baseline: --num: got 1, takes 4 or more with sw2"),
        (["--over=sampling.grid=fitted:nope"], "sampling.grid: unknown fitted grid 'nope'"),
        (["--over=sde.name="], "--over=sde.name: got '', takes values"),
    ],
)
def test_bad_cells_stop_before_anything_is_written(arguments, line, tmp_path, capsys):
    assert ablate(tmp_path / "new", *TOY, *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "new").exists()


def test_a_folder_that_was_killed_at_its_begin_is_taken(tmp_path):
    """The question is written last; until then there is nothing to lose."""
    for name in ("cells.json", "command.txt.partial", "about.json"):
        (tmp_path / name).touch()
    (tmp_path / ".locks").mkdir()
    record.check(AblationFolder(tmp_path), Question(config="toy2d"), [])


def test_a_folder_of_something_else_is_refused(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    assert ablate(tmp_path, *ASKED) == 2
    assert "holds something else than an ablation" in capsys.readouterr().err
    assert ablate(tmp_path) == 2
    assert "holds no ablation" in capsys.readouterr().err


def test_damaged_files_are_told_before_any_work(tmp_path, capsys):
    assert ablate(tmp_path, *ASKED, "--print_commands") == 0
    cells = tmp_path / "cells.json"
    result = tmp_path / AblationFolder(tmp_path).cells[0].result
    result.parent.mkdir(exist_ok=True)
    whole = cells.read_text(encoding="utf-8")
    for file, text, line in (
        (cells, "[{", "not valid JSON"),
        (cells, '[{"x": 1}]', "is not as ablate writes it"),
        (cells, "{}", "is not as ablate writes it"),
        (result, "{", "not valid JSON"),
        (result, "[]", "is not as ablate writes it"),
    ):
        cells.write_text(whole, encoding="utf-8")
        file.write_text(text, encoding="utf-8")
        assert ablate(tmp_path) == 2
        assert f"{file}: {line}" in capsys.readouterr().err
        assert not (tmp_path / "models").exists()
