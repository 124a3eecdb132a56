"""Event files, read back by TensorBoard itself."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from models import archive
from tests.tracking import told
from tests.tracking.test_drawing import nested
from tracking.tensorboard_files import TensorBoardFiles
from tracking.tracker import Place, lock_hash


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = told.place(tmp_path)
    (tmp_path / "dvc.lock").write_text("stages\n")
    archive.save(nested(), tmp_path / "artifacts" / "search" / "model" / "model.keras")
    lines = told.whole()
    lines["1-1"][-1] = told.END | {"lock": lock_hash(tmp_path)}
    told.write(place, lines)
    return place


def read(place: Place, path: str = "") -> EventAccumulator:
    folder = place.root / ".fettle" / "tensorboard" / place.run / path
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def test_runs_nest_and_say_what_they_lead_back_to(place: Place) -> None:
    TensorBoardFiles(place).take(told.read(place))
    folder = place.root / ".fettle" / "tensorboard"
    found = {path.parent.relative_to(folder).as_posix() for path in folder.rglob("*tfevents*")}
    fits = ("search-trial-1", "search-trial-1-2", "search-trial-2")
    assert found == {
        told.RUN,
        f"{told.RUN}/search",
        *(f"{told.RUN}/search/{name}" for name in fits),
    }
    texts = {
        tag: read(place).Tensors(tag)[0].tensor_proto.string_val[0].decode()
        for tag in ("commit", "dvc.lock", "dvc.lock before", "ended")
    }
    assert texts == {
        "commit": told.COMMIT,
        "dvc.lock": lock_hash(place.root),
        "dvc.lock before": "b" * 64,
        "ended": "finished",
    }


def test_scalars_by_epoch_settings_and_how_a_fit_ended(place: Place) -> None:
    TensorBoardFiles(place).take(told.read(place))
    fit = read(place, "search/search-trial-1")
    assert [(one.step, one.value) for one in fit.Scalars("val_loss")] == [(1, 3.0), (2, 4.0)]
    assert fit.Scalars("final_val_loss")[0].value == 0.25
    plugins = fit.summary_metadata
    begun, ended = (
        plugins[tag].plugin_data.content
        for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
    )
    settings = metadata.parse_session_start_info_plugin_data(begun).hparams
    assert settings["width"].number_value == 4
    assert settings["optimizer"].string_value == "adam"
    assert settings["batch_norm"].bool_value
    assert settings["patience"].string_value == "null"
    assert settings["stage"].string_value == "search"
    assert metadata.parse_session_end_info_plugin_data(ended).status == 1
    diverged = read(place, "search/search-trial-2").summary_metadata
    content = diverged[metadata.SESSION_END_INFO_TAG].plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == 2


def test_a_stage_has_its_figures_and_its_network(place: Place) -> None:
    TensorBoardFiles(place).take(told.read(place))
    stage = read(place, "search")
    assert stage.Scalars("validation.accuracy")[0].value == 0.5
    assert stage.Scalars("counted.fits")[0].value == 2
    assert {node.name for node in stage.Graph().node} >= {"inner/dense", "logits"}


def test_another_lock_means_another_network_which_is_not_drawn(place: Place) -> None:
    (place.root / "dvc.lock").write_text("others\n")
    TensorBoardFiles(place).take(told.read(place))
    assert not read(place, "search").Tags()["graph"]


def test_bit_by_bit_or_twice_gives_the_same_files(place: Place) -> None:
    def contents() -> dict[Path, bytes]:
        folder = place.root / ".fettle" / "tensorboard"
        return {path: path.read_bytes() for path in sorted(folder.rglob("*tfevents*"))}

    TensorBoardFiles(place).take(told.read(place))
    at_once = contents()
    again = TensorBoardFiles(place)
    for event in told.read(place):
        again.take([event])
    assert contents() == at_once


def test_what_a_link_points_to_stays(place: Place, tmp_path: Path) -> None:
    kept = tmp_path / "elsewhere" / "kept"
    kept.parent.mkdir()
    kept.touch()
    (tmp_path / ".fettle" / "tensorboard").mkdir(parents=True)
    (tmp_path / ".fettle" / "tensorboard" / told.RUN).symlink_to(kept.parent)
    with pytest.raises(NotADirectoryError):
        TensorBoardFiles(place)
    assert kept.exists()
