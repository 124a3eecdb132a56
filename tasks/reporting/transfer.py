"""The report's section about transfer: which source, and whether it is worth it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from metrics.readings import Reading
from pipeline.axes import Axis, logarithmic_axis, near
from pipeline.scatter import amount
from tasks.reporting import plots
from tasks.reporting.text import axis, capital, count, figure, minus, percent, tidy

Row = Mapping[str, Any]
WAYS = {
    "scratch": "from scratch",
    "frozen": "trunk frozen",
    "tuned": "tuned",
}
"""How a network is trained, in words; the first is what the others are compared with."""
CROWDED = 0.13
"""Of an axis, the part that the name of a tick needs."""

Verdict = Literal["better", "worse", "not proven"]


@dataclass(frozen=True)
class Gain:
    """How much better than from scratch the network is with a share of the training examples, from
    the least to the most, whatever the objective's direction."""

    share: float
    examples: int
    row: Row
    value: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the interval proves."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "not proven"


def section(
    probe: Sequence[Row], worth: Sequence[Row], reading: Reading, *, enabled: bool
) -> dict[str, Any] | None:
    """What the template draws of probe.csv and worth.csv; None where there is nothing to say."""
    if not enabled or not (probe or worth):
        return None
    return {"probe": _probe(probe, reading), "worth": _worth(worth, reading)}


def gains(worth: Sequence[Row], way: str, sign: int) -> list[Gain]:
    """Of a way to train the differences to scratch that are known, the fewest examples first."""
    found = []
    for row in sorted(worth, key=lambda row: float(row["share"])):
        ends = (row["difference"], row["difference_low"], row["difference_high"])
        if row["way"] != way or None in ends:
            continue
        low, high = sorted(sign * float(end) for end in ends[1:])
        share, examples = float(row["share"]), int(row["examples"])
        found.append(Gain(share, examples, row, sign * float(ends[0]), low, high))
    return found


def _probe(rows: Sequence[Row], reading: Reading) -> dict[str, Any] | None:
    """The table of sources."""
    if not rows:
        return None
    known = [row for row in rows if None not in (row["score"], row["low"], row["high"])]
    scale = _probe_scale(known, reading) if known else None
    return {
        "scale": plots.scale_labels(scale) if scale else "",
        "rows": [_source(row, scale if row in known else None, reading) for row in rows],
        "several": sum(bool(row["chosen"]) for row in rows) != 1,
    }


def _source(row: Row, scale: Axis | None, reading: Reading) -> dict[str, Any]:
    chosen = bool(row["chosen"])
    told = {
        "source": str(row["source"]),
        "network": str(row["network"] or ""),
        "chosen": chosen,
        "score": "",
        "plot": "",
        "counts": [
            "" if row[name] is None else count(row[name])
            for name in ("features", "parameters", "multiply_adds")
        ],
    }
    if scale is not None:
        ends = (float(row["score"]), float(row["low"]), float(row["high"]))
        told["score"] = figure(reading, *ends)
        drawn = [(*ends, "accent" if chosen else "plain")]
        told["plot"] = plots.whiskers(drawn, scale, f"{row['source']}: {told['score']}")
    return told


def _probe_scale(rows: Sequence[Row], reading: Reading) -> Axis:
    ends = [(float(row["low"]), float(row["high"])) for row in rows]
    best = max(rows, key=lambda row: reading.sign * float(row["score"]))
    kept = near(ends, float(best["score"]), ends)
    return axis(reading, min(low for low, _ in kept), max(high for _, high in kept))


def _worth(rows: Sequence[Row], reading: Reading) -> dict[str, Any] | None:
    """Charts, table and what follows of the comparison with scratch."""
    if not rows:
        return None
    order = {way: place for place, way in enumerate(WAYS)}
    rows = sorted(rows, key=lambda row: (float(row["share"]), order.get(row["way"], len(order))))
    y = _worth_scale(rows, reading)
    title = reading.title
    return {
        "by_examples": plots.ways_panel(
            _lines(rows, "examples"),
            _examples_axis(rows),
            y,
            "training examples",
            f"{capital(title)} by training examples, {_spoken(rows, reading)}",
        ),
        "by_cost": plots.ways_panel(
            _lines(rows, "examples_seen"),
            _seen_axis(rows),
            y,
            "examples seen in training",
            f"{capital(title)} by examples seen in training, {_spoken(rows, reading)}",
        ),
        "keys": [(plots.way_key(way), words) for way, words in WAYS.items()],
        "rows": [_line(row, reading) for row in rows],
        "words": told(rows, reading),
    }


def _lines(rows: Sequence[Row], cost: str) -> dict[str, list[tuple[float, float, float, float]]]:
    """By way the points (cost, value, low, high) that are known."""
    return {
        way: [
            (float(row[cost]), float(row["score"]), float(row["low"]), float(row["high"]))
            for row in rows
            if row["way"] == way and None not in (row["score"], row["low"], row["high"])
        ]
        for way in WAYS
    }


def _worth_scale(rows: Sequence[Row], reading: Reading) -> Axis:
    """Over all intervals but those so far off the tuned network's best that they squeeze others."""
    known = [row for row in rows if None not in (row["score"], row["low"], row["high"])]
    ends = [(float(row["low"]), float(row["high"])) for row in known]
    if not ends:
        return axis(reading, 0.0, 1.0)
    best = max(reading.sign * float(row["score"]) for row in known)
    kept = near(ends, reading.sign * best, ends)
    return axis(reading, min(low for low, _ in kept), max(high for _, high in kept))


def _examples_axis(rows: Sequence[Row]) -> Axis:
    """Ticks are the shares, with the number of examples below, as far as there is room."""
    sizes = {float(row["examples"]): float(row["share"]) for row in rows}
    scale = logarithmic_axis(min(sizes), max(sizes))
    ticks: list[tuple[float, str]] = []
    for size in sorted(sizes, reverse=True):
        if not ticks or scale.share(ticks[-1][0]) - scale.share(size) > CROWDED:
            ticks.append((size, f"{_percent(sizes[size])}\n{count(size)}"))
    return Axis(scale.low, scale.high, tuple(reversed(ticks)), logarithmic=True)


def _seen_axis(rows: Sequence[Row]) -> Axis:
    seen = [max(1.0, float(row["examples_seen"])) for row in rows]
    scale = logarithmic_axis(min(seen), max(seen))
    ticks = tuple((at, amount(at)) for at, _ in scale.ticks)
    return Axis(scale.low, scale.high, ticks, logarithmic=True)


def _line(row: Row, reading: Reading) -> dict[str, Any]:
    """A row of the table."""
    known = None not in (row["score"], row["low"], row["high"])
    ends = [row[end] for end in ("difference", "difference_low", "difference_high")]
    compared = row["way"] != next(iter(WAYS)) and None not in ends
    value, low, high = (minus(reading.difference(float(end or 0.0))) for end in ends)
    return {
        "share": _percent(float(row["share"])),
        "examples": count(row["examples"]),
        "way": WAYS.get(row["way"], row["way"]),
        "score": figure(reading, row["score"], row["low"], row["high"]) if known else "",
        "difference": f"{value} ({low} to {high})" if compared else "",
        "epochs": count(row["epochs"]),
        "seen": count(row["examples_seen"]),
    }


def _spoken(rows: Sequence[Row], reading: Reading) -> str:
    """The figures of the largest share, for those who hear the page."""
    most = max(float(row["share"]) for row in rows)
    figures = [
        f"{WAYS.get(row['way'], row['way'])} {tidy(reading.text(float(row['score'])))}"
        for row in rows
        if float(row["share"]) == most and row["score"] is not None
    ]
    return f"with {_percent(most)} of them {', '.join(figures)}"


def told(worth: Sequence[Row], reading: Reading) -> list[str]:
    """What follows from the comparison, in sentences."""
    tuned = gains(worth, "tuned", reading.sign)
    if not tuned:
        return ["Whether transfer is worth it is not known: nothing could be compared."]
    words = [
        f"With {_labels(gain)} the tuned network is {_outcome(gain, reading)}." for gain in tuned
    ]
    words.append(_verdict(tuned))
    words += _frozen(gains(worth, "frozen", reading.sign), tuned)
    return words


def _outcome(gain: Gain, reading: Reading) -> str:
    """What a comparison shows: "better by 1.2 percentage points (0.4 to 2.0): proven"."""
    points = reading.points
    if gain.verdict == "not proven":
        said = [
            minus(reading.difference(float(gain.row[end])))
            for end in ("difference", "difference_low", "difference_high")
        ]
        return (
            "not proven to differ from the one from scratch: "
            f"{said[0]}{points} ({said[1]} to {said[2]})"
        )
    least, most = map(reading.amount, sorted((abs(gain.low), abs(gain.high))))
    return (
        f"{gain.verdict} than from scratch by {reading.amount(gain.value)}"
        f"{points} ({least} to {most}): proven"
    )


def _verdict(tuned: Sequence[Gain]) -> str:
    """Whether transfer is worth it; the last one is that of the most examples."""
    fewer, most = tuned[:-1], tuned[-1]
    few = [gain for gain in fewer if gain.verdict == "better"]
    if most.verdict == "better":
        if fewer and len(few) < len(fewer):
            return f"Transfer is worth it with {_labels(most)}; with fewer it is not always proven."
        return "Transfer is worth it here."
    if few:
        now = "it harms" if most.verdict == "worse" else "that is not proven"
        return f"Transfer is worth it where examples are few; with as many as there are {now}."
    if any(gain.verdict == "worse" for gain in tuned):
        return "Transfer is not worth it here: it gains nothing that is proven, and it harms."
    return "Transfer is not proven to be worth it here" + (
        ", with few examples or with many." if fewer else "."
    )


def _frozen(frozen: Sequence[Gain], tuned: Sequence[Gain]) -> list[str]:
    """Where the frozen trunk is proven better and the tuned one is not: a cheaper way."""
    proven = {gain.share for gain in tuned if gain.verdict == "better"}
    only = [gain for gain in frozen if gain.verdict == "better" and gain.share not in proven]
    if not only:
        return []
    shares = " and ".join(_labels(gain) for gain in only)
    return [f"With its trunk frozen, and not tuned, the network is proven better with {shares}."]


def _labels(gain: Gain) -> str:
    """The share of the training examples, in words."""
    if gain.share >= 1:
        return f"all {count(gain.examples)} training examples"
    return f"{_percent(gain.share)} of the training examples ({count(gain.examples)})"


def _percent(share: float) -> str:
    """Without digits behind the point, unless there is nothing before it."""
    return percent(share, 0 if share >= 0.01 else 1)
