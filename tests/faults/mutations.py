"""Small valid data, and how they are spoiled: cells, bytes, stored types, pictures, parameters.

A `Case` is a project's data folder and what its params.yaml says; every strategy here gives cases,
most of which are wrong in one or two places.
"""

import csv
import gzip
import io
import random
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from PIL import Image
from pyarrow import feather
from ruamel.yaml import YAML

from tests.conftest import ROOT
from tests.dataset.pictures.drawn import scene

ROWS = 60
PICTURES = 16
"""Of each class."""
HEADER = ["who", "age", "city", "when", "note", "amount", "weight", "income"]
ODD_TEXTS = (
    *("", " ", "?", "abc", "nan", "inf", "-Infinity", "None", "NULL", "true", "--", ".", "..", "0"),
    *("1e999", "-1e308", "3.4e38", "-3e38", "1e-320", "9" * 400, "1e5000", "16777217", "-0", "+5"),
    *(
        "1_000",
        "0x10",
        "1,5",
        "1 000",
        "１２",
        "١٢٣",
        "½",
        "١",
        "2020-13-45",
        "9999-12-31T23:59:59",
    ),
    *("0001-01-01", "0000-00-00", "2020-02-30 25:61", "31.12.9999", "1 Jan 2020", "12:00"),
    *("=cmd|' /C calc'!A0", "@SUM(A1)", "+1+1", "<script>alert(1)</script>", "{{7*7}}", "%s%n{0}"),
    *(
        "a" * 70_000,
        "word " * 30_000,
        "\x1b[31mred",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202eabc",
        "\ufeff",
    ),
    *(
        "\x01\x02",
        "🎉" * 30,
        "é",
        "\r",
        "\n",
        "\t",
        '"',
        "'",
        "\\",
        "a;b;c",
        "a|b",
        "a,b",
        '""',
        "`",
    ),
    *(
        "../../etc/passwd",
        "/etc/passwd",
        "[1, 2]",
        '{"a": 1}',
        "train",
        "row",
        "feature.age",
        "low",
    ),
)
"""Cells and names that people and programs write by mistake, or on purpose."""
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 10**30, -(10**30), 0.5, -0.5, 1e300, float("nan")),
    *(float("inf"), "", " ", "abc", "age", "income", "city", "=1+1", "<b>", "a" * 5000, "\x1b[0m"),
    *([], [1], [""], ["age"], ["age", "age"], ["income"], [[1]], [None], {}, {"age": "text"}),
    *({"a": {"b": []}}, {"age": ["0"]}, {"age": None}, [0.1, 0.2], [8, 8], [0, 0], [-1, 5]),
    *([10**9, 10**9], "../x", "/etc/passwd", "data", "data/", "data/absent.csv", "stratified"),
    *("time", "column", "given", "random", "log", "quantile", "weights", "resample", "regression"),
)
odd_text = st.sampled_from(ODD_TEXTS) | st.text(max_size=6)


@dataclass(frozen=True)
class Case:
    """What lies in a project's folder, and how its params.yaml differs from the real one."""

    files: Mapping[str, bytes]
    """By their paths below the project's folder."""
    ingest: Mapping[str, Any] = field(default_factory=dict)
    split: Mapping[str, Any] = field(default_factory=dict)
    objective: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    """Symbolic links, and where they lead."""
    params: bytes | None = None
    """The whole params.yaml instead."""
    expected: bytes | None = None
    """data/schema.yaml; None: one that expects nothing."""

    def __repr__(self) -> str:
        files = {name: _short(content) for name, content in self.files.items()}
        rest = {
            name: _short(value)
            for name in ("ingest", "split", "objective", "links", "params", "expected")
            if (value := getattr(self, name))
        }
        return f"Case({files}, {rest})"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 600 else f"{text[:300]}…{text[-300:]}"


SPLIT = {"validation": 0.25, "holdout": 0.25, "seed": 3}
TABLE = {"path": "data/data.csv", "kind": "table", "target": ["income"], "weight": "weight"}


@cache
def rows() -> tuple[tuple[str, ...], ...]:
    """The valid table, header first: every type of column, two classes, some missing cells."""
    chance = random.Random(1)
    words = ["the", "small", "red", "fox", "runs", "over", "lazy", "dogs", "and", "sleeps"]
    made = [tuple(HEADER)]
    for row in range(ROWS):
        made.append(
            (
                f"p{row % 20}",
                str(chance.randint(18, 90)) if row % 11 else "",
                chance.choice(["Bern", "Rom", "Oslo"]),
                f"2024-{1 + row // 28:02}-{1 + row % 28:02}",
                " ".join(chance.choices(words, k=5)),
                f"{chance.gauss(10, 3):.2f}",
                str(1 + row % 3),
                chance.choice(["low", "high"]),
            )
        )
    return tuple(made)


def delimited(cells: Any, delimiter: str = ",", end: str = "\n", quoting: Any = 0) -> str:
    """Cells as text."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(cells)
    return text.getvalue()


# Bytes ------------------------------------------------------------------------------------------

PIECES = [
    b"",
    b"\0",
    b'"',
    b"'",
    b",",
    b";",
    b"\t",
    b"\n",
    b"\r",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
]
PIECES += [
    b"\xff\xfe",
    b"\x80",
    b"\\",
    b'""',
    b"\n\n\n",
    b"\x1a",
    b"PK\x03\x04",
    b"-",
    b": ",
    b"&a",
    b"*a",
]


@st.composite
def spoiled(draw: st.DrawFn, raw: bytes) -> bytes:
    """Bytes of which some are flipped, cut, doubled, inserted or replaced."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(raw) - 1)))
        # Heads and ends tell most.
        at = draw(st.sampled_from([at, at, 0, len(raw), max(0, len(raw) - 1 - at % 40), at % 40]))
        length = draw(st.integers(1, 40))
        how = draw(st.integers(0, 5))
        if how == 0 and at < len(raw):
            raw = raw[:at] + bytes([raw[at] ^ (1 << draw(st.integers(0, 7)))]) + raw[at + 1 :]
        elif how == 1:
            raw = raw[:at]
        elif how == 2:
            raw = raw[:at] + raw[at + length :]
        elif how == 3:
            raw = raw[: at + length] + raw[at:]
        else:
            raw = raw[:at] + draw(st.sampled_from(PIECES)) + raw[at + (how == 5) :]
    return raw


# Tables of text ---------------------------------------------------------------------------------


@st.composite
def odd_rows(draw: st.DrawFn) -> list[list[str]]:
    """The valid table with one or two mutations of cells, rows, columns and names."""
    table = [list(row) for row in rows()]
    for _ in range(draw(st.integers(1, 2))):
        draw(st.sampled_from([_cells, _cells, _column, _names, _columns, _lines, _length]))(
            draw, table
        )
    return table


def _cells(draw: st.DrawFn, table: list[list[str]]) -> None:
    for _ in range(draw(st.integers(1, 4))):
        row = table[draw(st.integers(0, len(table) - 1))] if table else []
        if row:
            row[draw(st.integers(0, len(row) - 1))] = draw(odd_text)


def _column(draw: st.DrawFn, table: list[list[str]]) -> None:
    at = draw(st.integers(0, len(HEADER) - 1))
    texts = draw(st.lists(odd_text, min_size=1, max_size=4))
    for place, row in enumerate(table[1:]):
        if at < len(row):
            row[at] = texts[place % len(texts)]


def _names(draw: st.DrawFn, table: list[list[str]]) -> None:
    if table and table[0]:
        at = draw(st.integers(0, len(table[0]) - 1))
        table[0][at] = draw(
            odd_text | st.sampled_from([*HEADER, "given part", "picture", "target"])
        )


def _columns(draw: st.DrawFn, table: list[list[str]]) -> None:
    at = draw(st.integers(0, len(HEADER) - 1))
    how = draw(st.integers(0, 3))
    for row in table:
        if how == 0:
            del row[at : at + 1]
        elif how == 1:
            row.insert(at, row[at] if at < len(row) else "")
        elif how == 2:
            row.reverse()
        else:
            del row[1 : draw(st.just(7))]


def _lines(draw: st.DrawFn, table: list[list[str]]) -> None:
    at, how = draw(st.integers(0, len(table))), draw(st.integers(0, 6))
    if how == 0:
        del table[at:]
    elif how == 1:
        table.insert(at, [])
    elif how == 2:
        table[at:at] = table[: max(1, at)]
    elif how == 3:
        table[1:] = [table[1]] * (len(table) - 1) if len(table) > 1 else []
    elif how == 4:
        del table[1 + draw(st.integers(0, 30)) :]
    elif how == 5:
        table[1:] = table[1:] * 4
    else:
        table[1:] = sorted(table[1:], key=lambda row: row[-1:])


def _length(draw: st.DrawFn, table: list[list[str]]) -> None:
    row = table[draw(st.integers(0, len(table) - 1))] if table else []
    if draw(st.booleans()):
        row.append(draw(odd_text))
    elif row:
        row.pop()


ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-be",
    "utf-32",
    "cp1252",
    "latin-1",
]
ENDINGS = [
    "csv",
    "csv",
    "csv",
    "tsv",
    "txt",
    "csv.gz",
    "jsonl",
    "parquet",
    "npz",
    "feather",
    "xlsx",
    "",
]
TARGETS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"task": "regression", "target": ["amount"]},
    {"task": "regression", "target": ["amount", "age"]},
    {"task": "multilabel", "target": ["note"]},
    {"target": ["city"], "weight": None},
    {"target": ["who"]},
    {"ignore": ["who", "note"], "types": {"age": "numeric", "city": "categorical"}},
    {"types": {"age": "categorical", "note": "text", "when": "time"}, "missing_in": {"age": ["0"]}},
]
PARTINGS: list[dict[str, Any]] = [
    {},
    {},
    {},
    {"method": "random"},
    {"group": "who"},
    {"method": "time", "time": ["when"], "gap": 1},
    {"folds": 3},
    {"folds": 3, "repeats": 2, "balance": "weights"},
    {"balance": "resample"},
    {"validation": 9, "holdout": 9},
]


@st.composite
def text_tables(draw: st.DrawFn) -> Case:
    """CSV and the like, spoiled."""
    table = draw(odd_rows()) if draw(st.integers(0, 9)) else [list(row) for row in rows()]
    text = delimited(table)
    ending, encoding = "csv", "utf-8"
    if draw(st.integers(0, 3)) == 0:
        text = delimited(
            table,
            draw(st.sampled_from([",", ";", "\t", "|", ":", " "])),
            draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n"])),
            draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])),
        )
        encoding = draw(st.sampled_from(ENCODINGS))
    if draw(st.integers(0, 5)) == 0:
        ending = draw(st.sampled_from(ENDINGS))
    raw = text.encode(encoding, "replace")
    if draw(st.integers(0, 3)) == 0:
        raw = draw(spoiled(raw))
    if ending.endswith("gz"):
        raw = gzip.compress(raw, mtime=0)
        raw = draw(spoiled(raw)) if draw(st.booleans()) else raw
    return draw(_placed(raw, f"data/data.{ending}".rstrip(".")))


@st.composite
def _placed(draw: st.DrawFn, raw: bytes, path: str) -> Case:
    ingest = TABLE | {"path": path} | draw(st.sampled_from(TARGETS))
    case = Case({path: raw}, ingest, SPLIT | draw(st.sampled_from(PARTINGS)))
    learned = draw(st.integers(0, 3)) == 0 and ingest["target"] == ["income"]
    return replace(case, expected=EXPECTED.encode()) if learned else case


@st.composite
def json_lines(draw: st.DrawFn) -> Case:
    """JSON lines, spoiled."""
    import json

    table = draw(odd_rows())
    names = table[0] if table else []
    lines = [
        json.dumps(dict(zip(names, row, strict=False)), ensure_ascii=draw(st.just(True)))
        for row in table[1:]
    ]
    odd = [
        "",
        "{",
        "[]",
        "null",
        "1",
        '{"age": NaN}',
        '{"age": [1]}',
        '{"age": {"a": 1}}',
        "[" * 9000,
    ]
    odd += ['{"age": 1, "age": 2}', '{"city": "\\ud800"}', '{"\\udfff": 1}', '{"age": 1e400}', "{}"]
    odd += [
        '{"age": ' + "9" * 5000 + "}",
        '{"city": "\\u0000"}',
        '{"a": true}',
        '{"": 1}',
        "\ufeff{}",
    ]
    for _ in range(draw(st.integers(0, 2))):
        lines.insert(draw(st.integers(0, len(lines))), draw(st.sampled_from(odd)))
    raw = "\n".join(lines).encode("utf-8", "replace")
    raw = draw(spoiled(raw)) if draw(st.integers(0, 3)) == 0 else raw
    return draw(_placed(raw, "data/data.jsonl"))


@st.composite
def folders(draw: st.DrawFn) -> Case:
    """A folder of files that are parts, of which one may be spoiled."""
    table, other = [list(row) for row in rows()], draw(odd_rows())
    names = draw(
        st.sampled_from(
            [
                ("train.csv", "test.csv"),
                ("train.csv", "val.csv"),
                ("a.csv", "b.csv"),
                ("x.parquet", "y.csv"),
            ]
        )
    )
    files = {
        f"data/set/{names[0]}": delimited(table).encode(),
        f"data/set/{names[1]}": delimited(other).encode(),
    }
    if draw(st.booleans()):
        files[
            f"data/set/{draw(st.sampled_from(['more.csv', '.hidden', 'notes.txt', 'dev.csv']))}"
        ] = b"x\n"
    method = draw(st.sampled_from([{"method": "given"}, {"method": "given"}, {}, {"folds": 2}]))
    return Case(files, TABLE | {"path": "data/set"}, SPLIT | method)


# Tables with stored types -----------------------------------------------------------------------

_STRUCT = pa.struct([("a", pa.int32())])
STORED: list[Callable[[int], pa.Array]] = [
    pa.nulls,
    lambda n: pa.array([place % 2 == 0 for place in range(n)]),
    lambda n: pa.array([2**63 - 1 - place for place in range(n)], pa.int64()),
    lambda n: pa.array([2**64 - 1 - place for place in range(n)], pa.uint64()),
    lambda n: pa.array(np.arange(n) % 7 - 3, pa.int8()),
    lambda n: pa.array(np.arange(n, dtype=np.float16)),
    lambda n: pa.array([float("inf"), float("nan"), -1e308, None][place % 4] for place in range(n)),
    lambda n: pa.array([3.3e38, 3e38, -3e38][place % 3] for place in range(n)),
    lambda n: pa.array([f"{place}.{place % 100:02}" for place in range(n)]).cast(
        pa.decimal128(30, 4)
    ),
    lambda n: pa.array([None] * n, pa.decimal256(60, 10)),
    lambda n: pa.array([["a", "b", None][place % 3] for place in range(n)]).dictionary_encode(),
    lambda n: pa.array(np.arange(n) % 5).dictionary_encode(),
    lambda n: pa.array(["x\0y", "", None, "\x1b[0m", "<b>"][place % 5] for place in range(n)),
    lambda n: pa.array([f"a{place}" for place in range(n)], pa.large_string()),
    lambda n: pa.array([f"a{place % 9}" for place in range(n)], pa.string_view()),
    lambda n: pa.array([b"\xff" * (place % 4) for place in range(n)], pa.binary()),
    lambda n: pa.array([b"abcd"] * n, pa.binary(4)),
    lambda n: pa.array([[1, place] for place in range(n)]),
    lambda n: pa.array([[1.0, 2.0]] * n, pa.list_(pa.float32(), 2)),
    lambda n: pa.array([{"a": place} for place in range(n)], _STRUCT),
    lambda n: pa.array([[("k", 1)]] * n, pa.map_(pa.string(), pa.int32())),
    lambda n: pa.array(range(n), pa.int32()).cast(pa.date32()),
    lambda n: pa.array([2**31 - 1 - place for place in range(n)], pa.int32()).cast(pa.date32()),
    lambda n: pa.array([86_400_000 * place for place in range(n)], pa.int64()).cast(pa.date64()),
    lambda n: pa.array([2**62 + place for place in range(n)], pa.int64()).cast(pa.timestamp("s")),
    lambda n: pa.array([10**15 * place for place in range(n)], pa.int64()).cast(
        pa.timestamp("us", "UTC")
    ),
    lambda n: pa.array([10**18 + place for place in range(n)], pa.int64()).cast(pa.timestamp("ns")),
    lambda n: pa.array([-(2**61), 5, None][place % 3] for place in range(n)).cast(
        pa.timestamp("ms", "+05:00")
    ),
    lambda n: pa.array(range(n), pa.int32()).cast(pa.time32("s")),
    lambda n: pa.array(range(n), pa.int64()).cast(pa.time64("ns")),
    lambda n: pa.array(range(n), pa.int64()).cast(pa.duration("us")),
    lambda n: pa.array([2**63 - 1] * n, pa.int64()).cast(pa.duration("s")),
    lambda n: pa.array([(1, 2, 3)] * n, pa.month_day_nano_interval()),
]
"""Arrays of n values of every type that Arrow's files store."""


@cache
def stored() -> pa.Table:
    """The valid table with its types."""
    columns = list(zip(*rows()[1:], strict=True))
    arrays: list[Any] = [
        pa.array(columns[0]),
        pa.array([int(age) if age else None for age in columns[1]]),
    ]
    arrays += [pa.array(columns[2]), pa.array(columns[3]).cast(pa.date32()), pa.array(columns[4])]
    arrays += [
        pa.array([float(text) for text in columns[5]]),
        pa.array([int(text) for text in columns[6]]),
    ]
    return pa.table([*arrays, pa.array(columns[7])], HEADER)


def _written(table: pa.Table, ending: str) -> bytes | None:
    held = io.BytesIO()
    try:
        if ending == "parquet":
            pq.write_table(table, held)
        else:
            feather.write_feather(table, held, compression="uncompressed")
    except (pa.ArrowException, ValueError):
        # What the format cannot hold cannot be met in it either.
        return None
    return held.getvalue()


@st.composite
def stored_tables(draw: st.DrawFn) -> Case:
    """Parquet and Feather: columns of any type, other names, no rows, spoiled bytes."""
    table = stored()
    for _ in range(draw(st.integers(0, 2))):
        array = draw(st.sampled_from(STORED))(len(table))
        at = draw(st.integers(0, len(HEADER)))
        if at < len(HEADER) and draw(st.booleans()):
            table = table.set_column(at, HEADER[at], array)
        else:
            table = table.add_column(at, draw(odd_text | st.sampled_from(HEADER)), array)
    if draw(st.integers(0, 9)) == 0:
        table = table.slice(0, draw(st.integers(0, 3)))
    if draw(st.integers(0, 9)) == 0:
        table = table.select(draw(st.lists(st.integers(0, len(HEADER) - 1), max_size=4)))
    ending = draw(st.sampled_from(["parquet", "parquet", "feather", "arrow"]))
    raw = _written(table, ending)
    raw = _written(stored(), ending) if raw is None else raw
    assert raw is not None
    raw = draw(spoiled(raw)) if draw(st.integers(0, 2)) == 0 else raw
    return draw(_placed(raw, f"data/data.{ending}"))


# Pictures ---------------------------------------------------------------------------------------


@cache
def picture(seed: int, kind: str = "PNG", mode: str = "L", size: int = 8) -> bytes:
    """A file's bytes."""
    held = io.BytesIO()
    Image.fromarray(scene(seed, size, size)).convert(mode).save(held, kind)
    return held.getvalue()


FOLDER = {"path": "data/set", "kind": "pictures", "target": ["kind"]}


@cache
def pictured() -> Mapping[str, bytes]:
    """The valid folder."""
    return {
        f"data/set/{name}/{place:02}.png": picture(100 * number + place)
        for number, name in enumerate(("ants", "bees"))
        for place in range(PICTURES)
    }


BROKEN = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"GIF89a",
    b"\xff\xd8\xff",
    b"not a picture",
    b"BM" + b"\xff" * 60,
]
BROKEN += [b"II*\0\x08\0\0\0\xff\xff", b"RIFF\0\0\0\0WEBPVP8 ", b"%!PS-Adobe\n", b"<svg/>"]


Files = dict[str, bytes]
FOLDERS = ["ants", "bees", "train", "test", "cats", ".x", ""]
SAVED = [("JPEG", "RGB"), ("GIF", "P"), ("TIFF", "F"), ("TIFF", "I"), ("PNG", "1"), ("BMP", "RGB")]
LEADING = ["../../../params.yaml", "/etc/passwd", "absent", "link.png", "../bees", "/"]
WISHES: list[dict[str, Any]] = [{"size": [4, 300]}, {"size": [1, 1]}, {"size": [10**6, 10**6]}]
WISHES += [{"channels": 3}, {"channels": 1}, {"task": "multilabel"}, {"task": "regression"}]


@st.composite
def picture_folders(draw: st.DrawFn) -> Case:
    """Folders with broken, renamed, misplaced files, links and odd names."""
    files, links = dict(pictured()), {}
    ways = [_broken, _saved, _renamed, _fewer, _all_broken, _loose, _parted, _copied]
    for way in draw(st.lists(st.sampled_from(ways), min_size=1, max_size=3)):
        way(draw, files)
    if draw(st.integers(0, 3)) == 0:
        at = f"data/set/{draw(st.sampled_from(['ants', 'bees', 'cats', '']))}/link.png"
        links = {at.replace("//", "/"): draw(st.sampled_from(LEADING))}
    wish = draw(st.sampled_from(WISHES)) if draw(st.integers(0, 4)) == 0 else {}
    methods = [{}, {}, {"method": "given"}, {"folds": 2}, {"near_copies": False}]
    return Case(files, FOLDER | wish, SPLIT | draw(st.sampled_from(methods)), links=links)


def _one(draw: st.DrawFn, files: Files) -> str:
    return draw(st.sampled_from(sorted(files)))


def _broken(draw: st.DrawFn, files: Files) -> None:
    name = _one(draw, files)
    files[name] = draw(st.sampled_from(BROKEN) | spoiled(files[name]))


def _saved(draw: st.DrawFn, files: Files) -> None:
    size = draw(st.sampled_from([1, 2, 8, 40]))
    kind, mode = draw(st.sampled_from(SAVED))
    files[_one(draw, files)] = picture(draw(st.integers(0, 20)), kind, mode, size)


def _renamed(draw: st.DrawFn, files: Files) -> None:
    odd = draw(odd_text.filter(lambda text: "/" not in text and "\0" not in text))
    # As long as a file's name may be.
    odd = odd.encode("utf-8", "ignore")[:200].decode("utf-8", "ignore")
    folder = draw(
        st.sampled_from(FOLDERS) | st.just(odd).filter(lambda text: text not in ("", ".."))
    )
    files[f"data/set/{folder}/{odd}.png"] = files.pop(_one(draw, files))


def _fewer(draw: st.DrawFn, files: Files) -> None:
    kept = draw(st.integers(0, 3))
    for other in [other for other in sorted(files) if "/ants/" in other][kept:]:
        del files[other]
    files["data/set/notes.txt"] = b"x"


def _all_broken(draw: st.DrawFn, files: Files) -> None:
    for other in [other for other in files if "/bees/" in other]:
        files[other] = draw(st.sampled_from(BROKEN))


def _loose(draw: st.DrawFn, files: Files) -> None:
    files[f"data/set/{draw(st.sampled_from(FOLDERS))}/notes.txt"] = b"x"


def _parted(draw: st.DrawFn, files: Files) -> None:
    other = draw(st.sampled_from(["test", "val", "odd"]))
    for place, name in enumerate(sorted(files)):
        part = other if place % 3 == 0 else "train"
        files[f"data/set/{part}/{name.removeprefix('data/set/')}"] = files.pop(name)


def _copied(draw: st.DrawFn, files: Files) -> None:
    copy = files[_one(draw, files)]
    for name in sorted(files)[: draw(st.integers(1, 40))]:
        files[name] = copy


@st.composite
def picture_lists(draw: st.DrawFn) -> Case:
    """Lists with paths that lead outside or nowhere, and other cells spoiled."""
    listed = [["file", "kind", "more"]]
    for name in sorted(pictured()):
        listed.append([name.removeprefix("data/"), name.split("/")[2], "1"])
    odd = [
        "../params.yaml",
        "/etc/passwd",
        "set/../../params.yaml",
        "C:\\x.png",
        "\\\\host\\x.png",
        "link.png",
    ]
    odd += [
        "set",
        "absent.png",
        "set/ants/00.png\0",
        "~/x.png",
        "a" * 5000 + ".png",
        "%2e%2e/x.png",
        "loop.png",
    ]
    odd += [
        "file:///etc/passwd.png",
        "set/ants/00.png/",
        "./set/ants/00.png",
        "around/params.png",
        ".",
    ]
    for _ in range(draw(st.integers(0, 4))):
        row = listed[draw(st.integers(0, len(listed) - 1))]
        at = draw(st.integers(0, 2))
        row[at] = draw(st.sampled_from(odd) | odd_text)
    if draw(st.integers(0, 9)) == 0:
        del listed[draw(st.integers(0, len(listed))) :]
    if draw(st.integers(0, 9)) == 0:
        listed = [[row[0], *row[2:]] for row in listed]
    raw = delimited(listed).encode("utf-8", "replace")
    raw = draw(spoiled(raw)) if draw(st.integers(0, 4)) == 0 else raw
    links = {"data/link.png": "/etc/passwd", "data/around": "..", "data/loop.png": "loop.png"}
    ingest = FOLDER | {"path": "data/list.csv"}
    ingest |= draw(
        st.sampled_from([{}, {}, {"picture": "file"}, {"picture": "kind"}, {"picture": "absent"}])
    )
    ingest |= draw(st.sampled_from([{}, {}, {"target": ["file"]}, {"task": "multilabel"}]))
    return Case({**pictured(), "data/list.csv": raw}, ingest, SPLIT, links=links)


@st.composite
def picture_arrays(draw: st.DrawFn) -> Case:
    """Archives with other keys, shapes and dtypes, and spoiled bytes."""
    count = 2 * PICTURES
    pictures: Any = np.stack([scene(place, 8, 8, 1)[..., 0] for place in range(count)])
    labels: Any = np.arange(count) % 2
    names = ("images", "labels")
    how = draw(st.lists(st.integers(0, 5), min_size=1, max_size=2))
    with np.errstate(all="ignore"):
        if 0 in how:
            pictures = pictures.astype(draw(st.sampled_from(KINDS)))
        elif 1 in how:
            pictures = pictures.astype(draw(st.sampled_from(["f2", "f4", "f8"])))
            value = draw(st.sampled_from([np.nan, np.inf, 1e30, 3e38, -1e38, 1e-40, 6e4, 300.0]))
            pictures.flat[draw(st.integers(0, 600))] = value
    if 2 in how:
        pictures = pictures.reshape(draw(st.sampled_from(_shapes(count))))
    if 3 in how:
        labels = draw(st.sampled_from(_labels(labels)))
    if 4 in how:
        names = draw(st.sampled_from(NAMES))
    held = io.BytesIO()
    parts = {}
    if names[0] == "x_train":
        parts = {"x_test": pictures[:5], "y_test": labels[:5] if labels.ndim else labels}
    np.savez(held, **{names[0]: pictures, names[1]: labels}, **parts)
    raw = held.getvalue()
    if 5 in how and draw(st.booleans()):
        raw = draw(spoiled(raw))
    elif 5 in how:
        lies = [(10**9, 1000, 1000), (-1, 8, 8), (count, 8, 9), (), (0, 8, 8)]
        raw = _lying(names, draw(st.sampled_from(lies)))
    ingest = FOLDER | {"path": "data/set.npz"}
    ingest |= draw(st.sampled_from([{}, {}, {"size": [3, 5]}, {"channels": 3}, {"channels": 1}]))
    method = {"method": "given"} if parts or draw(st.integers(0, 9)) == 0 else {}
    return Case({"data/set.npz": raw}, ingest, SPLIT | method)


KINDS = [
    "f4",
    "f8",
    "i8",
    "?",
    "f2",
    "c8",
    "U3",
    "O",
    "M8[s]",
    "V4",
    "S2",
    "i1",
    "u8",
    "<u2",
    ">f4",
]
NAMES = [
    ("x", "y"),
    ("x_train", "y_train"),
    ("a", "b"),
    ("IMAGES", "Labels"),
    ("x", "x_"),
    ("x", ""),
]


def _shapes(count: int) -> list[tuple[int, ...]]:
    flat = [(count, 64), (8, 8, count), (count, 2, 32), (count // 2, 8, 16), (64 * count,)]
    deep = [(count, 8, 8, 1), (count, 1, 8, 8), (count, 4, 4, 4), (count, 8, 4, 2)]
    return [*flat, *deep, (1, count, 8, 8), (count, 8, 8, 1, 1)]


def _labels(labels: Any) -> list[Any]:
    count = len(labels)
    odd = [labels.astype("U5"), labels.astype(float), labels + 0.5, labels[:-3], labels * 0]
    odd += [labels[:, None], np.eye(2)[labels], labels.astype(object), labels.astype("S3")]
    odd += [labels > 0, np.full(count, np.nan), np.array(["a", ""] * PICTURES), np.arange(count)]
    odd += [np.array([b"\xff", b"a"] * PICTURES), np.array(["\x1b[0m", "<b>"] * PICTURES)]
    return [*odd, np.array(1), np.array([]), np.where(np.arange(count), labels, 7), -labels]


def _lying(names: tuple[str, str], shape: tuple[int, ...]) -> bytes:
    """An archive whose header tells of another shape than follows."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names:
            member = io.BytesIO()
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            archive.writestr(f"{name}.npy", member.getvalue() + b"\1" * 100)
    return held.getvalue()


# Parameters -------------------------------------------------------------------------------------

CSV = {"data/data.csv": delimited(rows()).encode()}
REAL = (ROOT / "params.yaml").read_text(encoding="utf-8")
COLUMNS = st.sampled_from([*HEADER, "absent", ""])
FEW_COLUMNS = st.lists(COLUMNS, max_size=3)
FINDINGS = st.lists(
    st.sampled_from(["leak:age", "nothing", "shared_rows:holdout", "drift:age"]), max_size=2
)
SHARES = st.sampled_from([0.1, 0.25, 0.5, 0.9, 0.999, 1e-9, 1, 5, 20, 59, 60, 10**6])
INGEST_KEYS: dict[str, st.SearchStrategy[Any]] = {
    "path": st.sampled_from(
        ["data/data.csv", None, "data", "data/absent.csv", "params.yaml", "../x", "/etc"]
    ),
    "kind": st.sampled_from(["table", "pictures"]),
    "task": st.sampled_from(["classification", "multilabel", "regression"]),
    "target": FEW_COLUMNS,
    "ignore": FEW_COLUMNS,
    "types": st.dictionaries(
        COLUMNS, st.sampled_from(["numeric", "categorical", "text", "time"]), max_size=3
    ),
    "missing": st.lists(odd_text, max_size=3),
    "missing_in": st.dictionaries(COLUMNS, st.lists(odd_text, max_size=2), max_size=2),
    "weight": st.none() | COLUMNS,
    "size": st.sampled_from([None, [8, 8], [0, 1], [10**9, 10**9]]),
    "channels": st.sampled_from([None, 1, 3]),
    "picture": st.none() | COLUMNS,
    "allow": FINDINGS,
}
SPLIT_KEYS: dict[str, st.SearchStrategy[Any]] = {
    "method": st.sampled_from(["stratified", "random", "time", "column", "given"]),
    "validation": SHARES,
    "holdout": SHARES,
    "promotion": SHARES | st.just(0),
    "group": st.none() | COLUMNS,
    "time": FEW_COLUMNS,
    "gap": st.sampled_from([0, 1, 5, 100, 10**9, 10**30]),
    "part": st.none() | COLUMNS,
    "near_copies": st.booleans(),
    "folds": st.sampled_from([0, 1, 2, 5, 40, 61, 10**9]),
    "repeats": st.sampled_from([1, 2, 5]),
    "balance": st.sampled_from(["none", "weights", "resample"]),
    "transform": st.sampled_from(["none", "log", "quantile"]),
    "allow": FINDINGS,
    "seed": st.sampled_from([0, 3, 10**9, 10**30]),
}
OBJECTIVE_KEYS: dict[str, st.SearchStrategy[Any]] = {
    "metric": st.sampled_from(
        ["accuracy", "recall", "recall_at_precision", "auc", "rmse", "r2", "pinball"]
    ),
    "positive": st.sampled_from([None, "low", "absent", "<b>\x1b[0m", ""]),
    "precision": st.sampled_from([0.5, 1.0, 1, 0.0]),
    "quantile": st.sampled_from([0.5, 0.0, 1.0]),
}


def _some(keys: dict[str, st.SearchStrategy[Any]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Values for a few of the keys."""
    chosen = st.lists(st.sampled_from(sorted(keys)), max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: keys[name] for name in names}))


@st.composite
def settings_of_both(draw: st.DrawFn) -> Case:
    """Values of the right types that contradict each other or the data."""
    base = draw(st.sampled_from(TARGETS))
    ingest = TABLE | base | draw(_some(INGEST_KEYS, 3))
    split = SPLIT | draw(st.sampled_from(PARTINGS)) | draw(_some(SPLIT_KEYS, 4))
    expected = draw(st.sampled_from([None, None, EXPECTED.encode()]))
    return Case(CSV, ingest, split, draw(_some(OBJECTIVE_KEYS, 2)), expected=expected)


@st.composite
def params_files(draw: st.DrawFn) -> Case:
    """params.yaml with values of other types, removed and unknown keys, and spoiled text."""
    content = YAML(typ="safe", pure=True).load(REAL)
    content["ingest"] |= TABLE
    content["split"] |= SPLIT
    for _ in range(draw(st.integers(0, 6))):
        sections = sorted(name for name in content if isinstance(content[name], dict))
        section = draw(st.sampled_from(["ingest", "split", "objective", *sections]))
        values = content.get(section)
        how = draw(st.integers(0, 6))
        if how == 0 or not isinstance(values, dict) or not values:
            content[section] = draw(st.sampled_from(ODD_VALUES))
        elif how == 1:
            content.pop(section)
        elif how == 2:
            values.pop(draw(st.sampled_from(sorted(values, key=str))))
        elif how == 3:
            values[draw(st.sampled_from(["trget", "\x1b[0m", "", "x" * 3000, 5, None, "<b>"]))] = 1
        else:
            values[draw(st.sampled_from(sorted(values, key=str)))] = draw(
                st.sampled_from(ODD_VALUES)
            )
    held = io.StringIO()
    yaml = YAML()
    yaml.width = 10**9
    yaml.dump(content, held)
    raw = held.getvalue().encode("utf-8", "replace")
    return Case(CSV, params=draw(_spoiled_yaml(raw)))


YAML_PIECES = [
    *("&a [*a]", "{? [1, 2] : 3}", "!!python/object:os.system {}", "!!binary aGk=", "!!set {a, b}"),
    *("!!timestamp 2020-01-01", "2020-01-01", "1e3", "0o17", "0x1f", ".inf", "-.inf", ".nan", "~"),
    *(
        "'\\ud800'",
        '"\\ud800"',
        '"\\u001b[0m"',
        '"\\0"',
        "[" * 3000,
        "{" * 200,
        "*absent",
        "- a",
        "? ",
    ),
    *(
        "!!int abc",
        "!!float x",
        "!!omap [a: 1]",
        "%YAML 9.9",
        "---",
        "...",
        "\t",
        "<<: {a: 1}",
        "1_000",
    ),
    *(
        "9" * 5000,
        "0." + "1" * 5000,
        "|\n  text",
        ">-",
        "@x",
        "`x",
        '"open',
        "[a, b",
        "yes",
        "=",
        "\x1b",
    ),
]
"""Values and marks of YAML that are rare, wrong or meant to do harm."""


@st.composite
def _spoiled_yaml(draw: st.DrawFn, raw: bytes) -> bytes:
    how = draw(st.integers(0, 7))
    if how < 3:
        return raw
    if how == 3:
        return draw(spoiled(raw))
    if how == 4:
        return draw(
            st.sampled_from(
                [b"", b"[]", b"- a", b"a", b"null", b"{}", b"\0", b"\xff", b"# nothing"]
            )
        )
    if how == 5:
        return raw.decode("utf-8", "replace").encode(
            draw(st.sampled_from(["utf-16", "utf-32", "cp500"])), "replace"
        )
    lines = raw.decode("utf-8", "replace").split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    piece = draw(st.sampled_from(YAML_PIECES))
    key = lines[at].partition(":")
    lines[at] = f"{key[0]}: {piece}" if key[1] and draw(st.booleans()) else lines[at] + piece
    return "\n".join(lines).encode("utf-8", "surrogatepass")


# Expectations -----------------------------------------------------------------------------------

EXPECTED = """\
columns:
  who: {type: categorical, missing: 0.0, categories: null}
  age: {type: numeric, missing: 0.2, min: 0.0, max: 130.0}
  city: {type: categorical, missing: 0.0, categories: [Bern, Oslo, Rom]}
  when: {type: time, missing: 0.0}
  note: {type: text, missing: 0.0}
  amount: {type: numeric, missing: 0.0, min: 0.0, max: 30.0}
classes: [high, low]
targets: {}
"""
"""Of the valid table."""
NOTHING = "columns: {COLUMNS}\nclasses: []\ntargets: {}\n"


@st.composite
def expectations(draw: st.DrawFn) -> Case:
    """data/schema.yaml with other values and keys, and spoiled text."""
    content = YAML(typ="safe", pure=True).load(EXPECTED)
    for _ in range(draw(st.integers(0, 3))):
        part = draw(st.sampled_from(["columns", "columns", "columns", "classes", "targets"]))
        how, columns = draw(st.integers(0, 4)), content.get("columns")
        if how == 0 or part != "columns" or not isinstance(columns, dict) or not columns:
            content[part] = draw(st.sampled_from(ODD_VALUES))
            continue
        name = draw(st.sampled_from(sorted(columns, key=str)))
        if how == 1:
            columns[draw(odd_text)] = columns.pop(name)
        elif how == 2:
            columns[name] = draw(st.sampled_from(ODD_VALUES))
        elif isinstance(columns[name], dict):
            key = draw(
                st.sampled_from(["type", "missing", "min", "max", "categories", "unique", "odd"])
            )
            odd = st.sampled_from(
                [*ODD_VALUES, "numeric", "categorical", "aside", 10**400, 1e308, ["Bern"]]
            )
            columns[name] = columns[name] | {key: draw(odd)}
    held = io.StringIO()
    yaml = YAML()
    yaml.width = 10**9
    yaml.dump(content, held)
    raw = draw(_spoiled_yaml(held.getvalue().encode("utf-8", "replace")))
    return Case(CSV, TABLE, SPLIT, expected=raw)


def place(case: Case, root: Path) -> None:
    """Write the case's files, links, params.yaml and data/schema.yaml below `root`."""
    for name, raw in case.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
    for name, target in case.links.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    raw_params = case.params if case.params is not None else _params(case)
    (root / "params.yaml").write_bytes(raw_params)


def _params(case: Case) -> bytes:
    content = YAML(typ="safe", pure=True).load(REAL)
    for section in ("ingest", "split", "objective"):
        content[section] |= getattr(case, section)
    held = io.StringIO()
    yaml = YAML()
    yaml.width = 10**9
    yaml.dump(content, held)
    return held.getvalue().encode("utf-8", "surrogatepass")
