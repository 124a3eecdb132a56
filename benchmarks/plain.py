"""What `make bench` compares with: Keras and Keras Tuner, used as their own guides use them.

    python -m benchmarks.plain search ARRAYS TRIALS EPOCHS SEED
    python -m benchmarks.plain training KIND BATCH EPOCHS

Nothing of this project is imported, and no thread or seed is pinned. The guides:
https://keras.io/keras_tuner/getting_started/ and https://keras.io/guides/training_with_built_in_methods/.
Prints one line of JSON.
"""

import json
import sys
import tempfile
import time
from typing import Any

START = time.perf_counter()


def search(arrays: str, trials: int, epochs: int, seed: int) -> dict[str, float]:
    """A random search over networks of dense layers for the arrays of an npz file."""
    import keras
    import keras_tuner
    import numpy as np

    imported = time.perf_counter() - START
    data = np.load(arrays, allow_pickle=False)
    classes = int(data["codes"].max()) + 1

    def build_model(hp: Any) -> Any:
        model = keras.Sequential()
        model.add(keras.Input(data["inputs"].shape[1:]))
        units = hp.Choice("units", [64, 128, 256])
        dropout = hp.Float("dropout", 0.05, 0.3)
        for _ in range(hp.Int("layers", 1, 3)):
            model.add(keras.layers.Dense(units, activation="relu"))
            model.add(keras.layers.Dropout(dropout))
        model.add(keras.layers.Dense(classes))
        rate = hp.Float("learning_rate", 3e-4, 1e-2, sampling="log")
        model.compile(
            optimizer=keras.optimizers.Adam(rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    with tempfile.TemporaryDirectory() as folder:
        tuner = keras_tuner.RandomSearch(
            build_model,
            objective="val_accuracy",
            max_trials=trials,
            seed=seed,
            directory=folder,
            project_name="plain",
        )
        begun = time.perf_counter()
        tuner.search(
            data["inputs"],
            data["codes"],
            batch_size=128,
            epochs=epochs,
            validation_data=(data["other_inputs"], data["other_codes"]),
            verbose=0,
        )
        taken = time.perf_counter() - begun
        best = tuner.oracle.get_best_trials(1)[0]
    return {"import": imported, "seconds": taken, "best": float(best.score)}


def network(kind: str) -> Any:
    """A small network of dense layers, or of convolutions, compiled."""
    import keras

    layers = keras.layers
    if kind == "dense":
        body = [keras.Input((32,)), layers.Dense(64, "relu"), layers.Dense(64, "relu")]
    else:
        body = [
            keras.Input((28, 28, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
        ]
    model = keras.Sequential([*body, layers.Dense(10)])
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def examples(kind: str) -> tuple[Any, Any]:
    """40,000 rows of 32 numbers, or 8,000 pictures of 28 x 28 points, with ten classes."""
    import numpy as np

    generator = np.random.default_rng(1)
    shape = (40_000, 32) if kind == "dense" else (8_000, 28, 28, 1)
    inputs = generator.normal(size=shape).astype(np.float32)
    codes = inputs.reshape(len(inputs), -1)[:, :10].argmax(axis=1).astype(np.int32)
    return inputs, codes


def training(kind: str, batch: int, epochs: int) -> dict[str, float]:
    """Seconds of a process's second fit, and of one of its later epochs."""
    import keras

    inputs, codes = examples(kind)
    count = len(inputs) * 4 // 5
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    for _ in range(2):
        ends.clear()
        begun = time.perf_counter()
        network(kind).fit(
            inputs[:count],
            codes[:count],
            batch_size=batch,
            epochs=epochs,
            validation_data=(inputs[count:], codes[count:]),
            callbacks=[clock],
            verbose=0,
        )
        taken = time.perf_counter() - begun
    return {"fit": taken, "epoch": (ends[-1] - ends[0]) / (epochs - 1), "examples": count}


def main() -> None:
    """Measure what the arguments say."""
    what, *told = sys.argv[1:]
    if what == "search":
        found = search(told[0], *map(int, told[1:]))
    else:
        found = training(told[0], *map(int, told[1:]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
