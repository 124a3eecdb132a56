"""Where the user's data come to lie: below data/, tracked by DVC, several files as one folder.

Nothing is changed in the project until `Arrival.settle`: the data are read from where they are, or
from a temporary folder that looks as the one below data/ will.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dataset.partition import NAMES
from pipeline.artifacts import replacing
from pipeline.errors import EnvironmentFault, InputError

DATA = Path("data")
_PART = re.compile(rf"[\s._-]*({'|'.join(sorted(NAMES, key=len, reverse=True))})$", re.IGNORECASE)
"""A part's name at the end of a file's."""


@dataclass(frozen=True)
class Arrival:
    """Data that have been found, on their way to data/."""

    source: Path
    """Where they can be read now."""
    place: Path
    """Where they will lie, relative to the project; where they are, if they lie there already."""
    name: str
    """What the data are called: the name of the file, the folder or the database."""
    listed: tuple[Path, ...] = ()
    """Pictures that `source` lists, relative to its folder; they go where it goes."""

    @property
    def tracked(self) -> Path:
        """What DVC tracks: the place, or for a list the folder that its pictures are in, too."""
        return self.place.parent if self.listed else self.place

    def settle(self) -> None:
        """Copy them to `place`, unless they are there, and track them with DVC."""
        _require_room(self.source, self.place)
        if self.source.resolve() != (Path.cwd() / self.place).resolve():
            if self.source.is_dir():
                _copy_folder(self.source, self.place)
            else:
                self._copy_files()
        _track(self.tracked)

    def _copy_files(self) -> None:
        home = self.source.parent
        for file in (*self.listed, self.source.relative_to(home)):
            with replacing(self.place.parent / file) as temporary:
                shutil.copyfile(home / file, temporary)


@contextmanager
def arriving(
    path: str, stand: Path, test: str | None, validation: str | None, query: str | None
) -> Iterator[Arrival]:
    """Find the data that `path` names, from where the user stands.

    With `test` or `validation`, the files are one table or folder in parts. With `query`, `path` is
    the URL of a database. Raises InputError where something is missing or does not fit together;
    in the block its messages name the files that the user gave.
    """
    if query is None and "://" in path:
        raise InputError(f"{path}: a database needs a query: --query 'SELECT ...'")
    if query is None and test is None and validation is None:
        source = stand / path
        yield _found(source)
        return
    with tempfile.TemporaryDirectory(prefix="fettle-") as temporary:
        if query is not None:
            if test is not None or validation is not None:
                raise InputError("--query gives one table: leave out --test and --validation.")
            yield _queried(path, query, Path(temporary))
            return
        given = {"train": path, "validation": validation, "test": test}
        files = {part: stand / file for part, file in given.items() if file is not None}
        arrival, shown = _together(files, Path(temporary))
        try:
            yield arrival
        except InputError as error:
            told = str(error)
            for copy, original in shown.items():
                told = told.replace(str(copy), str(original))
            raise InputError(told) from None


def beside(path: Path) -> dict[str, Path]:
    """Files next to a training file that are named as its other parts, by part."""
    stem, ending = _split(path)
    word = _PART.search(stem)
    if path.is_dir() or word is None or not path.is_file() or NAMES[word[1].lower()] != 0:
        return {}
    found = {}
    for name in NAMES:
        other = path.with_name(stem[: word.start(1)] + name + ending)
        part = {1: "validation", 2: "test"}.get(NAMES[name])
        if part and part not in found and other.is_file():
            found[part] = other
    return found


def _found(source: Path) -> Arrival:
    """One file or folder; of a list of pictures the pictures come along, in a folder of its own."""
    from dataset.pictures.files import picture_kind

    place, name = _place(source), _name(source)
    if picture_kind(source) != "list":
        return Arrival(source, place, name)
    inside = source.resolve().is_relative_to((Path.cwd() / DATA).resolve())
    if inside and place.parent == DATA:
        raise InputError(
            f"{source}: a list of pictures, directly in {DATA}/. Put it and its pictures into a "
            f"folder of their own: {DATA / name}/"
        )
    return Arrival(source, place if inside else DATA / name / source.name, name, _listed(source))


def _listed(source: Path) -> tuple[Path, ...]:
    """The pictures that a list names and that are there; of others it is said when it is read."""
    from dataset.pictures.folders import leads_outside
    from dataset.pictures.lists import path_columns
    from dataset.tables.read import read_table

    frame = read_table(source)
    names = [str(cell).strip() for column in path_columns(frame)[:1] for cell in frame[column]]
    files = [Path(name.replace("\\", "/")) for name in dict.fromkeys(names)]
    home = source.parent
    return tuple(
        file for file in files if not leads_outside(home / file, home) and (home / file).is_file()
    )


def _queried(url: str, query: str, folder: Path) -> Arrival:
    from dataset.tables.queries import read_query, write_snapshot

    # Only the last word of the address: user and password are none of a file's name.
    last = url.split("?", maxsplit=1)[0].rsplit("/", maxsplit=1)[-1]
    name = re.sub(r"\W+", "_", Path(last).stem).strip("_")
    source = folder / f"{name or 'query'}.parquet"
    write_snapshot(read_query(url, query), source)
    return Arrival(source, DATA / source.name, name or "query")


def _together(files: dict[str, Path], temporary: Path) -> tuple[Arrival, dict[Path, Path]]:
    """The parts in one folder, and which copy there is which file of the user's."""
    for path in files.values():
        if not path.exists():
            raise InputError(f"{path}: there is no such file.")
        if path.is_dir() != files["train"].is_dir():
            raise InputError(f"{path}: give files for all parts, or folders for all.")
    stem = _split(files["train"])[0]
    name = _PART.sub("", stem) or stem
    folder = temporary / name
    folder.mkdir()
    shown = {}
    for part, path in files.items():
        copy = folder / (part if path.is_dir() else part + _split(path)[1].lower())
        if path.is_dir():
            shutil.copytree(path, copy)
        else:
            shutil.copyfile(path, copy)
        shown[copy] = path
    shown[folder] = files["train"].parent
    return Arrival(folder, DATA / name, name), shown


def _split(path: Path) -> tuple[str, str]:
    """A file's name without and with nothing but its ending, .csv.gz being one."""
    if path.is_dir():
        return path.resolve().name, ""
    suffixes = path.suffixes[-2:] if path.suffix.lower() == ".gz" else path.suffixes[-1:]
    ending = "".join(suffixes)
    return path.name[: len(path.name) - len(ending)], ending


def _name(path: Path) -> str:
    stem = _split(path)[0]
    return _PART.sub("", stem) or stem


def _place(path: Path) -> Path:
    """The data's place below data/, relative to the project."""
    home = (Path.cwd() / DATA).resolve()
    if path.resolve() == home:
        raise InputError(f"{path}: give a file or folder below data/, not all of it.")
    if path.resolve().is_relative_to(home):
        return DATA / path.resolve().relative_to(home)
    if home.is_relative_to(path.resolve()):
        raise InputError(f"{path}: the folder holds this project. Give a folder of its own.")
    return DATA / (path.resolve().name if path.is_dir() else path.name)


def _require_room(source: Path, place: Path) -> None:
    if place.exists() and place.is_dir() != source.is_dir():
        raise InputError(f"{place} is there, and is not what {source} is. Rename one of the two.")


def _copy_folder(source: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=place.parent, prefix="."))
    try:
        shutil.copytree(source, temporary / "new")
        # Moved away first: parts that the new data lack must not be read along.
        if place.exists():
            place.rename(temporary / "old")
        (temporary / "new").rename(place)
    finally:
        shutil.rmtree(temporary)


def _track(place: Path) -> None:
    # Another process: DVC's command line says what it does, and how it failed, in its own words.
    done = subprocess.run(
        # Not quietly: it would be silent about why it failed.
        [sys.executable, "-m", "dvc", "add", str(place)],
        capture_output=True,
        text=True,
        env={**os.environ, "DVC_NO_ANALYTICS": "1"},
        check=False,
    )
    if done.returncode:
        raise EnvironmentFault(f"dvc add {place} failed:\n{done.stderr.strip()}")
