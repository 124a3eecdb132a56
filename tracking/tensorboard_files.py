"""Event files for TensorBoard: RUN/STAGE/FIT below .fettle/tensorboard, without TensorFlow.

TensorBoard's own protocol buffers and record writer are all that is needed; its `EventFileWriter`
loads TensorFlow for opening a file, 8 s and 740 MB.
"""

import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from tensorboard.plugins.text import metadata as text
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util import tensor_util

from tracking import drawing
from tracking.events import (
    EpochEnded,
    Event,
    FitBegun,
    FitEnded,
    Names,
    RunBegun,
    RunEnded,
    StageEnded,
    flat,
    numbers,
    word,
)
from tracking.tracker import FOLDER, Place

FILE = "events.out.tfevents.0.fettle"
"""TensorBoard looks for the middle of it."""
WORKED = ("whole", "stopped", "out of time")
"""How a fit ends that did what it was to do."""


class TensorBoardFiles:
    """Scalars by epoch, the settings of every fit, and the graph of every stage's network."""

    resumes: ClassVar[bool] = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self._ran: list[str] = []
        self._folder = place.root / FOLDER / "tensorboard" / place.run
        if self._folder.is_symlink():
            raise NotADirectoryError(f"{self._folder} is a symbolic link")
        if self._folder.exists():
            # Events are told again from the first one on.
            shutil.rmtree(self._folder)
        self._names = Names()
        self._files: dict[Path, io.BytesIO] = {}

    def take(self, events: Sequence[Event]) -> None:
        """As `Tracker.take`: what comes together is appended to each file at once."""
        for event in events:
            self._one(event)
        for path, records in self._files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                file.write(records.getvalue())
        self._files.clear()

    def _one(self, event: Event) -> None:
        match event:
            case RunBegun():
                self._text("commit", _commit(event), event.time)
                self._text("dvc.lock before", event.lock or "none", event.time)
                rows = [f"| {name} | {word(value)} |" for name, value in flat(event.params).items()]
                self._text("params.yaml", "\n".join(["| | |", "|-|-|", *rows]), event.time)
            case RunEnded():
                self._text("dvc.lock", event.lock or "none", event.time)
                self._text("ended", event.state, event.time)
                if self._place.unmoved(event):
                    self._graphs(event.time)
            case StageEnded():
                self._stage(event)
            case FitBegun():
                place = self._within(event)
                told = event.settings | {
                    "stage": event.stage,
                    "seed": event.seed,
                    "examples": event.examples,
                    "parameters": event.parameters,
                }
                self._add(
                    place,
                    event.time,
                    summary=_begun(told, f"{self._place.run}/{place}", event.time),
                )
            case EpochEnded():
                scalars = _scalars(event.figures())
                self._add(self._within(event), event.time, event.epoch, summary=scalars)
            case FitEnded():
                place = self._within(event)
                self._add(place, event.time, summary=_scalars(event.figures()))
                self._add(place, event.time, summary=_ended(event))

    def _within(self, event: FitBegun | EpochEnded | FitEnded) -> str:
        return f"{event.stage}/{self._names.of(event)}"

    def _stage(self, event: StageEnded) -> None:
        figures = numbers(event.metrics) | numbers({"counted": event.counted})
        if event.seconds is not None:
            figures["seconds"] = event.seconds
        self._add(event.stage, event.time, summary=_scalars(figures))
        if event.found == "ran":
            self._ran.append(event.stage)

    def _graphs(self, time: float) -> None:
        for stage in dict.fromkeys(self._ran):
            model = self._place.root / "artifacts" / stage / "model" / "model.keras"
            graph = drawing.graph(model) if model.is_file() else None
            if graph is not None:
                self._add(stage, time, graph_def=graph.SerializeToString())

    def _text(self, tag: str, told: str, time: float) -> None:
        summary = summary_pb2.Summary()
        summary.value.add(
            tag=tag,
            metadata=text.create_summary_metadata(tag, ""),
            tensor=tensor_util.make_tensor_proto(told),
        )
        self._add("", time, summary=summary)

    def _add(self, place: str, time: float, step: int = 0, **what: Any) -> None:
        path = self._folder / place / FILE
        if path not in self._files:
            self._files[path] = io.BytesIO()
            if not path.exists():
                self._add(place, time, file_version="brain.Event:2")
        event = event_pb2.Event(wall_time=time, step=step, **what)
        RecordWriter(self._files[path]).write(event.SerializeToString())


def _commit(event: RunBegun) -> str:
    return f"{event.commit or 'none'}{', with changes' if event.dirty else ''}"


def _scalars(figures: Mapping[str, float]) -> Any:
    summary = summary_pb2.Summary()
    for name, value in figures.items():
        summary.value.add(tag=name, simple_value=value)
    return summary


def _begun(settings: Mapping[str, Any], trial: str, time: float) -> Any:
    """What the HParams page compares fits by."""
    plain = {
        name: value if isinstance(value, bool | int | float | str) else word(value)
        for name, value in settings.items()
    }
    return summary_v2.hparams_pb(plain, trial_id=trial, start_time_secs=time)


def _ended(event: FitEnded) -> Any:
    status = api_pb2.STATUS_SUCCESS if event.how in WORKED else api_pb2.STATUS_FAILURE
    content = plugin_data_pb2.HParamsPluginData(
        session_end_info=plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=event.time)
    )
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=metadata.SESSION_END_INFO_TAG,
        metadata=metadata.create_summary_metadata(content),
        tensor=metadata.NULL_TENSOR,
    )
    return summary
