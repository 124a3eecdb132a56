"""The one fit loop: a network, arrays in memory, settings, a seed.

Small models are bound by Python, not by arithmetic. So a whole epoch is one call into TensorFlow
(`steps_per_execution`), the batches are gathered from tensors by a permutation made inside the
data set rather than shuffled one by one, and validation is one forward pass without a data set of
its own. The same forward pass gives the final predictions: `Model.predict` would be traced anew.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from time import monotonic
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from models import encode, optimizer, schedule
from models.criterion import CLASSIFY, Criterion, EachMember, each_member
from models.curves import Epoch
from models.mixing import Mixing
from models.progress import Progress
from models.rows import BLOCK_ROWS, Rows, blocks_of, pool_blocks
from models.settings import FitSettings
from pipeline import journal
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
    stopped: bool = False
    """Whether it ended because it was worse than `stops` allow."""
    out_of_time: bool = False
    """Whether it ended because its minutes were over."""


class _Watch(keras.callbacks.Callback):  # type: ignore[misc]
    """Validates after every epoch, keeps their figures, ends a fit whose loss is not finite, or
    whose best one so far is above `stops`, or whose time is over.

    Stands before EarlyStopping, which finds `val_loss` in the shared logs.
    """

    def __init__(
        self,
        validate: Callable[[], tuple[float, float | None]],
        rate: Callable[[int], float],
        stops: Sequence[float],
        over: Callable[[], bool],
        told: journal.Fit,
    ) -> None:
        """`validate` gives loss and accuracy; `rate` the learning rate of an epoch's last step;
        `stops`: see `fit`; `over` whether there is no time for another epoch; `told` hears of every
        epoch."""
        super().__init__()
        self.validate = validate
        self.rate = rate
        self.stops = stops
        self.over = over
        self.told = told
        self.best = math.inf
        self.stopped = False
        self.out_of_time = False
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
                _short(self.rate(epoch)),
            )
        )
        self.told.epoch(asdict(self.epochs[-1]))
        self.best = min(self.best, logs["val_loss"])
        if not self.diverged and epoch < len(self.stops) and self.best > self.stops[epoch]:
            self.stopped = True
            self.model.stop_training = True
        # After its last epoch a fit came to its own end, however late.
        whole = self.diverged or self.stopped or epoch + 1 == self.params["epochs"]
        if not whole and self.over():
            self.out_of_time = True
            self.model.stop_training = True


def _short(value: float) -> float:
    """Six significant digits: float32 figures hold no more."""
    return float(f"{value:.6g}")


def batches(
    rows: Rows, others: Sequence[Array], size: int, seed: int
) -> tuple[tf.data.Dataset, int]:
    """An endless data set of shuffled batches, and the number of batches of one epoch.

    rows: the inputs; others: codes and, where there are any, weights, each `(n, …)`. In memory
    every epoch is a permutation drawn from the seed and the epoch's number. From a file, blocks of
    rows are permuted, and the rows within a few of them at a time.
    """
    drawn = _in_memory if isinstance(rows, np.ndarray) else _from_file
    epoch, steps = drawn(rows, others, size, seed)
    epochs = tf.data.Dataset.range(np.iinfo(np.int64).max)
    return epochs.flat_map(epoch).prefetch(8), steps


_Epoch = Callable[[Any], Any]
"""The number of an epoch to the data set of its batches."""


def _in_memory(rows: Rows, others: Sequence[Array], size: int, seed: int) -> tuple[_Epoch, int]:
    kept = tuple(tf.constant(array) for array in (rows, *others))

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        return _shuffled(kept, len(rows), size, tf.stack([tf.constant(seed, tf.int64), number]))

    return epoch, math.ceil(len(rows) / size)


def _shuffled(
    arrays: tuple[tf.Tensor, ...], count: Any, size: int, key: tf.Tensor
) -> tf.data.Dataset:
    """Batches of `count` examples in an order that follows from `key`; the last is what remains."""
    order = tf.random.experimental.stateless_shuffle(tf.range(count), seed=key)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        places = order[step * size : (step + 1) * size]
        return tuple(tf.gather(values, places) for values in arrays)

    steps = tf.cast(tf.math.ceil(count / size), tf.int64)
    return tf.data.Dataset.range(steps).map(batch)


def _from_file(rows: Rows, others: Sequence[Array], size: int, seed: int) -> tuple[_Epoch, int]:
    blocks, pooled = blocks_of(rows), pool_blocks(rows)
    pools = math.ceil(blocks / pooled)

    def read(chosen: npt.NDArray[np.int64]) -> list[Array]:
        """The rows of some blocks, and what goes with them."""
        places = [slice(block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS) for block in chosen.tolist()]
        return [np.concatenate([array[place] for place in places]) for array in (rows, *others)]

    types = [tf.float32, *(tf.as_dtype(array.dtype) for array in others)]
    shapes = [array.shape[1:] for array in (rows, *others)]

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), number])
        full = tf.random.experimental.stateless_shuffle(
            tf.range(len(rows) // BLOCK_ROWS, dtype=tf.int64), seed=key
        )
        # A last block that is shorter stays last: every epoch then has equally many batches.
        order = tf.concat([full, tf.range(len(rows) // BLOCK_ROWS, blocks, dtype=tf.int64)], 0)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def pool(place: tf.Tensor) -> tuple[tf.Tensor, ...]:
            chosen = order[place * pooled : (place + 1) * pooled]
            arrays = tf.numpy_function(read, [chosen], types)
            for array, shape in zip(arrays, shapes, strict=True):
                array.set_shape((None, *shape))
            return (place, *arrays)

        @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
        def within(place: tf.Tensor, *arrays: tf.Tensor) -> tf.data.Dataset:
            own = tf.random.experimental.stateless_fold_in(key, place)
            return _shuffled(arrays, tf.shape(arrays[0])[0], size, own)

        return tf.data.Dataset.range(pools).map(pool).prefetch(1).flat_map(within)

    return epoch, sum(math.ceil(held / size) for held in _pool_sizes(len(rows), pooled))


def _pool_sizes(count: int, pooled: int) -> list[int]:
    """Rows in each pool of an epoch."""
    whole = pooled * BLOCK_ROWS
    return [min(whole, count - start) for start in range(0, count, whole)]


def fit(
    network: keras.Model,
    train: tuple[Rows, Array],
    validation: tuple[Rows, Array],
    settings: FitSettings,
    seed: int,
    *,
    name: str,
    criterion: Criterion = CLASSIFY,
    weights: Weights = (None, None),
    stops: Sequence[float] = (),
    minutes: float | None = None,
    mixing: Mixing | None = None,
    factors: Sequence[float] = (),
) -> Fitted:
    """Train `network` in place on `train`, pairs of inputs `(n, …)` float32 and codes `(n, …)`.

    `weights` say how much each example counts in the loss, `(n,)` float32 for training and for
    validation; None: all alike. `seed` orders the batches; initial weights and dropout follow from
    `determinism.start`, which the caller has called before it built the network. `name` labels the
    one line in the log. `mixing`: how training examples are mixed, if they are. `stops`: by epoch,
    the validation loss that its best one so far must not exceed. `minutes` of the clock, after
    which the epoch under way is the last one; the weights are then those that its end would have
    left, of the best epoch with `patience`, else the last. `factors`: see `optimizer.build`. Never
    raises for a loss that is no
    number: see `Fitted.diverged`.
    """
    begun = monotonic()
    about = {"seed": seed, "examples": len(train[0]), "parameters": network.count_params()}
    with span("fit"), journal.fit(name, settings.model_dump(), **about) as told:
        others = [train[1], *([] if weights[0] is None else [_to_mean_one(weights[0])])]
        dataset, steps = batches(train[0], others, settings.batch_size, seed)
        if mixing is not None:
            dataset, criterion = mixing.dataset(dataset), mixing.criterion(criterion)
        network.compile(
            optimizer.build(settings, steps, network.trainable_variables, factors),
            EachMember(criterion.loss),
            metrics=None if criterion.correct is None else [_metric(criterion.correct)],
            steps_per_execution=steps,
            jit_compile=False,  # slower on the CPU, several times so for convolutions
        )
        forward = _forward(network)
        watch = _Watch(
            lambda: criterion.measure(validation[1], forward(validation[0]), weights[1]),
            lambda epoch: optimizer.rate(network.optimizer, steps * (epoch + 1) - 1),
            stops,
            lambda: minutes is not None and monotonic() - begun >= 60 * minutes,
            told,
        )
        averaged = [] if settings.ema is None else [optimizer.Averaged()]
        callbacks = [
            *averaged,
            watch,
            Progress(name),
            *schedule.callbacks(settings),
            *_stopping(settings),
        ]
        network.fit(
            dataset,
            epochs=settings.epochs,
            steps_per_epoch=steps,
            callbacks=callbacks,
            shuffle=False,  # done by the data set
            verbose=0,
        )
        outputs = forward(validation[0])
    fitted = Fitted(tuple(watch.epochs), outputs, watch.diverged, watch.stopped, watch.out_of_time)
    loss, right = criterion.measure(validation[1], outputs, weights[1])
    how = _ended(fitted)
    told.end(how or "whole", val_loss=loss, val_accuracy=right)
    log.info(
        "%s: %d epochs, validation loss %.4f%s%s",
        name,
        len(fitted.epochs),
        loss,
        "" if right is None else f", accuracy {right:.4f}",
        how and f", {how}",
    )
    return fitted


def _ended(fitted: Fitted) -> str:
    """How a fit ended, where not by itself; else nothing."""
    if fitted.diverged:
        return "diverged"
    if fitted.stopped:
        return "stopped"
    return "out of time" if fitted.out_of_time else ""


def _to_mean_one(weights: Array) -> Array:
    """So that weights change what counts, and not the size of the steps."""
    scaled: Array = (weights / weights.mean()).astype(np.float32)
    return scaled


def _metric(correct: Callable[[Any, Any], Any]) -> keras.metrics.Metric:
    return keras.metrics.MeanMetricWrapper(each_member(correct), name="accuracy")


def _stopping(settings: FitSettings) -> list[keras.callbacks.Callback]:
    if settings.patience is None:
        return []
    return [
        keras.callbacks.EarlyStopping(
            monitor="val_loss", mode="min", patience=settings.patience, restore_best_weights=True
        )
    ]


def _forward(network: keras.Model) -> Callable[[Rows], npt.NDArray[np.float32]]:
    """The network at inference as one traced function, over batches of any size."""

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec((None, *network.input_shape[1:]), tf.float32)],
        autograph=False,
    )
    def outputs(inputs: tf.Tensor) -> tf.Tensor:
        return network(inputs, training=False)

    def forward(inputs: Rows) -> npt.NDArray[np.float32]:
        size = encode.rows(network)
        parts = [
            outputs(inputs[start : start + size]).numpy() for start in range(0, len(inputs), size)
        ]
        values: npt.NDArray[np.float32] = np.concatenate(parts)
        return values

    return forward


def outputs(network: keras.Model, inputs: Rows) -> npt.NDArray[np.float32]:
    """What `network` gives at inference for `(n, …)` inputs, `(n, k)` float32."""
    return _forward(network)(inputs)
