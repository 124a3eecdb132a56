"""The report's words and tables about the data: what was asked, and what there is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset.examples import GIVEN
from metrics.readings import significant
from tasks.reporting.text import count, listed, many, minus, tidy

MOST_NAMES, MOST_ROWS, MOST_COLUMNS, MOST_FINDINGS = 20, 40, 60, 60
"""Names in a sentence, rows of a table, columns of the data and findings shown at the most."""
COMMONEST = 3
PARTS = ("train", "validation", "holdout", "promotion")
"""In their order; the last only where it was asked for."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """A table; the first cell of each row is its name."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: tuple[int, ...] = (0,)
    """Places of the columns that hold words; the others hold numbers."""


def sizes(summary: Json) -> dict[str, int]:
    """Examples of each part, from what `split` said of it."""
    if "rows" in summary:
        return {name: int(summary["rows"][name]) for name in PARTS if name in summary["rows"]}
    parts = summary["parts"]
    return {name: sum(parts[name].values()) for name in PARTS if name in parts}


def wanted(profile: Json) -> str:
    """What is to be predicted."""
    names = profile["targets"]
    if profile["task"] == "classification":
        return f"{names[0]}, one of {len(profile['classes']):,} classes"
    if profile["task"] == "multilabel":
        return f"which of {len(names):,} labels an example has: {listed(names, MOST_NAMES)}"
    if len(names) == 1:
        return f"{names[0]}, a quantity"
    return f"{len(names):,} quantities: {listed(names, MOST_NAMES)}"


def known(profile: Json) -> str:
    """What it is predicted from."""
    if profile["kind"] == "pictures":
        return f"pictures of {' × '.join(map(str, profile['shape']))} values"
    types = Counter(column["type"] for column in profile["columns"])
    kinds = [f"{number:,} {kind}" for kind, number in types.items()]
    return f"{many(len(profile['columns']), 'column')}: {', '.join(kinds)}"


def left_out(profile: Json) -> str:
    """The columns that no model sees."""
    return listed([name for name in profile.get("ignored", []) if name != GIVEN], MOST_NAMES)


def reads_texts(profile: Json) -> bool:
    """Whether there are texts among the features."""
    return any(column["type"] == "text" for column in profile["columns"])


def tables(profile: Json, summary: Json) -> list[Grid]:
    """The tables about the targets: examples by class or label and part, or quantities."""
    held = sizes(summary)
    if profile["task"] == "regression":
        return [*_quantities(profile, summary), _examples(held)]
    caption = {
        "classification": ("Examples by class and part", "Class"),
        "multilabel": ("Examples that have each label, by part", "Label"),
    }[profile["task"]]
    return [_counted(profile["classes"], summary["parts"], held, *caption)]


def columns(profile: Json) -> Grid | None:
    """The features of a table; None for pictures."""
    every = profile["columns"]
    if not every:
        return None
    shown = every[:MOST_COLUMNS]
    few = f", the first {len(shown)} of {len(every):,}" if len(every) > len(shown) else ""
    return Grid(
        f"Columns{few}",
        ("Column", "Type", "Missing", "Distinct", "Values"),
        [
            (
                column["name"],
                column["type"],
                count(column["missing"]),
                count(column["distinct"]),
                _values(column),
            )
            for column in shown
        ],
        words=(0, 1, 4),
    )


def findings(*found: Sequence[Json]) -> list[Json]:
    """Everything that was found, errors that were waved through first."""
    every = [finding for one in found for finding in one]
    return sorted(every, key=lambda finding: finding["severity"] != "error")


def _counted(
    classes: Mapping[str, int],
    parts: Mapping[str, Mapping[str, int]],
    held: Mapping[str, int],
    caption: str,
    head: str,
) -> Grid:
    names = sorted(classes)
    shown = names[:MOST_ROWS]
    rows = [
        [
            name,
            *(count(parts[part].get(name, 0)) for part in held),
            count(classes[name]),
        ]
        for name in shown
    ]
    more = len(names) - len(shown)
    rows.append(
        [
            f"all, with {more:,} more" if more else "all examples",
            *map(count, held.values()),
            count(sum(held.values())),
        ]
    )
    return Grid(caption, (head, *held, "together"), rows)


def _examples(held: Mapping[str, int]) -> Grid:
    return Grid(
        "Examples by part",
        ("", *held, "together"),
        [["examples", *map(count, held.values()), count(sum(held.values()))]],
    )


def _quantities(profile: Json, summary: Json) -> list[Grid]:
    every = list(profile["quantities"].items())[:MOST_ROWS]
    whole = Grid(
        "Quantities, all examples",
        ("Target", "least", tidy("25 %"), "median", tidy("75 %"), "most", "mean"),
        [
            [name, *map(_number, (q["min"], *_quartiles(q), q["max"], q["mean"]))]
            for name, q in every
        ],
    )
    by_part = summary.get("quantities")
    if not by_part:
        return [whole]
    told = ("least", "mean", "most")
    return [
        whole,
        Grid(
            "Quantities by part",
            ("Target, part", *told),
            [
                [f"{name}, {part}", *(_number(by_part[part][name][end]) for end in told)]
                for name, _ in every
                for part in PARTS
                if name in by_part.get(part, {})
            ],
        ),
    ]


def _quartiles(quantity: Json) -> Sequence[float]:
    if "quartiles" in quantity:
        quartiles: Sequence[float] = quantity["quartiles"]
        return quartiles
    return [quantity[name] for name in ("q1", "median", "q3")]


def _values(column: Json) -> str:
    """What stands in a column, in few words."""
    if column.get("commonest"):
        texts = [f"{text} ({number:,})" for text, number in column["commonest"][:COMMONEST]]
        return ", ".join(texts) + (", …" if column["distinct"] > len(texts) else "")
    if column.get("min") is None:
        return ""
    low, middle, high = (_number(column[end]) for end in ("min", "median", "max"))
    return f"{low} to {high}, median {middle}"


def _number(value: Any) -> str:
    """A number with four digits at the most; a time as it is."""
    if isinstance(value, str):
        return value
    text = minus(significant(float(value)))
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
