"""Tables that come in parts already: a folder with files such as train.csv and test.csv.

A file names a part where exactly one word of its name does: `adult_train.csv`, `test-2024.csv`.
Words are parted by `_`, `-` and `.`, and known to `dataset.partition.NAMES`.
"""

import re
from pathlib import Path

from dataset.partition import HOLDOUT, NAMES, TRAIN, VALIDATION
from dataset.tables.files import ending
from pipeline.errors import InputError

GIVEN_NAMES = {TRAIN: "train", VALIDATION: "validation", HOLDOUT: "test"}
"""What the column `dataset.examples.GIVEN` says."""


def given_files(folder: Path) -> tuple[tuple[Path, str], ...]:
    """The files of a folder with the part that each names, in the order of parts and names.

    Empty where they do not name two parts at least. Raises InputError where others of its tables
    name none, or none the training part. Hidden files and those of other endings are no tables.
    """
    tables = sorted(
        path
        for path in folder.iterdir()
        if path.name[0] not in "._" and path.is_file() and ending(path)
    )
    codes = {path: _code(path) for path in tables}
    if len({code for code in codes.values() if code is not None}) < 2:
        return ()
    for path, code in codes.items():
        if code is None:
            raise InputError(
                f"{path}: the name says no part, and other files of the folder name theirs.\n"
                "Name it like train.csv, validation.csv or test.csv, or move it elsewhere."
            )
    if TRAIN not in codes.values():
        raise InputError(f"{folder}: no file is named for the training part, such as train.csv.")
    ordered = sorted((code, path) for path, code in codes.items() if code is not None)
    return tuple((path, GIVEN_NAMES[code]) for code, path in ordered)


def _code(path: Path) -> int | None:
    stem = path.name[: -len(ending(path))]
    codes = [NAMES[word] for word in re.split(r"[_.-]", stem.lower()) if word in NAMES]
    return codes[0] if len(codes) == 1 else None
