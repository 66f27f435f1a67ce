"""The command `sample`: its choices, what it writes beside the samples, and what it refuses."""

import shutil

import numpy as np
import pytest
from PIL import Image

from experiments.cli import main
from experiments.errors import UserError
from experiments.sampling.latents import read_latents
from tests.experiments.conftest import refused


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the trained toy that a test may write to."""
    shutil.copytree(trained, tmp_path / "run", ignore=shutil.ignore_patterns("samples", "grids"))
    return tmp_path / "run"


def draw(workdir, tmp_path, *arguments, name="out"):
    output = f"--output={tmp_path / name}"
    command = ["sample", f"--workdir={workdir}", output, "--devices=1", *arguments]
    assert main(command) == 0
    return dict(np.load(tmp_path / f"{name}.npz"))


def test_solvers_by_name_and_field(workdir, tmp_path, capsys):
    """The evaluations tell that the fields arrived."""
    for i, (arguments, calls) in enumerate(
        [
            (["--solver=rk:tableau=midpoint", "--steps=3", "--grid=edm:rho=5", "--no-denoise"], 6),
            (["--solver=restart:repeats=1,num_steps=2", "--steps=4"], 13),
            (["--solver=ancestral", "--corrector=langevin", "--steps=2"], 5),
        ]
    ):
        drawn = draw(workdir, tmp_path, "--num=10", *arguments, name=f"out{i}")
        assert drawn["evaluations"].tolist() == [calls] * 10
        assert np.isfinite(drawn["points"]).all()
        assert f"{calls} network evaluations" in capsys.readouterr().out


def test_adaptive_solvers(workdir, tmp_path, capsys):
    drawn = draw(workdir, tmp_path, "--num=10", "--solver=adaptive_sde", "--rtol=0.05")
    assert drawn["finished"].all()
    late = ["--num=10", "--solver=adaptive_sde:max_evaluations=4"]
    drawn = draw(workdir, tmp_path, *late, name="late")
    assert not drawn["finished"].any()
    assert "10 have not reached the end" in capsys.readouterr().out


def test_a_tolerance_reaches_the_solver_wherever_that_is_said(workdir, tmp_path):
    """By a name, by a name with fields, or by the config; the flag takes the field's place."""
    said = (
        ["--solver=adaptive_sde:rtol=0.05,atol=0.05"],
        ["--solver=adaptive_sde", "--rtol=0.05"],
        ["--solver=adaptive_sde:rtol=0.5,max_evaluations=2000", "--rtol=0.05"],
        ["--config.sampling.solver=adaptive_sde", "--rtol=0.05"],
    )
    drawn = [
        draw(workdir, tmp_path, "--num=10", *arguments, name=f"out{i}")
        for i, arguments in enumerate(said)
    ]
    for other in drawn[1:]:
        np.testing.assert_array_equal(other["points"], drawn[0]["points"])
    own = draw(workdir, tmp_path, "--num=10", "--solver=adaptive_sde", name="own")
    assert own["evaluations"].mean() > drawn[0]["evaluations"].mean()


def test_what_a_picture_says_of_itself(workdir, tmp_path):
    draw(workdir, tmp_path, "--num=10", "--solver=adams", "--steps=4", "--seed=7", "--trajectory=3")
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.text["seed"] == "7"
        assert picture.text["command"].startswith("scoresde")
        assert "jax" in picture.text["versions"]
    with Image.open(tmp_path / "out.gif") as animation:
        assert animation.n_frames == 4


def test_latents(workdir, tmp_path, capsys):
    """Samples from given latents: those of the seed give the seed's samples."""
    latents = np.random.default_rng(0).normal(size=(6, 2)).astype(np.float32)
    np.savez(tmp_path / "z.npz", latents=latents)
    same = [f"--latents={tmp_path / 'z.npz'}", "--solver=adams", "--steps=60"]
    first = draw(workdir, tmp_path, *same)["points"]
    assert first.shape == (6, 2)
    np.testing.assert_array_equal(draw(workdir, tmp_path, *same, name="again")["points"], first)
    np.savez(tmp_path / "z.npz", latents=-latents)
    assert np.abs(draw(workdir, tmp_path, *same, name="other")["points"] - first).max() > 0.1
    capsys.readouterr()
    line = refused(["sample", f"--workdir={workdir}", same[0], "--num=6"], capsys)
    assert "--num: takes no --latents, which say how many" in line


def test_interpolation(workdir, tmp_path, capsys):
    """Rows of five between the seed's first three samples."""
    flow = ["--solver=adams", "--steps=60"]
    plain = draw(workdir, tmp_path, *flow, "--num=3", name="plain")["points"]
    rows = draw(workdir, tmp_path, *flow, "--num=10", "--interpolate=5")["points"]
    np.testing.assert_allclose(rows[[0, 4, 5, 9]], plain[[0, 1, 1, 2]], atol=1e-4)
    # A continuous map: neighbours are nearer than the ends.
    steps = np.linalg.norm(np.diff(rows.reshape(2, 5, 2), axis=1), axis=-1)
    assert np.all(steps.max(1) < np.linalg.norm(rows[[4, 9]] - rows[[0, 5]], axis=-1) + 0.5)
    assert main(["sample", f"--workdir={workdir}", "--num=10", "--interpolate=3", *flow]) == 2
    assert "--interpolate" in capsys.readouterr().err


def test_another_sde_has_the_same_flow(workdir, tmp_path):
    """By the flow, whatever the SDE; the latents are standard normal in each."""
    flow = ["--num=10", "--solver=adams", "--steps=60", "--config.sampling.t_min=1e-3"]
    own, edm = (
        draw(workdir, tmp_path, *flow, *sde, name=f"sde{i}")["points"]
        for i, sde in enumerate(([], ["--sde=subvp"]))
    )
    # σ/α at t = 1 is 150 for both.
    np.testing.assert_allclose(own, edm, atol=0.05)


def test_grids(workdir, tmp_path, capsys):
    """Of a file, and fitted to the model and kept by name."""
    np.save(tmp_path / "times.npy", np.array([1.0, 0.4, 0.1, 0.01]))
    drawn = draw(workdir, tmp_path, "--solver=ddim", f"--grid={tmp_path / 'times.npy'}", "--num=4")
    assert drawn["evaluations"].tolist() == [4] * 4
    fit = ["fit_grid", f"--workdir={workdir}", "--steps=6", "--name=mine", "--batch=16"]
    fit += ["--devices=1", "--solver=ddim"]
    assert main(fit) == 0
    assert "--grid=fitted:mine" in capsys.readouterr().out
    fitted = ["--solver=adams", "--grid=fitted:mine", "--num=4"]
    drawn = draw(workdir, tmp_path, *fitted, name="fitted")
    assert drawn["evaluations"].tolist() == [7] * 4
    fine = draw(workdir, tmp_path, "--solver=adams", "--steps=60", "--num=4", name="fine")["points"]
    # Of six steps; and under a wider SDE, which has its levels at later times than t = 1.
    np.testing.assert_allclose(drawn["points"], fine, atol=0.1)
    wider = draw(workdir, tmp_path, *fitted, "--sde=ve:sigma_max=500", name="wider")["points"]
    np.testing.assert_allclose(wider, drawn["points"], atol=0.01)


def test_every_way_starts_from_the_same_latents(workdir, tmp_path):
    """The flow by steps of its own and on a grid, where the prior's deviation is not 1."""
    grid, own = (
        draw(workdir, tmp_path, "--num=6", "--sde=ve", *flow, name=flow[0][9:])["points"]
        for flow in (["--solver=adams", "--steps=60"], ["--solver=probability_flow"])
    )
    np.testing.assert_allclose(own, grid, atol=0.02)


def test_listing(capsys):
    assert main(["solvers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (unipc,) = (line for line in lines if line.startswith("unipc"))
    assert unipc.split()[:3] == ["unipc", "4", "1"]
    assert "Zhao" in unipc


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--solver=adamz"], ["sampling.solver", "adamz", "'adams'"]),
        (["--solver=adams:ordr=2"], ["sampling.solver", "'ordr'", "'order'"]),
        (["--solver=adams:order=9"], ["order", "got 9", "1 to 6"]),
        (["--solver=ancestral:eta=2"], ["eta", "got 2", "0 to 1"]),
        (["--solver=dpmpp_2m:eta=-1"], ["eta", "got -1", "≥ 0"]),
        (["--solver=churn:churn=-1"], ["churn", "got -1"]),
        (["--solver=restart:low=2,high=1"], ["low", "got 2", "high = 1"]),
        (["--solver=adaptive_sde:rtol=-1"], ["rtol", "-1", "> 0"]),
        (["--solver=adams", "--rtol=1e-3"], ["--rtol", "adaptive"]),
        (["--solver=probability_flow", "--steps=4"], ["--steps", "grid"]),
        (["--steps=4", "--rtol=1e-3"], ["--rtol", "--steps"]),
        (["--grid=edm:rh=3"], ["sampling.grid", "'rh'", "'rho'"]),
        (["--grid=edn"], ["sampling.grid", "'edn'", "'edm'"]),
        (["--grid=fitted:mien"], ["sampling.grid", "mien"]),
        (["--grid=none.npy"], ["sampling.grid", "none.npy"]),
        (["--sde=flew"], ["--sde", "'flew'", "'flow'"]),
        (["--sde=vp:beta_max=0"], ["--sde", "beta_max", "0"]),
        (["--latents=none.npz"], ["--latents", "none.npz"]),
    ],
)
def test_refused(trained, tmp_path, arguments, words, capsys):
    command = ["sample", f"--workdir={trained}", f"--output={tmp_path / 'out'}", *arguments]
    try:
        code = main(command)
    except SystemExit as error:  # argparse's own
        code = error.code
    assert code == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"latents": np.zeros((2, 3))}, "got shape (2, 3), takes (N, 2)"),
        ({"latents": np.zeros((0, 2))}, "got shape (0, 2), takes (N, 2)"),
        ({"latents": np.array(["a"])}, "takes an .npz with `latents`"),
        ({"noise": np.zeros((2, 2))}, "takes an .npz with `latents`"),
        (np.zeros((2, 2)), "is one array, takes an .npz with `latents`"),
        (b"PK\3\4 cut off", "takes an .npz with `latents`"),
        (b"", "takes an .npz with `latents`"),
    ],
)
def test_latents_that_are_none(tmp_path, content, words):
    path = tmp_path / "z.npz"
    with path.open("wb") as file:
        if isinstance(content, bytes):
            file.write(content)
        elif isinstance(content, dict):
            np.savez(file, **content)
        else:
            np.save(file, content)
    with pytest.raises(UserError) as error:
        read_latents(str(path), (2,))
    assert str(error.value).startswith(f"--latents: {path}: ")
    assert str(error.value).endswith(words)


@pytest.mark.parametrize("content", [b"", b"PK\3\4 cut off", b"1 0.5 0.1"])
def test_a_grid_of_a_damaged_file_is_refused(trained, tmp_path, content, capsys):
    (tmp_path / "times.npy").write_bytes(content)
    grid = f"--grid={tmp_path / 'times.npy'}"
    line = refused(["sample", f"--workdir={trained}", "--solver=ddim", grid], capsys)
    assert f"sampling.grid: {tmp_path / 'times.npy'}: " in line


def test_a_grid_that_rises_is_refused(trained, tmp_path, capsys):
    for times in ([0.1, 0.5], [1.5, 0.5], [[0.5]]):
        np.save(tmp_path / "times.npy", np.array(times))
        grid = f"--grid={tmp_path / 'times.npy'}"
        assert main(["sample", f"--workdir={trained}", "--solver=ddim", grid]) == 2
        assert "sampling.grid" in capsys.readouterr().err
