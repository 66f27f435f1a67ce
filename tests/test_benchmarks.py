"""What the benchmarks count, against closed forms; what they compile and keep."""

import argparse
import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from benchmarks import (
    figures,
    laws,
    mutations,
    our_networks,
    parts,
    report,
    solver_picture,
)
from benchmarks.operations import operations
from experiments.config_schema.flags import load_experiment
from models import abstract_params


def convolve(x, kernel, **options):
    return lax.conv_general_dilated(
        x, kernel, dimension_numbers=("NHWC", "HWIO", "NHWC"), **options
    )


SQUARE = jnp.ones((5, 5))
OF_SQUARE = 2 * 5**3


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [("ij,jk->ik", [(3, 4), (4, 5)]), ("bhnd,bhmd->bhnm", [(2, 3, 4, 5), (2, 3, 6, 5)])],
)
def test_products_of_ones_count_themselves(equation, shapes):
    """Each number of a product of ones is how many multiplications have made it."""
    ones = [jnp.ones(shape) for shape in shapes]
    counted = operations(lambda *given: jnp.einsum(equation, *given), *ones)
    assert counted == 2 * jnp.einsum(equation, *ones).sum()


@pytest.mark.parametrize(
    ("channels", "options"),
    [
        ((4, 6), {"window_strides": (1, 1), "padding": "SAME"}),
        ((4, 6), {"window_strides": (2, 3), "padding": "SAME"}),
        ((2, 6), {"window_strides": (1, 1), "padding": "VALID", "feature_group_count": 2}),
        ((4, 6), {"window_strides": (1, 1), "padding": "SAME", "batch_group_count": 3}),
        ((4, 6), {"window_strides": (1, 1), "padding": "SAME", "rhs_dilation": (2, 1)}),
        (
            (4, 6),
            {"window_strides": (1, 1), "padding": ((2, 1), (-1, 2)), "lhs_dilation": (2, 3)},
        ),
    ],
)
def test_convolutions_of_ones_count_themselves(channels, options):
    """As products do: padding and gaps are zeros in them, and count for nothing."""
    x, kernel = jnp.ones((3, 7, 8, 4)), jnp.ones((3, 2, *channels))
    counted = operations(lambda x, kernel: convolve(x, kernel, **options), x, kernel)
    assert counted == 2 * convolve(x, kernel, **options).sum()


def test_a_gradient_is_two_more_convolutions():
    """Of a strided one too: each pair of a pixel and a tap is met once in each of the three."""
    x, kernel = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 5))

    def loss(x, kernel):
        return (convolve(x, kernel, window_strides=(2, 2), padding="SAME") ** 2).sum()

    # Even sizes are padded after the last pixel alone: 4 places of 3 taps, one of them outside.
    forward = 2 * 2 * 3 * 5 * 11**2
    assert operations(loss, x, kernel) == forward
    assert operations(jax.grad(loss, (0, 1)), x, kernel) == 3 * forward


def scanned(a):
    return lax.scan(lambda a, _: (a @ a, None), a, length=7)[0]


def chosen(a):
    return lax.cond(a[0, 0] > 0, lambda a: a @ a @ a, lambda a: a @ a, a)


def of_gradient(a):
    return jax.grad(lambda a: jnp.sin(jax.checkpoint(lambda a: jnp.sin(a @ a))(a)).sum())(a)


@jax.custom_vjp
def custom(a):
    return a @ a


custom.defvjp(lambda a: (a @ a, a), lambda a, cotangent: (cotangent @ a @ a,))


@jax.custom_jvp
def forward(a):
    return a @ a


forward.defjvp(lambda primals, tangents: (forward(*primals), tangents[0] @ primals[0]))


@pytest.mark.parametrize(
    ("function", "products"),
    [
        (scanned, 7),
        (lambda a: lax.fori_loop(0, 4, lambda _, a: scanned(a), a), 28),
        (chosen, 2),
        (jax.jit(lambda a: a @ jnp.sin(a)), 1),
        (jax.vmap(lambda a: SQUARE @ a), 1),
        # Forwards, once more for what was not kept, and two for the gradient.
        (of_gradient, 4),
        (custom, 1),
        (jax.grad(lambda a: custom(a).sum()), 3),
        (forward, 1),
        (lambda a: jax.jvp(forward, (a,), (a,)), 2),
        (lambda a: lax.while_loop(lambda a: a.sum() > 9, jnp.sin, a @ a), 1),
    ],
)
def test_what_is_within_counts_as_often_as_it_is_done(function, products):
    assert operations(function, SQUARE) == products * OF_SQUARE


def test_a_loop_of_unknown_length_is_refused():
    with pytest.raises(ValueError, match="while"):
        operations(lambda a: lax.while_loop(lambda a: a.sum() > 9, lambda a: a @ a, a), SQUARE)


@functools.cache
def ddpmpp_operations():
    """Of a training step, an example."""
    return our_networks.step_operations("ddpmpp", 1)


def test_a_training_step_of_ddpmpp_takes_60_9_billion_an_example():
    """XLA's count of it, lowered for a CPU, has what is done number by number as well."""
    assert ddpmpp_operations() == pytest.approx(60.9e9, rel=0.01)


def zero_params(_, network, shape):
    shapes = abstract_params(network, shape)
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def test_nothing_is_compiled_that_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(our_networks, "SIZE", 4)
    monkeypatch.setattr(our_networks, "TRANSFORMER", (8, 1, 1, 2))
    monkeypatch.setattr(our_networks, "init_params", zero_params)
    compiled = []

    def hear(event, _, fun_name="", **__):
        if event.endswith("backend_compile_duration") and fun_name in programs:
            compiled.append(programs[fun_name])

    programs = {"jit(_apply)": "forward", "jit(_update)": "step"}
    jax.monitoring.register_scalar_listener(hear)
    try:
        network = our_networks.Ours("dit", 8, "float32")
        assert network.parameters() > 0
        assert network.operations() > 0
        assert compiled == []
        network.forward()
        network.forward()
        assert compiled == ["forward"]
    finally:
        jax.monitoring.unregister_scalar_listener(hear)


def test_parts_are_merged_into_the_result_that_is_there(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    elsewhere = {"seconds": 1.0, "machine": {"device": "another"}}
    report.write("speed", {"a": {"step": elsewhere, "memory": {"gib": 1.0}}, "b": {}})
    parts.keep("speed", {"memory": {"gib": 2.0}}, "a")
    parts.keep("speed", {"memory": {"gib": 3.0}}, "c")
    kept = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    here = report.machine()
    assert kept["a"] == {"step": elsewhere, "memory": {"machine": here, "gib": 2.0}}
    assert kept["b"] == {}
    assert kept["c"]["memory"]["gib"] == 3.0


def test_parts_are_asked_for_by_name():
    asked = parts.some_of(("forward", "step", "memory"))
    assert asked("memory,forward") == ("forward", "memory")
    with pytest.raises(argparse.ArgumentTypeError, match="'stop', takes some of forward,step"):
        asked("step,stop")


def test_the_pages_say_what_was_measured():
    """Figures between marks are what benchmarks make of their results; none is left out."""
    mark = re.compile(r"<!--(\w+)-->(.*?)<!--/\1-->", re.DOTALL)
    texts = [page.read_text(encoding="utf-8") for page in report.pages()]
    written = {figure for text in texts for figure in mark.findall(text)}
    assert written == set(figures.figures().items())


def test_the_page_of_laws_says_what_was_measured():
    page = (report.ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    assert page == laws.page(report.read("laws")["cells"])


def test_a_figure_goes_to_every_page_that_has_its_mark(monkeypatch, tmp_path):
    monkeypatch.setattr(report, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    texts = {
        "README.md": "a <!--x-->1<!--/x-->.",
        "docs/a.md": "<!--x--><!--/x--> <!--y-->3<!--/y-->",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    report.into_pages("x", r"\1 of 2")
    after = [(tmp_path / name).read_text(encoding="utf-8") for name in texts]
    assert after == [r"a <!--x-->\1 of 2<!--/x-->.", r"<!--x-->\1 of 2<!--/x--> <!--y-->3<!--/y-->"]


def test_names_of_curves_are_moved_apart_and_no_further():
    places = solver_picture.apart([0.0, 0.01, 0.5, 0.52, 0.9], 0.1)
    assert places == pytest.approx([0.0, 0.1, 0.46, 0.56, 0.9])
    assert solver_picture.apart([0.2, 0.4, 0.95], 0.1) == pytest.approx([0.2, 0.4, 0.95])


@pytest.mark.parametrize(
    ("result", "timed"), [("networks_gpu", ["ddpmpp", "step"]), ("cifar10_h200", ["bare_step"])]
)
def test_the_part_of_the_peak_follows_from_what_is_kept(result, timed):
    row = report.read(result)
    for name in timed:
        row = row[name]
    assert row["operations"] == row["batch"] * ddpmpp_operations()
    took = row["seconds"]["ours"] if isinstance(row["seconds"], dict) else row["seconds"]
    rate = row["operations"] / took / row["peak"]
    assert row["of_peak"] == pytest.approx(rate, abs=5e-4)  # kept to three digits


def test_the_command_of_the_cifar10_model_resolves():
    name, config, *flags = report.read("cifar10_h200")["train"]["command"]
    assert name == "train"
    experiment = load_experiment(config.removeprefix("--config="), flags)
    assert experiment.training.batch_size == report.read("cifar10_h200")["train"]["batch"]


def test_every_mutant_is_one_change_that_tests_there_are_judge():
    for name, mutant in mutations.listed().items():
        text = (report.ROOT / mutant.file).read_text(encoding="utf-8")
        assert text.count(mutant.old) == 1, name
        for test in mutant.tests:
            file, _, function = test.partition("[")[0].partition("::")
            assert f"{function}(" in (report.ROOT / file).read_text(encoding="utf-8"), name
