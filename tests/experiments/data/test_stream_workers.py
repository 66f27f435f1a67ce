"""Processes that read a stream: the same examples, and an end to them in any case."""

import re
import subprocess
import sys

import numpy as np

from experiments import data
from tests.experiments.data.streams import assert_same, take, write_folder

# A script, because what matters too is that it ends: after an error, with the workers running.
SCRIPT = """
import sys
import numpy as np
from experiments import data

source, vectors, damaged, out = sys.argv[1:]
options = dict(seed=3, batch_size=4, start=2, workers=1, threads=2, prefetch=2)
with data.Stream(data.open_split(vectors, "train", cond="z"), **options) as stream:
    vectors = next(stream).vectors
split = data.open_split(source, "train", image_size=6)
stream = data.Stream(split, crop="random", **options)
batches = [next(stream) for _ in range(3)]
labels = [b.labels for b in batches]
np.savez(out, values=[b.values for b in batches], labels=labels, vectors=vectors)
open(damaged, "wb").close()
for _ in range(20):
    next(stream)
"""


def test_workers_read_the_same_and_neither_an_error_nor_the_end_hangs(tmp_path):
    source = write_folder(tmp_path / "set")
    expected = take(data.open_split(source, "train", image_size=6), 3, start=2, crop="random")
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, points=np.ones((11, 2)), z=np.random.default_rng(0).normal(size=(11, 3)))
    (batch,) = take(data.open_split(f"npz:{vectors}", "train", cond="z"), 1, start=2)
    damaged = tmp_path / "set" / "1" / "4.png"
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, source, f"npz:{vectors}", damaged, tmp_path / "out.npz"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    message = f"experiments.errors.UserError: {damaged}: cannot be read as an image"
    assert f"\n{message}" in ended.stderr, ended.stderr
    assert not re.search("Exception ignored|leaked", ended.stderr), ended.stderr
    assert ended.returncode == 1
    with np.load(tmp_path / "out.npz") as out:
        read = zip(out["values"], out["labels"], strict=True)
        assert_same([data.Batch.of(*arrays) for arrays in read], expected)
        np.testing.assert_array_equal(out["vectors"], batch.vectors)


ORPHAN = """
import multiprocessing, os, signal, time
from experiments.data.stream import _follow_parent

def work():
    _follow_parent(0, 1)
    os.kill(os.getpid(), signal.SIGINT)
    print("working", flush=True)
    time.sleep(100)

worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
worker.join()
"""


def test_a_worker_does_not_hear_of_ctrl_c_and_ends_with_its_parent():
    """Both hold the pipe, which ends when both have."""
    process = subprocess.Popen([sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"working\n"
    process.kill()
    assert process.communicate(timeout=20) == (b"", None)
