"""What init decides about the user's data, each decision with its reason in one line.

Told by the user, else guessed (`dataset.understanding`); then tried: nothing is decided that the
data cannot be read with.
"""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataset import understanding
from dataset.examples import GIVEN
from dataset.partition import NAMES
from dataset.understanding import Candidate, Goal
from flows.placing import Arrival, beside
from flows.setting import Values
from flows.wishes import Wishes
from pipeline.errors import InputError, shown
from pipeline.params_file import checked

if TYPE_CHECKING:
    import pandas as pd

    from dataset.checks.findings import Finding
    from dataset.column_facts import Facts
    from dataset.reading import Read

SHOWN = 5
"""Candidates for the target that are listed."""


@dataclass(frozen=True)
class Decision:
    """What goes into params.yaml, and what is said about it."""

    values: Values
    read: "Read"
    """The data as these values have them read."""
    findings: "list[Finding]"
    """Those that no line or hint tells of."""
    head: list[str]
    """What the data are, and what is to be learned."""
    lines: list[str]
    """How, and what is left out."""
    hints: list[str]
    """What only the user can know, with the words for the command line."""


def decide(arrival: Arrival, wishes: Wishes, raw: dict[str, Any]) -> Decision:
    """Look at the data and decide; raises InputError where they cannot be learned from.

    `raw` is params.yaml as it is. Asks for the target on a terminal where it was not told.
    """
    from dataset.pictures.files import picture_kind

    kind = picture_kind(arrival.source)
    if kind is None:
        if wishes.size is not None:
            raise InputError(f"{wishes.path}: --size is for pictures, and this is a table.")
        return _of_table(arrival, wishes, raw)
    return _of_pictures(arrival, wishes, raw, kind)


def _of_table(arrival: Arrival, wishes: Wishes, raw: dict[str, Any]) -> Decision:
    from dataset.column_facts import facts
    from dataset.tables.cells import Missing, read_cells
    from dataset.tables.types import types_of

    frame, given = _cells(arrival.source)
    kept = _kept(arrival, raw)
    missing_in = _missing_in(wishes, kept["missing_in"])
    missing = Missing(tuple(raw["ingest"]["missing"]), missing_in)
    cells = [read_cells(frame[name], missing) for name in frame.columns]
    known = facts(cells, types_of(cells, kept["types"]))
    _require_known(known, wishes)

    chosen, why = _targets(known, arrival, wishes)
    _require_one_role(chosen, wishes)
    wishes = replace(wishes, target=chosen)
    by_name = {column.name: column for column in known}
    targets = [by_name[name] for name in chosen]
    task, because = understanding.task(targets) if wishes.task is None else (wishes.task, "told")
    weight = wishes.weight
    ignored = _ignored(known, chosen, wishes)
    if known and not {column.name for column in known} - {*ignored, *chosen}:
        told = "".join(f"\n- {name!r}: {reason}" for name, reason in ignored.items())
        raise InputError(f"{wishes.path}: no feature column is left beside the target.{told}")
    part = wishes.part or _clear_part(known, wishes)
    if part is not None:
        _require_names(by_name[part], wishes)
    parting = _parting(wishes, part, given)
    goal = understanding.goal(task, targets)
    if task == "classification" and parting.values["method"] == "given":
        labels = next(one for one in cells if one.name == chosen[0]).texts()
        goal = understanding.goal_of_classes(_trained_on(labels[labels != ""], given[labels != ""]))
    values: Values = {
        "ingest": kept
        | {
            "path": arrival.place.as_posix(),
            "kind": "table",
            "task": task,
            "target": list(chosen),
            "ignore": list(ignored),
            "missing_in": missing_in,
            "weight": weight,
            "size": None,
            "channels": None,
            "picture": None,
            "allow": list(wishes.allow),
        },
        "split": parting.values | {"balance": goal.balance, "transform": goal.transform},
        "objective": _objective(goal),
        # Drawn digits teach nothing about a table's columns; its own rows do.
        "finetune": {"sources": ["masked"]},
    }
    tried = _tried(arrival, wishes, raw, values)
    head = [
        f"kind: a table of {len(known)} columns",
        f"target: {', '.join(chosen)}: {why}",
        f"task: {task}: {because}",
    ]
    lines = [
        *(f"ignored: {name}: {reason}" for name, reason in ignored.items()),
        parting.line,
        f"objective: {goal.metric}: {goal.reason}",
    ]
    hints = [*tried.hints, *_hints(known, chosen, arrival, wishes)]
    return Decision(values, tried.read, tried.findings, head, [*lines, *tried.lines], hints)


def _cells(path: Path) -> "tuple[pd.DataFrame, Any]":
    """The rows to look at, and the part of each where the files say it.

    Of a table that is too large for memory a sample of the rows.
    """
    from dataset.tables.read import read_raw_table
    from dataset.tables.stream import open_stream

    stream = open_stream(path)
    if stream is not None:
        places, frame = stream.sample()
        return frame, stream.parts(places) if stream.given else None
    table = read_raw_table(path)
    return table.frame, table.given


def _of_pictures(arrival: Arrival, wishes: Wishes, raw: dict[str, Any], kind: str) -> Decision:
    told = {
        "--ignore": wishes.ignore,
        "--group": wishes.group,
        "--time": wishes.time,
        "--part": wishes.part,
        "--weight": wishes.weight,
        "--missing": wishes.missing,
    }
    for flag, value in told.items():
        if value:
            raise InputError(
                f"{wishes.path}: {flag} names a column of a table, and these are pictures: of a "
                "list of them nothing but paths and labels is read."
            )
    if wishes.task not in (None, "classification"):
        raise InputError(f"{wishes.path}: pictures are classified; --task {wishes.task} is not.")
    column, target, why = (
        _list_columns(arrival, wishes, raw)
        if kind == "list"
        else (
            None,
            wishes.target[:1] or ("class",),
            "told" if wishes.target else "the folders' names" if kind == "folder" else "the labels",
        )
    )
    values: Values = {
        "ingest": {
            "path": arrival.place.as_posix(),
            "kind": "pictures",
            "task": "classification",
            "target": list(target),
            "ignore": [],
            "types": {},
            "missing_in": {},
            "weight": None,
            "size": None if wishes.size is None else list(wishes.size),
            "channels": None,
            "picture": column,
            "allow": list(wishes.allow),
        },
        # What draws digits teaches little about other pictures; which way up they are does.
        "finetune": {"sources": ["rotated"]},
    }
    tried = _tried(arrival, wishes, raw, values)
    read = tried.read
    given = read.aside.get(GIVEN)
    parting = _parting(wishes, wishes.part, given)
    goal = understanding.goal_of_classes(
        _trained_on(read.examples.targets, given if parting.values["method"] == "given" else None)
    )
    values |= {
        "split": values["split"] | parting.values | {"balance": goal.balance, "transform": "none"},
        "objective": _objective(goal),
    }
    height, width, channels = read.schema.shape
    words = {"folder": "a folder of them", "list": "a list of them", "arrays": "arrays"}[kind]
    head = [
        f"kind: pictures of {height}x{width}, {'grey' if channels == 1 else 'in colour'}: {words}",
        f"target: {target[0]}: {why}",
        "task: classification",
    ]
    lines = [parting.line, f"objective: {goal.metric}: {goal.reason}", *tried.lines]
    return Decision(values, read, tried.findings, head, lines, tried.hints)


def _trained_on(labels: Any, given: Any) -> dict[str, int]:
    """How often each class is met: in the training part, where the data say which it is."""
    here = labels if given is None else labels[given == "train"]
    return dict(Counter(here.tolist()).most_common())


def _list_columns(
    arrival: Arrival, wishes: Wishes, raw: dict[str, Any]
) -> tuple[str, tuple[str, ...], str]:
    """The column of paths in a list of pictures, the column of labels, and why."""
    from dataset.column_facts import facts
    from dataset.pictures.lists import path_columns
    from dataset.tables.cells import Missing, read_cells
    from dataset.tables.read import read_table
    from dataset.tables.types import types_of

    frame = read_table(arrival.source)
    paths = path_columns(frame)
    missing = Missing(tuple(raw["ingest"]["missing"]), {})
    cells = [read_cells(frame[name], missing) for name in frame.columns if name not in paths]
    known = facts(cells, types_of(cells, {}))
    _require_known(known, wishes)
    chosen, why = _targets(known, arrival, wishes)
    return paths[0], chosen[:1], why


def _kept(arrival: Arrival, raw: dict[str, Any]) -> dict[str, Any]:
    """What an earlier init of the same data, or the user, has said of single columns."""
    ingest = raw["ingest"]
    same = ingest["path"] == arrival.place.as_posix()
    return {key: dict(ingest[key]) if same else {} for key in ("types", "missing_in")}


def _missing_in(wishes: Wishes, kept: dict[str, list[str]]) -> dict[str, list[str]]:
    told = {name: list(values) for name, values in kept.items()}
    for column, value in wishes.missing:
        if value not in told.setdefault(column, []):
            told[column].append(value)
    return told


def _require_known(known: "Sequence[Facts]", wishes: Wishes) -> None:
    """Raise InputError, with the nearest name, where the user named a column that is not there."""
    import difflib

    names = [column.name for column in known]
    told = {
        "target column": wishes.target,
        "column to ignore": wishes.ignore,
        "group column": [wishes.group],
        "time column": wishes.time,
        "part column": [wishes.part],
        "weight column": [wishes.weight],
        "column with missing values": [column for column, _ in wishes.missing],
    }
    for what, given in told.items():
        for name in given:
            if name is not None and name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.3)
                hint = f"did you mean {near[0]!r}? " if near else ""
                listed = ", ".join(map(repr, names[:20]))
                raise InputError(
                    f"{wishes.path}: there is no {what} {name!r}; {hint}Columns: {listed}."
                )


def _require_one_role(targets: Sequence[str], wishes: Wishes) -> None:
    """Raise InputError where a target or the weight is to be something else as well."""
    roles = {
        "ignored": wishes.ignore,
        "the group": (wishes.group,),
        "the part": (wishes.part,),
        "the weight": (wishes.weight,),
    }
    for name, what in [(name, "the target") for name in targets] + [(wishes.weight, "the weight")]:
        for role, names in roles.items():
            if name is not None and name in names and role != what:
                raise InputError(
                    f"{wishes.path}: column {name!r} cannot be {what} and {role} at once. "
                    f"Drop one of the two."
                )


def _targets(
    known: "Sequence[Facts]", arrival: Arrival, wishes: Wishes
) -> tuple[tuple[str, ...], str]:
    """What to predict, and why: as told, else asked, else with --yes the likeliest."""
    if wishes.target:
        return wishes.target, "told"
    told = {wishes.group, wishes.part, wishes.weight, *wishes.time, *wishes.ignore}
    found = [
        candidate
        for candidate in understanding.candidates(known, arrival.name)
        if candidate.name not in told
    ][:SHOWN]
    if not found:
        raise InputError(
            f"{wishes.path}: no column looks like something to predict.\n"
            f"Name it: {wishes.again('--target', 'COLUMN')}"
        )
    if wishes.yes:
        rivals = [other.name for other in found[1:] if other.score > found[0].score - 1]
        doubt = f"; it might as well be {' or '.join(rivals)}" if rivals else ""
        return (found[0].name,), f"guessed: {', '.join(found[0].reasons)}{doubt}"
    listed = [f"  {place}. {candidate}" for place, candidate in enumerate(found, 1)]
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        told_so = "\n".join(listed)
        raise InputError(
            f"{wishes.path}: which column is to be predicted? Likely ones:\n{told_so}\n"
            f"Say it: {wishes.again('--target', found[0].name)}\n"
            f"or take the first: {wishes.again('--yes')}"
        )
    return (_asked(found, listed, [column.name for column in known]),), "chosen"


def _asked(found: Sequence[Candidate], listed: Sequence[str], columns: Sequence[str]) -> str:
    print("Which column is to be predicted?", *map(shown, listed), sep="\n")
    while True:
        try:
            answer = input("Its number, or any column's name [1]: ").strip() or "1"
        except EOFError:
            raise InputError("No target was chosen. Nothing is changed.") from None
        if answer in columns:
            return answer
        if answer.isdecimal() and 1 <= int(answer) <= len(found):
            return found[int(answer) - 1].name
        there = shown(", ".join(columns))
        print(f"Give a number from 1 to {len(found)}, or a name. Columns: {there}")


def _ignored(known: "Sequence[Facts]", targets: Sequence[str], wishes: Wishes) -> dict[str, str]:
    """Columns that are no features, and why."""
    keep = {*targets, wishes.weight}
    reasons = dict.fromkeys(wishes.ignore, "told")
    # Where a row belongs says nothing about new rows.
    for name, what in ((wishes.group, "group"), (wishes.part, "part")):
        if name is not None:
            reasons.setdefault(name, f"the rows are parted by it ({what})")
    for proposal in understanding.not_features(known):
        reasons.setdefault(proposal.name, proposal.reason)
    for proposal in understanding.groups(known):
        reasons.setdefault(
            proposal.name, f"says whose a row is ({proposal.reason}), and new rows are others'"
        )
    part = understanding.part(known)
    if part is not None:
        reasons.setdefault(part.name, part.reason)
    return {name: reason for name, reason in reasons.items() if name not in keep}


def _require_names(column: "Facts", wishes: Wishes) -> None:
    """Raise InputError where a column that is to say the parts says something else."""
    strange = next((text for text in column.counts if text.strip().lower() not in NAMES), None)
    if strange is not None:
        raise InputError(
            f"{wishes.path}: --part {column.name!r}: {strange!r} names no part; known are "
            f"{', '.join(NAMES)}."
        )


def _clear_part(known: "Sequence[Facts]", wishes: Wishes) -> str | None:
    """With --yes, the column that says the part, where nothing else has been told."""
    told = wishes.test or wishes.time or wishes.group
    part = understanding.part(known)
    return part.name if part is not None and wishes.yes and not told else None


@dataclass(frozen=True)
class _Parting:
    values: dict[str, Any]
    line: str


def _parting(wishes: Wishes, part: str | None, given: Any) -> _Parting:
    """How the examples are parted, and why."""
    parts = Counter([] if given is None else given.tolist())
    sizes = ", ".join(f"{name} {parts[name]:,}" for name in ("train", "validation", "test"))
    if part is not None:
        method, line = "column", f"{part!r} says the part of every row"
    elif parts["train"] and parts["test"]:
        method, line = "given", f"the data came in parts ({sizes})"
    elif parts["train"] and parts["validation"]:
        method = "given"
        line = f"the data came in parts ({sizes}); without a test, their validation is the holdout"
    elif wishes.time:
        method, line = "time", "the past trains, the future tests"
    else:
        method = "stratified"
        line = "by a hash of each row" if wishes.group is None else "whole groups"
        if parts:
            line += f"; the data's own parts ({sizes}) lack a test, and are not used"
    if wishes.group is not None and method in ("stratified", "random"):
        line += f"; rows with one value of {wishes.group!r} stay together"
    elif wishes.group is not None:
        line += f"; where it tears values of {wishes.group!r} apart, the split's findings say so"
    values = {
        "method": method,
        "group": wishes.group,
        "time": list(wishes.time),
        "gap": 0,
        "part": part,
    }
    return _Parting(values, f"parted: {method}: {line}")


def _objective(goal: Goal) -> dict[str, Any]:
    return {"metric": goal.metric, "positive": None}


@dataclass(frozen=True)
class _Tried:
    read: "Read"
    findings: "list[Finding]"
    lines: list[str]
    hints: list[str]


def _tried(arrival: Arrival, wishes: Wishes, raw: dict[str, Any], values: Values) -> _Tried:
    """The data read as decided, what is found wrong with them, and what was done about it.

    With --yes, zeros that stand for "not known" become missing cells, and columns that leak the
    target are left out; `values` are changed accordingly. Else the words for it are told.
    """
    read, found = _look(arrival, raw, values)
    ingest = values["ingest"]
    _send_allowed(wishes, found, values)
    lines: list[str] = []
    hidden = {finding.name: _hidden(finding, read) for finding in found}
    hidden = {name: pair for name, pair in hidden.items() if pair and name not in wishes.allow}
    # Zeros alone: a large sentinel may be the top of a scale, and an encoder tells a network which
    # cells were missing in any case.
    taken = [pair for pair in hidden.values() if wishes.yes and pair and float(pair[1]) <= 0]
    for column, value in taken:
        ingest["missing_in"].setdefault(column, []).append(value)
        lines.append(
            f"missing: {column}: {value} seems to mean that it is not known, and is read so"
        )
    leaks = {
        finding.name: _leaking(finding, read)
        for finding in found
        if finding.severity == "error" and finding.name not in wishes.allow
    }
    leaks = {name: columns for name, columns in leaks.items() if columns}
    out = list(dict.fromkeys(column for columns in leaks.values() for column in columns))
    evidence = {finding.name: finding.evidence for finding in found}
    left = len(read.schema.columns) > len(out)
    if out and wishes.yes and left:
        ingest["ignore"] += out
        lines += [
            f"LEFT OUT: {', '.join(columns)}: {evidence[name]}. If known before the target is: "
            f"--allow {name}"
            for name, columns in leaks.items()
        ]
    hints = []
    if out and not wishes.yes:
        ignore = [word for column in out for word in ("--ignore", column)]
        allow = [word for name in leaks for word in ("--allow", name)]
        hints.append(
            f"as it is, ./fettle run will stop: {'; '.join(evidence[name] for name in leaks)}.\n"
            f"  To leave out what tells too much: {wishes.again(*ignore)}\n"
            f"  If it is known before the target is: {wishes.again(*allow)}"
        )
    rest = [pair for pair in hidden.values() if pair and pair not in taken]
    if rest:
        more = [word for column, value in rest for word in ("--missing", f"{column}={value}")]
        told = ", ".join(f"{column} {value}" for column, value in rest)
        hints.append(f"if these mean that it is not known ({told}): {wishes.again(*more)}")
    if taken or (out and wishes.yes and left):
        read, found = _look(arrival, raw, values)
    told_of = {*hidden, *(leaks if not wishes.yes or left else {})}
    return _Tried(read, [one for one in found if one.name not in told_of], lines, hints)


def _send_allowed(wishes: Wishes, found: "Sequence[Finding]", values: Values) -> None:
    """What is found here is allowed here; other names are those of what split finds."""
    here = {finding.name for finding in found}
    values["ingest"]["allow"] = [name for name in wishes.allow if name in here]
    elsewhere = [name for name in wishes.allow if name not in here]
    values.setdefault("split", {})["allow"] = elsewhere


def _hidden(finding: "Finding", read: "Read") -> tuple[str, str] | None:
    """The column and the value that stands for a missing one, as the evidence tells it."""
    check, _, column = finding.name.partition(":")
    told = re.search(r" is (-?[\d.e+-]+) in [\d,]+ rows", finding.evidence)
    known = check == "hidden_missing" and column in read.examples.features
    return (column, told[1]) if told and known else None


def _leaking(finding: "Finding", read: "Read") -> list[str]:
    """The columns that a leak's name means: one, or several joined by a plus sign."""
    check, _, named = finding.name.partition(":")
    if check != "leak":
        return []
    names = set(read.schema.names())
    return [named] if named in names else [one for one in named.split("+") if one in names]


def _look(arrival: Arrival, raw: dict[str, Any], values: Values) -> "tuple[Read, list[Finding]]":
    from dataset.checks import findings
    from dataset.ingest_settings import IngestParams
    from tasks.ingest import read_examples_file

    section = raw["ingest"] | values["ingest"]
    params = checked("ingest", IngestParams, section)
    read = read_examples_file(arrival.source, params)
    return read, [*findings.look(read.examples, read.schema), *read.findings]


def _hints(
    known: "Sequence[Facts]", targets: Sequence[str], arrival: Arrival, wishes: Wishes
) -> list[str]:
    """What the data look like and only the user can know."""
    hints = []
    if wishes.group is None:
        for proposal in understanding.groups(known):
            if proposal.name not in targets:
                hints.append(
                    f"to keep the rows of one {proposal.name!r} together ({proposal.reason}): "
                    + wishes.again("--group", proposal.name)
                )
    names, reason = understanding.times(known)
    names = [name for name in names if name not in targets]
    if names and not wishes.time:
        more = [word for name in names for word in ("--time", name)]
        hints.append(
            f"to train on the past and test on the future ({reason}): {wishes.again(*more)}"
        )
    part = understanding.part(known)
    if part is not None and wishes.part is None and not wishes.yes:
        hints.append(f"{part}: {wishes.again('--part', part.name)}")
    weight = understanding.weight(known)
    if weight is not None and wishes.weight is None and weight not in wishes.ignore:
        hints.append(
            f"if {weight!r} says how much a row counts: {wishes.again('--weight', weight)}"
        )
    if wishes.query is None and wishes.test is None:
        others = beside(arrival.source)
        if others:
            more = [word for name, path in others.items() for word in (f"--{name}", str(path))]
            hints.append(f"other parts lie beside the file: {wishes.again(*more)}")
    return hints


def training_rows(decision: Decision, share: float) -> float:
    """About how many examples there are to train on; `share` of those that are not given a part."""
    given = decision.read.aside.get(GIVEN)
    if decision.values["split"]["method"] == "given" and given is not None:
        train = float((given == "train").sum())
        return train if (given == "validation").any() else train * 0.8
    return float(decision.read.profile["rows"]) * share


def pixels(decision: Decision) -> int:
    """Height by width of a picture, 0 for a table."""
    return int(np.prod(decision.read.schema.shape[:2])) if decision.read.schema.shape else 0
