"""The experiment: typed sections behind the ConfigDict that files and flags speak.

`default_config()` is the ConfigDict of the defaults below; a config file changes some of it, flags
change more, and `resolve` turns the result into an `Experiment`, once. A field that is None in a
config follows from the choice of SDE (`defaults`). A wrong key, type or value stops in `resolve`
with one line.
"""

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any

from ml_collections import ConfigDict, config_dict

from experiments.defaults import fill
from experiments.errors import UserError
from sde_lib.registry import unknown_name


def field(default: Any, *, low: float | None = None, above: float | None = None) -> Any:
    """A field with a default and a range: at least `low`, or more than `above`."""
    return dataclasses.field(default=default, metadata={"low": low, "above": above})


@dataclass(frozen=True, kw_only=True)
class SDEConfig:
    """The SDE by name. It takes the numbers that it declares; None is its own default.

    args: further fields, for a user's own SDE.
    """

    name: str = "vp"
    beta_min: float | None = None
    beta_max: float | None = None
    sigma_min: float | None = None
    sigma_max: float | None = None
    args: dict = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What is modelled.

    source: `digits`, `npz:FILE`, `folder:DIR`, `tfds:NAME`, `toy:NAME`. image_size: resize to it.
    holdout: the fraction that is the test split, where the source has none. centered: model range
    [−1, 1], else [0, 1]. dequantization: add uniform noise of one grey level in training. flip:
    random left-right flips. std: of the data in model units, for "edm" and the probability flow.
    """

    source: str = "digits"
    image_size: int | None = field(None, low=1)
    holdout: float = field(0.1, above=0)
    centered: bool | None = None
    dequantization: bool = False
    flip: bool = False
    std: float = field(0.5, above=0)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network by name, which takes the fields that it declares, and what its output means.

    args: further fields, for a user's own network.
    """

    name: str = "ncsnpp"
    parameterization: str | None = None
    conditioning: str | None = None
    embedding: str | None = None
    nf: int = field(128, low=1)
    ch_mult: tuple = (1, 2, 2, 2)
    num_res_blocks: int = field(4, low=1)
    attn_resolutions: tuple = (16,)
    dropout: float = field(0.1, low=0)
    resblock: str = "biggan"
    fir: bool = False
    progressive: str = "none"
    progressive_input: str = "none"
    hidden: tuple = (128, 128, 128)
    dtype: str = "float32"
    args: dict = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Optimization by Adam.

    warmup: steps over which the learning rate rises from 0. schedule: what it does then, "constant"
    or "cosine", which falls to 0 at the last step. grad_clip: bound on the gradient's
    global norm. ema_decay: of the averaged parameters. weighting, times: of the loss. t_min: where
    times start. steps_per_call: updates in one compiled call; None is 1 on the CPU, 5 elsewhere.
    keep: checkpoints kept.
    """

    num_steps: int = field(1_300_000, low=1)
    batch_size: int = field(128, low=1)
    learning_rate: float = field(2e-4, above=0)
    beta1: float = field(0.9, low=0)
    adam_eps: float = field(1e-8, above=0)
    warmup: int = field(5000, low=0)
    schedule: str = "constant"
    grad_clip: float = field(1.0, above=0)
    ema_decay: float | None = field(None, low=0)
    weighting: str | None = None
    times: str | None = None
    low_discrepancy: bool = True
    t_min: float | None = field(None, low=0)
    steps_per_call: int | None = field(None, low=1)
    log_every: int = field(50, low=1)
    save_every: int = field(10_000, low=1)
    sample_every: int = field(50_000, low=0)
    keep: int = field(2, low=1)


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How samples are drawn.

    solver: one of `scoresde solvers`, with fields of its own as in "unipc:order=2". grid: of the
    steps, with fields likewise, a .npy of times, or "fitted:NAME"; num_steps: how many; None for
    what suits the solver. corrector: "langevin", "annealed_langevin", "none".
    snr: the corrector's step size; corrector_steps: its steps before each of the solver's.
    corrector_norm: "example" or "batch". discretization: "exact" or "published". variance: of
    ancestral sampling. denoise: end with the denoiser. rtol, atol, tableau: of probability_flow.
    log_prob: with probability_flow, also the log-densities of the samples, which are then not
    denoised; by the divergence of the likelihood section.
    """

    solver: str = "adams"
    corrector: str = "none"
    snr: float = field(0.16, above=0)
    corrector_steps: int = field(1, low=1)
    corrector_norm: str = "example"
    discretization: str = "exact"
    variance: str = "posterior"
    grid: str | None = None
    num_steps: int | None = field(None, low=1)
    t_min: float | None = field(None, low=0)
    denoise: bool = True
    rtol: float = field(1e-5, above=0)
    atol: float = field(1e-5, above=0)
    tableau: str = "dopri5"
    log_prob: bool = False
    num: int = field(64, low=1)
    batch_size: int = field(64, low=1)


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig:
    """How log-densities are computed.

    estimator: "ode", the density of the probability flow, or "elbo", the variational bound by
    num_times evaluations. dequantization: "uniform" or "truncated_normal". repeats: draws of it an
    example. noise_to_signal_min: σ/α where the flow starts, which means the same under every SDE;
    None follows from the dequantization. divergence: "exact", chunk products at once, or
    "hutchinson" with `probes` probes of probe_kind ("rademacher", "gaussian", "orthogonal") and, as
    control variate, the Gaussian of the training data. solver: "adams" or a Runge–Kutta tableau
    ("dopri5", ...), with steps of each example's own by rtol and atol; or num_steps steps for all,
    if not 0: equal ones, those of adams denser at both ends by 1/(1 − grading). check_solver:
    measure what a finer solution of the first batch changes. batch_size: examples at a time.
    """

    split: str = "test"
    estimator: str = "ode"
    dequantization: str = "uniform"
    repeats: int = field(1, low=1)
    noise_to_signal_min: float | None = field(None, above=0)
    divergence: str = "hutchinson"
    probes: int = field(1, low=1)
    probe_kind: str = "rademacher"
    control: bool = True
    chunk: int = field(16, low=1)
    solver: str = "adams"
    num_steps: int = field(0, low=0)
    grading: float = field(0.8, low=0)
    rtol: float = field(1e-4, above=0)
    atol: float = field(1e-4, above=0)
    check_solver: bool = False
    num_times: int = field(32, low=2)
    batch_size: int = field(64, low=1)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run follows from."""

    seed: int = field(0, low=0)
    sde: SDEConfig = SDEConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    sampling: SamplingConfig = SamplingConfig()
    likelihood: LikelihoodConfig = LikelihoodConfig()


def default_config() -> ConfigDict:
    """The defaults as a ConfigDict, for a config file to change."""
    return to_config(Experiment())


def to_config(section: Any) -> ConfigDict:
    """A section as a locked ConfigDict, with None as a placeholder of the field's type."""
    config = ConfigDict()
    for name, kind in _types(type(section)).items():
        value = getattr(section, name)
        if dataclasses.is_dataclass(value):
            config[name] = to_config(value)
        elif value is None:
            config[name] = config_dict.placeholder(_plain(kind))
        else:
            config[name] = ConfigDict(value) if isinstance(value, dict) else value
    return config.lock()


def resolve(config: ConfigDict) -> Experiment:
    """The checked experiment, with everything that follows from the SDE filled in.

    Raises:
      UserError: an unknown field, a wrong type, or a value out of range.
    """
    checked = _section(Experiment, config.to_dict(), "")
    return _section(Experiment, fill(dataclasses.asdict(checked)), "")


def _section(cls: type, values: dict, prefix: str) -> Any:
    known = _types(cls)
    for name in values:
        if name not in known:
            raise UserError(
                unknown_name("config field", prefix + name, [prefix + k for k in known])
            )
    fields = {f.name: f for f in dataclasses.fields(cls)}
    checked = {}
    for name, value in values.items():
        path = prefix + name
        if dataclasses.is_dataclass(known[name]):
            if not isinstance(value, dict):
                raise UserError(f"{path}: got {value!r}, takes a section of fields")
            checked[name] = _section(typing.cast(type, known[name]), value, path + ".")
        else:
            checked[name] = _value(path, value, known[name])
            _check_range(path, checked[name], fields[name].metadata)
    return cls(**checked)


def _value(path: str, value: Any, kind: Any) -> Any:
    """The value as its field's type; an integer may stand for a float, a list for a tuple."""
    if value is None and _optional(kind):
        return None
    plain = _plain(kind)
    if plain is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if plain is tuple and isinstance(value, list):
        return tuple(value)
    if type(value) is not plain:
        raise UserError(f"{path}: got {value!r}, takes {type_name(plain)}")
    return value


def _check_range(path: str, value: Any, metadata: typing.Mapping[str, Any]) -> None:
    if value is None or not metadata:
        return
    low, above = metadata["low"], metadata["above"]
    if low is not None and not value >= low:
        raise UserError(f"{path}: got {value}, takes a number ≥ {low}")
    if above is not None and not value > above:
        raise UserError(f"{path}: got {value}, takes a number > {above}")


def _types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _optional(kind: Any) -> bool:
    return isinstance(kind, types.UnionType) and type(None) in typing.get_args(kind)


def _plain(kind: Any) -> type:
    """The type of a field without its None."""
    if not _optional(kind):
        return kind
    return next(k for k in typing.get_args(kind) if k is not type(None))


def type_name(kind: type) -> str:
    """A field's type as an error message says it."""
    names = {
        int: "an integer",
        float: "a number",
        bool: "True or False",
        str: "a string",
        tuple: "a tuple",
        dict: "a section of fields",
    }
    return names[kind]
