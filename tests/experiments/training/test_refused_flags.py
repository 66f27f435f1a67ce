"""Flags with which `scoresde train` does not start: one line, and no workdir."""

import pytest

from experiments.cli import main
from tests.cases import takes_devices
from tests.experiments.conftest import TOY


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(
            ["--fsdp=3", "--devices=4"], ["--fsdp", "got 3", "4 devices"], marks=takes_devices(4)
        ),
        (["--config.training.accumulate=3"], ["training.batch_size", "3 parts"]),
        (["--config.training.averages=('power:2',)"], ["training.averages", "power:2"]),
        (["--config.training.optimizer=adm"], ["training.optimizer", "'adam'"]),
        (["--config.data.crop=left"], ["data.crop", "'left'"]),
        (["--config.data.crop=random"], ["data.crop", "'random'", "toy:moons"]),
        (
            ["--config.data.crop=random", "--config.data.stream=False"],
            ["data.crop: got 'random' with data.stream False, takes 'center'"],
        ),
        (["--coordinator=localhost:1"], ["--num_processes", "not given"]),
        (
            ["--coordinator=localhost:1", "--num_processes=2", "--process_id=1", "--wait=0.1"],
            ["localhost:1", "did not answer"],
        ),
        (
            ["--coordinator=localhost:1", "--num_processes=2", "--process_id=2"],
            ["--process_id: got 2, takes 0 to 1"],
        ),
        (
            ["--coordinator=here", "--num_processes=2", "--process_id=1"],
            ["--coordinator: got 'here', takes HOST:PORT"],
        ),
        (["--init_from=nowhere"], ["training.init_from", "nowhere", "no experiment"]),
    ],
)
def test_refused(arguments, words, tmp_path, capsys):
    assert main(["train", *TOY, f"--workdir={tmp_path / 'run'}", *arguments]) == 2
    line = capsys.readouterr().err
    assert all(word in line for word in words), line
    assert not (tmp_path / "run").exists()
