"""What is asked: values, ranges, combinations, and the file that says the same."""

import pytest

from experiments.ablation import spec
from experiments.ablation.cell import cells_of
from experiments.ablation.grid import settings
from experiments.ablation.quantities import names
from experiments.ablation.question import Axis, Question, field_of_flag
from experiments.ablation.values import range_of
from experiments.errors import UserError

TINY = ("--config.model.hidden=(8,8)", "--config.training.num_steps=4")


def asked(*over: str, config: str | None = "toy2d", **more) -> Question:
    axes = tuple(map(Axis.parse, over))
    return Question(config=config, over=axes, overrides=TINY, **more)


def test_a_range_is_equally_spaced_in_its_scale():
    """Ends included; rounded to four digits, or to integers."""
    spaced = range_of("1e-4..1e-2:log:5", "").spaced(is_int=False)
    assert list(map(float, spaced)) == [1e-4, 3.162e-4, 1e-3, 3.162e-3, 1e-2]
    assert range_of("0..1:lin:5", "").spaced(is_int=False) == ["0.0", "0.25", "0.5", "0.75", "1.0"]
    assert range_of("5..50:log:3", "").spaced(is_int=True) == ["5", "16", "50"]
    assert range_of("1..2:lin:5", "").spaced(is_int=True) == ["1", "2"]
    assert range_of("fitted:1..2", "") is None
    # At a fraction of the way, as random draws and studies ask.
    assert range_of("1e-4..1e-2:log", "").at(0.5, is_int=False) == "0.001"
    assert range_of("2..10:lin", "").at(0.25, is_int=False) == "4.0"
    assert range_of("2..10:lin", "").at(0.3, is_int=True) == "4"


def values(question: Question) -> list[tuple[str, ...]]:
    return [tuple(setting.values()) for setting in settings(question, lambda field: False)]


def test_a_grid_is_the_product_whose_last_axis_changes_fastest():
    assert values(asked("a=1,2", "b=x,y")) == [("1", "x"), ("1", "y"), ("2", "x"), ("2", "y")]
    assert values(asked()) == [()]


def test_quotes_keep_a_config_together():
    over = (Axis.parse("config='toy2d'"),)
    assert [cell.name for cell in cells_of(Question(over=over))] == ["config=toy2d"]


def test_zipped_axes_vary_together_wherever_they_stand():
    question = asked("a=1,2", "b=x,y", "c=p,q", zip=(("a", "c"),))
    assert values(question) == [
        ("1", "x", "p"),
        ("1", "y", "p"),
        ("2", "x", "q"),
        ("2", "y", "q"),
    ]


def test_one_at_a_time_changes_one_axis_of_the_baseline():
    question = asked("a=1,2,3", "b=x,y", "c=p,q", zip=(("b", "c"),), one_at_a_time=True)
    assert values(question) == [("1", "x", "p"), ("2", "x", "p"), ("3", "x", "p"), ("1", "y", "q")]


def test_random_draws_are_seeded_and_never_twice():
    question = asked("a=1,2,3", "b=1e-4..1e-2:log", random=20, seed=3)
    drawn = values(question)
    assert len(set(drawn)) == 20
    assert drawn == values(question)
    assert drawn != values(asked("a=1,2,3", "b=1e-4..1e-2:log", random=20, seed=4))
    assert drawn[:5] == values(asked("a=1,2,3", "b=1e-4..1e-2:log", random=5, seed=3))
    assert {a for a, _ in drawn} == {"1", "2", "3"}
    below = sum(float(b) < 1e-3 for _, b in drawn)
    assert 3 < below < 17  # half of them in half of the decades
    assert sorted(values(asked("a=1,2", "b=x,y", random=4))) == sorted(
        values(asked("a=1,2", "b=x,y"))
    )


def test_cells_share_a_model_where_training_is_the_same():
    over = ("training.learning_rate=0.001,0.002", "sampling.num_steps=4,8")
    cells = cells_of(asked(*over, seeds=2, seed=5))
    assert [cell.seed for cell in cells] == [5, 6] * 4
    assert len({cell.record.result for cell in cells}) == 8
    models = [cell.record.workdir for cell in cells]
    assert models[:2] == models[2:4]
    assert len(set(models)) == 4
    assert {cell.experiment.seed for cell in cells} == {5, 6}
    assert cells[0].record.values == {"training.learning_rate": 0.001, "sampling.num_steps": 4}


def test_a_solver_asked_for_is_meant_without_the_configs_corrector():
    assert [
        (cell.experiment.sampling.solver, cell.experiment.sampling.corrector)
        for cell in cells_of(Question(config="digits", over=(Axis.parse("sampling.solver=adams"),)))
    ] == [("adams", "none")]
    pair = "sampling.solver=reverse_diffusion,adams", "sampling.corrector=langevin,none"
    question = Question(
        config="digits",
        over=tuple(map(Axis.parse, pair)),
        zip=(("sampling.solver", "sampling.corrector"),),
    )
    found = [cell.experiment.sampling.corrector for cell in cells_of(question)]
    assert found == ["langevin", "none"]


def test_configs_with_their_words_are_an_axis():
    cells = cells_of(Question(over=(Axis.parse("config=cifar10:vp,cifar10:ve"),)))
    assert [cell.experiment.sde.name for cell in cells] == ["vp", "ve"]
    assert cells[0].name == "config=cifar10:vp"


def test_metrics_suit_what_varies():
    assert names(asked("sde.name=vp,ve")) == ["bpd"]
    assert names(asked("sampling.num_steps=4,8")) == ["error", "nfe"]
    assert names(asked("sde.name=vp,ve", "sampling.num_steps=4,8")) == ["bpd", "error", "nfe"]


def test_a_file_says_what_flags_say(tmp_path):
    question = Question(
        over=(
            Axis("sde.name", ("vp", 'my "module":SDE', "\x7f\\")),
            Axis("sampling.solver", ("unipc:order=2,variant=bh1", "'a,b'")),
            Axis("config", ("é:1", "toy2d")),
        ),
        zip=(("sde.name", "config"),),
        overrides=("--config.model.hidden=(8,8)", "--config.data.source=npz:a=b.npz"),
        one_at_a_time=True,
        seeds=3,
        seed=7,
        metrics="bpd,nfe",
        limit=10,
    )
    file = tmp_path / "ablation.toml"
    file.write_text(spec.write(question), encoding="utf-8")
    assert spec.read(file) == question


def test_a_file_may_be_written_as_people_write_toml(tmp_path):
    file = tmp_path / "ablation.toml"
    file.write_text(
        'config = "toy2d"\nseeds = 2\n[over]\n"sde.name" = "vp,ve"\nmodel.hidden = [[8, 8], [4]]\n'
        "training.learning_rate = [0.001, 2e-3]\n[set]\ntraining.num_steps = 4\n",
        encoding="utf-8",
    )
    assert spec.read(file) == Question(
        config="toy2d",
        seeds=2,
        over=(
            Axis("sde.name", ("vp", "ve")),
            Axis("model.hidden", ("(8, 8)", "(4,)")),
            Axis("training.learning_rate", ("0.001", "0.002")),
        ),
        overrides=("--config.training.num_steps=4",),
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("over = 3", "over: got 3, takes a table"),
        ("nonsense = 3", "unknown key 'nonsense'"),
        ("[over", "no TOML"),
        ("zip = 'a,b'", "zip: got 'a,b', takes texts of fields in a list"),
    ],
)
def test_a_bad_file(text, line, tmp_path):
    file = tmp_path / "ablation.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        spec.read(file)
    assert line in str(error.value)
    assert str(error.value).startswith(f"--spec: {file}: ")


def test_a_file_that_is_not_there(tmp_path):
    for file, why in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UserError, match=f"^--spec: {file}: {why}"):
            spec.read(file)


@pytest.mark.parametrize(
    ("over", "more", "line"),
    [
        (["sde.name=vp", "sde.name=ve"], {}, "--over=sde.name: given twice"),
        (["sde.name=vp,vp"], {}, "--over=sde.name: got vp twice"),
        (["seed=1,2"], {}, "takes --seed=N"),
        (["training.num_steps=4,5"], {}, "--config.training.num_steps: takes no --over"),
        (["sde.name=vp"], {"zip": (("sde.name", "seed"),)}, "--zip: got seed, takes fields"),
        (["a=1,2"], {"zip": (("a",),)}, "--zip=a: takes two fields or more"),
        (["a=1", "b=1"], {"zip": (("a", "b"), ("b", "a"))}, "--zip: got b twice, takes each field"),
        (["a"], {}, "--over: got 'a', takes FIELD=VALUE,VALUE,…"),
        (["=1,2"], {}, "--over: got '=1,2', takes FIELD=VALUE,VALUE,…"),
        (["a=1..2:lin,5"], {"random": 2}, "--over=a: takes one range alone, not zipped"),
        (
            ["a=1..2:lin", "b=1,2"],
            {"random": 2, "zip": (("a", "b"),)},
            "--over=a: takes one range alone, not zipped",
        ),
        (["a=1..2:lin:1"], {}, "--over=a: got '1..2:lin:1', takes 2 numbers or more"),
        (["a=1,2"], {"random": 1, "one_at_a_time": True}, "--one_at_a_time: takes no --random"),
        (["a=1,2", "b=1,2,3"], {"zip": (("a", "b"),)}, "got 2 of a and 3 of b"),
        (["a=1..2:lin"], {}, "takes a number of values"),
        (["a=0..2:log:3"], {}, "takes numbers above 0"),
        (["a=2..1:lin:3"], {}, "LOW below HIGH"),
        (["a=1,2"], {"random": 3}, "--random: got 3, takes at most the 2"),
        (["sde.name=vp,vpp"], {}, "sde.name=vpp: sde.name: unknown"),
        (["sde=vp"], {}, "sde=vp: config field 'sde': is a section, takes one of its fields: sde."),
        (["sde.nam=vp"], {}, "sde.nam=vp: unknown config field 'sde.nam'"),
        (["training.batch_size=16,x"], {}, "training.batch_size=x: training.batch_size: got 'x'"),
        (
            ["training.learning_rate=0.001,-1"],
            {},
            "=-1: training.learning_rate: got -1",
        ),
        (["training.learning_rate=0.001,1e-3"], {}, "is the same experiment as"),
        ([], {"seeds": 0}, "--seeds: got 0"),
        ([], {"config": None}, "--config: got nothing to begin with"),
        (["config=toy2d"], {}, "--config: got several to begin with"),
    ],
)
def test_a_bad_question(over, more, line):
    with pytest.raises(UserError) as error:
        cells_of(asked(*over, **more))
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("--config.data.flip", ("data.flip", "True")),
        ("--noconfig.data.flip", ("data.flip", "False")),
        ("--config.a.b=c=d", ("a.b", "c=d")),
    ],
)
def test_an_override_as_a_field(argument, found):
    assert field_of_flag(argument) == found


@pytest.mark.parametrize("argument", ["data.flip", "--noconfig.data.flip=1", "--conf.seed=1"])
def test_what_is_no_override(argument):
    with pytest.raises(UserError, match=r"^unknown argument .*; takes --config\.SECTION\.FIELD"):
        field_of_flag(argument)


@pytest.mark.parametrize("metrics", ["bpd,bpd", "fid", "prdc:q=3", "bpd:limit=1"])
def test_a_metric_that_there_is_not(metrics):
    with pytest.raises(UserError, match=r"^--metrics: "):
        names(asked(metrics=metrics))
