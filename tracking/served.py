"""What `mlflow.pyfunc` loads of a chosen model: raw values in, answers and probabilities out.

Handed on with the model, together with everything that it imports, and imported by whoever loads
that. The model is loaded with safe_mode; nothing is unpickled.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dataset.examples import PICTURE, Column, Examples, Schema
from dataset.target import Target
from models.judging.evaluation import Chosen

if TYPE_CHECKING:
    import pandas as pd

DAY = np.timedelta64(1, "D")


def columns(target: Target) -> dict[str, type]:
    """What each column of the answer holds."""
    if target.task == "classification":
        return {"prediction": str, **{f"probability {name}": float for name in target.names}}
    if target.task == "regression":
        return {f"prediction {name}": float for name in target.names}
    both = [(f"prediction {name}", f"probability {name}") for name in target.names]
    return {name: float for pair in both for name in pair}


class Served:
    """A chosen model."""

    def __init__(self, chosen: Chosen) -> None:
        from models.fitting import determinism

        # First of all that uses TensorFlow.
        determinism.pin()
        from models.archive import load

        self._schema, self._target = chosen.schema(), chosen.target()
        self._decision = chosen.decision()
        self._model = load(chosen.model)

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> "pd.DataFrame":
        """A row an example; `data`: a table's columns by name, or pictures `(n, h, w, c)`."""
        import pandas as pd

        from models import training

        features = _features(data, self._schema)
        count = len(next(iter(features.values())))
        nothing = np.zeros((count, self._target.outputs), dtype=np.float32)
        examples = Examples(features, nothing, np.arange(count, dtype=np.int64))
        predictions = training.predict(self._model, examples)
        answers = self._decision.answers(predictions)
        told: dict[str, Any] = {}
        if self._target.task == "classification":
            told["prediction"] = [self._target.names[place] for place in answers.tolist()]
        for place, name in enumerate(self._target.names):
            if self._target.task == "multilabel":
                told[f"prediction {name}"] = answers[:, place].astype(np.float64)
            kind = "prediction" if self._target.task == "regression" else "probability"
            told[f"{kind} {name}"] = predictions[:, place].astype(np.float64)
        return pd.DataFrame(told)


def _features(data: Any, schema: Schema) -> dict[str, npt.NDArray[Any]]:
    """As `dataset.examples.Examples` has them; a column that is not there is one of empty cells."""
    if schema.kind == "pictures":
        return {PICTURE: np.asarray(data, dtype=np.float32)}
    return {column.name: _cells(data, column) for column in schema.columns}


def _cells(data: Any, column: Column) -> npt.NDArray[Any]:
    import pandas as pd

    given = data[column.name] if column.name in data else pd.Series([None] * len(data))
    if column.type == "numeric":
        return pd.to_numeric(given).to_numpy(dtype=np.float32, na_value=np.nan)
    if column.type == "time":
        times = pd.to_datetime(given).to_numpy(dtype="datetime64[us]")
        days: npt.NDArray[np.float64] = (times - np.datetime64(0, "us")) / DAY
        return days
    texts = ["" if pd.isna(cell) else str(cell) for cell in given]
    return np.array(texts, dtype=object)


def _load_pyfunc(path: str) -> Served:
    """What MLflow calls with the folder that was handed on."""
    return Served(Chosen(Path(path)))
