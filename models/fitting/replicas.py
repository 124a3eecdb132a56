"""One fit on several devices: each takes a part of every batch.

How a batch is parted follows from `replicas` alone; where the parts are computed, from the machine.
With as many GPUs each part has one of its own, with fewer they share, and without any all of them
are computed on the CPU: so a result that was made on two GPUs can be checked where there are none.

Gradients are added up in the order of the parts, statistics of normalisations averaged, and the
weights change once, as `tf.distribute.MirroredStrategy` does it, to which a test holds this. The
strategy itself keeps weights in variables, so a graph would belong to one fit; see
`models.fitting.program`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import tensorflow as tf

from models.fitting.tensors import Tensors

STRIDE = 7919
"""Between the seeds of what draws numbers in two parts of a batch."""


class Found(NamedTuple):
    """What a part of a batch leads to."""

    gradients: Tensors
    """None where there is none."""
    others: Tensors
    """What it leaves of the statistics of normalisations and the state of what draws numbers."""
    loss: Any
    """Its part of the batch's mean loss."""
    right: Any
    """How many of its examples were answered rightly."""


def devices(replicas: int) -> list[str | None]:
    """Where the parts are computed; None: wherever TensorFlow likes."""
    there = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    if replicas == 1 or len(there) == 1:
        return [None] * replicas
    return [there[place % len(there)].name for place in range(replicas)]


@contextmanager
def on(device: str | None) -> Iterator[None]:
    """Let what is computed in the block be computed there."""
    if device is None:
        yield
        return
    with tf.device(device):
        yield


def part(batch: Sequence[Any], place: int, replicas: int) -> tuple[list[Any], Any]:
    """Rows of a batch that the part at `place` computes, and how much each of them counts.

    A batch of fewer rows than parts leaves some without any. They compute a row that others have as
    well, and which then counts nothing: a mean over no rows would be no number.
    """
    count = tf.shape(batch[0])[0]
    start, stop = place * count // replicas, (place + 1) * count // replicas
    first = tf.minimum(start, count - 1)
    rows = [array[first : tf.maximum(stop, first + 1)] for array in batch]
    return rows, tf.cast(stop > start, tf.float32)


def started(others: Tensors, place: int) -> Tensors:
    """What the part at `place` begins with: the state of what draws numbers differs between parts,
    or each would drop the same units."""
    if place == 0:
        return others
    return [one if one.dtype.is_floating else one + place * STRIDE for one in others]


def joined(parts: Sequence[Found]) -> Found:
    """Gradients, loss and right answers added up; statistics averaged; of the state of what draws
    numbers, that of the first part."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return Found(
        [_sum(own) for own in zip(*(one.gradients for one in parts), strict=True)],
        [
            tf.reduce_mean(tf.stack(own), 0) if own[0].dtype.is_floating else own[0]
            for own in map(list, zip(*(one.others for one in parts), strict=True))
        ],
        _added([one.loss for one in parts]),
        _added([one.right for one in parts]),
    )


def _sum(gradients: Sequence[Any]) -> Any:
    """Of one weight; an embedding's come row by row."""
    if gradients[0] is None:
        return None
    return _added([tf.convert_to_tensor(one) for one in gradients])


def _added(tensors: Sequence[Any]) -> Any:
    """Not by `add_n`: where all parts are on one device TensorFlow takes out factors that its terms
    have in common, and the last bits are others than on several."""
    return tf.reduce_sum(tf.stack(tensors), 0)
