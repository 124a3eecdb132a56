"""`fettle data`: a page about the data, for a terminal of 100 columns, with or without colours."""

import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataset import portrait
from dataset.examples import GIVEN, PICTURE, Examples, Schema, Texts
from pipeline.errors import InputError, shown
from pipeline.params_file import checked, load_some

if TYPE_CHECKING:
    from dataset.checks.findings import Finding
    from dataset.ingest_settings import IngestParams

WIDTH = 100
NAME = 24
"""Width of a column's name; longer ones are cut."""
BAR = 40
BINS = 10
CLASSES = 20
"""Classes that get a line of their own."""
NEAR = 5_000
"""Pictures among which near copies are looked for."""
LEVELS = " ▁▂▃▄▅▆▇█"


def show(path: Path | None) -> None:
    """Print the page about the data in params.yaml, or about those at `path`.

    What lies elsewhere is read by params.yaml where it has those targets, else without a target.
    Raises InputError where the data cannot be read.
    """
    for line in page(path):
        print(line)


def page(path: Path | None) -> Iterator[str]:
    """The page, line by line."""
    from dataset.ingest_settings import IngestParams

    params = load_some({"ingest": IngestParams})["ingest"]
    assert isinstance(params, IngestParams)
    if path is None:
        yield from _with_target(Path(params.path or ""), params)
        return
    section = params.model_dump()
    suiting = _for(path, section)
    if suiting is None:
        yield from _without_target(path, section)
    else:
        yield from _with_target(path, suiting)


def _for(path: Path, section: dict[str, Any]) -> "IngestParams | None":
    """How to read what lies at `path`; None where it is a table and its target is not known."""
    from dataset.ingest_settings import IngestParams
    from dataset.pictures.files import picture_kind

    kind = picture_kind(path)
    if kind is not None:
        own = section["kind"] == "pictures"
        target = section["target"] if own else ["class"]
        if kind == "list":
            _require_label(path, target[0])
        picture: dict[str, Any] = {
            "path": str(path),
            "kind": "pictures",
            "task": "classification",
            "target": target,
            "ignore": [],
            "types": {},
            "weight": None,
            "picture": None,
        }
        return checked("ingest", IngestParams, section | picture)
    from dataset.tables.read import read_table

    columns = set(read_table(path).columns)
    named = {*section["target"], *section["ignore"], *section["types"], *section["missing_in"]}
    if section["weight"] is not None:
        named.add(section["weight"])
    if section["kind"] != "table" or not named <= columns:
        return None
    return checked("ingest", IngestParams, section | {"path": str(path)})


def _require_label(path: Path, label: str) -> None:
    from dataset.tables.read import read_table

    columns = list(read_table(path).columns)
    if label not in columns:
        listed = ", ".join(map(repr, columns[:20]))
        raise InputError(
            f"{path}: a list of pictures, and which column holds the labels is not known.\n"
            f"Say it with ./fettle init PATH --target COLUMN. Columns: {listed}."
        )


def _with_target(path: Path, params: "IngestParams") -> Iterator[str]:
    from dataset.checks import findings
    from tasks.ingest import read_examples_file

    read = read_examples_file(path, params)
    found = [*findings.look(read.examples, read.schema), *read.findings]
    yield from _lines(read.examples, read.schema, read.aside, read.profile)
    yield from _found(found)


def _without_target(path: Path, section: dict[str, Any]) -> Iterator[str]:
    from dataset.profile import profile
    from dataset.tables.cells import Missing, read_cells
    from dataset.tables.read import read_raw_table
    from dataset.tables.types import arrays, types_of

    raw = read_raw_table(path)
    missing = Missing(tuple(section["missing"]), {})
    cells = [read_cells(raw.frame[name], missing) for name in raw.frame.columns]
    columns = types_of(cells, {})
    rows = np.arange(len(raw.frame), dtype=np.int64)
    nothing = np.empty((len(rows), 0), dtype=np.float32)
    examples = Examples(arrays(cells, columns, raw.origin), nothing, rows)
    schema = Schema(kind="table", task="regression", targets=(), columns=columns, shape=())
    aside: Texts = {} if raw.given is None else {GIVEN: raw.given}
    told = profile(examples, schema) | {"source": str(raw.origin), "ignored": [], "notes": []}
    yield from _lines(examples, schema, aside, told)
    yield ""
    yield "No target is known here: ./fettle init takes one, and looks for what is wrong."


def _lines(examples: Examples, schema: Schema, aside: Texts, told: dict[str, Any]) -> Iterator[str]:
    what = f"{len(schema.columns)} columns" if schema.kind == "table" else "pictures"
    yield _cut(f"{told['source']}: {told['rows']:,} rows, {what}", WIDTH)
    if told["ignored"]:
        yield _cut(f"ignored: {', '.join(told['ignored'])}", WIDTH)
    if GIVEN in aside:
        yield from _bars("parts", Counter(aside[GIVEN].tolist()), len(examples))
    for note in told["notes"]:
        yield _cut(f"note: {note}", WIDTH)
    seen = portrait.sample(examples)
    if len(seen) < told["rows"]:
        yield f"histograms and ties look at {len(seen):,} rows, evenly taken"
    yield from _target(seen, schema, told)
    if schema.kind == "pictures":
        yield from _pictures(seen, schema)
    else:
        yield from _columns(seen, schema, told)


def _target(seen: Examples, schema: Schema, told: dict[str, Any]) -> Iterator[str]:
    if told["classes"]:
        title = f"{schema.task}: {', '.join(schema.targets)}"
        yield from _bars(title, Counter(told["classes"]), told["rows"])
    for place, (name, quantity) in enumerate(told["quantities"].items()):
        yield ""
        yield _cut(f"regression: {name}", WIDTH)
        least, middle, most = quantity["min"], quantity["quartiles"][1], quantity["max"]
        drawn = _drawn(portrait.histogram(seen.targets[:, place].astype(np.float64), BAR))
        yield f"  {_short(least)} … {_short(middle)} … {_short(most)}  {drawn}"


def _bars(title: str, counts: "Counter[str]", total: int) -> Iterator[str]:
    """Counts with bars as long as their shares, the commonest first."""
    yield ""
    yield _cut(title, WIDTH)
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    width = min(NAME, max((_wide(shown(name)) for name, _ in ordered[:CLASSES]), default=0))
    most = max((count for _, count in ordered), default=0) or 1
    for name, count in ordered[:CLASSES]:
        bar = "█" * max(1, round(BAR * count / most)) if count else ""
        yield f"  {_padded(name, width)} {count:>11,} {count / total:>6.1%} {bar}".rstrip()
    if rest := ordered[CLASSES:]:
        yield f"  and {len(rest):,} more with {sum(count for _, count in rest):,}"


def _columns(seen: Examples, schema: Schema, told: dict[str, Any]) -> Iterator[str]:
    tied = portrait.ties(seen, schema)
    yield ""
    if schema.targets:
        yield "tie: how far a column alone goes with the target, 0 to 1 (a correlation of ranks)"
    yield f"{'column':<{NAME}} {'type':<11} {'missing':>7} {'distinct':>9}  {'tie':>4}  values"
    for facts in told["columns"]:
        tie, missing = tied[facts["name"]], facts["missing"] / told["rows"]
        before = (
            f"{_padded(facts['name'], NAME)} {facts['type']:<11} "
            f"{missing:>7.1%} {facts['distinct']:>9,}  "
            f"{'' if tie is None else f'{tie:.2f}':>4}  "
        )
        yield before + _values(facts, seen, WIDTH - NAME - 39)


def _values(facts: dict[str, Any], seen: Examples, width: int) -> str:
    """What a column holds, in one line."""
    if "commonest" in facts:
        shares = [f"{shown(text)} ({count:,})" for text, count in facts["commonest"]]
        return _cut(", ".join(shares), width)
    if facts["min"] is None:
        return ""
    drawn = _drawn(portrait.histogram(seen.features[facts["name"]].astype(np.float64), BINS))
    if facts["type"] == "time":
        return _cut(f"{drawn} {facts['min'][:10]} … {facts['max'][:10]}", width)
    ends = " … ".join(_short(facts[key]) for key in ("min", "median", "max"))
    return _cut(f"{drawn} {ends}", width)


def _pictures(seen: Examples, schema: Schema) -> Iterator[str]:
    from dataset.near_copies import near_pairs

    height, width, channels = schema.shape
    yield ""
    pictures = seen.features[PICTURE]
    colours = {1: "grey", 3: "colours"}.get(channels, "channels")
    yield f"pictures: {height} x {width} (height x width), {channels} ({colours}), {pictures.dtype}"
    brightness = pictures.reshape(len(pictures), -1).mean(axis=1, dtype=np.float64)
    ends = " … ".join(
        _short(float(value))
        for value in (brightness.min(), np.median(brightness), brightness.max())
    )
    yield f"brightness, mean of a picture: {_drawn(portrait.histogram(brightness, BAR))} {ends}"
    places = np.linspace(0, len(pictures) - 1, min(NEAR, len(pictures))).astype(np.int64)
    pairs = near_pairs(pictures[places])
    among = f"{len(places):,}" + ("" if len(places) == len(pictures) else ", evenly taken")
    yield f"copies and near copies: {len(pairs):,} pairs among {among}"
    for one, other in pairs[:5]:
        rows = seen.rows[places[one]] + 1, seen.rows[places[other]] + 1
        yield f"  rows {rows[0]} and {rows[1]}"


def _found(found: "Sequence[Finding]") -> Iterator[str]:
    yield ""
    yield "nothing looks wrong" if not found else "what looks wrong"
    for finding in found:
        yield from _wrapped(f"{finding.severity}: {finding}")


def _wrapped(text: str) -> Iterator[str]:
    """A paragraph, its later lines indented; long words are cut in two."""
    line = ""
    for word in shown(text).split():
        rest = word
        while rest:
            candidate = f"{line} {rest}" if line.strip() else line + rest
            if _wide(candidate) <= WIDTH:
                line, rest = candidate, ""
            elif line.strip():
                yield line
                line = "  "
            else:
                piece = _fitting(rest, WIDTH - _wide(line))
                yield line + piece
                rest = rest[len(piece) :]
    if line.strip():
        yield line


def _drawn(counts: Sequence[int]) -> str:
    """Counts as small bars: the highest is full, and what is not empty can be seen."""
    most = max(counts, default=0) or 1
    steps = len(LEVELS) - 1
    return "".join(LEVELS[max(1, round(steps * n / most)) if n else 0] for n in counts)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e9 else f"{value:.4g}"


def _wide(text: str) -> int:
    """Columns that a terminal gives to a text."""
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def _fitting(text: str, width: int) -> str:
    """As much of a text as `width` columns hold; one letter at least."""
    end = 1
    while end < len(text) and _wide(text[: end + 1]) <= width:
        end += 1
    return text[:end]


def _cut(text: str, width: int) -> str:
    safe = shown(text)
    return safe if _wide(safe) <= width else _fitting(safe, width - 1) + "…"


def _padded(text: str, width: int) -> str:
    cut = _cut(text, width)
    return cut + " " * (width - _wide(cut))
