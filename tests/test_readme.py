"""Every command and program of the README runs (`demo` in commands/test_commands.py)."""

import pathlib
import re
import shlex

import pytest

from experiments.cli import main
from tests.experiments.conftest import TOY

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    """The arguments of every `scoresde` line, in order."""
    lines = "\n".join(blocks("bash")).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("scoresde ")]


def takes_a_file(command: list[str]) -> bool:
    """Whether a command is about a file of another project, which is not here."""
    return "--from=score_sde_pytorch" in command


def test_the_commands_run(tmp_path, monkeypatch, capsys):
    """In order, in one folder; training is cut to a few steps of a tiny network."""
    monkeypatch.chdir(tmp_path)
    own = next(block for block in blocks("python") if block.startswith("# my_module.py"))
    pathlib.Path("my_module.py").write_text(own, encoding="utf-8")
    assert len([line for line in own.splitlines() if line.strip()]) < 10
    one = "--devices=1"
    tiny = {"train": [a for a in TOY if not a.startswith("--config=")], "solvers": [], "status": []}
    tiny |= {"sample": [one, "--num=16", "--batch=16"], "likelihood": [one, "--limit=16"]}
    tiny |= {"fit_grid": [one, "--batch=16"], "import": [], "export": []}
    assert {command[0] for command in commands()} == {"demo", *tiny}
    for command in commands():
        if takes_a_file(command):
            assert main(command) == 2
            assert capsys.readouterr().err.endswith(".pth: no such file\n")
        elif command[0] != "demo":
            assert main([*command, *tiny[command[0]]]) == 0, capsys.readouterr().err


def test_the_program_runs(capsys):
    for program in blocks("python"):
        exec(compile(program, "README.md", "exec"), {})
    assert "evaluations at most" in capsys.readouterr().out


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", README, flags=re.MULTILINE))
def test_the_make_targets_exist(target):
    makefile = (pathlib.Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE)
