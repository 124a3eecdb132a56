"""The same fit by `models.fitting.program` and by Keras under `tf.distribute.MirroredStrategy`.

    python -m tests.models.fitting.mirrored REPLICAS [CPUS]

A process of its own, since TensorFlow's devices are set before it runs anything. Prints as JSON the
largest difference between the trained weights of both (of statistics of normalisations Keras keeps
those of the first device, fettle their mean), a digest of fettle's, where parts were computed, and
the largest difference from a fit in one part.
"""

import hashlib
import json
import sys
from typing import Any

import numpy as np

from models.fitting import determinism
from tests.models import small

ROWS, BATCH, EPOCHS = 96, 24, 3


def examples() -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    inputs = generator.normal(size=(ROWS, 5)).astype(np.float32)
    return inputs, (inputs[:, 0] * inputs[:, 1] > 0).astype(np.int32)


def built() -> Any:
    from models.networks import network

    determinism.start(1)
    spec = small.spec(width=8, depth=2, batch_norm=True, l2=0.001)
    return network.build((5,), 2, spec, seed=1)


def ours(replicas: int) -> list[Any]:
    from models.fitting import fit

    settings = small.settings(
        replicas=replicas, batch_size=BATCH, epochs=EPOCHS, learning_rate=0.01, optimizer="adam"
    )
    network = built()
    inputs, codes = examples()
    fit.fit(network, (inputs, codes), (inputs, codes), settings, 1, name="ours")
    return [one.numpy() for one in network.trainable_variables + network.non_trainable_variables]


def keras_with_a_strategy(replicas: int) -> list[Any]:
    import keras
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy([f"CPU:{place}" for place in range(replicas)])
    inputs, codes = examples()
    with strategy.scope():
        network = built()
        network.compile(
            optimizer=keras.optimizers.Adam(0.01),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=1,
        )
    for epoch in range(EPOCHS):
        key = tf.constant((1, epoch), tf.int64)
        order = tf.random.experimental.stateless_shuffle(tf.range(ROWS), seed=key).numpy()
        network.fit(inputs[order], codes[order], batch_size=BATCH, shuffle=False, verbose=0)
    return [one.numpy() for one in network.trainable_variables]


def apart(one: list[Any], other: list[Any]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=False))


def main() -> None:
    replicas = int(sys.argv[1])
    import tensorflow as tf

    if len(sys.argv) > 2:
        [cpu] = tf.config.list_physical_devices("CPU")
        logical = [tf.config.LogicalDeviceConfiguration()] * int(sys.argv[2])
        tf.config.set_logical_device_configuration(cpu, logical)
    weights = ours(replicas)
    from models.fitting import replicas as parts

    found = {
        "digest": hashlib.sha256(b"".join(one.tobytes() for one in weights)).hexdigest(),
        "devices": parts.devices(replicas),
        "from one part": apart(weights, ours(1)),
    }
    if len(sys.argv) > 2:
        found["from the strategy"] = apart(weights, keras_with_a_strategy(replicas))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
