"""The chosen model as an MLflow model: a signature from the schema, and no pickle.

MLflow's own Keras flavour pickles the objects that a file names and the project registers. So the
model is one of `mlflow.pyfunc` with a loader module (`tracking.served`), beside which lies the code
that it needs: the loader's import closure, a few dozen small files. `mlflow.pyfunc.load_model`
gives raw values in, answers and probabilities out; model.keras itself lies in it as well.
"""

import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, Schema, TensorSpec

from models.judging.evaluation import Chosen
from pipeline.closure import closure
from tracking import served

NAME = "chosen"
LOADER = "tracking.served"
NEEDED = ("tensorflow", "keras", "numpy", "pandas", "pyarrow", "pydantic", "threadpoolctl")
"""Packages that the loader and the model import."""
TYPES = {
    "numeric": DataType.double,
    "categorical": DataType.string,
    "text": DataType.string,
    "time": DataType.datetime,
}


def log(client: MlflowClient, run: str, experiment: str, chosen: Path, root: Path) -> str:
    """Log the chosen model as one of the run's outputs; returns its URI."""
    made = client.create_logged_model(
        experiment,
        name=NAME,
        source_run_id=run,
        tags={"mlflow.note.content": describe(Chosen(chosen))},
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        model = Model(
            artifact_path=made.artifact_location,
            run_id=run,
            model_uuid=made.model_id,
            model_id=made.model_id,
        )
        save(chosen, path, root, model)
        client.log_model_artifacts(made.model_id, str(path))
    client.finalize_logged_model(made.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(made.model_id, step=0)])
    return f"models:/{made.model_id}"


def save(chosen: Path, path: Path, root: Path, model: Model | None = None) -> None:
    """Write the MLflow model to a new folder."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder)
        for name in closure(LOADER, root):
            place = code / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, place)
        packages = sorted(one for one in code.iterdir())
        for package in packages:
            for sub in [package, *(one for one in package.rglob("*") if one.is_dir())]:
                (sub / "__init__.py").touch()
        mlflow.pyfunc.save_model(
            path,
            loader_module=LOADER,
            data_path=str(chosen),
            code_paths=[str(package) for package in packages],
            signature=signature(Chosen(chosen)),
            # Said, not found out: MLflow would load the model to see what it imports.
            pip_requirements=[f"{name}=={version(name)}" for name in NEEDED],
            mlflow_model=model or Model(),
        )


def signature(chosen: Chosen) -> ModelSignature:
    """What goes in and what comes out. Of a table any cell may be empty."""
    schema = chosen.schema()
    if schema.kind == "pictures":
        import numpy as np

        inputs = Schema([TensorSpec(np.dtype(np.float32), (-1, *schema.shape))])
    else:
        inputs = Schema(
            [ColSpec(TYPES[column.type], column.name, required=False) for column in schema.columns]
        )
    outputs = Schema(
        [
            ColSpec(DataType.string if kind is str else DataType.double, name)
            for name, kind in served.columns(chosen.target()).items()
        ]
    )
    return ModelSignature(inputs, outputs, ParamSchema([]))


def describe(chosen: Chosen) -> str:
    """What a reader of the registry should know."""
    choice, schema = chosen.choice(), chosen.schema()
    return (
        f"{choice.candidate}: {choice.reason}\n\nPredicts {', '.join(schema.targets)}. "
        "Load it with mlflow.pyfunc.load_model: raw values in, as the data had them. "
        "data/chosen/model.keras is the Keras model itself; its layers of the project's own are in "
        "code/models, and mlflow.keras cannot load it without them."
    )
