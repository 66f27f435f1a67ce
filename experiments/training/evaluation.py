"""What samples of the averaged parameters are worth while a model trains."""

import jax
from jax.sharding import Mesh

from experiments.builders.model import build_model, build_network, build_sde
from experiments.config_schema.sections import Experiment
from experiments.data import Split
from experiments.errors import UserError
from experiments.evaluation.evaluate import Filing, evaluate
from experiments.evaluation.features import build_features
from experiments.evaluation.question import Question, default_features, default_metrics
from experiments.state import averages
from experiments.state.learned_sde import settled
from experiments.state.train_state import TrainState
from experiments.workdir.folder import Workdir
from experiments.workdir.metrics import as_json
from experiments.workdir.trained_model import TrainedModel

_METRICS, _FEATURES = "training.evaluate_metrics", "training.evaluate_features"


def check_evaluation(experiment: Experiment, data: Split) -> None:
    """Stop what cannot be measured when a run starts, not at its first measurement.

    Args:
      experiment: whose section `training` says what is measured, and when.
      data: what the model is trained on.

    Raises:
      UserError: an unknown metric or features, or one that needs what there will not be.
    """
    config = experiment.training
    if not config.evaluate_every:
        return
    if jax.process_count() > 1:
        raise UserError(
            f"training.evaluate_every: got {config.evaluate_every}, takes 0 with many processes; "
            "scoresde evaluate measures what they have trained"
        )
    if config.objective == "classifier":
        raise UserError(
            f"training.evaluate_every: got {config.evaluate_every}, takes 0 with "
            "training.objective 'classifier': it has no samples"
        )
    build_features(config.evaluate_features or default_features(data), _FEATURES)
    labelled = experiment.model.conditional and not data.cond_dim
    suits = default_metrics(data, 0, labelled=labelled, examples=True)
    question = Question.of(config.evaluate_metrics or suits, _METRICS)
    question.check(examples=True, test=True, probabilities=True, labels=labelled)
    question.check_num(config.evaluate_num, "training.evaluate_num")


def measured(
    experiment: Experiment, workdir: Workdir, mesh: Mesh, data: Split, state: TrainState
) -> dict[str, float | None]:
    """Numbers of samples of the first average, as "eval/fd", and their errors, "eval/fd_error".

    Args:
      experiment: the run's.
      workdir: its folder, where they are written too, with their protocol.
      mesh: the devices.
      data: what the model is trained on.
      state: of the run.

    Raises:
      UserError: as of `evaluate`.
    """
    config, average = experiment.training, averages.names(experiment.training)[0]
    experiment, params = settled(experiment, state.averages[average])
    asks_bits = config.evaluate_metrics is not None and bool(
        Question.of(config.evaluate_metrics, _METRICS).bits
    )
    divergence = experiment.sampling.log_prob or asks_bits
    network = build_network(experiment.model, divergence=divergence)
    sde = build_sde(experiment.sde)
    model = build_model(experiment, sde, network, params)
    trained = TrainedModel(workdir, experiment, sde, model, int(state.step), "ema", mesh, data)
    found = evaluate(
        trained,
        metrics=config.evaluate_metrics,
        features=config.evaluate_features,
        num=config.evaluate_num,
        seed=experiment.seed,
        filing=Filing(keep=False),
        flags=(_METRICS, _FEATURES),
    )
    values = {}
    for name, estimate in found.numbers.items():
        values[f"eval/{name}"] = as_json(estimate.value)
        if estimate.standard_error is not None:
            values[f"eval/{name}_error"] = as_json(estimate.standard_error)
    return values
