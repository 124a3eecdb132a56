"""Tables from text: delimited, or JSON lines; in the usual encodings, gzip-compressed or not.

Every cell is text, as it stands in the file: what it means is decided later, by
`dataset.tables.read.infer` and params.yaml.
"""

import codecs
import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dataset.tables.quick import quick_frame
from pipeline.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = ("\t", "|", ";", ",")
"""The rarer inside a cell comes first, for where a file splits evenly by several."""
_SNIFFED_ROWS = 50
_MARKS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def read_delimited(path: Path) -> "pd.DataFrame":
    """Cells of a delimited text, all of them text; the first row names the columns.

    Raises InputError, naming the line, where rows differ in length or a quote is left open.
    """
    raw = _bytes(path)
    encoding = _encoding(raw, path)
    text = _as_text(raw, encoding)
    delimiter = _delimiter(text)
    numbered = _rows(text, delimiter, path)
    _, header = next(numbered, (0, []))
    if not header:
        raise _empty(path)
    names = distinct(header, path)
    utf8 = encoding == "utf-8-sig"
    bare = raw.removeprefix(codecs.BOM_UTF8) if utf8 else raw.decode(encoding).encode()
    frame = quick_frame(bare, delimiter, header, names)
    if frame is not None:
        return frame
    rows = [_of_length(len(header), line, row, path) for line, row in numbered]
    return _frame(names, list(zip(*rows, strict=True)) or [()] * len(header), path)


def read_json_lines(path: Path) -> "pd.DataFrame":
    """Values of one JSON object a line, as text as they stand there; a key is a column.

    Keys that a line lacks, and null, are missing cells. Raises InputError, naming the line.
    """
    lines = ((number, line) for number, line in enumerate(_text(path), 1) if line.strip())
    records = [_record(line, number, path) for number, line in lines]
    if not records:
        raise _empty(path)
    names = list(dict.fromkeys(name for record in records for name in record))
    return _frame(names, [[record.get(name) for record in records] for name in names], path)


def distinct(names: Sequence[str], path: Path | str) -> list[str]:
    """The names, stripped; raises InputError where two are equal then."""
    stripped = [str(name).strip() for name in names]
    twice = next((name for place, name in enumerate(stripped) if name in stripped[:place]), None)
    if twice is not None:
        raise InputError(f"{path}: the column {twice!r} is there twice. Rename one.")
    return stripped


def _frame(names: Sequence[str], columns: Iterable[Sequence[Any]], path: Path) -> "pd.DataFrame":
    import pandas as pd

    names = distinct(names, path)
    return pd.DataFrame(
        {name: pd.Series(cells, dtype=str) for name, cells in zip(names, columns, strict=True)}
    )


def _empty(path: Path) -> InputError:
    return InputError(f"{path}: the file is empty. A table needs a header and rows.")


def _text(path: Path) -> TextIO:
    raw = _bytes(path)
    return _as_text(raw, _encoding(raw, path))


def _as_text(raw: bytes, encoding: str) -> TextIO:
    return io.TextIOWrapper(io.BytesIO(raw), encoding=encoding, newline="")


def _bytes(path: Path) -> bytes:
    raw = path.read_bytes()
    if path.suffix.lower() != ".gz":
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: not a whole gzip file: {error}. Fetch or compress it again."
        ) from None


def _encoding(raw: bytes, path: Path) -> str:
    """UTF-8 or UTF-16 where the bytes say so, else what Windows writes in Western Europe."""
    marked = raw[:2] in _MARKS
    encoding = "utf-16" if marked else "utf-8-sig"
    try:
        # By the names that count a mark as text: places are those in the file then.
        nul = "\0" in raw.decode(_MARKS.get(raw[:2], "utf-8"))
    except UnicodeDecodeError as error:
        # UTF-8 that is damaged further on must not turn into other letters unnoticed.
        if marked or not raw[: error.start].isascii():
            name = "UTF-16" if marked else "UTF-8"
            raise InputError(
                f"{path}: byte {error.start} is not {name} text, and what stands before it is. "
                "Mend the file, or save it as UTF-8."
            ) from None
        encoding, nul = "cp1252", b"\0" in raw
    if nul:
        raise InputError(f"{path}: not text: it holds NUL bytes. Save the table as UTF-8 text.")
    if encoding == "cp1252":
        _require_cp1252(raw, path)
    return encoding


def _require_cp1252(raw: bytes, path: Path) -> None:
    try:
        raw.decode("cp1252")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: byte {error.start} is not UTF-8 text, nor Windows-1252. "
            "Save the file as UTF-8."
        ) from None


def _delimiter(text: TextIO) -> str:
    """The one that splits most of the first rows into as many cells as the header, 2 or more.

    Not csv.Sniffer: it takes apostrophes for quotes and counts delimiters inside quoted cells.
    """
    shares = {}
    for delimiter in DELIMITERS:
        sizes = _sizes(text, delimiter)
        if sizes and sizes[0] > 1:
            shares[delimiter] = sizes.count(sizes[0]) / len(sizes)
    # None splits: a single column, or nothing.
    return max(shares, key=lambda delimiter: shares[delimiter], default=",")


def _sizes(text: TextIO, delimiter: str) -> list[int]:
    """How many cells each of the first rows has; 0 for one with broken quotes, the last then."""
    sizes = []
    text.seek(0)
    try:
        for row in islice(filter(None, _reader(text, delimiter)), _SNIFFED_ROWS):
            sizes.append(len(row))
    except csv.Error:
        sizes.append(0)
    return sizes


def _reader(text: TextIO, delimiter: str) -> Any:
    # Strict, lest an open quote swallow the rest of the file. With pandas' parser short rows
    # would be filled up unnoticed.
    return csv.reader(text, delimiter=delimiter, skipinitialspace=True, strict=True)


def _rows(text: TextIO, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row with the line that it starts at; blank lines are none."""
    text.seek(0)
    reader = _reader(text, delimiter)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{path}: not a readable CSV file: the row at line {line}: {error}.\n"
                "Close every quote, and write a quote inside a quoted cell twice."
            ) from None
        if row is None:
            return
        if row:
            yield line, row


def _of_length(expected: int, line: int, row: list[str], path: Path) -> list[str]:
    if len(row) != expected:
        raise InputError(
            f"{path}: the row at line {line}: cells found {len(row)}, expected {expected} as in "
            "the header.\nMend the row; quote cells that hold the delimiter."
        )
    return row


def _record(line: str, number: int, path: Path) -> dict[str, str | None]:
    where = f"{path}: line {number}"
    try:
        record = _JSON.decode(line.rstrip())
        if "\\u" in line:
            # Half a surrogate pair, which JSON can spell and no text can hold, is found here.
            json.dumps(record, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where} is not JSON: {error.msg} at column {error.colno}. Give one object a line."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} cannot be read: {error}.") from None
    if not isinstance(record, dict):
        raise InputError(f"{where} is not a JSON object. Give one object a line.")
    for key, value in record.items():
        if isinstance(value, dict | list):
            kind = "an object" if isinstance(value, dict) else "a list"
            raise InputError(f"{where}, key {key!r}: {kind} is no cell. Give text or a number.")
    return {key: None if value is None else str(value) for key, value in record.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for place, key in enumerate(keys) if key in keys[:place])
        raise ValueError(f"the key {twice!r} is there twice")
    return record


# Numbers as they are written: 1.0 stays 1.0, and no number is too long.
_JSON = json.JSONDecoder(
    object_pairs_hook=_once, parse_int=str, parse_float=str, parse_constant=str
)
