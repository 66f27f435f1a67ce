"""Every command and program of the README and of the pages of docs/ runs, as its fences say.

On each page, from top to bottom and in one folder:

    bash      lines that begin with `scoresde` are run, training cut to a few steps;
    python    a file of that folder, if its first line is `# NAME.py`; else it is run, and knows
              the names of the page's programs before it;
    others    console, sh, yaml, text: not run, but a command in them must exist, with its flags,
              and its config must be one.

A page that trains nothing finds `runs/toy2d` trained.
"""

import contextlib
import functools
import io
import pathlib
import re
import shlex
import shutil

import pytest

from benchmarks.report import ROOT, pages
from experiments.cli import main
from experiments.config_schema.flags import load_experiment
from tests.experiments.conftest import TOY

TINY = {
    "train": [flag for flag in TOY if not flag.startswith("--config=")],
    "sample": ["--devices=1", "--num=16", "--batch=16"],
    "likelihood": ["--devices=1", "--limit=16"],
    "fit_grid": ["--devices=1", "--batch=16", "--steps=3"],
    "evaluate": ["--devices=1", "--num=50", "--batch=16"],
}
"""Flags that make a command short, after those of the page."""

SMALL = {"num_steps = 3000": "num_steps = 3", "side = 101": "side = 5"}
"""What a program says, and what is run instead."""

TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in pages()}


def fences(text: str) -> list[tuple[str, str]]:
    """The language and the content of every fenced block, in order."""
    return re.findall(r"^```(\w+)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def commands(script: str) -> list[list[str]]:
    """The arguments of every `scoresde` in a shell's text."""
    found = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
        while "scoresde" in words:
            words = words[words.index("scoresde") + 1 :]
            ends = (i for i, word in enumerate(words) if set(word) <= set("();<>|&"))
            found.append(words[: next(ends, len(words))])
    return found


def mentions(text: str) -> list[list[str]]:
    """The arguments of every command in the fences of a page or in its `code`."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    scripts = [content for language, content in fences(text) if language != "python"]
    inline = re.findall(r"`(scoresde [^`]+)`", prose)
    return [command for script in scripts + inline for command in commands(script)]


RUN = [name for name, text in TEXTS.items() if re.search(r"^```(bash|python)$", text, re.M)]


@pytest.fixture(scope="session")
def toy2d(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("docs") / "toy2d"
    assert main(["train", "--config=toy2d", f"--workdir={workdir}", *TINY["train"]]) == 0
    return workdir


@pytest.mark.parametrize("page", RUN)
def test_a_page_runs(page, toy2d, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    if "--config=toy2d --workdir=runs/toy2d" not in TEXTS[page]:
        shutil.copytree(toy2d, "runs/toy2d")
    names: dict = {}
    for language, content in fences(TEXTS[page]):
        if language == "bash":
            for command in commands(content):
                run(command, capsys)
        elif language == "python":
            program(content, names)


def run(command: list[str], capsys: pytest.CaptureFixture) -> None:
    """Run a command of a page, made short."""
    if command[0] == "demo":  # tests/experiments/commands/test_commands.py runs it
        return
    short = TINY.get(command[0], [])
    if any(word.startswith("--config.model.name=") for word in command):  # it has other fields
        short = [flag for flag in short if not flag.startswith("--config.model.")]
    if any(word.startswith("--samples=") for word in command):  # there are as many as there are
        short = [flag for flag in short if not flag.startswith("--num=")]
    code = main([*command, *short])
    error = capsys.readouterr().err
    if any(word.endswith(".pth") for word in command):  # a file of another project
        assert code == 2
        assert error.endswith(".pth: no such file\n")
    else:
        assert code == 0, (command, error)


def program(content: str, names: dict) -> None:
    """Write a file of the reader's, or run a program of a page, made short."""
    own = re.match(r"# (\w+\.py)\n", content)
    if own:
        pathlib.Path(own[1]).write_text(content, encoding="utf-8")
        return
    for told, run_instead in SMALL.items():
        content = content.replace(told, run_instead)
    exec(compile(content, "page", "exec"), names)


@pytest.mark.parametrize("page", TEXTS)
def test_what_a_page_mentions_exists(page):
    """Commands and their flags; of training, the config with what overrides it."""
    for command, *arguments in mentions(TEXTS[page]):
        flags = [a.partition("=")[0] for a in arguments if a.startswith("--")]
        unknown = set(flags) - options(command)
        assert {flag for flag in unknown if not flag.startswith("--config.")} == set(), command
        config = dict(a.split("=", 1) for a in arguments if "=" in a).get("--config", "FILE")
        overrides = [a for a in arguments if a.startswith("--config.")]
        if config != "FILE" and not any(re.search(r"=my_\w+:", a) for a in overrides):
            load_experiment(config, overrides)


def test_flags_in_prose_exist():
    told = {flag for text in TEXTS.values() for flag in re.findall(r"`(--\w+)[=`]", text)}
    names = {command for text in TEXTS.values() for command, *_ in mentions(text)}
    assert told - {"--config"} <= set().union(*map(options, names))


@functools.cache
def options(command: str) -> set[str]:
    """The flags that a command's help lists."""
    with contextlib.redirect_stdout(io.StringIO()) as said, pytest.raises(SystemExit):
        main([command, "--help"])
    return set(re.findall(r"--[\w-]+", said.getvalue()))


def test_the_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    told = re.findall(r"^make (\w+)|`make (\w+)`", "\n".join(TEXTS.values()), re.MULTILINE)
    assert {"demo", "test", "docs"} <= {target for pair in told for target in pair}
    for target in filter(None, {target for pair in told for target in pair}):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 150


def test_a_users_sde_is_short():
    """α and σ, and what it takes to write them."""
    (own,) = [content for _, content in fences(TEXTS["README.md"]) if "class " in content]
    assert len([line for line in own.splitlines() if line.strip()]) < 10


def test_every_page_is_in_the_navigation():
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in site
