"""`fettle init`: point the project at the user's own data, and say what was understood and why."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.checks import expectations
from flows.bringing import bringing, sized
from flows.deciding import Decision, decide, pixels, training_rows
from flows.placing import arriving
from flows.set_before import remember, taken_back
from flows.setting import changed, write_params
from flows.wishes import Wishes
from models import presets
from pipeline.artifacts import Given, Raw, Source
from pipeline.declaration import Cost
from pipeline.errors import shown
from pipeline.graph import Node, sections, trace
from pipeline.params_file import load, read_raw, whole
from pipeline.project import EXPECTED, open_project

PARTS = 3
"""Train, validation and holdout."""
NAMED = 5
"""Classes that hints name at the most."""


def init(wishes: Wishes, stand: Path) -> None:
    """Look at the data, decide, track them with DVC and set params.yaml; `stand` is where paths
    that the user gives begin.

    What lies outside data/ is copied there. Nothing is changed where the data cannot be learned
    from: InputError is raised first.
    """
    raw = _params()
    back = taken_back(raw)
    raw = changed(raw, back)
    with (
        bringing(wishes, stand) as brought,
        arriving(wishes.path, stand, wishes.test, wishes.validation, wishes.query) as arrival,
    ):
        decision = decide(arrival, wishes, raw)
        larger = sized(wishes, decision, brought)
        if larger is not None:
            decision = decide(arrival, larger, raw)
        brought.require_fitting(decision)
        expected = expectations.learn(decision.read.blocks(), decision.read.schema)
        arrival.settle()
        brought.settle()
    decision.values.update(brought.values(decision))
    suited, told = _sized(decision, raw, wishes.minutes)
    expectations.write(expected, EXPECTED)
    write_params(decision.values, back | suited)
    remember(raw, suited)
    _render()
    rows = decision.read.profile["rows"]
    print(f"{arrival.place}: {rows:,} rows, tracked by DVC ({arrival.tracked}.dvc)")
    for line in [
        *decision.head,
        *_read(decision),
        *decision.lines,
        *brought.lines(),
        *told,
        *_back([place for place in back if place not in suited]),
        *_estimate(decision),
    ]:
        print(shown(line))
    for finding in decision.findings:
        print(shown(f"{finding.severity}: {finding}"))
    for hint in (*_too_rare(decision), *_alike(decision), *decision.hints):
        print(shown(f"hint: {hint}"))
    print("params.yaml, dvc.yaml and data/schema.yaml are set. Next: ./fettle plan, ./fettle run")


def _too_rare(decision: Decision) -> list[str]:
    """Classes of which the split will say that they are not in every part."""
    if decision.values["split"]["method"] != "stratified":
        return []
    counts = decision.read.profile["classes"] or {}
    rare = [(name, count) for name, count in counts.items() if count < PARTS]
    told = [
        f"class {name!r} has {count} row{'s' if count > 1 else ''}, and train, validation and "
        "holdout need one each: give it more, merge it with another or remove it first"
        for name, count in rare[:NAMED]
    ]
    more = len(rare) - NAMED
    return [*told, *([f"so it is with {more:,} more classes"] if more > 0 else [])]


def _alike(decision: Decision) -> list[str]:
    """Classes that differ by case or blanks alone, as two people write one."""
    if decision.read.profile["task"] != "classification":
        return []
    written: dict[str, list[str]] = {}
    for name in decision.read.profile["classes"]:
        written.setdefault(" ".join(str(name).lower().split()), []).append(name)
    return [
        f"classes {' and '.join(map(repr, names))} differ by case or blanks alone: write them "
        "alike, unless they are different things"
        for names in [names for names in written.values() if len(names) > 1][:NAMED]
    ]


def _params() -> dict[str, Any]:
    """params.yaml as it is, which has to be sound before it is changed."""
    load(sections(_nodes()))
    return read_raw()


def _nodes() -> list[Node]:
    """The stages, whatever the data are."""
    from flows.training import training

    nothing = Source(Path())
    return trace(training, Given(Raw(nothing, nothing), nothing, nothing, nothing))


def _epoch(decision: Decision, raw: dict[str, Any], *, plain: bool = False) -> tuple[float, float]:
    """Rows to train on, and seconds of an epoch over them, about; `plain`: of pictures as the
    recipe has it, whatever widths are searched, which follow from that."""
    split = raw["split"]
    shares = [split["validation"], split["holdout"], split["promotion"]]
    taken = [share if share < 1 else share / decision.read.profile["rows"] for share in shares]
    rows = training_rows(decision, max(0.0, 1 - sum(taken)))
    texts = any(column.type == "text" for column in decision.read.schema.columns)
    shape = pixels(decision)
    wide = _wide(decision, raw) and not (plain and shape)
    return rows, presets.seconds(rows, shape, texts=texts, wide=wide)


def _wide(decision: Decision, raw: dict[str, Any]) -> bool:
    """Whether networks as wide as presets make them at the most are trained for long."""
    if pixels(decision):
        widths = presets.value_at(raw, ("search", "space", "width", "choice")) or [0]
        return bool(max(widths) >= presets.WIDE_FILTERS)
    return bool(raw["recipe"]["width"] >= presets.WIDE)


def _sized(
    decision: Decision, raw: dict[str, Any], minutes: float | None
) -> tuple[dict[presets.Place, Any], list[str]]:
    """What suits so much data, or so many minutes, by its place in params.yaml; and why."""
    usual = presets.preset(_epoch(decision, raw, plain=True)[1])
    preset, reason = usual, f"{usual.name} data: {usual.reason}"
    if minutes is not None:
        preset = next(
            (one for one in presets.PRESETS if _takes(decision, raw, one) <= minutes),
            presets.PRESETS[-1],
        )
        fits = _takes(decision, raw, preset) <= minutes
        reason = (
            f"for {minutes:g} minutes, values as of {preset.name} data"
            if fits
            else f"nothing fits into {minutes:g} minutes, so the least: as of {preset.name} data"
        )
    sized = _values(decision, raw, preset)
    words = [f"{'.'.join(place)} {_said(value)}" for place, value in sized.items()]
    told = f". Set: {'; '.join(words)}" if words else ""
    return sized, [f"training: {reason}{told}"]


def _back(places: list[presets.Place]) -> list[str]:
    """What stands there again as it did before the last init."""
    names = ", ".join(".".join(place) for place in places)
    return [f"training: as before the last init: {names}"] if names else []


def _said(value: Any) -> str:
    """A value as params.yaml has it."""
    return "left out" if value is presets.LEFT_OUT else json.dumps(value)


def _values(
    decision: Decision, raw: dict[str, Any], preset: presets.Preset
) -> dict[presets.Place, Any]:
    rows, _ = _epoch(decision, raw)
    sized = presets.sized(preset, rows, raw)
    kinds = {column.type for column in decision.read.schema.columns}
    suited: dict[presets.Place, Any] = {}
    if "numeric" in kinds:
        wide = preset.name == "small" and "text" not in kinds
        suited = presets.for_numbers(rows, wide=wide)
    if pixels(decision):
        suited = presets.for_pictures(rows, preset)
    sources = decision.values["finetune"]["sources"]
    if any(isinstance(source, dict) and "network" in source for source in sources):
        suited |= presets.for_networks(preset)
    # What someone has taken out of the file is not put back.
    sized |= {
        place: value
        for place, value in suited.items()
        if presets.value_at(raw, place[:-1]) is not None
    }
    scaling = presets.scaling(numbers="numeric" in kinds, method=decision.values["split"]["method"])
    return sized | {("split", "scaling"): scaling}


def _takes(decision: Decision, raw: dict[str, Any], preset: presets.Preset) -> float:
    """Minutes of a run with the values of a preset, about."""
    content = changed(raw, _values(decision, raw, preset))
    return _minutes(decision, content)


def _minutes(decision: Decision, content: dict[str, Any]) -> float:
    """Minutes of a run with such params, about, at most."""
    _, seconds = _epoch(decision, content)
    taken = sum(
        cost.epochs * seconds * presets.slower(stage, content) + cost.fits * presets.FIT
        for stage, cost in _costs(content).items()
    )
    workers: int = content["run"]["workers"]
    return taken / workers / 60


def _costs(content: dict[str, Any]) -> dict[str, Cost]:
    """What each stage trains at the most with such params."""
    nodes = _nodes()
    params = whole(sections(nodes), content)
    return {node.name: node.stage.cost(params) for node in nodes}


def _estimate(decision: Decision) -> list[str]:
    content = read_raw()
    costs = _costs(content).values()
    fits, epochs = sum(cost.fits for cost in costs), sum(cost.epochs for cost in costs)
    _, seconds = _epoch(decision, content)
    minutes = _minutes(decision, content)
    return [
        f"a run trains {fits} fits of at most {epochs} epochs "
        f"together; an epoch takes about {seconds:.2g} s: "
        + (f"about {minutes:.0f} minutes at most" if minutes >= 1.5 else "a minute or two")
        + _taken_as_large(content)
    ]


def _taken_as_large(content: Mapping[str, Any]) -> str:
    """What the estimate supposes of other data sets that are learned first."""
    sources = content["finetune"]["sources"] if content["finetune"]["enabled"] else []
    others = [one["data"] for one in sources if isinstance(one, dict) and "data" in one]
    return f", if {' and '.join(others)} is no larger than these data" if others else ""


def _render() -> None:
    from flows.render import write

    write(open_project())


def _read(decision: Decision) -> list[str]:
    """The data as they were read."""
    told = decision.read.profile
    rows, lines = told["rows"], []
    if told["classes"]:
        counts = list(told["classes"].items())
        shares = ", ".join(f"{name} {n:,} ({n / rows:.1%})" for name, n in counts[:10])
        word = "labels" if told["task"] == "multilabel" else "classes"
        lines.append(f"{word}: {shares}{', …' if len(counts) > 10 else ''}")
    for name, values in told["quantities"].items():
        lines.append(f"{name}: {values['min']:g} to {values['max']:g}, mean {values['mean']:g}")
    for kind in ("numeric", "categorical", "text", "time"):
        names = [column["name"] for column in told["columns"] if column["type"] == kind]
        if names:
            lines.append(f"{kind} columns ({len(names)}): {', '.join(names)}")
    gaps = {column["name"]: column["missing"] for column in told["columns"] if column["missing"]}
    if gaps:
        listed = ", ".join(f"{name} ({count:,})" for name, count in gaps.items())
        lines.append(f"missing cells: {sum(gaps.values()):,} in {listed}")
    return [*lines, *(f"note: {note}" for note in told["notes"])]
