"""What a teacher says of the examples that students learn from: computed once for all of them."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dataset.arrivals import Reading, read_arrivals
from dataset.examples import Development, Examples
from models import training
from models.training import Encoded
from pipeline.errors import InputError

if TYPE_CHECKING:
    import keras

    from models.distillation.given_teacher import Given

log = logging.getLogger("fettle")


@dataclass(frozen=True)
class Unlabelled:
    """Examples without targets that students learn from as well."""

    path: str
    """A file or folder as `dataset.arrivals` reads it."""
    reading: Reading
    encoded: str
    """Where they are written, as networks take them: an npy file."""


@dataclass(frozen=True)
class Teaching:
    """A teacher to be asked."""

    development: str
    model: str
    """The saved model: a candidate's or, with `given`, one of the user's own."""
    outputs: str
    """Where its logits, or codes of quantities, are written, of the training examples and then of
    the unlabelled ones: an npy file, `(n, k)` float32."""
    given: bool = False
    hints: str | None = None
    """Where its last hidden vector is written likewise, standardised; None: it is not needed."""
    unlabelled: Unlabelled | None = None


@dataclass(frozen=True)
class Taught:
    """What a teacher costs, and how much it was asked."""

    parameters: int
    multiply_adds: int | None
    """For one example; None where it has layers that are not counted."""
    unlabelled: int
    """Examples without a target."""


def teach(item: Teaching) -> Taught:
    """Piece: write what the teacher says, and the unlabelled examples as networks take them.

    Raises InputError where the teacher or the unlabelled examples do not suit the data, or where a
    hidden vector is wished and the teacher has none.
    """
    data = training.encoded(item.development)
    more = None if item.unlabelled is None else _read(item.unlabelled, data)
    if item.given:
        from models.distillation import given_teacher

        teacher: _Candidate | Given = given_teacher.load(
            Path(item.model), Development(Path(item.development)), data
        )
    else:
        teacher = _Candidate(Path(item.model), data)
    _save(item.outputs, teacher.outputs(more))
    if item.hints is not None:
        hidden = teacher.hidden(more)
        if hidden is None:
            raise InputError(
                f"distill.feature_weight: the teacher, {item.model}, has no single hidden vector "
                "in front of its last layer: the answer of several networks has none.\n"
                "Set distill.feature_weight to 0.0 in params.yaml, or take another teacher."
            )
        _save(item.hints, _standardised(hidden))
    return Taught(*teacher.cost(), 0 if more is None else len(more))


class _Candidate:
    """One of the run's own models, whose encoder is that of the development set."""

    def __init__(self, path: Path, data: Encoded) -> None:
        from models import archive

        self._network = archive.load(path).get_layer("network")
        self._data = data

    def outputs(self, more: Examples | None) -> npt.NDArray[np.float32]:
        """Logits or codes of all examples, `(n, k)`."""
        return self._told(self._network, more)

    def hidden(self, more: Examples | None) -> npt.NDArray[np.float32] | None:
        """The last hidden vector of the same, `(n, d)`, if there is one."""
        import keras

        from models.distillation import hidden

        vector = hidden.last(self._network)
        if vector is None:
            return None
        return self._told(keras.Model(self._network.input, vector), more)

    def cost(self) -> tuple[int, int]:
        """Parameters, and multiply-adds for one example."""
        from models.networks import count

        return count.parameters(self._network), count.multiply_adds(self._network)

    def _told(self, network: "keras.Model", more: Examples | None) -> npt.NDArray[np.float32]:
        from models.fitting import fit
        from models.networks import encode

        parts = [fit.outputs(network, self._data.train)]
        if more is not None:
            parts.append(fit.outputs(network, encode.run(self._data.encoder(), more)))
        return np.concatenate(parts)


def _read(unlabelled: Unlabelled, data: Encoded) -> Examples:
    """The unlabelled examples; what targets they have is not looked at."""
    from models.networks import encode

    new = read_arrivals(Path(unlabelled.path), data.schema, data.target, unlabelled.reading)
    for note in new.notes:
        log.info("%s", note)
    count = len(new.names)
    nothing = np.zeros((count, data.target.outputs), dtype=np.float32)
    examples = Examples(new.features, nothing, np.arange(count, dtype=np.int64))
    _save(unlabelled.encoded, encode.run(data.encoder(), examples))
    return examples


def _standardised(hidden: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Each of the d numbers to mean 0 and deviation 1, so that no teacher's scale decides how much
    it counts; one that never varies is 0."""
    mean = hidden.mean(axis=0, dtype=np.float64)
    scale = hidden.std(axis=0, dtype=np.float64)
    standard: npt.NDArray[np.float32] = ((hidden - mean) / np.where(scale > 1e-6, scale, 1)).astype(
        np.float32
    )
    return standard


def _save(path: str, values: npt.NDArray[np.float32]) -> None:
    np.save(path, values, allow_pickle=False)
