"""Features of a classifier that is trained on the data set itself.

Its loss is the cross-entropy of the labels of the training split, in which every value x is
standardised, (x − m)/s, by the mean and deviation of all of them. What it says of samples is how it
sees them, and depends on the data and the seed: it compares models of one data set with each other,
and with nothing published.
"""

import dataclasses
import pathlib
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.data import Codec, Split, Stream
from experiments.errors import UserError
from experiments.evaluation.features.extractor import Extracted, Features, check_shape, features
from experiments.evaluation.features.kept import kept
from experiments.evaluation.features.network import BatchedNetwork, called
from experiments.runtime import seeds
from experiments.workdir.results import digest
from models.features.small_classifier import SmallClassifier
from sde_lib import ranged

_BATCH = 128
_LEARNING_RATE, _WEIGHT_DECAY = 2e-3, 1e-2
_STATISTICS = 4096
"""Examples, at most, whose values have m and s; so many are read at a time, too."""


@features.register("classifier")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierFeatures(Features):
    """The last hidden layer of a small network that is trained to tell the data's classes apart.

    Args:
      width: channels of its first convolution.
      dim: number of features.
      num_steps: updates, of 128 examples each.
    """

    width: int = ranged(32, low=4)
    dim: int = ranged(128, low=1)
    num_steps: int = ranged(600, low=1)

    def open(
        self, train: Split, folder: pathlib.Path, seed: int, test: Split | None = None
    ) -> "TrainedExtractor":
        if train.num_classes < 2:
            raise UserError(
                f"--features: classifier: got {train.source or 'data'} without classes, takes "
                "labelled data; or pixels"
            )
        network = SmallClassifier(train.num_classes, self.width, self.dim)
        facts = {"name": "classifier", **dataclasses.asdict(self), "seed": seed}
        arrays = kept(folder, facts, train, lambda: _trained(network, train, self.num_steps, seed))
        protocol = facts | {"digest": digest(arrays)}
        extractor = TrainedExtractor(network, train.codec, train.shape, arrays, protocol)
        return extractor if test is None else extractor.measured(test)


class TrainedExtractor:
    """A trained classifier: its last hidden layer, and what it takes the classes' chances to be.

    Args:
      network: the network.
      codec: of the data.
      shape: of one example.
      arrays: of `_trained`.
      protocol: what it follows from.
    """

    def __init__(
        self,
        network: SmallClassifier,
        codec: Codec,
        shape: tuple[int, ...],
        arrays: dict[str, np.ndarray],
        protocol: dict[str, Any],
    ):
        self.dim, self.num_classes, self.protocol = network.dim, network.num_classes, protocol
        self._shape = shape
        params = {name: arrays[name] for name in arrays if "/" in name}

        def apply(params: Any, x: Any) -> tuple[Any, Any]:
            hidden, logits = called(network, params, x)
            return hidden, jax.nn.softmax(logits)

        def standardised(values: np.ndarray) -> np.ndarray:
            return (codec.intensities(values) - arrays["mean"]) / arrays["std"]

        nested = flax.traverse_util.unflatten_dict(params, sep="/")
        self._network = BatchedNetwork(apply, nested, standardised)

    def measured(self, test: Split) -> "TrainedExtractor":
        """The same, with its accuracy on the test split in its protocol."""
        right = 0
        for start in range(0, test.num, _STATISTICS):
            batch = test.read(np.arange(start, min(start + _STATISTICS, test.num)))
            found = np.asarray(self(batch.values).probabilities).argmax(axis=1)
            right += int(np.sum(found == batch.labels))
        self.protocol = {**self.protocol, "test_accuracy": right / test.num}
        return self

    def __call__(self, values: np.ndarray) -> Extracted:
        check_shape(values, self._shape)
        return self._network(values)


def _trained(
    network: SmallClassifier, train: Split, num_steps: int, seed: int
) -> dict[str, np.ndarray]:
    """The network's parameters by their paths, and the values' `mean` and `std`.

    On one device, so that the numbers do not depend on how many there are.
    """
    from tqdm import tqdm

    every = max(1, -(-train.num // _STATISTICS))
    values = train.codec.intensities(train.read(np.arange(0, train.num, every)).values)
    mean, std = values.mean(dtype=np.float64), values.std(dtype=np.float64) or 1.0
    scale = {"mean": np.asarray(mean, np.float32), "std": np.asarray(std, np.float32)}
    example = jnp.zeros((1, *train.shape))
    params = jax.jit(network.init)(seeds.key_of(seed), example)["params"]
    schedule = optax.cosine_decay_schedule(_LEARNING_RATE, num_steps)
    optimizer = optax.adamw(schedule, weight_decay=_WEIGHT_DECAY)

    @jax.jit
    def update(params: Any, state: Any, x: Any, labels: Any) -> tuple[Any, Any]:
        def loss(params: Any) -> Any:
            logits = called(network, params, x)[1]
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    with Stream(train, seed=seed, batch_size=_BATCH, start=0) as stream:
        # disable=None shows the bar only to a terminal.
        for _ in tqdm(range(num_steps), desc="training the classifier of features", disable=None):
            batch = next(stream)
            x = (train.codec.intensities(batch.values) - scale["mean"]) / scale["std"]
            params, state = update(params, state, x, batch.labels)
    flat = flax.traverse_util.flatten_dict(jax.device_get(params), sep="/")
    return {name: np.asarray(leaf) for name, leaf in flat.items()} | scale
