"""Results: a name for everything that decided them; none is lost, and none replaces another."""

import json
import shlex
import shutil

import numpy as np
import pytest

import samplers
from experiments.cli import main
from experiments.errors import UserError
from experiments.likelihood import report as likelihood_report
from experiments.sampling import files
from experiments.sampling.sampler import BatchedSampler
from experiments.workdir.results import Result, digest, resumed


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the trained toy that a test may write to, in a folder whose name a shell splits."""
    ignored = shutil.ignore_patterns("samples", "grids", "likelihood")
    shutil.copytree(trained, tmp_path / "my run", ignore=ignored)
    return tmp_path / "my run"


@pytest.fixture
def draws(monkeypatch):
    """The seeds of what was drawn; all samples are their seed, which takes no time."""
    seeds = []

    def draw(self, num, seed, **_):
        seeds.append(seed)
        return samplers.Samples(np.full((num, *self.shape), seed, float), np.ones(num, int))

    monkeypatch.setattr(BatchedSampler, "draw", draw)
    tiny = np.zeros((1, 1, 3), np.uint8)
    monkeypatch.setattr(files, "picture", lambda *_: tiny)
    return seeds


def test_a_name_for_each_protocol(tmp_path):
    protocol = {"seed": 1, "shape": (2,), "t_min": 1e-3}
    one, same = (Result.named(tmp_path, "a b/c~é", dict(protocol)) for _ in range(2))
    assert one.path == same.path
    assert one.path.name.startswith("a-b-c-")
    others = [protocol | {"seed": 2}, protocol | {"shape": (2, 1)}, protocol | {"more": None}]
    assert len({Result.named(tmp_path, "a", p).path for p in [protocol, *others]}) == 4


def test_a_digest_is_of_values_types_and_shapes():
    arrays = np.zeros(4, "f4"), np.ones(4, "f4"), np.zeros(2, "f8"), np.zeros((2, 2), "f4")
    assert len({digest(array) for array in arrays}) == 4
    assert digest(np.zeros(4, "f4")) == digest(arrays[0])


def test_a_result_is_there_when_all_of_it_is(tmp_path):
    result = Result.named(tmp_path / "new", "words", {"shape": (2,)})
    assert not result.is_there(".npz")
    result.file(".npz").write_bytes(b"cut sho")  # as a killed run leaves it: it is made again
    assert not result.is_there(".npz")
    result.record({"number": 1.5})
    assert result.is_there(".npz")
    assert not result.is_there(".npz", ".gif")
    assert result.report == {"number": 1.5, "protocol": {"shape": [2]}}


@pytest.mark.parametrize("flag", [None, "--output"])
def test_a_result_replaces_no_other(tmp_path, flag):
    Result(tmp_path / "name", {"seed": 0}).record({})
    other = Result(tmp_path / "name", {"seed": 1}, flag)
    with pytest.raises(UserError, match=r"name\.json exists, takes a new name"):
        other.is_there(".npz")


def test_what_differs_in_what_is_drawn_differs_in_the_name(workdir, draws, tmp_path, capsys):
    """None of these is the draw of another."""
    np.save(tmp_path / "times.npy", np.array([1.0, 0.4, 0.1, 0.01]))
    np.save(tmp_path / "others.npy", np.array([1.0, 0.4, 0.2, 0.01]))
    np.savez(tmp_path / "z.npz", latents=np.zeros((20, 2), np.float32))
    flags = {
        "adams-4steps-seed0": [],
        "adams-4steps-seed1": ["--seed=1"],
        "adams-4steps-log_snr-seed0": ["--grid=log_snr"],
        "adams-4steps-edm-seed0": ["--grid=edm"],
        "adams-3steps-times.npy-seed0": [f"--grid={tmp_path / 'times.npy'}", "--steps=9"],
        "adams-3steps-others.npy-seed0": [f"--grid={tmp_path / 'others.npy'}"],
        "adams-4steps-no_denoise-seed0": ["--no-denoise"],
        "adams-4steps-raw-seed0": ["--raw"],
        "adams-4steps-subvp-seed0": ["--sde=subvp"],
        "adams-langevin-4steps-seed0": ["--corrector=langevin"],
        "adams-langevin-snr-0.1-4steps-seed0": ["--corrector=langevin:snr=0.1"],
        "probability_flow-rtol1e-05-seed0": ["--solver=probability_flow"],
        # Told apart by the digest.
        "adams-4steps-seed0 ": ["--num=21"],
        "adams-4steps-seed0  ": [f"--latents={tmp_path / 'z.npz'}"],
        "adams-4steps-seed0   ": ["--config.sampling.t_min=0.01"],
    }
    for arguments in flags.values():
        solver = [] if any("--solver" in a for a in arguments) else ["--solver=adams"]
        command = ["sample", f"--workdir={workdir}", "--devices=1", *solver, *arguments]
        assert main(command) == 0, capsys.readouterr().err
    assert len(draws) == len(flags)
    names = sorted(path.stem for path in (workdir / "samples").glob("*.npz"))
    assert sorted(name[: -len("-12345678")] for name in names) == sorted(
        f"step6-{name.strip()}".replace("snr-0.1", "snr=0.1") for name in flags
    )
    report = json.loads((workdir / "samples" / f"{names[0]}.json").read_text(encoding="utf-8"))
    assert report["protocol"]["step"] == 6
    assert report["samples"] == 20


def test_a_grid_of_the_same_name_with_other_times(workdir, draws, tmp_path):
    """The content of a file counts, not its name."""
    for times in ([1.0, 0.4, 0.01], [1.0, 0.3, 0.01]):
        np.save(tmp_path / "times.npy", np.array(times))
        grid = f"--grid={tmp_path / 'times.npy'}"
        assert main(["sample", f"--workdir={workdir}", "--devices=1", grid]) == 0
    assert len(draws) == len(list((workdir / "samples").glob("*-2steps-*.npz"))) == 2


def test_a_name_by_hand(workdir, draws, tmp_path, capsys):
    """Its suffix is not doubled; it is refused for another draw and where nothing can be made."""
    command = ["sample", f"--workdir={workdir}", "--devices=1"]
    assert main([*command, f"--output={tmp_path}/x.png"]) == 0
    assert main([*command, f"--output={tmp_path}/rtol0.001"]) == 0
    made = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert made == {f"{n}.{s}" for n in ("x", "rtol0.001") for s in ("png", "npz", "json")}
    assert main([*command, f"--output={tmp_path}/x"]) == 0
    assert "drawn before" in capsys.readouterr().out
    assert main([*command, f"--output={tmp_path}/x", "--seed=1"]) == 2
    assert "--output" in capsys.readouterr().err
    assert main([*command, "--output=/proc/x"]) == 2
    assert "/proc: cannot be written" in capsys.readouterr().err
    for name in (".", "..", "/", f"{tmp_path}/"):
        assert main([*command, f"--output={name}"]) == 2
        assert f"--output: got {name!r}, takes a name for files" in capsys.readouterr().err
    assert draws == [0, 0]


def test_a_folder_that_cannot_be_written_is_told_before_work(workdir, monkeypatch, capsys):
    """A file in the place of the folder stands for a disk that is read-only."""

    def never(*_, **__):
        raise AssertionError("worked before it looked")

    monkeypatch.setattr(BatchedSampler, "draw", never)
    monkeypatch.setattr("experiments.likelihood.measure.measure_dataset", never)
    monkeypatch.setattr("samplers.fit_grid", never)
    fit = ["--steps=3", "--name=mine"]
    for command, folder, more in (
        ("sample", "samples", []),
        ("likelihood", "likelihood", []),
        ("fit_grid", "grids", fit),
    ):
        (workdir / folder).write_bytes(b"")
        assert main([command, f"--workdir={workdir}", "--devices=1", *more]) == 2
        assert f"{workdir / folder}: cannot be written" in capsys.readouterr().err


def test_a_fitted_grid_has_a_name_of_its_own(workdir, monkeypatch, capsys):
    fitted = samplers.FittedGrid(np.array([9.0, 1.0, 0.01]), np.array(0.5), np.array(0.25))
    monkeypatch.setattr("samplers.fit_grid", lambda *_, **__: fitted)
    fit = ["fit_grid", f"--workdir={workdir}", "--steps=2", "--devices=1"]
    for name in ("../x", "/x", ".x", "a:b"):
        assert main([*fit, f"--name={name}"]) == 2
        assert f"--name: got {name!r}, takes letters" in capsys.readouterr().err
    assert not (workdir / "grids").exists()
    assert main([*fit, "--name=x", "--solver=ancestral"]) == 2
    assert "--solver: got 'ancestral', takes one that draws no noise" in capsys.readouterr().err
    with monkeypatch.context() as patched:
        diverged = fitted._replace(after=np.array(np.inf))
        patched.setattr("samplers.fit_grid", lambda *_, **__: diverged)
        patched.setattr("experiments.sampling.grid_fitting.reason", lambda *_: "why")
        assert main([*fit, "--name=x"]) == 2
    assert "fit_grid: the error is not finite: why" in capsys.readouterr().err
    assert list((workdir / "grids").iterdir()) == []
    assert main([*fit, "--name=mine"]) == 0
    first = capsys.readouterr().out
    assert main([*fit, "--name=mine"]) == 0
    assert capsys.readouterr().out == f"fitted before, by the same protocol\n{first}"
    assert main([*fit, "--name=mine", "--seed=1"]) == 2
    assert "mine.json exists, takes a new name" in capsys.readouterr().err
    report = json.loads((workdir / "grids/mine.json").read_text(encoding="utf-8"))
    assert report["noise_to_signal"] == [9.0, 1.0, 0.01]
    # A shell reads the words that were meant.
    use = shlex.split(first.splitlines()[-1].removeprefix("use: "))
    assert use[:3] == ["scoresde", "sample", f"--workdir={workdir}"]


def test_what_was_measured_is_not_measured_again(workdir, monkeypatch, capsys):
    command = ["likelihood", f"--workdir={workdir}", "--limit=8", "--devices=1"]
    assert main(command) == 0
    first = capsys.readouterr().out
    monkeypatch.setattr("experiments.likelihood.measure.measure_dataset", None)
    assert main(command) == 0
    told, rest = capsys.readouterr().out.split("\n", 1)
    assert told.startswith("measured before")
    assert rest == first


def test_an_earlier_run_s_damaged_file_is_named(tmp_path):
    np.savez(tmp_path / "part.npz", x=np.arange(3))
    assert resumed(tmp_path / "part.npz", dict)["x"].tolist() == [0, 1, 2]
    for content in (b"", b"PK\3\4 cut off", (tmp_path / "part.npz").read_bytes()[:-30]):
        (tmp_path / "part.npz").write_bytes(content)
        with pytest.raises(UserError, match=r"part\.npz: is damaged; remove it, and it is made"):
            resumed(tmp_path / "part.npz", dict)


def test_arrays_are_kept_whatever_becomes_of_the_picture(workdir, draws, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("no fonts")

    monkeypatch.setattr(files, "picture", broken)
    monkeypatch.setattr(likelihood_report, "histogram", broken)
    for command, folder, key in (
        (["sample"], "samples", "points"),
        (["likelihood", "--limit=8"], "likelihood", "bits_per_dim"),
    ):
        with pytest.raises(RuntimeError, match="no fonts"):
            main([*command, f"--workdir={workdir}", "--devices=1"])
        (arrays,) = (workdir / folder).glob("*.npz")
        assert len(np.load(arrays)[key])
        assert "protocol" in json.loads(arrays.with_suffix(".json").read_text(encoding="utf-8"))
        assert not list((workdir / folder).glob("*.png*"))
