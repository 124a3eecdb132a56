"""What new data are held against: what a model was made on, and what it said of validation.

Kept beside the champion, so that drift is judged against its own data whatever a later run was
trained on. Of pictures there are two numbers each rather than the pictures themselves.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dataset.examples import (
    PICTURE,
    Column,
    Development,
    Examples,
    Known,
    Schema,
    read_examples,
    writing,
)
from pipeline.artifacts import Folder, Json, replacing

SAMPLE = 10_000
"""Training rows, and validation rows, that are kept at the most, spread evenly."""
LOOKS = ("brightness", "contrast")
"""What is told of a picture: mean and standard deviation of its values."""


class Reference(Folder):
    """Files: schema.json, train.parquet (inputs and targets), validation.parquet (targets alone)
    and predictions.npz (what the model said of these)."""

    def write(self, development: Development, predictions: npt.NDArray[np.float32]) -> None:
        """Keep a sample of both parts; predictions: `(n, k)` of all validation examples."""
        schema = looked_at(development.schema())
        Json(self.make() / "schema.json").write(schema.model_dump(mode="json"))
        with writing(schema, self.path / "train.parquet") as writer:
            for block in _spread(development, "train"):
                writer.append(looks(block))
        bare = schema.model_copy(update={"columns": ()})
        places = _places(development, "validation")
        with writing(bare, self.path / "validation.parquet") as writer:
            for block in _spread(development, "validation"):
                writer.append(Examples({}, block.targets, block.rows, block.weights))
        with replacing(self.path / "predictions.npz") as temporary:
            np.savez_compressed(temporary, predictions=predictions[places])

    def schema(self) -> Schema:
        """The columns that are looked at: a table's own, or what is told of pictures."""
        text = (self.path / "schema.json").read_text(encoding="utf-8")
        return Schema.model_validate_json(text)

    def train(self) -> Examples:
        """Training rows, m at the most `SAMPLE`."""
        return read_examples(self.schema(), self.path / "train.parquet")

    def validation(self) -> tuple[Examples, npt.NDArray[np.float32]]:
        """Validation rows without their inputs, and what the model said of them, `(m, k)`."""
        bare = self.schema().model_copy(update={"columns": ()})
        examples = read_examples(bare, self.path / "validation.parquet")
        with np.load(self.path / "predictions.npz", allow_pickle=False) as arrays:
            predictions: npt.NDArray[np.float32] = arrays["predictions"]
        return examples, predictions


def looked_at(schema: Schema) -> Schema:
    """What drift looks at: a table's columns; of pictures their brightness and contrast."""
    if schema.kind == "table":
        return schema
    columns = tuple(Column(name=name, type="numeric") for name in LOOKS)
    return schema.model_copy(update={"kind": "table", "columns": columns, "shape": ()})


def looks(examples: Examples) -> Examples:
    """The examples as drift looks at them."""
    if PICTURE not in examples.features:
        return examples
    pictures = examples.features[PICTURE]
    told = [picture.astype(np.float64) for picture in pictures]
    figures = {
        "brightness": np.array([one.mean() for one in told], dtype=np.float32),
        "contrast": np.array([one.std() for one in told], dtype=np.float32),
    }
    return Examples(dict(figures), examples.targets, examples.rows, examples.weights)


def _places(development: Development, part: Known) -> npt.NDArray[np.int64]:
    """Of a part, each row once: what training repeats does not come more often."""
    firsts = np.sort(np.unique(development.rows(part), return_index=True)[1])
    count = len(firsts)
    evenly = np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64)
    return firsts[np.unique(evenly)].astype(np.int64)


def _spread(development: Development, part: Known) -> Iterator[Examples]:
    """Evenly spread examples of a part; no more than a block of the others is held."""
    places, begin = _places(development, part), 0
    for block in development.blocks(part):
        ends = np.searchsorted(places, [begin, begin + len(block)])
        own = places[slice(*ends)] - begin
        begin += len(block)
        if len(own):
            yield block.take(own)
