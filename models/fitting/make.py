"""What two networks have in common that one graph can serve.

All but values: weights, seeds, rates of dropout and sizes of penalties; and of networks that are
dense layers one after the other, widths.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

SEEDS = ("seed", "signs")
"""Names under which layers and initialisers have a seed."""
DENSE = frozenset({"InputLayer", "Dense", "ReLU", "Activation", "Dropout"})
"""Classes of layers that do not care how wide what they are given is."""
PENALTIES = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)


@keras.saving.register_keras_serializable(package="fettle")
class SharedDropout(keras.layers.Layer):  # type: ignore[misc]
    """Dropout whose rate is a tensor, set before it is called. Only twins have it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = keras.random.SeedGenerator(0)
        self.share: Any = None

    def call(self, inputs: Any, training: bool = False) -> Any:
        """As Keras's own, which draws the same numbers of the same state."""
        if not training:
            return inputs
        # As Keras does: the state is int64, and what draws takes int32.
        seed = tf.cast(tf.math.floormod(self.generator.next(), tf.int32.max - 1), tf.int32)
        return tf.nn.experimental.stateless_dropout(inputs, self.share, seed)


@dataclass(frozen=True)
class Make:
    """What a network is apart from its values."""

    key: str | None
    """Equal for networks that one graph serves; None: no other one is known to be like it."""
    penalised: tuple[int, ...]
    """Places of weights with a penalty."""
    absolute: bool
    """Whether any counts absolute values."""
    any_width: bool
    """Whether widths are no part of it."""

    @classmethod
    def of(cls, network: keras.Model) -> "Make":
        """That of a network.

        Raises TypeError where its description is not plain values, or a penalty is none of
        `PENALTIES`.
        """
        penalised = tuple(
            place for place, one in enumerate(network.trainable_variables) if one.regularizer
        )
        absolute = any(l1 for l1, _ in penalties(network))
        try:
            described = _bare(network.get_config())
        except NotImplementedError:
            # Of a layer that holds another model, and is made for one fit, there is none.
            return cls(None, penalised, absolute, any_width=False)
        any_width = _dense(network)
        last = network.output_names[0] if any_width else None
        told = [
            _without_widths(described, last) if any_width else described,
            [one.dtype for one in network.variables],
            network.output_shape,
            penalised,
            absolute,
        ]
        return cls(json.dumps(told, sort_keys=True), penalised, absolute, any_width)

    def twin(self, network: keras.Model) -> keras.Model:
        """A copy of a network of this make, with values of its own that mean nothing; the network
        itself where it cannot be described."""
        if self.key is None:
            return network
        twin = type(network).from_config(_shared(_bare(network.get_config())))
        for own, other in (
            (twin.trainable_variables, network.trainable_variables),
            (twin.non_trainable_variables, network.non_trainable_variables),
        ):
            if [one.shape for one in own] != [one.shape for one in other]:
                raise ValueError(f"the network {network.name} is not what its description says")
        return twin


def dropouts(twin: keras.Model) -> list[SharedDropout]:
    """The dropouts of a twin, in their order."""
    return [layer for layer in _layers(twin) if isinstance(layer, SharedDropout)]


def rates(network: keras.Model) -> list[float]:
    """What each of them is to drop."""
    return [layer.rate for layer in _layers(network) if _drops(layer)]


def penalties(network: keras.Model) -> list[tuple[float, float]]:
    """Of every weight with a penalty, how much absolute values and squares count.

    Raises TypeError for other penalties: their size could not be a value.
    """
    return [_penalty(one.regularizer) for one in network.trainable_variables if one.regularizer]


def _penalty(regularizer: Any) -> tuple[float, float]:
    if type(regularizer) not in PENALTIES:
        raise TypeError(f"a penalty must be L1, L2 or L1L2, got {type(regularizer).__name__}")
    return float(getattr(regularizer, "l1", 0.0)), float(getattr(regularizer, "l2", 0.0))


def _drops(layer: Any) -> bool:
    return type(layer) is keras.layers.Dropout and layer.rate > 0


def _layers(model: keras.Model) -> Iterator[Any]:
    """All layers, those of models within it too, in their order."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _dense(network: keras.Model) -> bool:
    return (
        all(type(layer).__name__ in DENSE for layer in network.layers)
        and len(network.inputs) == len(network.outputs) == 1
        and len(network.output_shape) == 2
    )


def _bare(node: Any) -> Any:
    """A description without values."""
    if isinstance(node, list | tuple):
        return [_bare(one) for one in node]
    if not isinstance(node, dict):
        return node
    if node.get("module") == "keras.regularizers":
        return None
    bare: dict[str, Any] = {
        name: 0 if name in SEEDS and isinstance(value, int) else _bare(value)
        for name, value in node.items()
    }
    if _is_dropout(node):
        bare["config"]["rate"] = 0.5
    return bare


def _is_dropout(node: Mapping[str, Any]) -> bool:
    """Whether it describes a dropout that drops anything."""
    return node.get("class_name") == "Dropout" and node["config"]["rate"] > 0


def _shared(node: Any) -> Any:
    """The description of a twin."""
    if isinstance(node, dict):
        if _is_dropout(node):
            kept = {name: node["config"][name] for name in ("name", "trainable", "dtype")}
            own = {"module": SharedDropout.__module__, "class_name": SharedDropout.__name__}
            return {**node, **own, "registered_name": "fettle>SharedDropout", "config": kept}
        return {name: _shared(value) for name, value in node.items()}
    if isinstance(node, list):
        return [_shared(one) for one in node]
    return node


def _without_widths(node: Any, last: str | None) -> Any:
    """The description of a network of dense layers, but for how wide they are.

    The layer called `last` has as many outputs as are wanted, so its width stays.
    """
    if isinstance(node, list):
        return [_without_widths(one, last) for one in node]
    if not isinstance(node, dict):
        return node
    told = {
        name: _without_widths(value, last)
        for name, value in node.items()
        # What a layer was built for, and what it was called with.
        if name not in ("build_config", "shape")
    }
    if told.get("class_name") == "Dense" and told["config"]["name"] != last:
        del told["config"]["units"]
    return told
