"""The sections of an experiment, typed: every field, its default and its range.

A field that is None follows from the choice of SDE (`defaults`).
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from models.layers.attention import IMPLEMENTATIONS
from models.layers.winograd import CONVOLUTIONS
from sde_lib import Range


def field(default: Any, **bounds: Any) -> Any:
    """A field with a default and a range; bounds as of `Range`."""
    return dataclasses.field(default=default, metadata={"range": Range(**bounds)})


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
    stream: read while training, instead of keeping all of it on the devices; None: if it is more
    than resident_gib. workers: processes that read it, 0 for threads. crop: "center", or "random":
    of streamed images, the square that is resized to image_size. alpha: "compose" transparent image
    files over the colour background, or "keep" four channels.
    """

    source: str = "digits"
    image_size: int | None = field(None, low=1)
    holdout: float = field(0.1, above=0, below=1)
    centered: bool | None = None
    dequantization: bool = False
    flip: bool = False
    std: float = field(0.5, above=0)
    stream: bool | None = None
    resident_gib: float = field(2.0, low=0, infinite=True)
    workers: int = field(0, low=0)
    crop: str = "center"
    alpha: str = "compose"
    background: str = "white"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network by name, which takes the fields that it declares, and what its output means.

    attention: "cudnn" is fused, on GPUs in bfloat16. convolution: one of `winograd.CONVOLUTIONS`;
    None for what is faster here. args: further fields, those of one network alone or of a user's.
    """

    name: str = "ncsnpp"
    parameterization: str | None = None
    conditioning: str | None = None
    embedding: str | None = None
    nf: int = field(128, low=1)
    ch_mult: tuple[float, ...] = field((1, 2, 2, 2), above=0)
    num_res_blocks: int = field(4, low=1)
    attn_resolutions: tuple[int, ...] = field((16,), low=1)
    dropout: float = field(0.1, low=0, below=1)
    resblock: str = "biggan"
    fir: bool = False
    progressive: str = "none"
    progressive_input: str = "none"
    progressive_combine: str = "sum"
    skip_rescale: bool = True
    resamp_with_conv: bool = True
    norm_groups: int | None = field(None, low=1)
    head_dim: int | None = field(None, low=1)
    center_input: bool | None = None
    hidden: tuple[int, ...] = field((128, 128, 128), low=1)
    num_classes: int = field(0, low=0)
    cond_dim: int = field(0, low=0)
    attention: str = field("xla", choices=IMPLEMENTATIONS)
    convolution: str | None = field(None, choices=CONVOLUTIONS)
    remat: bool = False
    dtype: str = "float32"
    args: dict = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Optimization.

    optimizer: one of `optimizers`, which takes the fields that it has, and optimizer_args. warmup:
    steps over which the learning rate rises from 0. schedule: what it does then, one of
    `schedules`. grad_clip: bound on the gradient's global norm. accumulate: parts of a batch whose
    gradients are computed one after the other. ema_decay: of the average that sampling uses;
    averages: further ones, a decay such as "0.999" or "power:0.05". weighting, times: of the loss;
    two by which one example weighs more than 20,000 times the mean are refused.
    adaptive_weighting: every part of the times weighs alike in the loss. t_min: where times start.
    steps_per_call: updates in one compiled call; None is 1 on the CPU, 5 elsewhere. max_skipped:
    updates without a finite gradient, one after the other, that stop the run at its next line of
    metrics. keep: newest checkpoints kept; keep_every: as well as those of its multiples, if not 0.
    init_from: a workdir whose averaged parameters are the first ones.
    """

    num_steps: int = field(1_300_000, low=1, high=2**31 - 1)
    batch_size: int = field(128, low=1)
    optimizer: str = "adam"
    learning_rate: float = field(2e-4, above=0)
    beta1: float = field(0.9, low=0, below=1)
    beta2: float = field(0.999, low=0, below=1)
    adam_eps: float = field(1e-8, above=0)
    weight_decay: float = field(0.0, low=0)
    optimizer_args: dict = dataclasses.field(default_factory=dict)
    warmup: int = field(5000, low=0)
    schedule: str = "constant"
    grad_clip: float = field(1.0, above=0, infinite=True)
    accumulate: int = field(1, low=1)
    ema_decay: float | None = field(None, low=0, below=1)
    averages: tuple = ()
    weighting: str | None = None
    adaptive_weighting: bool = False
    times: str | None = None
    low_discrepancy: bool = True
    t_min: float | None = field(None, low=0, below=1)
    steps_per_call: int | None = field(None, low=1)
    max_skipped: int = field(20, low=1)
    log_every: int = field(50, low=1)
    save_every: int = field(10_000, low=1)
    sample_every: int = field(50_000, low=0)
    keep: int = field(2, low=1)
    keep_every: int = field(0, low=0)
    init_from: str | None = None


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
    corrector_norm: str = field("example", choices=("example", "batch"))
    discretization: str = field("exact", choices=("exact", "published"))
    variance: str = field("posterior", choices=("posterior", "forward"))
    grid: str | None = None
    num_steps: int | None = field(None, low=1)
    t_min: float | None = field(None, low=0, below=1)
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
    num_times evaluations, a multiple of 4. dequantization: "uniform" or "truncated_normal".
    repeats: draws of it an example. noise_to_signal_min: σ/α where the flow starts, which means the
    same under every SDE; None follows from the dequantization. divergence: "exact", chunk products
    at once, or "hutchinson" with `probes` probes of probe_kind ("rademacher", "gaussian",
    "orthogonal"). control: the Gaussian of the training data is hutchinson's control variate, and
    says at which times the bound is evaluated. solver: "adams" or a Runge–Kutta tableau ("dopri5",
    ...), with steps of each example's own by rtol and atol; or num_steps steps for all, if not 0:
    equal ones, those of adams denser at both ends by 1/(1 − grading). check_solver: measure what a
    finer solution of the first batch changes. batch_size: examples at a time.
    """

    split: str = field("test", choices=("train", "test"))
    estimator: str = field("ode", choices=("ode", "elbo"))
    dequantization: str = "uniform"
    repeats: int = field(1, low=1)
    noise_to_signal_min: float | None = field(None, above=0)
    divergence: str = field("hutchinson", choices=("exact", "hutchinson"))
    probes: int = field(1, low=1)
    probe_kind: str = "rademacher"
    control: bool = True
    chunk: int = field(16, low=1)
    solver: str = "adams"
    num_steps: int = field(0, low=0)
    grading: float = field(0.8, low=0, below=1)
    rtol: float = field(1e-4, above=0)
    atol: float = field(1e-4, above=0)
    check_solver: bool = False
    num_times: int = field(32, low=8)
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
