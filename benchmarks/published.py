"""Published checkpoints, imported, against the outputs that the published code gives.

    python -m benchmarks.published --golden=DIR

DIR holds NAME.pth, NAME.json (its configuration) and NAME.npz (inputs and outputs) for each net, as
tests/golden/README.md describes them. For the raw and the averaged parameters: the largest
difference of outputs, scores and gradients, relative to the largest value, from the published
float32 arrays, from the same weights evaluated in float64, and between those two. Takes PyTorch.

The result goes to benchmarks/results/published.json and its figures into the docs.
"""

import argparse
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import into_pages, save
from experiments.builders.model import build_network, build_sde
from experiments.config_schema.resolve import default_config, filled, resolve
from experiments.config_schema.sections import Experiment
from experiments.conversion.score_sde import checkpoint
from models import ScoreModel, parameterizations

_SAME = ("nf", "ch_mult", "num_res_blocks", "attn_resolutions", "dropout", "resamp_with_conv")
_NCSNPP = (
    "fir",
    "progressive",
    "progressive_input",
    "progressive_combine",
    "skip_rescale",
)


def main() -> None:
    """Import, compare, write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", required=True, type=pathlib.Path, help="the folder")
    folder = parser.parse_args().golden
    nets = {}
    for path in sorted(folder.glob("*.pth")):
        nets[path.stem] = net(path)
        print(path.stem, json.dumps(nets[path.stem]), flush=True)
    result = {"nets": nets}
    save("published", result)
    into_pages("published", words(result))


def words(result: dict[str, Any]) -> str:
    """The largest differences, for the docs."""
    rows = [row for net in result["nets"].values() for row in net.values()]
    ours, theirs = (max(row[name] for row in rows) for name in ("float32", "published"))
    return f"{ours:.1e} of the largest value at most (its float32 is {theirs:.1e} from its float64)"


def net(path: pathlib.Path) -> dict[str, dict[str, float]]:
    """The largest relative differences of one checkpoint, by quantity."""
    described = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with np.load(path.with_suffix(".npz")) as file:
        golden = dict(file)
    experiment = experiment_of(described)
    imported = checkpoint.read(path, experiment)
    rows = {}
    for which, params in {"raw": imported.params, "ema": imported.averages}.items():
        for name, ours in computed(experiment, params, golden).items():
            rows[f"{name}_{which}"] = differences(ours, golden, f"{name}_{which}")
        if not described["continuous"]:
            continuous = score(experiment, params, golden, "noise")
            name = f"score_{which}_continuous"
            rows[name] = differences(continuous, golden, name)
    return rows


def experiment_of(described: dict[str, Any]) -> Experiment:
    """The experiment of a published configuration."""
    model, data = described["config"]["model"], described["config"]["data"]
    fields = {f"model.{name}": model[name] for name in _SAME}
    if model["name"] == "ddpm":
        fields |= {"model.resblock": "ddpm", "model.skip_rescale": False, "model.norm_groups": 32}
    else:
        fields |= {f"model.{name}": model[name] for name in _NCSNPP}
        fields |= {"model.resblock": model["resblock_type"]}
        fields |= {"model.embedding": model["embedding_type"]}
    fields |= {"sde.name": described["sde"], "data.centered": data["centered"]}
    fields |= {
        f"sde.{name}": model[name] for name in described["sde_hyperparameters"] if name != "N"
    }
    fields |= {"data.image_size": data["image_size"]}
    fields |= {"model.parameterization": parameterization(described, model["scale_by_sigma"])}
    return resolve(filled(default_config(), fields))


def parameterization(described: dict[str, Any], scale_by_sigma: bool) -> str:
    """What the output of a published network means."""
    if described["sde"] == "ve":
        return "scaled_score" if scale_by_sigma else "score"
    return "noise" if described["continuous"] else "ddpm_noise"


def computed(
    experiment: Experiment, params: Any, golden: dict[str, np.ndarray]
) -> dict[str, jax.Array]:
    """Outputs, scores and the gradient of Σ out·c by x."""
    network = build_network(experiment.model)
    labels = jnp.asarray(golden["labels"])
    # VE's networks take σ, and divide their output by it where the options say so.
    log_sigma = experiment.model.conditioning == "log_sigma"
    scaled = experiment.model.parameterization == "scaled_score"
    divisor = labels[:, None, None, None] if scaled else 1.0

    @jax.jit
    def outputs(params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        conditioning = jnp.log(labels) if log_sigma else labels

        def output(x: jax.Array) -> jax.Array:
            out: Any = network.apply({"params": params}, x, conditioning)
            return out / divisor

        out, pull = jax.vjp(output, x)
        return out, pull(jnp.asarray(golden["c"]))[0]

    out, gradient = outputs(params, jnp.asarray(golden["x"]))
    meant = experiment.model.parameterization
    return {"out": out, "grad_x": gradient, "score": score(experiment, params, golden, meant)}


def score(
    experiment: Experiment, params: Any, golden: dict[str, np.ndarray], parameterization: str
) -> jax.Array:
    """∇ log p_t(x) of a parameterization."""
    sde = build_sde(experiment.sde)
    model = ScoreModel(
        network=build_network(experiment.model),
        params=params,
        sde=sde,
        parameterization=parameterizations[parameterization](),
        conditioning=experiment.model.conditioning,
    )
    t = jnp.asarray(golden["t"])
    noise = jax.jit(lambda model, x: model(x, t).noise)(model, jnp.asarray(golden["x"]))
    return -noise / sde.sigma(t)[:, None, None, None]


def differences(ours: jax.Array, golden: dict[str, np.ndarray], name: str) -> dict[str, float]:
    """From the float32 and the float64 arrays, and between them, relative to the largest value."""
    single, double = golden[name], golden[f"{name}_f64"]
    pairs = {
        "float32": (ours, single),
        "float64": (ours, double),
        "published": (single, double),
    }
    return {
        kind: float(np.abs(np.asarray(got) - want).max() / np.abs(want).max())
        for kind, (got, want) in pairs.items()
    }


if __name__ == "__main__":
    main()
