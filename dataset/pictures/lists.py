"""Lists of pictures: a table with a column of paths and a column of labels."""

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dataset.pictures.folders import leads_outside
from dataset.pictures.labelled import Entry, Fault, Listing, PictureSettings, is_picture, part_of
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

OFTEN = 0.5
"""A column holds paths where more than this share of its cells end as picture files do."""


def list_table(path: Path, settings: PictureSettings) -> Listing:
    """The pictures that a table names, in its order; paths are relative to the table's folder.

    Raises InputError, naming the row, where a path leads outside that folder or a part is not
    known, and as `dataset.tables.read.read_table` does.
    """
    from dataset.tables.read import missing_cells, read_table, require_columns

    frame = read_table(path)
    missing = settings.missing
    if settings.label is None:
        listed = ", ".join(map(repr, list(frame.columns)[:20]))
        raise InputError(f"{path}: which column holds the labels? Columns: {listed}.")
    column = settings.path or _path_column(frame, path)
    wanted = [column, settings.label, *([settings.part] if settings.part else [])]
    require_columns(frame, wanted, "column", path)
    cells = {
        name: frame[name].astype(str).str.strip().mask(missing_cells(frame[name], missing), "")
        for name in wanted
    }
    entries: list[Entry] = []
    faults: list[Fault] = []
    for row, (given, label) in enumerate(zip(cells[column], cells[settings.label], strict=True), 1):
        part = _part(cells[settings.part].iloc[row - 1], path, row) if settings.part else None
        if not given or not label:
            lacks = "label" if given else "path"
            faults.append(Fault(given or f"row {row}", label or None, f"row {row} has no {lacks}"))
            continue
        name = _inside(given, path.parent, f"{path}: row {row}, column {column!r}")
        if _is_file(path.parent / name):
            entries.append(Entry(path.parent / name, name, label, part))
        else:
            faults.append(Fault(given, label, f"row {row} names it, and there is no such file"))
    return Listing(entries, faults, [f"paths from the column {column!r}"])


def path_columns(frame: "pd.DataFrame") -> list[str]:
    """The columns that hold paths of pictures, by how their cells end."""
    return [
        str(name)
        for name in frame.columns
        if sum(is_picture(str(value).strip()) for value in frame[name]) > OFTEN * len(frame)
    ]


def _path_column(frame: "pd.DataFrame", path: Path) -> str:
    found = path_columns(frame)
    if len(found) != 1:
        what = f"the columns {', '.join(map(repr, found))} hold" if found else "no column holds"
        raise InputError(
            f"{path}: {what} paths that end as picture files do. Name the column of paths "
            "(ingest.picture in params.yaml)."
        )
    return found[0]


def _inside(given: str, folder: Path, where: str) -> str:
    """The relative path that a cell names; raises InputError where it leads elsewhere."""
    # Lists written on Windows have it the other way.
    name = PurePosixPath(given.replace("\\", "/"))
    if name.is_absolute() or name.as_posix()[1:3] == ":/":
        raise InputError(
            f"{where}: {given!r} is an absolute path. Give paths relative to the table's folder."
        )
    if leads_outside(folder / name, folder):
        raise InputError(
            f"{where}: {given!r} leads outside the table's folder.\n"
            "Put table and pictures into one folder, and give paths below it."
        )
    return name.as_posix()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        # A text too long for a file's name, say.
        return False


def _part(text: str, path: Path, row: int) -> str:
    part = part_of(text)
    if part is None:
        raise InputError(
            f"{path}: row {row}: {text!r} names no part. Say train, validation or test."
        )
    return part
