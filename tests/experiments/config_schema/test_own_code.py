"""A user's own code: whatever it does is one line with its name, before any file is made."""

import importlib.metadata
import os
import pathlib
import subprocess
import sys

import pytest

from experiments.cli import main
from tests.experiments.conftest import TOY

OWN = """
import flax.linen as nn
import jax.numpy as jnp
import optax
from sde_lib import SDE, VP, static
from samplers import Corrector
from samplers.solvers.predictors import EulerMaruyama

class Half(SDE):
    def alpha(self, t):
        return 1 - t

class Constant(VP):
    def alpha(self, t):
        return 1.0

class Raises(VP):
    def sigma(self, t):
        raise RuntimeError("no such curve\\nand more")

class Wide(EulerMaruyama):
    def update(self, draw, prediction, x, coefficients, state):
        return super().update(draw, prediction, x[:, None], coefficients, state)

class Still(Corrector):
    num_steps: int = static(default=1)
    def plan(self, sde, steps):
        return steps.start
    def update(self, draw, prediction, x, coefficients):
        return 1 / 0

class Flat(nn.Module):
    @nn.compact
    def __call__(self, x, c, cond=None, *, train=False):
        return nn.Dense(1)(x)

def scalar(sde, t, *rest):
    return jnp.ones(())

def none(learning_rate):
    return None

def swaps(learning_rate):
    return optax.stateless(lambda g, p: {"kernel": g["kernel"].T, "bias": g["bias"]})

def data(request):
    return [1, 2]

def broken(request):
    raise KeyError("x")
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """The folder one stands in has the module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_things", raising=False)
    (tmp_path / "own_things.py").write_text(OWN, encoding="utf-8")


@pytest.mark.parametrize(
    ("field", "name", "words"),
    [
        ("sde.name", "Half", ["sde: Half: TypeError", "abstract"]),
        ("sde.name", "Constant", ["sde.Constant.alpha: returns shape None", "(64,)"]),
        ("sde.name", "Raises", ["sde.name: own_things:Raises: RuntimeError: no such curve"]),
        ("sde.name", "scalar", ["got <function scalar", "own_things.py", "a subclass of SDE"]),
        ("model.name", "Flat", ["own_things:Flat", "returns shape (2, 1) for states", "(2, 2)"]),
        ("model.conditioning", "scalar", ["model.conditioning: own_things:scalar", "(2,)"]),
        (
            "model.parameterization",
            "scalar",
            ["own_things:scalar", "a subclass of Param"],
        ),
        ("training.weighting", "scalar", ["training.weighting: own_things:scalar: TypeError"]),
        ("training.times", "scalar", ["training.times: own_things:scalar: TypeError"]),
        ("training.optimizer", "none", ["own_things:none: returned NoneType, takes an optax"]),
        ("training.optimizer", "swaps", ["own_things:swaps: returned shapes", "(3, 2)"]),
        ("sampling.solver", "Wide", ["sampling: own_things:Wide"]),
        ("sampling.corrector", "Still", ["own_things:Still", "ZeroDivisionError"]),
        ("data.source", "data", ["data.source: own_things:data returned list, takes a Split"]),
        ("data.source", "broken", ["data.source: own_things:broken: KeyError: 'x'"]),
    ],
)
def test_refused(own, field, name, words, tmp_path, capsys):
    # A network has the fields that it declares.
    toy = [flag for flag in TOY if field != "model.name" or "model.hidden" not in flag]
    arguments = ["train", *toy, f"--config.{field}=own_things:{name}", "--workdir=run"]
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()


def test_debug_shows_whose_line_it_was(own):
    with pytest.raises(ValueError, match="no such curve") as error:
        main(["train", *TOY, "--config.sde.name=own_things:Raises", "--workdir=run", "--debug"])
    assert isinstance(error.value.__cause__, RuntimeError)


def test_a_grid(own, trained, capsys):
    command = ["sample", f"--workdir={trained}", "--grid=own_things:scalar", "--output=x"]
    assert main(command) == 2
    line = capsys.readouterr().err
    assert "sampling.grid: own_things:scalar: got shape (), takes falling times [N]" in line


def run_in(folder, *command, path=()):
    """What Python says of a command in a folder, with the code's own after others to search."""
    searched = [*map(str, path), str(pathlib.Path(__file__).parents[3])]
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(searched)},
        capture_output=True,
        text=True,
        check=False,
    )


SCRIPT = "import sys, scoresde; sys.path.remove(''); sys.exit(scoresde.main())"
"""The command as it is installed, which does not search the folder that one stands in."""


@pytest.mark.parametrize("name", ["sde_lib", "samplers", "models", "experiments"])
@pytest.mark.parametrize("kind", ["module", "package"])
def test_what_hides_one_of_ours(name, kind, tmp_path):
    file = tmp_path / (f"{name}.py" if kind == "module" else f"{name}/__init__.py")
    file.parent.mkdir(exist_ok=True)
    file.write_text("", encoding="utf-8")
    done = run_in(tmp_path, "-c", SCRIPT, "solvers", path=[tmp_path])
    found = file if kind == "module" else file.parent
    assert f"scoresde: {name}: Python finds {found}, which hides the package" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("module", "hidden"), [("experiments", "models"), ("scoresde", "experiments")]
)
def test_what_hides_one_of_ours_where_one_stands(module, hidden, tmp_path):
    """Python searches that folder first for a module that is run by its name."""
    (tmp_path / f"{hidden}.py").write_text("", encoding="utf-8")
    done = run_in(tmp_path, "-m", module, "solvers")
    assert f"{hidden}: Python finds {tmp_path / hidden}.py, which hides" in done.stderr
    assert (done.stderr.count("\n"), done.returncode) == (1, 2)


def test_folders_of_our_names_where_one_stands(tmp_path):
    """A user's own `models`, with checkpoints or with code, is none of the command's matter."""
    for name in ("sde_lib", "samplers", "models", "experiments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit(__name__)", encoding="utf-8")
    done = run_in(tmp_path, "-c", SCRIPT, "solvers")
    assert done.returncode == 0, done.stderr
    assert "adams" in done.stdout


def test_the_version_is_that_of_the_package_and_takes_no_jax(tmp_path):
    program = "import sys, scoresde; print(scoresde.__version__)\ntry: scoresde.main(['--version'])"
    program += "\nfinally: print('jax' in sys.modules, 'numpy' in sys.modules)"
    done = run_in(tmp_path, "-c", program)
    version = importlib.metadata.version("scoresde")
    assert done.stdout.split("\n")[:3] == [version, f"scoresde {version}", "False False"]
    assert done.returncode == 0
