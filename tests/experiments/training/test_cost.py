"""What an update costs here."""

import itertools
import re

import jax

from experiments.training import cost
from tests.experiments.ablation.tiny import ablate
from tests.experiments.conftest import TOY


def test_the_median_of_calls_of_what_they_return(monkeypatch):
    """The first apart, which compiles; the others take 5, 1, 4, 2 and 3 s."""
    clock = itertools.chain.from_iterable((0.0, s) for s in (9.0, 5.0, 1.0, 4.0, 2.0, 3.0))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    given = []

    def call(value):
        given.append(value)
        return value + 1

    assert cost.cost_of(call, 0) == cost.Cost(first=9.0, each=3.0)
    assert given == [0, 1, 2, 3, 4, 5]


def test_a_plan_makes_updates_and_evaluations(tmp_path, capsys, monkeypatch):
    """Of batches of the data, whose labels the model does not take; the update is traced alone."""
    make, given = cost.make_train_step, []

    def traced(*of):
        step = make(*of)

        def update(state, examples, rows):
            given.append((examples, rows.values.shape, rows.cond))
            jax.eval_shape(step, state, examples, rows)
            return state, {}

        return update

    monkeypatch.setattr(cost, "make_train_step", traced)
    flags = [flag for flag in TOY if "sampling.num_steps" not in flag]
    flags += ["--config.data.source=toy:mixture", "--over=sampling.num_steps=3,4"]
    assert ablate(tmp_path / "run", *flags, "--metrics=nfe,loss", "--plan") == 0
    assert given == [(None, (1, 16, 2), None)] * 6
    said = capsys.readouterr().out
    measured = re.search(
        r"measured: an update of 16 examples (\S+) s; an evaluation .* (\S+) s", said
    )
    assert measured, said
    assert all(0 < float(seconds) < 1 for seconds in measured.groups())
