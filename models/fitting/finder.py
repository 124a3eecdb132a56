"""The learning-rate range test: which rate to begin with, or to search around.

Smith, "Cyclical learning rates for training neural networks", 2017,
https://arxiv.org/abs/1506.01186: the rate is raised exponentially from one step to the next, until
training comes apart. On a copy of a network: nothing that is kept is trained by it. Free of Keras
but for what `find` calls.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models import training
from models.fitting import determinism

if TYPE_CHECKING:
    import keras

    from models.fitting.criterion import Criterion
    from models.training import Encoded

LOWEST, HIGHEST = 1e-6, 1.0
"""Rates that are tried."""
STEPS = 120
"""Steps from the lowest to the highest rate."""
MEMORY = 0.9
"""How much of the average so far goes into the next: about the last ten steps."""
TOO_HIGH = 4.0
"""The test ends where the average loss is so many times the lowest."""
SAFE = 0.1
"""Of the rate with the lowest loss, what is suggested: at the lowest itself training is about to
come apart."""
LEAST = 12
"""Steps without which nothing can be said."""


@dataclass(frozen=True)
class Found:
    """What a range test saw."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Of the batch, before the step with the rate."""
    averages: tuple[float, ...]
    """Of the losses so far, see `averaged`."""
    suggestion: float | None
    """Two significant digits; None where no rate made the loss fall."""


def find(item: training.SeedRun) -> Found:
    """Piece: the range test of an untrained network on the item's training examples."""
    data = training.encoded(item.development)
    determinism.start(item.seed)
    from models.fitting import criterion
    from models.networks import network

    built = network.build(
        data.shape, data.target.outputs, item.spec, item.seed, data.layout, data.target.task
    )
    return search(built, data, item, criterion.trained_by(data.target, item.settings))


def search(
    network: "keras.Model", data: "Encoded", item: training.SeedRun, criterion: "Criterion"
) -> Found:
    """The same of a given network, whose weights stay as they are."""
    from models.fitting import fit
    from models.networks import network as networks

    copy = networks.clean(network)
    others = [data.train_codes]
    if data.train_weights is not None:
        others.append(data.train_weights / data.train_weights.mean())
    batches, _ = fit.batches(data.train, others, item.settings.batch_size, item.seed)
    settings = item.settings.model_copy(update={"schedule": "fixed", "warmup": 0.0, "ema": None})
    rates = [LOWEST * (HIGHEST / LOWEST) ** (place / (STEPS - 1)) for place in range(STEPS)]
    step, drawn = _step(copy, criterion, settings), iter(batches)
    return range_test(rates, lambda rate: step(next(drawn), rate))


def _step(
    network: "keras.Model", criterion: "Criterion", settings: Any
) -> Callable[[Sequence[Any], float], float]:
    """One training step with a batch and a rate; gives the loss before it, penalties included."""
    import keras
    import tensorflow as tf

    from models.fitting import criterion as criteria
    from models.fitting import optimizer

    loss = criteria.EachMember(criterion.loss)
    built = optimizer.build(settings, 1, network.trainable_variables)

    @tf.function(autograph=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def trained(batch: Sequence[tf.Tensor]) -> tf.Tensor:
        inputs, codes, *weights = batch
        with tf.GradientTape() as tape:
            total = loss(codes, network(inputs, training=True), *weights)
            if network.losses:
                total += tf.add_n(network.losses)
        variables = network.trainable_variables
        built.apply_gradients(zip(tape.gradient(total, variables), variables, strict=True))
        return total

    def step(batch: Sequence[Any], rate: float) -> float:
        built.learning_rate = rate
        return float(keras.ops.convert_to_numpy(trained(tuple(batch))))

    return step


def range_test(rates: Sequence[float], step: Callable[[float], float]) -> Found:
    """Call `step` with one rate after the other, until the loss is no number or much too high.

    `step` trains with the rate and gives the loss before it.
    """
    losses: list[float] = []
    averages: list[float] = []
    for rate in rates:
        loss = step(rate)
        if not math.isfinite(loss):
            break
        losses.append(loss)
        averages.append(averaged(losses))
        if averages[-1] > TOO_HIGH * min(averages) > 0:
            break
    tried = tuple(rates[: len(losses)])
    return Found(tried, tuple(losses), tuple(averages), suggestion(tried, averages))


def averaged(losses: Sequence[float]) -> float:
    """The exponential average of all losses so far, the last counting most, without the pull
    towards zero that it has in the beginning (Kingma and Ba, 2015, section 3)."""
    total = 0.0
    for loss in losses:
        total = MEMORY * total + (1 - MEMORY) * loss
    return total / (1 - MEMORY ** len(losses))


def suggestion(rates: Sequence[float], averages: Sequence[float]) -> float | None:
    """A tenth of the rate at which the average is lowest; None where it never falls, or too few
    steps were made.

    Not where it falls steepest: between small batches it falls as steeply by chance.
    """
    if len(averages) < LEAST:
        return None
    lowest = min(range(len(averages)), key=lambda place: averages[place])
    return float(f"{rates[lowest] * SAFE:.2g}") if lowest else None
