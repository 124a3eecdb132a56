"""Folders of pictures: one folder for each class, below train, val and test or not."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dataset.pictures.labelled import Entry, Fault, Listing, is_picture, part_of
from pipeline.errors import InputError

LAYOUT = "Put each class's pictures into a folder of its name, or those below train, val and test."
_MACOS = "__MACOSX"
"""What macOS adds to zip files: shadows of the files, by the same names."""


@dataclass(frozen=True)
class _Class:
    """A folder whose pictures are of one class."""

    folder: Path
    part: str | None


def list_folder(folder: Path) -> Listing:
    """The pictures below a folder with their classes and parts, sorted by their names.

    Pictures deeper below a class's folder belong to that class. Hidden files and folders, and
    folders that are links, are left out. Raises InputError where there are no two classes.
    """
    notes: list[str] = []
    classes = _classes(folder, notes)
    entries: list[Entry] = []
    faults: list[Fault] = []
    others: Counter[str] = Counter()
    for one in classes:
        for path in _files_below(one.folder):
            if not is_picture(path.name):
                others[path.suffix.lower() or path.name] += 1
                continue
            name, label = shown(path.relative_to(folder)), shown(Path(one.folder.name))
            reason = _refused(path, folder)
            if reason:
                faults.append(Fault(name, label, reason))
            else:
                entries.append(Entry(path, name, label, one.part))
    if others:
        kinds = ", ".join(shown(Path(kind)) for kind in sorted(others)[:5])
        notes.append(f"{others.total():,} files that are no pictures were left out: {kinds}")
    filled = {entry.label for entry in entries} | {fault.label for fault in faults}
    _require_classes(folder, classes, filled, notes)
    only = {entry.part for entry in entries}
    if len(only) == 1 and only != {None}:
        notes.append(f"{only.pop()} is the only part, which does not say how to part the pictures")
        entries = [replace(entry, part=None) for entry in entries]
    return Listing(
        sorted(entries, key=lambda entry: entry.name),
        sorted(faults, key=lambda fault: fault.name),
        notes,
    )


def shown(path: Path) -> str:
    """A path for people, whatever bytes are in it."""
    return path.as_posix().encode("utf-8", "backslashreplace").decode()


def leads_outside(path: Path, folder: Path) -> bool:
    """Whether a path with its links followed lies outside of a folder, or leads in circles."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):
        return True


def _classes(folder: Path, notes: list[str]) -> list[_Class]:
    folders = _folders(folder)
    _note_loose(folder, notes)
    named = [one for one in folders if part_of(one.name)]
    parts = [one for one in named if any(_holds_pictures(below) for below in _folders(one))]
    others = [one for one in folders if one not in named]
    if parts and others:
        raise InputError(
            f"{shown(folder)}: {', '.join(one.name for one in parts)} are parts, but beside them "
            f"lies {shown(Path(others[0].name))!r}, which is none.\n"
            "Move it elsewhere, or name it train, val or test."
        )
    if others or not named:
        return [_Class(one, None) for one in folders]
    for part in named:
        _note_loose(part, notes)
    return [_Class(one, part_of(part.name)) for part in named for one in _folders(part)]


def _note_loose(folder: Path, notes: list[str]) -> None:
    where = shown(folder)
    loose = [path.name for path in _children(folder) if is_picture(path.name)]
    if loose:
        notes.append(
            f"{len(loose):,} pictures directly in {where} have no class and were left out, "
            f"the first is {shown(Path(loose[0]))}"
        )
    links = [path.name for path in _children(folder) if path.is_symlink() and path.is_dir()]
    if links:
        first = shown(Path(links[0]))
        notes.append(f"{len(links):,} links to folders in {where} were not followed, as {first}")


def _refused(path: Path, folder: Path) -> str | None:
    """Why a file is not to be opened."""
    name = path.relative_to(folder)
    if shown(name) != name.as_posix():
        return "its name is not UTF-8"
    if path.is_symlink() and leads_outside(path, folder):
        return "a link that leads outside the folder"
    return None if path.is_file() else "not a file"


def _require_classes(
    folder: Path, classes: Sequence[_Class], filled: Collection[str | None], notes: Sequence[str]
) -> None:
    where = shown(folder)
    names = sorted({shown(Path(one.folder.name)) for one in classes})
    if not names:
        seen = "".join(f"\n{note}." for note in notes[:2])
        raise InputError(f"{where}: there are no folders of classes. {LAYOUT}{seen}")
    if not filled:
        raise InputError(f"{where}: there is no picture in the folders below it. {LAYOUT}")
    for name in names:
        if name not in filled:
            raise InputError(
                f"{where}: the folder of the class {name!r} holds no picture.\n"
                "Put pictures into it, or remove it."
            )
    if len(names) < 2:
        inner = classes[0].folder
        hint = f" Did you mean {shown(inner)}?" if len(_folders(inner)) > 1 else ""
        raise InputError(
            f"{where}: there is one class only, {names[0]!r}: nothing to tell apart.{hint}\n"
            f"{LAYOUT}"
        )


def _holds_pictures(folder: Path) -> bool:
    return any(is_picture(path.name) for path in _files_below(folder))


def _children(folder: Path) -> list[Path]:
    """What lies in a folder, sorted, without what is hidden."""
    return sorted(path for path in folder.iterdir() if not _hidden(path.name))


def _folders(folder: Path) -> list[Path]:
    return [path for path in _children(folder) if path.is_dir() and not path.is_symlink()]


def _files_below(folder: Path) -> Iterator[Path]:
    for found, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not _hidden(name))
        yield from (Path(found, name) for name in sorted(files) if not _hidden(name))


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == _MACOS
