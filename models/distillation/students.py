"""Knowledge distillation: a small network learns from a large one's outputs.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015,
https://arxiv.org/abs/1503.02531. Written out here: Keras's `LogitsDistillation` with its default
loss applies neither softmax nor the square of the temperature in 3.15.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.target import Target
from models import training
from models.fitting import rows
from models.fitting.rows import Rows, block_rows
from models.settings import FitSettings

if TYPE_CHECKING:
    import keras

    from models.fitting.criterion import Criterion
    from models.fitting.fit import Fitted

Array = npt.NDArray[Any]


def soft_classes(teacher: Any, student: Any, temperature: float) -> Any:
    """`T² * KL(teacher || student)` of `(b, classes)` logits, `(b,)`.

    Both distributions are softened by T, whose square keeps the size of the gradient what it is
    beside that of the labels.
    """
    import tensorflow as tf

    taught = tf.nn.log_softmax(teacher / temperature)
    learned = tf.nn.log_softmax(student / temperature)
    return temperature**2 * tf.reduce_sum(tf.exp(taught) * (taught - learned), axis=-1)


def soft_labels(teacher: Any, student: Any, temperature: float) -> Any:
    """The same of `(b, k)` labels that are each true or false, the mean over the labels, `(b,)`.

    Each label is a distribution over two outcomes.
    """
    import tensorflow as tf

    taught, learned = teacher / temperature, student / temperature
    soft = tf.nn.sigmoid(taught)
    divergence = soft * (tf.math.log_sigmoid(taught) - tf.math.log_sigmoid(learned)) + (
        1 - soft
    ) * (tf.math.log_sigmoid(-taught) - tf.math.log_sigmoid(-learned))
    return temperature**2 * tf.reduce_mean(divergence, axis=-1)


def soft_quantities(teacher: Any, student: Any, temperature: float) -> Any:
    """The squared difference of `(b, k)` outputs, the mean over the quantities, `(b,)`.

    They have no distribution to soften: the temperature means nothing here.
    """
    import tensorflow as tf

    return tf.reduce_mean(tf.square(teacher - student), axis=-1)


SOFT = {
    "classification": soft_classes,
    "multilabel": soft_labels,
    "regression": soft_quantities,
}
"""What a student is told by its teacher's outputs, by the task."""


@dataclass(frozen=True)
class Columns:
    """What the columns of a student's targets `(n, c)` float32 are, in this order."""

    codes: int
    """What the examples say: a class in one column, which float32 holds exactly up to 2**24, or
    labels or quantities."""
    labelled: float
    """Fraction of the examples whose codes are known; below 1 a column of 1 and 0 says which, since
    codes have no missing value."""
    outputs: int
    """The teacher's logits, or codes of quantities."""
    hints: int
    """The teacher's standardised last hidden vector; 0: none is taught."""

    @property
    def masked(self) -> bool:
        """Whether there is such a column."""
        return self.labelled < 1

    def parted(self, targets: Any) -> tuple[Any, Any, Any, Any]:
        """Codes, which of them are known `(n,)`, outputs and hints; of an array or a tensor."""
        begin = self.codes + self.masked
        end = begin + self.outputs
        known = targets[:, self.codes] if self.masked else None
        return targets[:, : self.codes], known, targets[:, begin:end], targets[:, end:]


@dataclass(frozen=True)
class Weights:
    """How much each part counts in a student's loss, and at which temperature it is taught."""

    temperature: float
    hard: float
    """Of the labels; the teacher's outputs have the rest of 1."""
    feature: float
    """Of the teacher's last hidden vector, besides."""


@lru_cache(maxsize=8)
def criterion(
    target: Target, settings: FitSettings, weights: Weights, columns: Columns
) -> "Criterion":
    """`hard * L + (1 - hard) * S + feature * |projection - hint|²`, `(b,)`, of what `columns` tell.

    L is what the settings would have the student minimise without a teacher, taken at temperature
    1; S is that of `SOFT`. An example whose label is not known has no L: its mean is still taken
    over the batch, so such examples teach by their other parts alone. The last part is the mean
    squared error of `FitNets` (Romero et al., "FitNets: Hints for thin deep nets", ICLR 2015,
    https://arxiv.org/abs/1412.6550), of what stands behind the logits in the outputs. A part
    that counts nothing is left out: with `hard` 1 alone the loss is the student's own.

    Validated on the target and the logits alone, as every other fit. The same one for equal
    arguments: graphs are known by it.
    """
    import tensorflow as tf

    from models.fitting import criterion

    own = criterion.trained_by(target, settings)
    count = target.outputs

    def told(codes: Any) -> Any:
        return tf.cast(codes[:, 0], tf.int32) if target.task == "classification" else codes

    def loss(targets: Any, outputs: Any) -> Any:
        codes, known, teacher, hints = columns.parted(targets)
        logits, parts = outputs[:, :count], []
        if weights.hard:
            hard = own.loss(told(codes), logits)
            parts.append(weights.hard * (hard if known is None else hard * known))
        if weights.hard < 1:
            soft = SOFT[target.task](teacher, logits, weights.temperature)
            parts.append((1 - weights.hard) * soft)
        if columns.hints:
            drawn = tf.reduce_mean(tf.square(outputs[:, count:] - hints), axis=-1)
            parts.append(weights.feature * drawn)
        return parts[0] if len(parts) == 1 else tf.add_n(parts)

    def correct(targets: Any, outputs: Any) -> Any:
        assert own.correct is not None
        codes, known, _, _ = columns.parted(targets)
        right = own.correct(told(codes), outputs[:, :count])
        # Of those that can be right: their mean is still taken over all.
        return right if known is None else right * known / columns.labelled

    def measure(codes: Array, outputs: Array, weights: Array | None) -> tuple[float, float | None]:
        return own.measure(codes, outputs[:, :count], weights)

    return criterion.Criterion(loss, correct if own.correct else None, measure)


@dataclass(frozen=True)
class Lesson:
    """What all students are taught; files are npy arrays that `teachers.teach` wrote."""

    weights: Weights
    outputs: str
    """The teacher's, of the training examples, then of the unlabelled ones."""
    hints: str | None
    """Its last hidden vector of the same, if that is taught."""
    unlabelled: str | None
    """The unlabelled examples, encoded, if there are any."""


@dataclass(frozen=True)
class StudentRun(training.SeedRun):
    """A student to be trained with one seed."""

    lesson: Lesson


def run(item: training.SeedRun) -> training.Run:
    """Piece: a student, or the same network without a teacher."""
    return learn(item) if isinstance(item, StudentRun) else training.train(item)


def learn(item: StudentRun) -> training.Run:
    """Piece: one student from scratch."""
    lesson = item.lesson
    own = training.encoded(item.development)
    outputs, hints, more = (
        None if path is None else np.load(path, allow_pickle=False)
        for path in (lesson.outputs, lesson.hints, lesson.unlabelled)
    )
    assert outputs is not None
    columns = Columns(
        1 if own.target.task == "classification" else own.target.outputs,
        len(own.train_codes) / len(outputs),
        outputs.shape[1],
        0 if hints is None else hints.shape[1],
    )
    data = replace(
        own,
        train=own.train if more is None else _joined(own.train, more),
        train_codes=targets(own.train_codes, columns, outputs, hints),
        train_weights=None if own.train_weights is None else _filled(own.train_weights, outputs),
    )

    def distil(network: "keras.Model", data: training.Encoded) -> "Sequence[tuple[str, Fitted]]":
        from models.fitting import fit

        trained = network if hints is None else _drawn(network, hints.shape[1], item.seed)
        fitted = fit.fit(
            trained,
            (data.train, data.train_codes),
            (data.validation, data.validation_codes),
            item.settings,
            item.seed,
            name=item.name,
            criterion=criterion(data.target, item.settings, lesson.weights, columns),
            weights=data.weights,
            minutes=item.minutes,
        )
        return [("distil", replace(fitted, outputs=fitted.outputs[:, : data.target.outputs]))]

    return training.train_on(data, item, distil)


def targets(
    codes: Array, columns: Columns, outputs: Array, hints: Array | None
) -> npt.NDArray[np.float32]:
    """The targets of `columns`. codes: `(m,)` or `(m, k)` of the first m examples, those whose
    targets are known; outputs and hints: `(n, …)` of all."""
    told = np.zeros((len(outputs), columns.codes), dtype=np.float32)
    told[: len(codes)] = codes.reshape(len(codes), -1)
    parts = [told, outputs] if hints is None else [told, outputs, hints]
    if columns.masked:
        known = np.arange(len(outputs)) < len(codes)
        parts.insert(1, known[:, np.newaxis])
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _joined(train: Rows, more: Array) -> Rows:
    """Training examples and behind them those without a label."""
    size = block_rows(train)
    parts = (train[start : start + size] for start in range(0, len(train), size))
    return rows.collect(chain(parts, [more]), len(train) + len(more))


def _filled(importance: npt.NDArray[np.float32], outputs: Array) -> npt.NDArray[np.float32]:
    """Examples without a label count as much as those with one on average."""
    missing = len(outputs) - len(importance)
    return np.append(importance, np.full(missing, importance.mean(), np.float32))


def _drawn(network: "keras.Model", size: int, seed: int) -> "keras.Model":
    """The network with `size` more outputs: its last hidden vector through a linear layer, which
    is not kept."""
    import keras

    from models.distillation import hidden

    own = hidden.last(network)
    assert own is not None
    # Not the network's own stream: its first layer has the first seed of that.
    drawn = int(np.random.default_rng([seed, 1]).integers(2**31))
    layer = keras.layers.Dense(
        size, kernel_initializer=keras.initializers.GlorotUniform(drawn), name="projection"
    )
    both = keras.layers.Concatenate(name="taught")([network.output, layer(own)])
    return keras.Model(network.input, both, name="taught")
