"""A CIFAR-10 model that was trained for minutes on one GPU, as the docs show it.

    python -m benchmarks.cifar10

benchmarks/results/cifar10_h200.json has the commands that were run by hand, what they printed, and
the time of the bare training step by kinds of kernels. This writes the docs' lines from it.
"""

import textwrap
from typing import Any

from benchmarks.report import into_pages, read

SHOWN = 100
"""Of the samples, as `sample` shows them."""


def main() -> None:
    """Write the lines."""
    into_pages("cifar10", words(read("cifar10_h200")))


def words(result: dict[str, Any]) -> str:
    """The commands, and what was measured."""
    workdir = "--workdir=runs/cifar10"
    name, *flags = result["train"]["command"]
    lines = [" \\\n    ".join([f"$ scoresde {name} {workdir}", *flags])]
    for what in ("sample", "likelihood"):
        lines.append(f"$ scoresde {' '.join(result[what]['command'])} {workdir}")
    commands = "\n".join(["```console", *lines, "```"])
    return f"\n{commands}\n\n{textwrap.fill(measured(result), 100)}\n"


def measured(result: dict[str, Any]) -> str:
    """In one paragraph."""
    machine, trained, bare = result["machine"], result["train"], result["bare_step"]
    drawn, scored = result["sample"], result["likelihood"]
    return (
        f"On one {machine['device']} (jax {machine['jax']}): {trained['steps']:,} steps of "
        f"{trained['batch']} in {trained['seconds'] / 60:.1f} minutes, half of it compiling; "
        f"from then on {trained['images_per_second']:,} images/s, where the bare step makes "
        f"{bare['images_per_second']:,} with {bare['of_peak']:.2f} of the operations a second of a "
        f"large matrix product. {drawn['samples']} samples at {drawn['evaluations']} network "
        f"evaluations each, {SHOWN} of them shown. The first {scored['images']:,} test images have "
        f"{scored['bits_per_dim']:.3f} ± {scored['standard_error']:.3f} bits/dim, by "
        f"{scored['evaluations']} evaluations each ({scored['most_evaluations']} at most), in "
        f"{scored['seconds']} s (`benchmarks/results/cifar10_h200.json`)."
    )


if __name__ == "__main__":
    main()
