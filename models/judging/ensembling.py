"""Several candidates as one model, which predicts the mean of what they predict.

Dietterich, "Ensemble methods in machine learning", MCS 2000. The mean is one of *predictions*, for
every task: of probabilities, and of quantities in their own units, whatever their transform. So it
is the same whether it is taken of what networks said or inside a model, and its squared error or
log loss is at most the mean of the members' own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Development
from dataset.target import Target
from metrics import scores
from models.candidate import Trained
from models.fitting import determinism

if TYPE_CHECKING:
    import keras


def vote(members: Sequence[Trained]) -> npt.NDArray[np.float32]:
    """The mean of the members' predictions of the validation examples, `(seeds, n, k)`: as many as
    every member has.

    The first is that of the saved models together, which is what their ensemble predicts; the
    others are those of each member's other seeds, in their order.
    """
    told = [_saved_first(member) for member in members]
    seeds = min(map(len, told))
    every = np.stack([one[:seeds] for one in told])
    mean: npt.NDArray[np.float32] = every.mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def _saved_first(member: Trained) -> npt.NDArray[np.float32]:
    record, predictions = member.record(), member.predictions()
    saved = 0 if record.saved_seed is None else record.seeds.index(record.saved_seed)
    return np.concatenate([predictions[[saved]], np.delete(predictions, saved, axis=0)])


def losses(predictions: npt.NDArray[np.float32], development: Development) -> list[float]:
    """What fits are stopped by, of `(seeds, n, k)` predictions of the validation examples: log
    loss in nats, or the squared error of standardised quantities."""
    target = development.target()
    truth, importance = development.truth("validation")
    weights = target.weights(truth, importance)
    return [float(np.average(_costs(one, truth, target), weights=weights)) for one in predictions]


def _costs(
    predictions: npt.NDArray[np.float32], truth: npt.NDArray[Any], target: Target
) -> npt.NDArray[np.float64]:
    """Of each example, `(n,)`."""
    if target.task == "classification":
        return scores.log_losses(predictions, truth)
    errors = (
        scores.binary_log_losses(predictions, truth)
        if target.task == "multilabel"
        else (target.encode(predictions).astype(np.float64) - target.encode(truth)) ** 2
    )
    means: npt.NDArray[np.float64] = errors.mean(axis=1)
    return means


@dataclass(frozen=True)
class Joining:
    """Models to be made one."""

    development: str
    members: tuple[tuple[str, str], ...]
    """What each is called in the new one, and its file."""
    model: str
    """Where the new one is written."""


def join(item: Joining) -> None:
    """Piece: write the model that answers for all of the item's."""
    determinism.start(1)
    from models import archive
    from models.networks import network

    target = Development(Path(item.development)).target()
    models = {name: archive.load(Path(path)) for name, path in item.members}
    networks = {name: model.get_layer("network") for name, model in models.items()}
    # Learned from the same training examples, it is the same in all of them.
    encoder = next(iter(models.values())).get_layer("encoder")
    together = network.assemble(network.clean(encoder), joined(networks, target), target)
    archive.save(together, Path(item.model))


def joined(networks: "Mapping[str, keras.Model]", target: Target) -> "keras.Model":
    """The model "network" whose answer is that of all networks, which keep their weights and are
    called as the mapping says."""
    import keras

    from models.networks import network
    from models.networks.vote_layers import Vote

    [shape] = {one.input_shape[1:] for one in networks.values()}
    encoded = keras.Input(shape, name="input")
    outputs = [network.clean(one, name)(encoded) for name, one in networks.items()]
    quantities = [quantity.model_dump(mode="json") for quantity in target.quantities]
    logits = Vote(target.task, quantities, name=network.LOGITS)(outputs)
    return keras.Model(encoded, logits, name="network")
