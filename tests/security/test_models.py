"""Models of somebody else: by every door that reads one, none of them does anything."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models import archive, training
from models.distillation import given_teacher
from models.inspection import SHRUNK, SMALL
from models.transfer import source_earlier
from pipeline.errors import InputError
from tests.models import small
from tests.security import hostile

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

Door = Callable[[Path, Any], object]


def as_teacher(path: Path, development: Any) -> object:
    return given_teacher.load(path, development, training.encoded(str(development.path)))


def as_source(path: Path, development: Any) -> object:
    source_earlier.check(path, development.schema())
    return source_earlier.write(
        path,
        training.encoded(str(development.path)).statistics,
        development.schema(),
        path.with_name("written.keras"),
    )


def as_our_own(path: Path, development: Any) -> object:
    return archive.load(path)


DOORS = [as_teacher, as_source, as_our_own]


@pytest.fixture(scope="module")
def development(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return small.table(tmp_path_factory.mktemp("development"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "harm"


def refused(door: Door, path: Path, development: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as told:
        door(path, development)
    assert str(path) in str(told.value)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_code_in_a_layer_never_runs(
    door: Door, name: str, tmp_path: Path, mark: Path, development: Any
) -> None:
    path = hostile.model_with_code(tmp_path / name, mark)
    # Of that format only teachers are read at all.
    words = "" if name.endswith(".h5") else "would run code from the file"
    refused(door, path, development, words)
    assert not mark.exists()


def test_that_code_would_run_if_it_were_let(tmp_path: Path, mark: Path) -> None:
    import keras

    path = hostile.model_with_code(tmp_path / "model.keras", mark)
    keras.models.load_model(path, safe_mode=False)(np.zeros((1, 3)))
    assert mark.exists()
    shutil.rmtree(mark)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda mark: hostile.instance("os", "mkdir", path=str(mark)), id="a function of os"
        ),
        pytest.param(
            lambda mark: hostile.instance("subprocess", "Popen", args=["mkdir", str(mark)]),
            id="a process",
        ),
        pytest.param(lambda mark: hostile.instance("pathlib", "Path", path=str(mark)), id="a path"),
        pytest.param(
            lambda mark: hostile.instance("builtins", "open", file=str(mark), mode="w"), id="open"
        ),
        pytest.param(
            lambda mark: hostile.instance(
                "keras.src.saving.file_editor", "KerasFileEditor", filepath=str(mark)
            ),
            id="what opens files in Keras",
        ),
        pytest.param(
            lambda mark: hostile.instance(
                "keras.utils", "get_file", fname=str(mark), origin="file:///etc/hostname"
            ),
            id="what downloads in Keras",
        ),
    ],
)
def test_nothing_but_layers_of_keras_and_our_own_is_made(
    door: Door, change: Callable[[Path], Any], tmp_path: Path, mark: Path, development: Any
) -> None:
    path = hostile.plain_model(tmp_path / "model.keras")

    def swap(described: Any) -> None:
        hostile.layer(described).update(change(mark))

    hostile.rewritten(path, swap)
    refused(door, path, development, "")
    assert not mark.exists()


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "named",
    [
        hostile.function("exec"),
        hostile.function("eval"),
        hostile.function("system", "os"),
        hostile.function("print"),
        hostile.function("keras.utils.get_file", "keras"),
    ],
    ids=lambda named: named["config"],
)
def test_no_function_but_those_of_keras_is_an_activation(
    door: Door, named: Any, tmp_path: Path, development: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    path = hostile.plain_model(tmp_path / "model.keras")

    def swap(described: Any) -> None:
        hostile.layer(described)["config"]["activation"] = named

    hostile.rewritten(path, swap)
    refused(door, path, development, "")
    assert "Tensor" not in capfd.readouterr().out


@pytest.mark.parametrize("door", DOORS)
def test_a_file_is_not_read_because_a_layer_names_it(
    door: Door, tmp_path: Path, development: Any
) -> None:
    """A vocabulary may be a path: what lies there would become part of the model."""
    secret = tmp_path / "secret.txt"
    secret.write_text("a\nb\n")
    path = hostile.plain_model(tmp_path / "model.keras")

    def swap(described: Any) -> None:
        layer = hostile.layer(described)
        layer.update(hostile.instance("keras.layers", "StringLookup", vocabulary=str(secret)))

    hostile.rewritten(path, swap)
    refused(door, path, development, "")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["../harm/x", "/tmp/../harm", "a/../../harm", "..\\harm"])
def test_nothing_is_unpacked_outside(
    door: Door, name: str, tmp_path: Path, mark: Path, development: Any
) -> None:
    (tmp_path / "inner").mkdir()
    path = hostile.plain_model(tmp_path / "inner" / "model.keras")
    hostile.rewritten(path, lambda described: None, {name: b"harm"})
    refused(door, path, development, "would lie outside")
    assert not mark.exists()


@pytest.mark.parametrize("door", DOORS)
def test_what_is_small_until_it_is_unpacked_is_not(
    door: Door, tmp_path: Path, development: Any
) -> None:
    path = hostile.plain_model(tmp_path / "model.keras")
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as packed,
        packed.open("more.bin", "w", force_zip64=True) as member,
    ):
        for _ in range((SMALL >> 20) + 1):
            member.write(bytes(1 << 20))
    assert path.stat().st_size * SHRUNK < SMALL
    refused(door, path, development, "that unpack to")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "content", [b"", b"PK", b"\x89HDF\r\n\x1a\n", b"\x80\x05cos\nsystem\n(S'true'\ntR."]
)
def test_what_is_no_model_is_said_to_be_none(
    door: Door, content: bytes, tmp_path: Path, development: Any
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    refused(door, path, development, "")
