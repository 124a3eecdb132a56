"""A base and the network around it: what is frozen, what is trained, and how fast.

A base is a model of that name: encoded examples in, features out, without augmentation. Features
are a vector `(n, f)`, a map `(n, h, w, f)`, or a vector for each member of `tabm`, `(n, m, f)`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from dataset.target import Task
from models import archive
from models.fitting import determinism
from models.networks import activations, augmentation, blocks, member_layers
from models.networks.blocks import Seeds
from models.networks.layout import Layout
from models.networks.network import LOGITS
from models.settings import NetworkSpec
from models.transfer.transfer_settings import Head, Pooling

BASE = "base"
"""What a base is called, as a file's model and as a layer of the network around it."""
STREAM = 2
"""Keeps the seeds of a base apart from those of the head, which are drawn from the seed alone."""
DRAWN = ("seed", "signs")
"""What seeds are called in the configuration of a layer or an initialiser."""
BLOCK = 1 << 14
"""Examples that are looked at together."""
PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        r"^(.+_stage_\d+_block_\d+)_",  # ConvNeXt
        r"^(conv\d+_block\d+)_",  # ResNet, DenseNet
        r"^(block_\d+)_",  # MobileNetV2
        r"^(block\d+_\d+)_",  # InceptionResNet
        r"^(expanded_conv(?:_\d+)?)_",  # MobileNetV3, and the first of MobileNetV2
        r"^(block\d+[a-z]?)_",  # VGG, Xception, EfficientNet
        r"^(?:conv_dw|conv_pw)_(\d+)$",  # MobileNet
        r"^(?:adjust|normal|reduction|separable)_.*?_((?:stem_|reduce_)?\d+)$",  # NASNet
        # The project's own, see models.networks.network.BODIES.
        r"^(?:conv|dense|first|second|shortcut|depthwise|pointwise|shared)_(\d+(?:_\d+)?)$",
    )
)
"""What the name of a layer begins with, or holds, that all layers of its block have in common."""
STATISTICS = (keras.layers.BatchNormalization, keras.layers.Normalization)
"""Layers that hold statistics of what they saw; they are never trained."""


def load(path: Path) -> keras.Model:
    """A base's file."""
    return archive.load(path)


def leaves(model: keras.Model) -> Iterator[Any]:
    """All layers in the order of the computation, those of networks in the network among them."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        else:
            yield layer


def stages(base: keras.Model) -> list[list[Any]]:
    """What can be trained of a base, in blocks from input to output.

    Layers whose names tell that they are of one block are together; any other layer with weights is
    a block of its own. Normalisations are in none.
    """
    found: dict[str, list[Any]] = {}
    for layer in _units(base):
        if _learns(layer):
            found.setdefault(_block(layer.name), []).append(layer)
    return list(found.values())


def _learns(layer: Any) -> bool:
    if isinstance(layer, keras.Model):
        return any(_learns(one) for one in leaves(layer))
    return bool(layer.weights) and not isinstance(layer, STATISTICS)


def _units(model: keras.Model) -> Iterator[Any]:
    """As `leaves`, but that a mere sequence of layers, such as ConvNeXt has, is one."""
    for layer in model.layers:
        if isinstance(layer, keras.Model) and not isinstance(layer, keras.Sequential):
            yield from _units(layer)
        else:
            yield layer


def _block(name: str) -> str:
    for pattern in PATTERNS:
        match = pattern.match(name)
        if match:
            return match[1]
    return f"{name} itself"


def freeze(base: keras.Model) -> None:
    """Let nothing of a base be trained; batch normalisation is then in inference mode."""
    _set(base, trainable=False)


def unfreeze(base: keras.Model, top: int | Literal["all"]) -> None:
    """Let the last `top` blocks of a base be trained, or all.

    Batch normalisation stays in inference mode: its statistics, learned on the source, would be
    spoiled by the first noisy gradients (https://keras.io/guides/transfer_learning).
    """
    _set(base, trainable=True)
    held = stages(base)
    for stage in held[: 0 if top == "all" else max(0, len(held) - top)]:
        for layer in stage:
            for part in leaves(layer) if isinstance(layer, keras.Model) else [layer]:
                part.trainable = False
    for layer in leaves(base):
        if isinstance(layer, STATISTICS):
            layer.trainable = False


def release(network: keras.Model) -> None:
    """As if nothing had ever been frozen: a saved model says nothing of phases."""
    _set(network, trainable=True)


def _set(model: keras.Model, *, trainable: bool) -> None:
    """Layer by layer: what Keras sets of a model reaches its layers or not, by how it was made."""
    model.trainable = trainable
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _set(layer, trainable=trainable)
        else:
            layer.trainable = trainable


def rates(network: keras.Model, decay: float) -> tuple[float, ...]:
    """The factor of each of a network's trainable variables: 1 in the head, and in the base's
    blocks `decay` times that of what stands above, the head first; (): 1 everywhere.

    As in Howard and Ruder, "Universal language model fine-tuning for text classification", ACL
    2018.
    """
    if decay == 1:
        return ()
    held = stages(network.get_layer(BASE))
    factors = {
        id(variable): decay ** (len(held) - place)
        for place, stage in enumerate(held)
        for layer in stage
        for variable in layer.trainable_variables
    }
    return tuple(factors.get(id(variable), 1.0) for variable in network.trainable_variables)


@dataclass(frozen=True)
class Built:
    """A network around a base; all three models share their layers, and so their weights."""

    whole: keras.Model
    """The model "network": encoded values to logits, as it is saved."""
    frozen: keras.Model
    """The same with the base always at inference, what is shown before it changed in training."""
    head: keras.Model
    """From the base's features, pooled, to logits; see `pooled`."""

    @property
    def base(self) -> keras.Model:
        """The base itself."""
        return self.whole.get_layer(BASE)


def around(
    base: keras.Model,
    outputs: int,
    spec: NetworkSpec,
    head: Head,
    seed: int,
    layout: Layout | None,
    task: Task,
) -> Built:
    """A network of `outputs` numbers around a base.

    `spec` says how what is shown is changed in training, and what the head's layer, if it has one,
    is activated by and penalised for. The head's weights and dropout follow from `seed` alone.
    """
    encoded = keras.Input(base.input_shape[1:], name="input")
    shown = augmentation.augment(encoded, layout, spec, seed)
    pooling = _pooling(base, head.pooling)
    layers = _head(base, outputs, spec, head, Seeds(seed), task)
    features = _follow(base(shown), pooling)
    whole = keras.Model(encoded, _follow(features, layers), name="network")
    frozen = keras.Model(encoded, _follow(shown, [_AtInference(base), *pooling, *layers]))
    entry = keras.Input(features.shape[1:], name="features")
    return Built(whole, frozen, keras.Model(entry, _follow(entry, layers)))


def pooled(base: keras.Model, pooling: Pooling) -> keras.Model:
    """Encoded values to what a head takes, `(n, f)` or of members `(n, m, f)`."""
    encoded = keras.Input(base.input_shape[1:], name="input")
    return keras.Model(encoded, _follow(base(encoded), _pooling(base, pooling)))


def augments(base: keras.Model, spec: NetworkSpec, layout: Layout | None) -> bool:
    """Whether a network around the base changes what it is shown in training."""
    encoded = keras.Input(base.input_shape[1:], name="input")
    return augmentation.augment(encoded, layout, spec, 0) is not encoded


class _AtInference(keras.layers.Layer):  # type: ignore[misc]
    """A base as it is at inference, even where the network around it is trained.

    `base(values, training=False)` would not do: what a functional model is called with counts for
    all of its layers, whatever they were called with when it was made (Keras 3.15).
    """

    def __init__(self, base: keras.Model) -> None:
        super().__init__()
        self.base = base

    def call(self, values: Any) -> Any:
        """As the class says."""
        return self.base(values, training=False)


def _follow(values: Any, layers: list[Any]) -> Any:
    for layer in layers:
        values = layer(values)
    return values


def _pooling(base: keras.Model, pooling: Pooling) -> list[Any]:
    if len(base.output_shape) != 4:
        return []
    return [
        {
            "average": keras.layers.GlobalAveragePooling2D,
            "max": keras.layers.GlobalMaxPooling2D,
            "flatten": keras.layers.Flatten,
        }[pooling](name=pooling)
    ]


def _head(
    base: keras.Model, outputs: int, spec: NetworkSpec, head: Head, seeds: Seeds, task: Task
) -> list[Any]:
    layers: list[Any] = []
    if head.hidden:
        hidden = keras.layers.Dense(
            head.hidden,
            kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
            kernel_regularizer=blocks.penalty(spec),
            name="hidden",
        )
        activation = keras.layers.Activation(
            activations.named(spec.activation), name=f"{spec.activation}_hidden"
        )
        layers += [hidden, activation]
    if head.dropout:
        layers.append(keras.layers.Dropout(head.dropout, seed=seeds.draw(), name="head_dropout"))
    if len(base.output_shape) == 3:
        last = member_layers.Heads(outputs, task, seeds.draw(), blocks.penalty(spec), name=LOGITS)
        return [*layers, last]
    logits = keras.layers.Dense(
        outputs,
        kernel_initializer=keras.initializers.GlorotUniform(seeds.draw()),
        kernel_regularizer=blocks.penalty(spec),
        name=LOGITS,
    )
    return [*layers, logits]


def rebuilt(base: keras.Model, seed: int) -> keras.Model:
    """A base with equal weights, never frozen, whose dropout follows from `seed`."""
    made = _redrawn(base, seed, {})
    copy_weights(base, made)
    return made


def fresh(base: keras.Model, seed: int) -> keras.Model:
    """A base of the same structure that was never trained: weights and dropout follow from `seed`.

    What standardises by what it was given, rather than by what it sees, is no part of what is
    learned, and stays. Batch normalisation keeps as much of its running statistics as in the
    project's own networks: with the 0.999 that suits a million pictures, a small set would be
    validated by statistics that have hardly begun to be learned.
    """
    made = _redrawn(base, seed, {"BatchNormalization": {"momentum": blocks.MEMORY}})
    for own, given in zip(leaves(made), leaves(base), strict=True):
        if isinstance(own, keras.layers.Normalization):
            own.set_weights(given.get_weights())
    return made


def _redrawn(base: keras.Model, seed: int, changes: dict[str, dict[str, Any]]) -> keras.Model:
    """The same structure with seeds that follow from `seed`, and other values by class of layer."""
    generator = np.random.default_rng([seed, STREAM])

    def told(value: Any) -> Any:
        if isinstance(value, list):
            return [told(held) for held in value]
        if not isinstance(value, dict):
            return value
        made: dict[str, Any] = {
            name: int(generator.integers(2**31)) if _is_seed(name, held) else told(held)
            for name, held in value.items()
        }
        own = made.get("config")
        if isinstance(own, dict):
            own |= changes.get(made.get("class_name", ""), {})
            own |= {"trainable": True} if "trainable" in own else {}
        return made

    return type(base).from_config(told(base.get_config()) | {"trainable": True})


def _is_seed(name: str, held: Any) -> bool:
    if name not in DRAWN:
        return False
    # Networks leave it to Keras to draw some: None. Signs that are None are not drawn at all.
    return isinstance(held, int | dict) or (held is None and name == "seed")


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Those of a network of the same structure, in their order, whatever the layers' names."""
    target.set_weights(source.get_weights())


def start(path: Path, seed: int) -> keras.Model:
    """A base from its file, for a network with that seed; resets names and seeds before."""
    determinism.start(seed)
    return rebuilt(load(path), seed)
