"""The fits of a default run as a bare script makes them: one process, Keras, nothing kept.

    python -m benchmarks.bare FITS

What `make bench` compares the default run with. FITS is a JSON file with a row for each fit of
that run: as many networks, as large, as many epochs, in batches of the same size; of finalists that
lost, whose settings no file keeps, as large as the winner. Nothing of this project is imported, as
in `benchmarks.plain`; no search proposes values and nothing is judged, written or drawn. Students
are trained on labels alone, which is less than they were. Prints the seconds from the start of the
process.
"""

import csv
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

START = time.perf_counter()
NETWORK = ("width", "depth", "batch_norm", "dropout", "batch_size")
"""What of a fit's settings the script takes over."""


def fits(root: Path, drawn: int) -> list[dict[str, Any]]:
    """Every fit of a finished run of digits below `root`; `drawn`: pictures drawn for transfer."""
    found: list[dict[str, Any]] = []
    for stage in ("baseline", "search", "regularize", "finetune"):
        found += _of(root / "artifacts" / stage, drawn)
    for part in ("model", "control"):
        found += _of(root / "artifacts" / "distill", drawn, part)
    return found


def _of(stage: Path, drawn: int, part: str = "model") -> Iterator[dict[str, Any]]:
    settings = json.loads((stage / part / "record.json").read_text(encoding="utf-8"))["settings"]
    trials = _trials(stage / "trials.csv", settings)
    epochs: dict[tuple[str, str], int] = {}
    for row in csv.DictReader((stage / part / "fits.csv").open(encoding="utf-8")):
        epochs[row["fit"], row["phase"]] = int(row["epoch"])
    for (_, phase), count in epochs.items():
        own = settings
        if phase == "trial":
            own = next(trials)
        share = float(phase.split(" %")[0]) / 100 if " %" in phase else 1.0
        yield {
            **{name: own[name] for name in NETWORK},
            "epochs": count,
            "share": share,
            "drawn": drawn if phase == "source" else 0,
            "frozen": phase == "frozen",
        }


def _trials(path: Path, settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Settings of every trial of a search, in its order."""
    if path.exists():
        for row in csv.DictReader(path.open(encoding="utf-8")):
            told = {name: int(row[name]) for name in ("width", "depth", "batch_size")}
            yield {**settings, **told}


def network(one: Mapping[str, Any], classes: int) -> Any:
    """Blocks of a convolution for pictures of 8 x 8 points, as the recipe's plain ones are."""
    import keras

    model = keras.Sequential([keras.Input((8, 8, 1))])
    side = 8
    for _ in range(one["depth"]):
        model.add(keras.layers.Conv2D(one["width"], 3, padding="same"))
        if one["batch_norm"]:
            model.add(keras.layers.BatchNormalization())
        model.add(keras.layers.ReLU())
        if side > 1:
            model.add(keras.layers.MaxPooling2D())
            side //= 2
        if one["dropout"]:
            model.add(keras.layers.Dropout(one["dropout"]))
    model.add(keras.layers.Flatten())
    for layer in model.layers:
        layer.trainable = not one["frozen"]
    model.add(keras.layers.Dense(classes))
    model.compile(
        optimizer="adam",
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def main() -> None:
    """Train them all, and say how long that took."""
    rows = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pictures, digits = load_digits(return_X_y=True)
    inputs = (pictures.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    rest, _, codes, _ = train_test_split(inputs, digits, test_size=0.2, random_state=1)
    train, other, own, others = train_test_split(rest, codes, test_size=0.25, random_state=1)
    for one in rows:
        count = int(one["share"] * len(train))
        shown, told = train[:count], own[:count]
        if one["drawn"]:
            places = np.random.default_rng(1).integers(len(train), size=one["drawn"])
            shown, told = train[places], own[places]
        network(one, 10).fit(
            shown,
            told,
            batch_size=one["batch_size"],
            epochs=one["epochs"],
            validation_data=(other, others),
            verbose=0,
        )
    print(json.dumps({"seconds": time.perf_counter() - START}))


if __name__ == "__main__":
    main()
