"""How long a training run takes to its first step, with and without the compilation cache.

    python -m benchmarks.launch [--config=cifar10:vp,deep]

Seconds from the start of `scoresde train` until the first step is done and its line of metrics is
out (batch 8, images in memory), on an empty compilation cache and on the one that this left.
Medians. The result goes to benchmarks/results/launch.json (launch_gpu.json on a GPU), its figures
into the docs.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks.report import here, into_pages, save

COLD, WARM = 2, 3


def first_step(config: str, folder: pathlib.Path) -> float:
    """Seconds to the first step on `folder`/images.npz, with the cache in `folder`/cache."""
    workdir = folder / "run"
    command = [
        sys.executable,
        *("-c", "import sys; from experiments.cli import main; sys.exit(main())", "train"),
        f"--config={config}",
        f"--workdir={workdir}",
        f"--config.data.source=npz:{folder / 'images.npz'}",
        "--config.training.batch_size=8",
        "--config.training.num_steps=1",
        "--config.training.log_every=1",
        "--config.training.sample_every=0",
    ]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
    begun = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = next((line for line in process.stderr if line.startswith("step 1/1")), None)
        took = time.perf_counter() - begun
        process.communicate()  # it saves its checkpoint
    if said is None or process.returncode:
        raise RuntimeError(f"train ended with {process.returncode}, before its first step")
    shutil.rmtree(workdir)
    return took


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="cifar10:vp,deep")
    config = parser.parse_args().config
    took: dict[str, list[float]] = {"cold": [], "warm": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3), "uint8")
        np.savez(folder / "images.npz", images=images)
        for kind, times in {"cold": COLD, "warm": WARM}.items():
            for _ in range(times):
                if kind == "cold":
                    shutil.rmtree(folder / "cache", ignore_errors=True)
                took[kind].append(first_step(config, folder))
                print(kind, took[kind][-1], flush=True)
    medians = {kind: round(statistics.median(values), 1) for kind, values in took.items()}
    result = {"config": config, "seconds": medians}
    save(here("launch"), result)
    into_pages(here("launch"), words(result))


def words(result: dict[str, Any]) -> str:
    """The docs' words."""
    cold, warm = (result["seconds"][kind] for kind in ("cold", "warm"))
    return f"{cold:.0f} s, and {warm:.0f} s with what it left in the compilation cache"


if __name__ == "__main__":
    main()
