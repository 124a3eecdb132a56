"""The one fit loop: a network, arrays in memory, settings, a seed.

Small models are bound by Python, not by arithmetic. So a whole epoch is one call into TensorFlow,
in which batches are gathered from tensors by a permutation, and validation is one forward pass,
which gives the final predictions too. Both are graphs that serve every later fit of the same make
in this process (`models.fitting.program`).
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

from models.fitting import program, schedule
from models.fitting.course import Course
from models.fitting.criterion import CLASSIFY, Criterion
from models.fitting.curves import Epoch
from models.fitting.mixing import Mixing
from models.fitting.program import Program, State
from models.fitting.progress import Progress
from models.fitting.rows import Rows, block_rows, blocks_of, pool_blocks
from models.networks import encode
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
    block_size, blocks = block_rows(rows), blocks_of(rows)
    # Of very large rows a pool has fewer than a batch is to have, which then decides.
    pooled = max(pool_blocks(rows), math.ceil(size / block_size))
    pools = math.ceil(blocks / pooled)

    def read(chosen: npt.NDArray[np.int64]) -> list[Array]:
        """The rows of some blocks, and what goes with them."""
        places = [slice(at * block_size, (at + 1) * block_size) for at in chosen.tolist()]
        return [np.concatenate([array[place] for place in places]) for array in (rows, *others)]

    types = [tf.float32, *(tf.as_dtype(array.dtype) for array in others)]
    shapes = [array.shape[1:] for array in (rows, *others)]

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.constant(seed, tf.int64), number])
        full = tf.random.experimental.stateless_shuffle(
            tf.range(len(rows) // block_size, dtype=tf.int64), seed=key
        )
        # A last block that is shorter stays last: every epoch then has equally many batches.
        order = tf.concat([full, tf.range(len(rows) // block_size, blocks, dtype=tf.int64)], 0)

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

    return epoch, sum(
        math.ceil(held / size) for held in _pool_sizes(len(rows), pooled * block_size)
    )


def _pool_sizes(count: int, whole: int) -> list[int]:
    """Rows in each pool of an epoch; `whole`: of one that is full."""
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
        examples = [*train, *([] if weights[0] is None else [_to_mean_one(weights[0])])]
        made = program.of(network, criterion, settings, mixing, factors, examples)
        train_on, steps = _epochs(made, network, examples, settings, seed)
        size = encode.rows(network)
        course = Course(
            settings, stops, lambda: minutes is not None and monotonic() - begun >= 60 * minutes
        )
        progress = Progress(name)
        progress.set_params({"epochs": settings.epochs})
        epochs: list[Epoch] = []
        state = made.begin(network)
        while not course.ended:
            number = len(epochs)
            rates = schedule.rates(settings, steps, number) * np.float32(course.share)
            state, loss, right = train_on(number, rates, state)
            outputs = made.outputs(validation[0], state, size)
            val_loss, val_right = criterion.measure(validation[1], outputs, weights[1])
            epochs.append(
                Epoch(
                    number + 1,
                    _short(loss),
                    None if criterion.correct is None else _short(right),
                    _short(val_loss),
                    None if val_right is None else _short(val_right),
                    _short(float(rates[-1])),
                )
            )
            told.epoch(asdict(epochs[-1]))
            course.after((loss, val_loss), (state, outputs))
            progress.on_epoch_end(number, {"val_loss": val_loss})
        kept, outputs = course.kept
        made.finish(network, kept)
    fitted = Fitted(tuple(epochs), outputs, course.diverged, course.stopped, course.out_of_time)
    loss, accuracy = criterion.measure(validation[1], outputs, weights[1])
    how = _ended(fitted)
    told.end(how or "whole", val_loss=loss, val_accuracy=accuracy)
    log.info(
        "%s: %d epochs, validation loss %.4f%s%s",
        name,
        len(fitted.epochs),
        loss,
        "" if accuracy is None else f", accuracy {accuracy:.4f}",
        how and f", {how}",
    )
    return fitted


_Trained = Callable[[int, npt.NDArray[np.float32], State], tuple[State, float, float]]
"""An epoch by its number: what it is trained at, and what it begins with, to what it leaves."""


def _epochs(
    made: Program,
    network: keras.Model,
    examples: Sequence[Any],
    settings: FitSettings,
    seed: int,
) -> tuple[_Trained, int]:
    """How epochs are trained, and the steps of each."""
    values, size = made.values(network, settings, seed), settings.batch_size
    if isinstance(examples[0], np.ndarray):
        arrays = [tf.constant(array) for array in examples]

        def in_memory(number: int, rates: Any, state: State) -> tuple[State, float, float]:
            return made.epoch(arrays, size, (seed, number), rates, state, values)

        return in_memory, math.ceil(len(examples[0]) / size)
    dataset, steps = batches(examples[0], examples[1:], size, seed)
    drawn = iter(dataset)
    return lambda number, rates, state: made.epoch_from(drawn, rates, state, values), steps


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
