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

from models import training

if TYPE_CHECKING:
    import keras

    from models.fit import Fitted, Objective


def loss(targets: Any, logits: Any, *, temperature: float, hard_weight: float) -> Any:
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


def objective(temperature: float, hard_weight: float) -> "Objective":
    """The loss above; validated on labels alone, as every other fit."""
    from models import fit

    def distilled(targets: Any, logits: Any) -> Any:
        return loss(targets, logits, temperature=temperature, hard_weight=hard_weight)

    def correct(targets: Any, logits: Any) -> Any:
        return fit.accuracy(targets[:, 0], logits)

    return fit.Objective(distilled, correct, fit.measure)


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
            objective=objective(item.temperature, item.hard_weight),
        )
        return [("distil", fitted)]

    return training.train_with(item, distil)


def targets(
    codes: npt.NDArray[np.int32], teacher: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """`(n,)` codes and `(n, classes)` logits as the `(n, 1 + classes)` float32 that `loss` takes.

    float32 holds codes exactly up to 2**24.
    """
    return np.concatenate([codes[:, None].astype(np.float32), teacher], axis=1)
