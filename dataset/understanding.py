"""What a table is for, guessed from names and cells: proposals, each with its reason in words.

Rules of thumb, not statistics. Each says why it thinks so, so that whoever knows the data can see
where it is wrong. What would do harm if it were wrong (rows that belong together, an order in
time) is only ever proposed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dataset.column_facts import Facts, tokens
from dataset.partition import HOLDOUT, NAMES, TRAIN
from dataset.target import Task, Transform
from pipeline.errors import InputError


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GOALS = _words(
    "target label labels class y outcome response result diagnosis income churn churned survived "
    "species price cnt count default fraud spam sentiment defaulted median_house_value"
)
"""Names that are usually what is to be predicted."""
GOAL_WORDS = GOALS | _words(
    "value score rating grade quality amount sales demand salary revenue cost yield risk "
    "cancelled bought converted clicked deceased readmitted"
)
"""Words that such names often hold."""
GROUPS = _words(
    "subject patient individual participant person user customer client member household family "
    "speaker author writer driver player student animal group session device machine engine "
    "hospital site station well"
)
"""Names of what has several rows that are alike."""
TIMES = _words(
    "date day dteday datetime timestamp time year month week hour hr minute second quarter "
    "period moment"
)
KEYS = _words("id ids key uuid guid index instant row number no nr num code record")
"""Names of what merely numbers the rows."""
PARTS = _words("part split set subset fold partition")
WEIGHTS = ("sample_weight", "instance_weight", "row_weight", "fnlwgt")
FLAGS = _words("0 1 0.0 1.0 yes no true false")
"""What a label may say in a column of its own."""
COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
"""A number with a comma for its decimals, which is a text here."""
THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+")
"""A number whose commas may part thousands."""
FEW = 20
"""At most so many whole numbers are classes; more are a quantity."""
RARE = 0.24
"""A class is rare below this share of an even one: 12 % of two classes, 2.4 % of ten."""
SKEWED = 2.0
"""Skewness above which a positive quantity is learned on a logarithmic scale; 2 is that of an
exponential distribution."""


@dataclass(frozen=True)
class Candidate:
    """A column that may be the target."""

    name: str
    score: float
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(self.reasons)})"


@dataclass(frozen=True)
class Proposal:
    """Something about a column, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def candidates(facts: Sequence[Facts], source: str) -> list[Candidate]:
    """Columns that may be the target, the likeliest first; `source` is the file's name."""
    out = {proposal.name for proposal in not_features(facts)}
    named = set(tokens(source))
    found = []
    for place, column in enumerate(facts):
        if column.name in out or column.type in ("text", "time") or column.distinct < 2:
            continue
        if column.numbers is None and column.distinct > max(FEW, column.present // 5):
            continue
        scored = list(_for_target(column, place, len(facts), named))
        score = sum(points for points, _ in scored) - 2 * column.missing
        if score > 0:
            found.append(Candidate(column.name, score, tuple(reason for _, reason in scored)))
    return sorted(found, key=lambda candidate: -candidate.score)


def _for_target(
    column: Facts, place: int, columns: int, named: set[str]
) -> Iterator[tuple[float, str]]:
    words = column.tokens
    if "_".join(words) in GOALS:
        yield 5.0, "a usual name of a target"
    elif held := [word for word in words if word in GOAL_WORDS]:
        # The last word says what it is: a house value is a value, a value date is a date.
        yield (3.0 if words[-1] in held else 1.0), f"{held[-1]!r} in its name"
    elif words and words[0] == "total":
        yield 2.0, "called a total"
    if words and all(len(word) > 2 and word in named for word in words):
        yield 2.0, "the file is named after it"
    if column.distinct == 2:
        yield 1.5, "two values"
    elif column.distinct <= FEW and (column.numbers is None or column.whole):
        yield 0.75, f"{column.distinct} values"
    if place == columns - 1:
        yield 1.5, "the last column"
    elif place == 0:
        yield 1.0, "the first column"


def task(targets: Sequence[Facts]) -> tuple[Task, str]:
    """What is to be learned, and why; raises InputError where no task has such targets."""
    if len(targets) > 1:
        return _task_of_several(targets)
    column = targets[0]
    if column.stray is not None and column.distinct > FEW:
        raise InputError(
            f"--target {column.name!r} holds numbers, and a few texts such as {column.stray!r}.\n"
            f"If they mean that nothing is known: --missing {column.name}={column.stray}. If all "
            "of them are classes: --task classification."
        )
    if column.numbers is None:
        return "classification", f"{column.distinct} different texts"
    if column.distinct == 2:
        return "classification", "two different numbers"
    if not column.whole:
        return "regression", f"{column.distinct:,} different numbers, not all whole"
    if column.distinct <= FEW:
        return "classification", f"{column.distinct} different whole numbers (at most {FEW})"
    return "regression", f"{column.distinct:,} different whole numbers (more than {FEW})"


def _task_of_several(targets: Sequence[Facts]) -> tuple[Task, str]:
    if all(column.counts and {*map(str.lower, column.counts)} <= FLAGS for column in targets):
        return "multilabel", "several targets of yes and no: each is a label that may hold"
    texts = [column.name for column in targets if column.numbers is None]
    if texts:
        raise InputError(
            f"--target {texts[0]!r} holds texts; several targets must all be numbers, or all be 0 "
            "and 1, yes and no. Give one target."
        )
    return "regression", "several targets of numbers"


def not_features(facts: Sequence[Facts]) -> list[Proposal]:
    """Columns that can teach a network nothing about new rows: ids, constants, empty ones."""
    found = ((column.name, _not_feature(column)) for column in facts)
    return [Proposal(name, reason) for name, reason in found if reason]


def _not_feature(column: Facts) -> str:
    """Why it is no feature, or nothing."""
    if column.present == 0:
        return "holds only missing values"
    if column.distinct == 1 and column.present == column.rows:
        return f"holds {next(iter(column.counts))[:40]!r} in every row"
    if column.distinct == 1 or column.type == "time" or TIMES & set(column.tokens):
        # Where the one value is not everywhere, its absence may say something.
        return ""
    return _names_rows(column) if column.numbers is None else _counts_rows(column)


def _names_rows(column: Facts) -> str:
    """Why a column of texts is an id, or nothing."""
    if column.missing >= 0.05 or column.present <= FEW or column.stray is not None:
        # Of numbers with a few texts among them a check says what they are.
        return ""
    if column.words <= 1.2 and column.distinct > 0.95 * column.present:
        if column.counts and all(map(THOUSANDS.fullmatch, column.counts)):
            return (
                "numbers with a comma before three digits, which are read as texts: leave out what "
                "parts thousands, or write a decimal point"
            )
        if column.counts and all(map(COMMA.fullmatch, column.counts)):
            return "numbers with a decimal comma, which are read as texts: write a decimal point"
        return f"an id: {column.distinct:,} different texts in {column.present:,} rows"
    # With a digit in them: codes such as ticket numbers rather than names.
    coded = column.words <= 3 and column.digits > 0.9 and not GROUPS & set(column.tokens)
    if coded and column.distinct > max(50, column.present / 2):
        return f"codes: {column.distinct:,} different ones in {column.present:,} rows"
    return ""


def _counts_rows(column: Facts) -> str:
    """Why a numeric column is an id, or nothing."""
    assert column.numbers is not None
    if column.present < column.rows or column.rows < 20 or not column.whole:
        return ""
    unique = column.distinct == column.rows
    steps = np.diff(column.numbers)
    if unique and bool((steps == 1).all()):
        return "numbers the rows"
    named = bool(KEYS & set(column.tokens[-1:]))
    if unique and named:
        return "an id: a different number in every row"
    if named and column.distinct > FEW and float((steps == 1).mean()) > 0.95:
        return "numbers the rows, and begins again"
    return ""


def groups(facts: Sequence[Facts]) -> list[Proposal]:
    """Columns that say whose a row is, where several rows are one's."""
    return [
        Proposal(
            column.name,
            f"{column.distinct:,} different ones in {column.present:,} rows",
        )
        for column in facts
        if GROUPS & set(column.tokens)
        and column.type != "text"
        and (column.numbers is None or column.whole)
        # Two or three are treatments rather than patients.
        and 5 <= column.distinct <= column.present / 1.5
    ]


def times(facts: Sequence[Facts]) -> tuple[list[str], str]:
    """Columns that tell when a row was, the coarsest first, and what says so; often none."""
    lead = next((column for column in facts if _leads(column)), None)
    if lead is None:
        dates = next((column for column in facts if column.type == "time"), None)
        return (
            ([dates.name], "it holds dates; the rows are not in their order")
            if dates
            else (
                [],
                "",
            )
        )
    order, names = lead.order, [lead.name]
    for column in facts:
        if column is lead or column.present < column.rows or not _tells_time(column):
            continue
        both = _lexicographic(order, column.order)
        if both is not None:
            order, names = both, [*names, column.name]
    return names, "the rows are in its order" if len(names) == 1 else "the rows are in their order"


def _tells_time(column: Facts) -> bool:
    # "time" alone is mostly a duration: only dates and whole parts of one may follow.
    named = bool(TIMES & set(column.tokens))
    return column.type == "time" or (named and column.numbers is not None)


def _leads(column: Facts) -> bool:
    return _tells_time(column) and column.distinct >= 5 and column.sorted


def _lexicographic(
    coarse: "np.typing.NDArray[np.float64]", fine: "np.typing.NDArray[np.float64]"
) -> "np.typing.NDArray[np.float64] | None":
    """The order by both where the rows are in it and the finer adds to it, else None."""
    step, within = np.diff(coarse), np.diff(fine)
    later = (step > 0) | (within > 0)
    inside = step == 0
    if not inside.any() or (within[inside] < 0).any() or not (within[inside] > 0).any():
        return None
    return np.concatenate([[0.0], np.cumsum(later)]).astype(np.float64)


def part(facts: Sequence[Facts]) -> Proposal | None:
    """The column that says train, validation or test for every row."""
    for column in facts:
        told = {NAMES.get(value.lower()) for value in column.counts}
        named = bool(PARTS & set(column.tokens)) or len(column.counts) == 3
        if named and column.present == column.rows and {TRAIN, HOLDOUT} <= told - {None} == told:
            return Proposal(column.name, f"says {', '.join(sorted(column.counts))}")
    return None


def weight(facts: Sequence[Facts]) -> str | None:
    """The column that is named like the importance of rows."""
    return next(
        (
            column.name
            for column in facts
            if "_".join(column.tokens) in WEIGHTS and column.numbers is not None
        ),
        None,
    )


@dataclass(frozen=True)
class Goal:
    """What candidates are compared by, and how training treats what is rare or far out."""

    metric: str
    balance: str
    transform: Transform
    reason: str


def goal(task: Task, targets: Sequence[Facts]) -> Goal:
    """The metric that suits the targets of a table, and why."""
    if task == "classification":
        return goal_of_classes(targets[0].counts)
    if task == "multilabel":
        return Goal(METRIC["multilabel"], "none", "none", "the mean over the labels")
    skews = [_skewness(column) for column in targets]
    if all(skew is not None and skew > SKEWED for skew in skews):
        told = ", ".join(f"{skew:.1f}" for skew in skews if skew is not None)
        return Goal(
            METRIC["regression"],
            "none",
            "log",
            f"positive, with a long tail (skewness {told}): learned on a logarithmic scale",
        )
    return Goal(METRIC["regression"], "none", "none", "in the target's own units")


METRIC = {"classification": "accuracy", "multilabel": "macro_f1", "regression": "rmse"}
"""What is compared unless something speaks against it."""


def goal_of_classes(counts: dict[str, int]) -> Goal:
    """The metric that suits classes which are met so often."""
    total = sum(counts.values())
    if not total or len(counts) < 2:
        return Goal("accuracy", "none", "none", "shares of the classes are not known")
    rarest = min(counts, key=lambda label: counts[label])
    share = counts[rarest] / total
    if share < RARE / len(counts):
        return Goal(
            "balanced_accuracy",
            "weights",
            "none",
            f"class {rarest!r} is rare ({share:.1%}): every class counts alike, and its rows "
            "weigh more in training",
        )
    return Goal("accuracy", "none", "none", f"no class is rare (the rarest has {share:.1%})")


def _skewness(column: Facts) -> float | None:
    """The third standardised moment of a positive quantity; None for any other."""
    if column.numbers is None:
        return None
    values = column.numbers[np.isfinite(column.numbers)]
    spread = float(values.std()) if len(values) else 0.0
    if not spread or values.min() <= 0:
        return None
    return float((((values - values.mean()) / spread) ** 3).mean())
