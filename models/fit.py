"""The one fit loop: a network, arrays in memory, settings, a seed.

Small models are bound by Python, not by arithmetic. So a whole epoch is one call into TensorFlow
(`steps_per_execution`), the batches are gathered from tensors by a permutation made inside the
data set rather than shuffled one by one, and validation is one forward pass without a data set of
its own. The same forward pass gives the final predictions: `Model.predict` would be traced anew.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models.criterion import CLASSIFY, Criterion
from models.curves import Epoch
from models.encode import BATCH
from models.settings import FitSettings
from pipeline.clock import span

log = logging.getLogger("fettle")

Array = npt.NDArray[Any]
Weights = tuple[Array | None, Array | None]


@dataclass(frozen=True)
class Fitted:
    """What a fit leaves beside the network, which it changes in place."""

    epochs: tuple[Epoch, ...]
    outputs: npt.NDArray[np.float32]
    """Validation outputs `(n, k)` of the final weights."""
    diverged: bool
    """Whether the fit ended because its loss was no number any more."""


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Validates after every epoch, keeps their figures, ends a fit whose loss is not finite.

    Stands before EarlyStopping, which finds `val_loss` in the shared logs.
    """

    def __init__(self, validate: Callable[[], tuple[float, float | None]], rate: float) -> None:
        super().__init__()
        self.validate = validate
        self.rate = rate
        self.epochs: list[Epoch] = []
        self.diverged = False

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """As the class says; `logs` gains val_loss."""
        logs["val_loss"], val_accuracy = self.validate()
        if not math.isfinite(logs["loss"]) or not math.isfinite(logs["val_loss"]):
            self.diverged = True
            self.model.stop_training = True
            # EarlyStopping must not take a missing number for the best.
            logs["val_loss"] = math.inf
        self.epochs.append(
            Epoch(
                epoch + 1,
                _short(logs["loss"]),
                _short(logs["accuracy"]) if "accuracy" in logs else None,
                _short(logs["val_loss"]),
                None if val_accuracy is None else _short(val_accuracy),
                self.rate,
            )
        )


def _short(value: float) -> float:
    """Six significant digits: float32 figures hold no more."""
    return float(f"{value:.6g}")


def batches(arrays: Sequence[Array], size: int, seed: int) -> tuple[tf.data.Dataset, int]:
    """An endless data set of shuffled batches, and the number of batches of one epoch.

    arrays: inputs, codes and, where there are any, weights, each `(n, …)`. Every epoch is a
    permutation drawn from the seed and the epoch's number; its last batch is what remains.
    """
    count = len(arrays[0])
    steps = math.ceil(count / size)
    kept = tuple(tf.constant(array) for array in arrays)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def batch(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
            places = order[step * size : (step + 1) * size]
            return tuple(tf.gather(values, places) for values in kept)

        return tf.data.Dataset.range(steps).map(batch)

    epochs = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return epochs.flat_map(epoch).prefetch(8), steps


def fit(
    network: keras.Model,
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
    settings: FitSettings,
    seed: int,
    *,
    name: str,
    criterion: Criterion = CLASSIFY,
    weights: Weights = (None, None),
) -> Fitted:
    """Train `network` in place on `train`, pairs of inputs `(n, …)` float32 and codes `(n, …)`.

    `weights` say how much each example counts in the loss, `(n,)` float32 for training and for
    validation; None: all alike. `seed` orders the batches; initial weights and dropout follow from
    `determinism.start`, which the caller has called before it built the network. `name` labels the
    one line in the log. Never raises for a loss that is no number: see `Fitted.diverged`.
    """
    with span("fit"):
        arrays = train if weights[0] is None else (*train, _to_mean_one(weights[0]))
        dataset, steps = batches(arrays, settings.batch_size, seed)
        network.compile(
            keras.optimizers.Adam(settings.learning_rate),
            criterion.loss,
            metrics=None if criterion.correct is None else [_metric(criterion.correct)],
            steps_per_execution=steps,
            jit_compile=False,  # slower on the CPU, several times so for convolutions
        )
        # Variables made while the step is traced would have it traced a second time.
        network.optimizer.build(network.trainable_variables)
        forward = _forward(network)
        watch = _Watch(
            lambda: criterion.measure(validation[1], forward(validation[0]), weights[1]),
            settings.learning_rate,
        )
        callbacks = [watch, *_stopping(settings)]
        network.fit(
            dataset,
            epochs=settings.epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            shuffle=False,  # done by the data set
            verbose=0,
        )
        outputs = forward(validation[0])
    fitted = Fitted(tuple(watch.epochs), outputs, watch.diverged)
    loss, right = criterion.measure(validation[1], outputs, weights[1])
    log.info(
        "%s: %d epochs, validation loss %.4f%s%s",
        name,
        len(fitted.epochs),
        loss,
        "" if right is None else f", accuracy {right:.4f}",
        ", diverged" if fitted.diverged else "",
    )
    return fitted


def _to_mean_one(weights: Array) -> Array:
    """So that weights change what counts, and not the size of the steps."""
    return (weights / weights.mean()).astype(np.float32)


def _metric(correct: Callable[[Any, Any], Any]) -> keras.metrics.Metric:
    return keras.metrics.MeanMetricWrapper(correct, name="accuracy")


def _stopping(settings: FitSettings) -> list[keras.callbacks.Callback]:
    if settings.patience is None:
        return []
    return [
        keras.callbacks.EarlyStopping(
            monitor="val_loss", mode="min", patience=settings.patience, restore_best_weights=True
        )
    ]


def _forward(network: keras.Model) -> Callable[[Array], npt.NDArray[np.float32]]:
    """The network at inference as one traced function, over batches of any size."""

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)],
        autograph=False,
    )
    def outputs(inputs: tf.Tensor) -> tf.Tensor:
        return network(inputs, training=False)

    def forward(inputs: Array) -> npt.NDArray[np.float32]:
        parts = [
            outputs(inputs[start : start + BATCH]).numpy() for start in range(0, len(inputs), BATCH)
        ]
        values: npt.NDArray[np.float32] = np.concatenate(parts)
        return values

    return forward


def outputs(network: keras.Model, inputs: Array) -> npt.NDArray[np.float32]:
    """What `network` gives at inference for `(n, …)` inputs, `(n, k)` float32."""
    return _forward(network)(inputs)
