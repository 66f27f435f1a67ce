"""Examples none of which has a finite density: one line, which says whether they are finite."""

import numpy as np
import pytest

from experiments.cli import main
from experiments.data import Split


def far(request):
    """Examples that are too large for the flow."""
    return Split.of(np.full((4, 2), 1e30, np.float32))


def bad(request):
    """Examples that are no numbers."""
    return Split.of(np.full((4, 2), np.nan, np.float32))


@pytest.mark.parametrize(
    ("source", "words"),
    [("far", "takes more likelihood.num_steps"), ("bad", "nor is any of the examples")],
)
def test_no_density_that_is_finite(trained, source, words, capsys):
    data = [f"--data={__name__}:{source}", "--split=test", "--devices=1"]
    assert main(["likelihood", f"--workdir={trained}", *data]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"likelihood: none of 4 log-densities is finite; {words}" in line
