"""Knowledge distillation: a small network learns from a large one's logits.

Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015,
https://arxiv.org/abs/1503.02531. Written out here: Keras's `LogitsDistillation` with its default
loss applies neither softmax nor the square of the temperature in 3.15.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.target import Target
from models import training

if TYPE_CHECKING:
    import keras

    from models.criterion import Criterion
    from models.fit import Fitted


def classes_loss(targets: Any, logits: Any, *, temperature: float, hard_weight: float) -> Any:
    """`hard_weight * CE + (1 - hard_weight) * T² * KL(teacher || student)`, `(b,)`.

    targets: `(b, 1 + classes)` float32, the class's code, then the teacher's logits; logits:
    `(b, classes)` of the student. Cross-entropy is taken at temperature 1; both distributions of
    the divergence are softened by T, whose square keeps the sizes of the two gradients alike.
    """
    import keras
    import tensorflow as tf

    codes, teacher = targets[:, 0], targets[:, 1:]
    hard = keras.losses.sparse_categorical_crossentropy(codes, logits, from_logits=True)
    softened = tf.nn.log_softmax(teacher / temperature)
    divergence = tf.reduce_sum(
        tf.exp(softened) * (softened - tf.nn.log_softmax(logits / temperature)), axis=-1
    )
    return hard_weight * hard + (1 - hard_weight) * temperature**2 * divergence


def labels_loss(targets: Any, logits: Any, *, temperature: float, hard_weight: float) -> Any:
    """The same for labels that are each true or false, `(b,)`, the mean over the labels.

    targets: `(b, 2 k)` float32, the labels' codes, then the teacher's logits; logits: `(b, k)`.
    Each label is a distribution over two outcomes.
    """
    import keras
    import tensorflow as tf

    codes, teacher = tf.split(targets, 2, axis=1)
    hard = keras.losses.binary_crossentropy(codes, logits, from_logits=True)
    taught, learned = teacher / temperature, logits / temperature
    soft = tf.nn.sigmoid(taught)
    divergence = soft * (tf.math.log_sigmoid(taught) - tf.math.log_sigmoid(learned)) + (
        1 - soft
    ) * (tf.math.log_sigmoid(-taught) - tf.math.log_sigmoid(-learned))
    return hard_weight * hard + (1 - hard_weight) * temperature**2 * tf.reduce_mean(divergence, -1)


def quantities_loss(targets: Any, outputs: Any, *, temperature: float, hard_weight: float) -> Any:
    """`hard_weight * (codes - outputs)² + (1 - hard_weight) * (teacher - outputs)²`, `(b,)`.

    targets: `(b, 2 k)` float32, the codes, then the teacher's outputs; the mean over quantities.
    They have no distribution to soften: the temperature means nothing here.
    """
    import tensorflow as tf

    codes, teacher = tf.split(targets, 2, axis=1)
    hard, soft = tf.square(codes - outputs), tf.square(teacher - outputs)
    return tf.reduce_mean(hard_weight * hard + (1 - hard_weight) * soft, axis=-1)


LOSSES = {
    "classification": classes_loss,
    "multilabel": labels_loss,
    "regression": quantities_loss,
}


def criterion(target: Target, temperature: float, hard_weight: float) -> "Criterion":
    """The loss above that suits the target; validated on the target alone, as every other fit."""
    from models import criterion

    plain = criterion.of(target)
    codes = 1 if target.task == "classification" else target.outputs

    def distilled(targets: Any, outputs: Any) -> Any:
        loss = LOSSES[target.task]
        return loss(targets, outputs, temperature=temperature, hard_weight=hard_weight)

    def correct(targets: Any, outputs: Any) -> Any:
        assert plain.correct is not None
        told = targets[:, :codes]
        return plain.correct(told[:, 0] if target.task == "classification" else told, outputs)

    return criterion.Criterion(distilled, correct if plain.correct else None, plain.measure)


@dataclass(frozen=True)
class Teaching:
    """The teacher's logits for all training examples, computed once for all students."""

    development: str
    model: str
    """The teacher's saved model."""
    logits: str
    """Where the logits are written, an npy file."""


def teach(item: Teaching) -> None:
    """Piece: write the teacher's logits for the training examples."""
    data = training.encoded(item.development)
    from models import archive, fit

    network = archive.load(Path(item.model)).get_layer("network")
    np.save(item.logits, fit.outputs(network, data.train), allow_pickle=False)


@dataclass(frozen=True)
class StudentRun(training.SeedRun):
    """A student to be trained with one seed."""

    logits: str
    """The teacher's, as `teach` wrote them."""
    temperature: float
    hard_weight: float


def learn(item: StudentRun) -> training.Run:
    """Piece: one student from scratch."""

    def distil(network: "keras.Model", data: training.Encoded) -> "Sequence[tuple[str, Fitted]]":
        from models import fit

        teacher = np.load(item.logits, allow_pickle=False)
        fitted = fit.fit(
            network,
            (data.train, targets(data.train_codes, teacher)),
            (data.validation, data.validation_codes),
            item.settings,
            item.seed,
            name=item.name,
            criterion=criterion(data.target, item.temperature, item.hard_weight),
            weights=data.weights,
            minutes=item.minutes,
        )
        return [("distil", fitted)]

    return training.train_with(item, distil)


def targets(codes: npt.NDArray[Any], teacher: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Codes `(n,)` or `(n, k)` and the teacher's outputs as the float32 array that losses take.

    float32 holds classes exactly up to 2**24.
    """
    columns = codes.reshape(len(codes), -1).astype(np.float32)
    return np.concatenate([columns, teacher], axis=1)
