"""What can be transferred from, as values of params.yaml. Free of Keras."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, StringConstraints, Tag

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


def _kind(value: Any) -> str | None:
    """Which of the four a value is meant to be, by the key that only this one has."""
    if isinstance(value, str):
        return "SelfMade" if value in get_args(SelfMade) else None
    if not isinstance(value, dict):
        return type(value).__name__ if isinstance(value, Section) else None
    return next((name for key, name in _BY_KEY.items() if key in value), None)


_BY_KEY = {"network": "Application", "model": "Earlier", "data": "OtherData"}
TransferSource = Annotated[
    Annotated[SelfMade, Tag("SelfMade")]
    | Annotated[Application, Tag("Application")]
    | Annotated[Earlier, Tag("Earlier")]
    | Annotated[OtherData, Tag("OtherData")],
    Discriminator(
        _kind,
        custom_error_type="source",
        custom_error_message=(
            f"a source is {', '.join(get_args(SelfMade))}, or one of "
            "{network: NAME, options: {}, weights: imagenet or FILE}, {model: FILE}, "
            "{data: PATH, target: COLUMN or null}"
        ),
    ),
]


def told(source: TransferSource) -> str:
    """A source in a few words."""
    if isinstance(source, str):
        return source
    if isinstance(source, Application):
        given = [f"{name} {value}" for name, value in source.options.items()]
        return f"{' '.join([source.network, *given])} ({source.weights})"
    return source.model if isinstance(source, Earlier) else source.data
