"""What the terminal shows while training."""

import jax
import pytest

from experiments.display import progress_line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (3780, "1 h 03 min"),
        (86399, "1 d 00 h"),
        (2 * 86400 + 3 * 3600, "2 d 03 h"),
    ],
)
def test_a_duration_rounds_to_its_two_largest_units(seconds, text):
    assert progress_line.duration(seconds) == text


def test_time_left_is_the_images_left_over_the_rate():
    # 1000 updates of 63 images at 1000/60 images a second: 63 minutes.
    text = progress_line.describe(0, 1000, 0.12345, 1000 / 60, 63, 5 * 2**29)
    assert text == "loss 0.1235, 16.7 images/s, 1 h 03 min left, 2.50 GiB"
    assert progress_line.line(0, 1000, text).startswith("step 0/1000: loss")


def test_what_is_not_known_is_left_out():
    assert progress_line.describe(10, 10, 1.0, 54321.6, 8, None) == "loss 1, 54322 images/s"
    assert "left" not in progress_line.describe(0, 10, 1.0, 0.0, 8, None)
    assert "left" not in progress_line.describe(0, 10, float("nan"), float("nan"), 8, None)


def test_small_numbers_keep_their_digits():
    assert progress_line.number(3.21e-6) == "3.21e-06"
    assert progress_line.gibibytes(2**20 * 20) == "0.02 GiB"


class Device:
    """A device with so many bytes in use, or that does not count."""

    def __init__(self, used):
        self.used = used

    def memory_stats(self):
        return None if self.used is None else {"bytes_in_use": self.used}


def test_memory_is_the_fullest_devices():
    assert progress_line.memory_in_use([Device(5), Device(7), Device(None)]) == 7


def test_memory_is_the_process_where_devices_do_not_count(monkeypatch, tmp_path):
    held = progress_line.memory_in_use(jax.local_devices())
    # JAX alone takes tens of megabytes, and no test machine has a terabyte.
    assert 2**24 < held < 2**40
    monkeypatch.setattr(progress_line, "_STATM", tmp_path / "missing")
    assert progress_line.memory_in_use([Device(None)]) is None
