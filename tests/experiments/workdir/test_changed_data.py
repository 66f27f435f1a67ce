"""A workdir knows its data: where they are, and whether they are still the same."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments import data
from experiments.cli import main
from experiments.config_schema.resolve import default_config, resolve
from experiments.data import Split, digest
from experiments.errors import UserError
from experiments.workdir.data_spec import DataSpec
from experiments.workdir.folder import Workdir
from tests.experiments.conftest import train
from tests.experiments.data.streams import WRITE, noise

IMAGES = noise(11, 4, 4, 3)


def opened(source: str) -> data.Split:
    return data.open_split(source, "train")


def write_npz(path, images=IMAGES, save=np.savez, **keys) -> str:
    save(path, images=images, **keys)
    return f"npz:{path}"


# --- digests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WRITE)
def test_a_digest_knows_the_content_and_not_the_place(kind, tmp_path, monkeypatch):
    """Of files that are copied, and of which then one byte of content is another."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "one"))
    (tmp_path / "one").mkdir()
    source = WRITE[kind](tmp_path / "one" / ("set" if kind != "tfds" else ""))
    before = digest(opened(source))
    shutil.copytree(tmp_path / "one", tmp_path / "two", copy_function=shutil.copyfile)
    shutil.rmtree(tmp_path / "one")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "two"))
    source = source.replace("/one/", "/two/")
    assert digest(opened(source)) == before
    if kind == "npz":
        file = tmp_path / "two" / "set" / "0.npz"
        arrays = dict(np.load(file))
        arrays["images"][0, 0, 0, 0] ^= 1
        np.savez(file, **arrays)
    else:
        pattern = {"folder": "0.png", "tfds": "*.array_record*"}[kind]
        (file,) = (tmp_path / "two").rglob(pattern)
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    # Of files the digest takes the source alone; what is damaged may not open.
    assert digest(made(0, source=source)) != before


def made(seed: int, *, source: str = "own:x", **changes) -> Split:
    """A data set of a user's own."""
    values = np.random.default_rng(seed).normal(size=(30, 2)).astype(np.float32)
    split = Split.of(**{"values": values, **changes})
    return dataclasses.replace(split, source=source, name="train")


def test_a_digest_of_npz_knows_every_key_that_counts(tmp_path):
    labels, coarse = np.arange(11), IMAGES // 16
    digests = {
        digest(opened(write_npz(tmp_path / "set.npz", **keys)))
        for keys in (
            {},
            {"images": coarse},
            {"images": coarse, "levels": 16},
            {"images": coarse, "levels": 17},
            {"labels": labels},
            {"labels": labels[::-1]},
            {"test_images": IMAGES[:2]},
            {"test_images": IMAGES[1:3]},
        )
    }
    assert len(digests) == 8
    named = {"labels": labels, "label_names": labels.astype(str)}
    for same in (
        [{}, {"save": np.savez_compressed}, {"about": np.arange(3)}],
        # Names are no examples, and digests of before there were any stay.
        [{"labels": labels}, named, named | {"label_names": labels[::-1].astype(str)}],
    ):
        assert len({digest(opened(write_npz(tmp_path / "set.npz", **keys))) for keys in same}) == 1


def test_a_digest_of_npz_knows_points_and_the_column_that_is_read(tmp_path):
    def written(cond, *, points=IMAGES / 255, **keys):
        np.savez(tmp_path / "set.npz", points=points, **keys)
        return digest(data.open_split(f"npz:{tmp_path / 'set.npz'}", "train", cond=cond))

    z, y = {"z": np.arange(11.0)}, {"y": np.arange(11.0)}
    plain = [written(None), written(None, **z), written(None, **y)]
    assert len(set(plain)) == 1
    others = [
        written(None, points=IMAGES / 256),
        written(None, test_points=IMAGES[:2] / 255),
        written("z", **z),
        written("y", **y),
        written("z", z=-z["z"]),
        written("z", **z, test_points=IMAGES[:2] / 255, test_z=np.arange(2)),
        written("z", **z, test_points=IMAGES[:2] / 255, test_z=np.arange(2) + 1),
    ]
    assert len({*plain, *others}) == 8
    assert written("z", **z, **y) == written("z", **z)


def test_a_digest_of_arrays_knows_values_labels_and_levels():
    levels = np.arange(30, dtype=np.uint8).reshape(30, 1, 1, 1)
    sets = [
        made(0),
        made(1),
        made(0, labels=np.arange(30) % 3),
        made(0, labels=np.arange(30) % 2),
        made(0, values=levels, levels=256),
        made(0, values=levels, levels=30),
    ]
    digests = [digest(split) for split in [*sets, made(0)]]
    assert len(set(digests[:-1])) == 6
    assert digests[-1] == digests[0]


def test_beyond_a_limit_some_content_is_read(tmp_path, monkeypatch):
    """Six files of 10 bytes under a limit of 20: the first and the fourth; names of all."""
    monkeypatch.setattr("experiments.data.digests.LIMIT", 20)
    from experiments.data.digests import of_files

    files = [tmp_path / f"{k}.png" for k in range(6)]
    for file in files:
        file.write_bytes(b"0123456789")
    before = of_files(tmp_path, files)
    for k, seen in enumerate([True, False, False, True, False, False]):
        files[k].write_bytes(b"x123456789")
        assert (of_files(tmp_path, files) != before) == seen
        files[k].write_bytes(b"0123456789")
    files[1].write_bytes(b"012345678")
    assert of_files(tmp_path, files) != before


# --- places -------------------------------------------------------------------------------------


def experiment_on(source: str):
    config = default_config()
    config.data.source = source
    return resolve(config)


@pytest.fixture
def run(tmp_path, monkeypatch) -> Workdir:
    """A workdir that has begun in the folder `one`, on "npz:set.npz" there."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    write_npz(tmp_path / "one" / "set.npz")
    workdir = Workdir(tmp_path / "run")
    experiment = experiment_on("npz:set.npz")
    (workdir.path / "checkpoints" / "1").mkdir(parents=True)
    workdir.record(experiment)
    located = workdir.located(experiment, given=True)
    workdir.record_data_spec(DataSpec.of(opened(located.data.source)))
    monkeypatch.chdir(tmp_path / "two")
    return workdir


def place(workdir: Workdir, *, given: bool, source: str = "npz:set.npz") -> str:
    return workdir.located(experiment_on(source), given=given).data.source


def test_a_relative_path_is_of_the_folder_it_was_given_in(run, tmp_path, monkeypatch):
    first, second = (f"npz:{tmp_path}/{name}/set.npz" for name in ("one", "two"))
    assert run.data_spec.place == first
    assert (
        json.loads((run.path / "config.json").read_text(encoding="utf-8"))["data"]["source"]
        == "npz:set.npz"
    )
    # Nothing is here, so it is what the workdir remembers.
    assert place(run, given=True) == place(run, given=False) == first
    assert place(run, given=True, source="npz:other.npz") == f"npz:{tmp_path}/two/other.npz"
    write_npz(tmp_path / "two" / "set.npz")
    assert place(run, given=True) == second
    assert place(run, given=False) == first
    # What was copied without its place is looked for here.
    (tmp_path / "one" / "set.npz").unlink()
    assert place(run, given=False) == second
    assert place(run, given=False, source="digits") == "digits"


def check(workdir: Workdir, source: str, accept=(), **changes) -> None:
    workdir.check(experiment_on(source), accept)
    facts = DataSpec.of(opened(place(workdir, given=True, source=source)))
    workdir.check_data(dataclasses.replace(facts, **changes), accept)


def test_other_data_are_refused_or_accepted(run, tmp_path):
    check(run, "npz:set.npz")
    check(run, f"npz:{tmp_path}/one/set.npz")
    changed = IMAGES.copy()
    changed[5, 0, 0, 0] ^= 1
    source = write_npz(tmp_path / "two" / "set.npz", changed)
    for name in ("npz:set.npz", source):
        with pytest.raises(UserError) as caught:
            check(run, name)
        line = str(caught.value)
        assert "\n" not in line
        assert all(
            word in line for word in (run.data_spec.place, source, "--accept=data", "data.source")
        )
        check(run, name, ["data"])
    # The same data are the same elsewhere and by another name.
    check(run, write_npz(tmp_path / "two" / "copy.npz"))


def test_a_workdir_without_a_digest_compares_what_it_knows(run, tmp_path, monkeypatch):
    """As they were made before: data.json has neither place nor digest."""
    monkeypatch.chdir(tmp_path / "one")
    facts = {"shape": [4, 4, 3], "levels": 256, "num": 10, "num_classes": 0}
    (run.path / "data.json").write_text(json.dumps(facts), encoding="utf-8")
    assert run.data_spec.place == f"npz:{tmp_path}/one/set.npz"
    check(run, "npz:set.npz")
    for changes in ({"shape": (8, 4, 3)}, {"levels": 16}, {"num": 9}):
        with pytest.raises(UserError, match="--accept=data"):
            check(run, "npz:set.npz", **changes)
    with pytest.raises(UserError, match="--accept=data"):
        check(run, write_npz(tmp_path / "one" / "other.npz"))
    # Of an imported one nobody has counted.
    (run.path / "data.json").write_text(json.dumps(facts | {"num": 0}), encoding="utf-8")
    check(run, "npz:set.npz")


# --- commands -----------------------------------------------------------------------------------


def test_a_run_goes_on_with_other_data_if_they_are_accepted(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    others = ["--config.data.source=toy:rings", "--config.training.num_steps=7"]
    before = (tmp_path / "run" / "data.json").read_text(encoding="utf-8")
    assert train(tmp_path / "run", *others) == 2
    assert "--accept=data " in capsys.readouterr().err
    assert (tmp_path / "run" / "data.json").read_text(encoding="utf-8") == before
    assert train(tmp_path / "run", *others, "--accept=data") == 0
    facts = json.loads((tmp_path / "run" / "data.json").read_text(encoding="utf-8"))
    assert facts["place"] == "toy:rings"
    assert facts["digest"] == digest(opened("toy:rings"))


def test_the_likelihood_of_data_that_have_changed_is_refused(trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "run")
    file = tmp_path / "run" / "data.json"
    file.write_text(
        json.dumps(json.loads(file.read_text(encoding="utf-8")) | {"digest": "0" * 32}),
        encoding="utf-8",
    )
    assert main(["likelihood", f"--workdir={tmp_path / 'run'}", "--devices=1"]) == 2
    line = capsys.readouterr().err
    assert "data.source: is toy:moons" in line
    assert "--data" in line
