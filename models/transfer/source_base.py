"""From a trained network to a base: what comes before its last layer, as it is when not trained."""

from typing import Any

import keras

from models.networks.change import Change
from models.networks.network import LOGITS


def cut(network: keras.Model, name: str) -> keras.Model:
    """The network up to the input of its last layer, and without what changes what it is shown.

    The layers are new ones with equal weights and the same names; a network in the network stays
    one layer. Features are `(n, d)`, or `(n, members, d)` of `tabm`. Raises ValueError where no
    layer is called as the last one is.
    """
    before = keras.Model(network.input, network.get_layer(LOGITS).input, name=name)
    made = keras.models.clone_model(before, call_function=_unchanged)
    # By name: what was left out may have changed the order.
    for layer in made.layers:
        layer.set_weights(before.get_layer(layer.name).get_weights())
    return made


def _unchanged(layer: Any, values: Any, *rest: Any, **named: Any) -> Any:
    return values if isinstance(layer, Change) else layer(values, *rest, **named)
