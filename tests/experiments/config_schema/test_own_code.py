"""A user's own code: whatever it does is one line with its name, before any file is made."""

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
    num_steps: int = static(1)
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
        ("model.parameterization", "scalar", ["parameterization: own_things:scalar", "Error"]),
        ("training.weighting", "scalar", ["training.weighting: own_things:scalar: TypeError"]),
        ("training.times", "scalar", ["training.times: own_things:scalar: TypeError"]),
        ("training.optimizer", "none", ["own_things:none: returned NoneType, takes an optax"]),
        ("training.optimizer", "swaps", ["own_things:swaps: returned shapes", "(3, 2)"]),
        ("sampling.solver", "Wide", ["sampling: own_things:Wide"]),
        ("sampling.corrector", "Still", ["own_things:Still", "ZeroDivisionError"]),
        ("data.source", "data", ["data.source: own_things:data returned list, takes a Dataset"]),
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


def test_a_module_that_hides_one_of_ours(tmp_path):
    (tmp_path / "samplers.py").write_text("", encoding="utf-8")
    root = pathlib.Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-m", "experiments", "solvers"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = f"samplers: Python finds {tmp_path / 'samplers.py'}, which hides the package"
    assert found in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.returncode == 2
