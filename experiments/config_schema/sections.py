"""The sections of an experiment, typed: every field, its range, and its default where it has one.

A field without a default follows from the choice of SDE (`sde_defaults`). What `sde` and `model`
call by name brings fields of its own (`named_sections`).
"""

import dataclasses
from dataclasses import dataclass

from sde_lib import ranged


@dataclass(frozen=True, kw_only=True)
class SDEConfig:
    """The SDE by name. The fields of its class are fields of the section.

    Args:
      name: one of `sde_lib.sdes`, or "module:Class".
      args: further fields of a user's own class.
    """

    name: str = "vp"
    args: dict = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The data that are modelled.

    Args:
      source: "digits", "emoji", "npz:FILE", "folder:DIR", "tfds:NAME" or "toy:NAME".
      cond: key of an .npz whose vectors the model is conditioned on; None for the labels.
      image_size: images are resized to this height and width; None leaves them as they are.
      holdout: fraction that is the test split, where the source has none.
      centered: the model's range is [−1, 1], else [0, 1].
      dequantization: training adds uniform noise of one grey level.
      flip: training flips images left to right at random.
      std: standard deviation of the data in model units, for "edm" and the probability flow.
      stream: read while training, instead of keeping all of it on the devices; None does so for
        more than resident_gib.
      resident_gib: GiB that may stay on the devices.
      workers: processes that read a stream, 0 for threads.
      crop: "center" or "random", the square of a streamed image that is resized to image_size.
      alpha: "compose" puts transparent image files on the colour `background`; "keep" keeps four
        channels.
      background: a colour by name or as "#rrggbb".
    """

    source: str = "digits"
    cond: str | None = None
    image_size: int | None = ranged(None, low=1)
    holdout: float = ranged(0.1, above=0, below=1)
    centered: bool
    dequantization: bool = False
    flip: bool = False
    std: float = ranged(0.5, above=0)
    stream: bool | None = None
    resident_gib: float = ranged(2.0, low=0, infinite=True)
    workers: int = ranged(0, low=0)
    crop: str = "center"
    alpha: str = "compose"
    background: str = "white"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network by name, and what its output means. Its class's fields are the section's.

    Of those, None means for embedding that it follows from the conditioning, for center_input that
    data in [0, 1] are centred as published, and for convolution what is fastest here.

    Args:
      name: one of `models.networks`, or "module:Class".
      parameterization: what the output is, one of `models.parameterizations`.
      conditioning: what stands for the time, one of `models.conditionings`.
      conditional: the model learns p(x | condition), of the labels or vectors that the data have; a
        classifier learns p(label | x).
      args: further fields of a user's own class.
    """

    name: str = "ncsnpp"
    parameterization: str
    conditioning: str
    conditional: bool = False
    args: dict = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the model is trained.

    Args:
      objective: what the network is trained for, one of `objectives`.
      num_steps: updates.
      batch_size: examples of an update.
      optimizer: one of `optimizers`, which takes those of the next five fields that it has.
      learning_rate: after the warm-up.
      beta1: decay of the gradient's average.
      beta2: decay of its square's.
      adam_eps: ε beside the square root.
      weight_decay: decoupled from the gradient.
      optimizer_args: the optimizer's own fields.
      warmup: steps over which the learning rate rises from 0.
      schedule: what the learning rate does then, one of `schedules`.
      grad_clip: bound on the gradient's global norm.
      accumulate: parts of a batch whose gradients are computed one after the other.
      ema_decay: decay of the average that sampling uses.
      averages: further ones, a decay such as "0.999", or "power:0.05".
      learn_sde: fields of the SDE that are learned with the network, by the variational bound.
      weighting: weight of each time in the loss; one by which an example weighs more than 20,000
        times the mean is refused.
      adaptive_weighting: every part of the times weighs alike in the loss.
      times: distribution of the times.
      low_discrepancy: spread the times of a batch evenly over it.
      cond_dropout: fraction of the examples that a conditional model sees without their condition,
        for guidance.
      t_min: where times start; None for where σ/α is small enough.
      steps_per_call: updates in one compiled call; None for 1 on the CPU and 5 elsewhere.
      max_skipped: updates in a row without a finite gradient that stop the run at its next line of
        metrics.
      log_every: steps between lines of metrics.
      save_every: steps between checkpoints.
      sample_every: steps between grids of samples, 0 for none.
      trackers: where metrics go beside metrics.jsonl: tensorboard, wandb, mlflow, trackio, and
        what packages add.
      evaluate_every: steps between measurements of samples of the average, 0 for none.
      evaluate_metrics: what is measured, as of `scoresde evaluate --metrics`; None for what suits
        the data.
      evaluate_features: in which numbers, as of --features; None for what suits the data.
      evaluate_num: of the samples.
      keep: newest checkpoints kept.
      keep_every: checkpoints of its multiples are kept too, if it is not 0.
      init_from: a workdir whose averaged parameters are the first ones.
    """

    objective: str = "denoising"
    num_steps: int = ranged(1_300_000, low=1, high=2**31 - 1)
    batch_size: int = ranged(128, low=1)
    optimizer: str = "adam"
    learning_rate: float = ranged(2e-4, above=0)
    beta1: float = ranged(0.9, low=0, below=1)
    beta2: float = ranged(0.999, low=0, below=1)
    adam_eps: float = ranged(1e-8, above=0)
    weight_decay: float = ranged(0.0, low=0)
    optimizer_args: dict = dataclasses.field(default_factory=dict)
    warmup: int = ranged(5000, low=0)
    schedule: str = "constant"
    grad_clip: float = ranged(1.0, above=0, infinite=True)
    accumulate: int = ranged(1, low=1)
    ema_decay: float = ranged(low=0, below=1)
    averages: tuple = ()
    learn_sde: tuple[str, ...] = ()
    weighting: str
    adaptive_weighting: bool = False
    times: str
    low_discrepancy: bool = True
    cond_dropout: float = ranged(0.1, low=0, below=1)
    t_min: float | None = ranged(None, low=0, below=1)
    steps_per_call: int | None = ranged(None, low=1)
    max_skipped: int = ranged(20, low=1)
    log_every: int = ranged(50, low=1)
    save_every: int = ranged(10_000, low=1)
    sample_every: int = ranged(50_000, low=0)
    trackers: tuple[str, ...] = ("tensorboard",)
    evaluate_every: int = ranged(0, low=0)
    evaluate_metrics: str | None = None
    evaluate_features: str | None = None
    evaluate_num: int = ranged(1000, low=2)
    keep: int = ranged(2, low=1)
    keep_every: int = ranged(0, low=0)
    init_from: str | None = None


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How samples are drawn.

    Args:
      solver: one of `scoresde solvers`, with fields of its own as in "unipc:order=2".
      corrector: "langevin", "annealed_langevin" or "none".
      snr: the corrector's step size.
      corrector_steps: the corrector's steps before each of the solver's.
      corrector_norm: "example" or "batch", whose norms set the corrector's step.
      discretization: "exact" or "published" steps, of the solvers that have both.
      variance: "posterior" or "forward", of ancestral sampling.
      grid: one of `grids`, with fields likewise; a .npy of times; or "fitted:NAME"; None for what
        suits the solver.
      num_steps: steps on the grid; None for what suits the solver.
      t_min: where the grid ends; None for where σ/α is small enough.
      denoise: end with the denoiser.
      guidance: scale w of classifier-free guidance, by which the score is that without the
        condition plus w times what the condition adds; 1 is the model's own.
      rtol: relative tolerance of probability_flow.
      atol: absolute tolerance of probability_flow.
      tableau: Runge–Kutta pair of probability_flow.
      log_prob: probability_flow gives the log-densities of the samples too, which are then not
        denoised; by the divergence of the likelihood section.
      num: samples.
      batch_size: samples at a time.
    """

    solver: str = "adams"
    corrector: str = "none"
    snr: float = ranged(0.16, above=0)
    corrector_steps: int = ranged(1, low=1)
    corrector_norm: str = ranged("example", choices=("example", "batch"))
    discretization: str = ranged("exact", choices=("exact", "published"))
    variance: str = ranged("posterior", choices=("posterior", "forward"))
    grid: str | None = None
    num_steps: int | None = ranged(None, low=1)
    t_min: float | None = ranged(None, low=0, below=1)
    denoise: bool = True
    guidance: float = ranged(1.0)
    rtol: float = ranged(1e-5, above=0)
    atol: float = ranged(1e-5, above=0)
    tableau: str = "dopri5"
    log_prob: bool = False
    num: int = ranged(64, low=1)
    batch_size: int = ranged(64, low=1)


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig:
    """How log-densities are computed.

    Args:
      split: "train" or "test".
      estimator: "ode", the density of the probability flow, or "elbo", the variational bound.
      dequantization: "uniform" or "truncated_normal".
      repeats: draws of the dequantization per example.
      noise_to_signal_min: σ/α where the flow starts, which means the same under every SDE; None
        follows from the dequantization.
      divergence: "exact" or "hutchinson".
      probes: number of Hutchinson probes.
      probe_kind: "rademacher", "gaussian" or "orthogonal".
      control: the Gaussian of the training data is Hutchinson's control variate, and says at which
        times the bound is evaluated.
      chunk: products at once of the exact divergence.
      solver: "adams", or a Runge–Kutta tableau such as "dopri5".
      num_steps: steps for all examples, equal ones but for those of adams; 0 for steps of each
        example's own, by rtol and atol.
      grading: steps of adams are denser at both ends by 1/(1 − grading).
      rtol: relative tolerance.
      atol: absolute tolerance.
      check_solver: measure what a finer solution of the first batch changes.
      num_times: evaluations of the bound, a multiple of 4.
      batch_size: examples at a time.
    """

    split: str = ranged("test", choices=("train", "test"))
    estimator: str = ranged("ode", choices=("ode", "elbo"))
    dequantization: str = "uniform"
    repeats: int = ranged(1, low=1)
    noise_to_signal_min: float | None = ranged(None, above=0)
    divergence: str = ranged("hutchinson", choices=("exact", "hutchinson"))
    probes: int = ranged(1, low=1)
    probe_kind: str = "rademacher"
    control: bool = True
    chunk: int = ranged(16, low=1)
    solver: str = "adams"
    num_steps: int = ranged(0, low=0)
    grading: float = ranged(0.8, low=0, below=1)
    rtol: float = ranged(1e-4, above=0)
    atol: float = ranged(1e-4, above=0)
    check_solver: bool = False
    num_times: int = ranged(32, low=8)
    batch_size: int = ranged(64, low=1)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that a run follows from, but its data: what `resolve` makes of a config.

    Args:
      seed: of every random draw of the training.
      sde: the noise.
      data: what is modelled.
      model: the network and its meaning.
      training: how it is trained.
      sampling: how samples are drawn.
      likelihood: how densities are computed.
    """

    seed: int = ranged(0, low=0)
    sde: SDEConfig
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    sampling: SamplingConfig
    likelihood: LikelihoodConfig
