"""`fettle predict`: the chosen model's predictions for new rows, as CSV."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.evaluation import Chosen
from models.examples import Examples
from pipeline.artifacts import replacing
from pipeline.errors import InputError
from pipeline.params_file import read_raw

CHOSEN = Path("artifacts/evaluate/chosen")


def predict(path: Path, out: Path | None) -> None:
    """Write one line a row: row (from 1), prediction, and a column of probability per class.

    Where the file also has the target column, the accuracy is said on stderr. Raises InputError
    where no model is chosen yet or the file lacks a column of the training data.
    """
    chosen = Chosen(CHOSEN)
    if not chosen.model.is_file():
        raise InputError("No model is chosen yet. Make one with: ./fettle run")
    schema, classes = chosen.schema(), chosen.classes()
    if schema.kind != "table":
        raise InputError(
            f"The chosen model takes pictures of shape {schema.shape}; "
            "fettle predict reads tables. Load it in Python: artifacts/evaluate/chosen/model.keras"
        )
    import pandas as pd

    from models.tables import missing_cells, read_table, typed

    frame = read_table(path)
    missing = read_raw()["ingest"]["missing"]
    count = len(frame)
    examples = Examples(
        typed(frame, schema.columns, missing, path),
        np.full(count, "", dtype=object),
        np.arange(count, dtype=np.int64),
    )
    probabilities = _probabilities(chosen.model, examples)
    best = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    table = pd.DataFrame({"row": np.arange(1, count + 1), "prediction": best})
    for place, label in enumerate(classes):
        table[f"probability {label}"] = probabilities[:, place]
    if out is None:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
    else:
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
    if schema.target in frame.columns:
        known = ~missing_cells(frame[schema.target], missing).to_numpy()
        truth = frame[schema.target].astype(str).str.strip().to_numpy(dtype=object)
        _say_accuracy((best == truth)[known])


def _probabilities(model: Path, examples: Examples) -> npt.NDArray[np.float32]:
    from models import determinism, training

    # First of all that uses TensorFlow, like every process of the pipeline.
    determinism.pin()
    from models.archive import load

    return training.predict(load(model), examples)


def _say_accuracy(right: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> None:
    """Accuracy with Wilson's 95 % interval (Wilson 1927), of rows whose target is known."""
    count = len(right)
    if not count:
        return
    share, z = float(right.mean()), 1.959964
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    print(
        f"accuracy on {count:,} rows with a target: {share:.4f} "
        f"(95 % interval {middle - half:.4f} to {middle + half:.4f})",
        file=sys.stderr,
    )
