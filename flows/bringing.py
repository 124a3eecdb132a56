"""What init brings along besides the data: what to transfer from, a teacher, examples without
targets."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dataset.pictures.decoding import LARGEST
from flows.deciding import Decision
from flows.placing import DATA, Arrival, arriving
from flows.setting import Values
from flows.wishes import Wishes
from models.transfer.application_names import Recognised, recognise
from pipeline.errors import InputError

PRETRAINED = DATA / "pretrained"
"""Where everything that is transferred from comes to lie, as one folder."""
WEIGHTS = (".h5", ".hdf5")
MODEL = ".keras"


@dataclass(frozen=True)
class Brought:
    """Files that have been found, on their way to data/, and what they are for."""

    pretrained: Arrival | None
    sources: tuple[dict[str, Any], ...]
    """What `finetune.sources` gains by them."""
    teacher: Arrival | None
    unlabelled: Arrival | None
    size: int | None
    """The side of the pictures that a network among them was trained on."""

    def values(self, decision: Decision) -> Values:
        """What is to be set in params.yaml, given what is decided about the data."""
        own = decision.values["finetune"]["sources"]
        return {
            "finetune": {
                "sources": [*own, *self.sources],
                "pretrained": _place(self.pretrained),
            },
            "distill": {"teacher": _place(self.teacher), "unlabelled": _place(self.unlabelled)},
        }

    def require_fitting(self, decision: Decision) -> None:
        """Raise InputError for a network of pictures where the data are a table."""
        if decision.values["ingest"]["kind"] != "table":
            return
        for source in self.sources:
            if "network" in source:
                raise InputError(
                    f"{source['weights']}: {source['network']} sees pictures, and the data are a "
                    "table.\nLeave it out; tables are transferred to from a model of an earlier "
                    "run (.keras) or from another table."
                )

    def lines(self) -> list[str]:
        """What was brought, in words."""
        told = []
        if self.pretrained:
            told.append(
                f"transfer: {', '.join(map(_said, self.sources))}, beside the source tasks that "
                "need no file; the best by a probe is fine-tuned"
            )
        if self.teacher:
            told.append(f"teacher: {self.teacher.place}")
        if self.unlabelled:
            told.append(f"unlabelled examples: {self.unlabelled.place}")
        return told

    def settle(self) -> None:
        """Copy what is not there and track all of it with DVC."""
        for arrival in (self.pretrained, self.teacher, self.unlabelled):
            if arrival is not None:
                arrival.settle()


def sized(wishes: Wishes, decision: Decision, brought: Brought) -> Wishes | None:
    """Wishes with the size of pictures that a brought network was trained on, where pictures were
    made smaller only because their sizes differ; None where nothing changes."""
    shape = decision.read.schema.shape
    cut = bool(shape) and max(shape[:2]) == LARGEST
    if wishes.size is not None or brought.size is None or not cut or brought.size <= LARGEST:
        return None
    return replace(wishes, size=(brought.size, brought.size))


@contextmanager
def bringing(wishes: Wishes, stand: Path) -> Iterator[Brought]:
    """Find what the wishes name, from where the user stands; raises InputError where it is missing
    or cannot be told what it is."""
    files = [_existing(stand / path) for path in wishes.pretrained]
    recognised = [_recognised(file) for file in files]
    sources = tuple(map(_source, files, recognised))
    sizes = [one.size for one in recognised if one is not None and one.size]
    with tempfile.TemporaryDirectory(prefix="fettle-") as temporary:
        yield Brought(
            _together(files, Path(temporary)),
            sources,
            _teacher(wishes.teacher, stand),
            _single(wishes.unlabelled, stand),
            max(sizes, default=None),
        )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder.")
    return path


def _recognised(file: Path) -> Recognised | None:
    """What a weights file is of; None for what is no weights file."""
    if file.is_dir() or file.suffix.lower() not in WEIGHTS:
        return None
    found = recognise(file.name)
    if found is None:
        raise InputError(
            f"{file}: its name does not say which network of keras.applications it is of.\n"
            "Name it as Keras does, such as mobilenet_v2_0.35_224_no_top.weights.h5."
        )
    return found


def _source(file: Path, recognised: Recognised | None) -> dict[str, Any]:
    if recognised is not None:
        return {
            "network": recognised.network,
            "options": dict(recognised.options),
            "weights": file.name,
        }
    if file.suffix.lower() == MODEL:
        return {"model": file.name}
    return {"data": file.resolve().name, "target": None}


def _said(source: dict[str, Any]) -> str:
    return str(source.get("network") or source.get("model") or source.get("data"))


def _together(files: Sequence[Path], temporary: Path) -> Arrival | None:
    """All of them in one folder; links are followed, as DVC keeps contents."""
    if not files:
        return None
    folder = temporary / PRETRAINED.name
    folder.mkdir()
    for file in files:
        place = folder / file.resolve().name if file.is_dir() else folder / file.name
        if place.exists():
            raise InputError(f"{file}: another file that is called so was given. Rename one.")
        if file.is_dir():
            shutil.copytree(file, place)
        else:
            shutil.copyfile(file, place)
    return Arrival(folder, PRETRAINED, PRETRAINED.name)


def _single(path: str | None, stand: Path) -> Arrival | None:
    if path is None:
        return None
    _existing(stand / path)
    with arriving(path, stand, None, None, None) as arrival:
        return arrival


def _teacher(path: str | None, stand: Path) -> Arrival | None:
    if path is not None and _existing(stand / path).suffix.lower() not in (MODEL, *WEIGHTS):
        raise InputError(f"{path}: a teacher is a Keras model, in a .keras or an .h5 file.")
    return _single(path, stand)


def _place(arrival: Arrival | None) -> str | None:
    return None if arrival is None else arrival.place.as_posix()
