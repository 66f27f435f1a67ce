"""Choices between commas."""

import pytest

from experiments.config_schema.choice import split_choices
from experiments.errors import UserError


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("adams,heun", ("adams", "heun")),
        ("(16,16),(32,32)", ("(16,16)", "(32,32)")),
        ("unipc:order=2,variant=bh1,ddim", ("unipc:order=2,variant=bh1", "ddim")),
        ("fd, prdc:k=3, k_density=5,is", ("fd", "prdc:k=3,k_density=5", "is")),
        ("'a,b', c", ("'a,b'", "c")),
        ("cifar10:vp,cifar10:ve", ("cifar10:vp", "cifar10:ve")),
    ],
)
def test_commas_separate_values_outside_brackets_quotes_and_fields(text, items):
    assert split_choices(text, "--over") == items


@pytest.mark.parametrize("text", ["", "a,,b", "(1,2", "'a", "a)'"])
def test_what_is_no_list_of_values(text):
    with pytest.raises(UserError, match=r"^--over=x: got .*, takes"):
        split_choices(text, "--over=x")
