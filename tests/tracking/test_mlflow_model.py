"""The chosen model as MLflow loads it, elsewhere, with what was handed on and nothing else."""

import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dataset.examples import Development
from metrics.threshold import Decision
from models import archive, training
from models.fitting import determinism
from models.judging.evaluation import Choice, Chosen
from models.networks import network
from tests.conftest import ROOT
from tests.models import small
from tracking.served import Served

with warnings.catch_warnings():
    # When it is imported, MLflow warns of type hints of its own.
    warnings.simplefilter("ignore")
    from tracking import mlflow_model

ASK = """
import json, sys
import mlflow, numpy as np, pandas as pd
model = mlflow.pyfunc.load_model("model")
asked = json.load(open("asked.json"))
data = np.array(asked, np.float32) if isinstance(asked, list) else pd.DataFrame(asked)
if "time" in data:
    data["time"] = pd.to_datetime(data["time"])
answer = model.predict(data)
print(json.dumps({"answer": answer.to_dict("list"), "code": sys.modules["models"].__file__}))
"""


def chosen(folder: Path, development: Development) -> Chosen:
    """A model that was not trained, chosen."""
    data = training.encoded(str(development.path))
    determinism.start(1)
    built = network.build(
        data.shape, data.target.outputs, small.SPEC, 1, data.layout, data.target.task
    )
    whole = network.assemble(data.encoder(), built, data.target)
    archive.save(whole, folder / "model.keras")
    kept = Chosen(folder / "chosen")
    halves = (0.5,) * 3 if data.target.task == "multilabel" else ()
    decision = Decision(task=data.target.task, thresholds=halves, positive=None)
    choice = Choice(candidate="baseline", reason="the only one")
    kept.write(folder / "model.keras", data.schema, data.target, decision, choice)
    return kept


def answered(folder: Path, kept: Chosen, asked: Any) -> dict[str, list[Any]]:
    """What another process is answered that has only the MLflow model."""
    with warnings.catch_warnings():
        # MLflow would like examples of inputs, which are the user's data.
        warnings.simplefilter("ignore")
        mlflow_model.save(kept.path, folder / "model", ROOT)
    (folder / "asked.json").write_text(json.dumps(asked))
    done = subprocess.run(
        [sys.executable, "-B", "-c", ASK],
        cwd=folder,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"].startswith(str(folder / "model" / "code"))
    answer: dict[str, list[Any]] = told["answer"]
    return answer


@pytest.fixture
def texts(tmp_path: Path) -> Chosen:
    return chosen(tmp_path, small.texts(tmp_path / "development"))


def test_a_table_with_empty_cells_comes_to_the_models_own_answer(
    tmp_path: Path, texts: Chosen
) -> None:
    asked = {
        "text": ["the good", None],
        "time": ["2022-03-01T12:00:00", None],
        "number": [0.5, None],
        "text b": ["d", "a b c!"],
    }
    answer = answered(tmp_path, texts, asked)
    rows = small.letters(2, 1)
    rows.features["text"][:] = ["the good", ""]
    rows.features["time"][:] = [19052.5, np.nan]
    rows.features["number"][:] = [0.5, np.nan]
    rows.features["text b"][:] = asked["text b"]
    expected = training.predict(archive.load(texts.model), rows)
    columns = [answer[f"probability {name}"] for name in texts.target().names]
    np.testing.assert_allclose(np.array(columns).T, expected, rtol=1e-6)
    names = texts.target().names
    assert answer["prediction"] == [names[place] for place in expected.argmax(axis=1)]

    written = {path.name for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert not [name for name in written if name.endswith((".pkl", ".pickle", ".cloudpickle"))]
    assert {"model.keras", "schema.json", "served.py", "MLmodel"} <= written


def test_pictures(tmp_path: Path) -> None:
    kept = chosen(tmp_path, small.pictures(tmp_path / "development"))
    answer = Served(kept).predict(np.zeros((2, 8, 8, 1)))
    [inputs] = mlflow_model.signature(kept).inputs
    assert inputs.shape == (-1, 8, 8, 1)
    assert len(answer) == 2
    np.testing.assert_allclose(answer.drop(columns="prediction").sum(axis=1), 1, rtol=1e-5)


def test_the_signature_is_the_schema(tmp_path: Path, texts: Chosen) -> None:
    signature = mlflow_model.signature(texts)
    assert [(one.name, one.type.name, one.required) for one in signature.inputs] == [
        ("text", "string", False),
        ("time", "datetime", False),
        ("number", "double", False),
        ("text b", "string", False),
    ]
    assert [one.name for one in signature.outputs] == [
        "prediction",
        "probability no",
        "probability yes",
    ]
    assert "baseline: the only one" in mlflow_model.describe(texts)


def test_several_labels_and_quantities(tmp_path: Path) -> None:
    for task, column in (("multilabel", "prediction one"), ("regression", "prediction three")):
        kept = chosen(tmp_path / task, small.several(tmp_path / task / "development", task))
        names = [one.name for one in mlflow_model.signature(kept).outputs]
        answer = Served(kept).predict(pd.DataFrame({"x": [0.1], "y": [0.2]}))
        assert list(answer) == names
        assert column in names
        shutil.rmtree(tmp_path / task)
