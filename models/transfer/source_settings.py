"""What can be transferred from, as values of params.yaml. Free of Keras."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from pipeline.params import Section

SelfMade = Literal["fonts", "rotated", "denoised", "masked"]
"""Source tasks that need no files. `fonts`, for grey pictures: digits drawn from fonts. `rotated`,
for pictures: which of four ways up the training pictures are (Gidaris et al., 2018). `denoised`,
for pictures: what they are without noise (Vincent et al., 2008). `masked`, for a table: its
training rows with values swapped between rows, to be put right, and words hidden, to be guessed.
Only `fonts` uses labels."""
File = Annotated[str, StringConstraints(min_length=1, max_length=255)]
"""A path inside `finetune.pretrained`, where that is a folder, else its own name."""


class Application(Section):
    """A network of keras.applications."""

    network: str = Field(max_length=80)
    """Its name there, such as MobileNetV2."""
    options: dict[str, Any]
    """Its own arguments, such as alpha; {} where it has none."""
    weights: File
    """imagenet, which Keras fetches and checks by its hash; or a weights file."""


class Earlier(Section):
    """The chosen model, or any candidate's, of an earlier run."""

    model: File
    """A .keras file."""


class OtherData(Section):
    """Another data set, to be learned first with its labels."""

    data: File
    """A folder of pictures with a folder for each class, or an .npz file, for pictures; a table
    with the same feature columns, for tables."""
    target: str | None
    """Of a table, the column of its labels or quantities; null: called as the target here."""


TransferSource = SelfMade | Application | Earlier | OtherData


def told(source: TransferSource) -> str:
    """A source in a few words."""
    if isinstance(source, str):
        return source
    if isinstance(source, Application):
        given = [f"{name} {value}" for name, value in source.options.items()]
        return f"{' '.join([source.network, *given])} ({source.weights})"
    return source.model if isinstance(source, Earlier) else source.data
