"""The toy finetune."""

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Text


class FinetuneParams(Section):
    """What finetune can be told."""

    word: str


@stage()
def finetune(out: Text, parts: Text, regular: Text, params: FinetuneParams) -> None:
    """The toy finetune."""
    out.write(f"finetune {params.word} <{' '.join(x.read() for x in (parts, regular))}>")
