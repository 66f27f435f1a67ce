"""Every figure of the README and the docs, made of the results that are kept.

    python -m benchmarks.figures

writes them all anew, as after a mark was put on another page. Nothing is measured.
"""

from benchmarks import (
    ablation,
    bits_per_dim,
    cifar10,
    density,
    elbo_intervals,
    faults,
    feature_networks,
    launch,
    likelihood,
    metric_twins,
    mutations,
    networks,
    published,
    sampler_overhead,
    solvers,
    training,
)
from benchmarks.report import RESULTS, into_pages, read


def main() -> None:
    """Write them."""
    for mark, text in figures().items():
        into_pages(mark, text)


def figures() -> dict[str, str]:
    """What stands between marks, by the mark's name."""
    results = {path.stem: read(path.stem) for path in RESULTS.glob("*.json")}
    mixture, gpu = results["solvers"]["mixture"], results["networks_gpu"]
    return {
        "ablation": ablation.words(results["ablation"]),
        "bits_per_dim": bits_per_dim.table(results["bits_per_dim"]["rows"]),
        "cifar10": cifar10.words(results["cifar10_h200"]),
        "density": density.words(results["density"]),
        "elbo_intervals": elbo_intervals.words(results["elbo_intervals"]),
        "faults": faults.words(results["faults"]),
        "feature_networks": feature_networks.words(results["feature_networks"]),
        "launch": launch.words(results["launch"]),
        "likelihood": likelihood.summary(results["likelihood"]["problems"]),
        "metric_twins": metric_twins.words(results["metric_twins"]),
        "mutations": mutations.words(results["mutations"]),
        "networks": networks.table(results["networks"]),
        "networks_gpu": networks.gpu_table(gpu),
        "networks_headline": networks.headline(gpu),
        "overhead": sampler_overhead.words(results["sampler_overhead"]),
        "published": published.words(results["published"]),
        "round_trip": likelihood.in_words(results["likelihood"]["round_trip"]),
        "solvers": solvers.table(mixture),
        "solvers_by_budget": solvers.by_budget(mixture),
        "solvers_headline": solvers.headline(mixture),
        "training": training.words(results["training"]),
    }


if __name__ == "__main__":
    main()
