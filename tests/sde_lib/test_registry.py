"""Names to classes, and what is said of a wrong name."""

import pytest

from samplers import correctors, grids, solvers, tableaux
from sde_lib import Registry, sdes, time_samplers, weightings
from tests.user_sde import StraightPath

ALL = {
    "SDE": (sdes, {"vp", "subvp", "ve", "cosine", "flow", "edm", "linear_ve", "learned"}),
    "weighting": (weightings, {"sigma2", "likelihood", "edm"}),
    "time sampler": (time_samplers, {"uniform", "log_snr", "log_normal"}),
    "solver": (
        solvers,
        {"euler_maruyama", "reverse_diffusion", "ancestral", "none", "adams", "unipc", "dpmpp_2m"},
    ),
    "corrector": (correctors, {"langevin", "annealed_langevin"}),
    "grid": (grids, {"uniform", "log_snr", "edm", "published"}),
    "tableau": (tableaux, {"euler", "heun", "rk4", "bosh3", "dopri5", "dop853"}),
}


@pytest.fixture
def animals():
    registry = Registry("animal")
    registry.register("zebra")(int)
    registry.register("ant")(str)
    return registry


@pytest.mark.parametrize("kind", ALL)
def test_what_is_registered(kind):
    """The names that configs use; a new one may be added, none may go."""
    registry, names = ALL[kind]
    assert registry.kind == kind
    assert names <= set(registry)


def test_decorator_returns_what_it_enters(animals):
    @animals.register("cat")
    class Cat:
        pass

    assert animals["cat"] is Cat
    assert list(animals) == ["ant", "cat", "zebra"]


def test_unknown_name_suggests_the_nearest(animals):
    with pytest.raises(ValueError, match=r"^unknown animal 'zebar'; did you mean 'zebra'\?") as e:
        animals["zebar"]
    assert str(e.value).endswith("Known: ant, zebra")
    with pytest.raises(ValueError, match=r"did you mean 'subvp'\?"):
        sdes["sub-vp"]


def test_unknown_name_like_no_other_lists_the_known(animals):
    with pytest.raises(ValueError, match=r"^unknown animal 'qqqq'\. Known: ant, zebra$"):
        animals["qqqq"]


def test_a_name_is_taken_once(animals):
    with pytest.raises(ValueError, match=r"^animal 'ant' is registered already$"):
        animals.register("ant")(float)


def test_a_users_own_by_module_and_attribute():
    assert sdes["tests.user_sde:StraightPath"] is StraightPath
    assert "tests.user_sde:StraightPath" not in list(sdes)


@pytest.mark.parametrize("path", ["no_such_module:Thing", "tests.user_sde:NoSuch", "tests:"])
def test_a_users_own_that_is_not_there(path):
    with pytest.raises(ValueError, match=rf"^SDE '{path}' cannot be imported: .+") as error:
        sdes[path]
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit: 3"),
        ("def Thing(:", "cannot be imported: SyntaxError: "),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        (
            "class Thin: pass",
            r"the module is .*/own_2.*\.py: unknown name 'Thing'; did you .* 'Thin'",
        ),
        ("class Thing: pass", "got <class 'own_.*'> of .*/own_.*py, takes a subclass of SDE"),
        ("from tests.user_sde import StraightPath; Thing = StraightPath()", "a subclass of SDE"),
    ],
)
def test_whatever_a_users_module_does_is_one_line(lines, words, tmp_path, monkeypatch):
    name = f"own_2{abs(hash(lines))}"
    (tmp_path / f"{name}.py").write_text(lines + "\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"^SDE '{name}:Thing'.*{words}") as error:
        sdes[f"{name}:Thing"]
    assert "\n" not in str(error.value)


def test_functions_must_be_called():
    with pytest.raises(ValueError, match="takes a function"):
        grids["math:pi"]
