"""Columns that know the target too well, alone or added up: usually known only afterwards."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from dataset.checks import quick_models
from dataset.checks.findings import Finding
from dataset.examples import Column, Examples, Schema

PERFECT = 0.99
"""Balanced accuracy or R², out of fold, above which one column knows the target too well."""
MONOTONE = 0.995
"""Rank correlation above which a column is the target in other units."""
STRONG = 0.8
"""R², out of fold, from which one column is looked at beside all others."""
FAR = 0.2
"""By how much more it must explain than all others together, to be strange."""
NEARLY = 0.9
"""R² from which it is strange too if it leaves `TIMES` less unexplained than all others do."""
TIMES = 2
ALONE = 0.3
"""R² of all others, below which they explain next to nothing."""
SAMPLE = 10_000
"""Rows looked at, with a model for every column."""
FEWER = 2_000
"""The same at the least, where there are several targets."""
SORTED = 0.9
"""Rank correlation of target and row number from which the file is sorted by the target."""
COLUMNS = 40
"""Numeric columns tried in sums; of more, those that go with the target most."""
ROWS = 256
"""Rows on which a sum is tried before all rows are."""
HOLDS = 0.999
"""Share of the rows in which a sum has to be the target. A few cells may have been mended."""
ROUNDING = 4e-7
"""Of float32, relative to the largest of the numbers added."""
LARGE = 1e30
"""Larger numbers are made smaller: scikit-learn's trees add them up in float32."""
_LEAVES = 64
_RANDOM, _BLOCKS = 3, 5
"""Folds at random, and folds that are stretches of the file."""

Floats = npt.NDArray[np.float64]
Folds = npt.NDArray[np.int32]


def look(examples: Examples, schema: Schema) -> list[Finding]:
    """Findings on the columns of a table, in their order, and then on sums of columns."""
    if schema.kind == "pictures":
        return []
    columns = [column for column in schema.columns if column.type != "text"]
    if schema.task == "regression":
        return _regression(examples, schema, columns)
    if schema.task == "classification":
        labels = examples.targets.astype(str)
        return [*_classes(examples, columns, labels, "the target", SAMPLE)]
    rows = max(SAMPLE // len(schema.targets), FEWER)
    found: dict[str, Finding] = {}
    for name, values in zip(schema.targets, examples.targets.T, strict=True):
        labels = np.where(values > 0, "1", "0")
        for finding in _classes(examples, columns, labels, f"the label {name!r}", rows):
            found.setdefault(finding.name, finding)
    return [*found.values()]


def _classes(
    examples: Examples,
    columns: Sequence[Column],
    labels: npt.NDArray[np.str_],
    told: str,
    rows: int,
) -> Iterator[Finding]:
    """Columns that alone tell the class, by a small decision tree, out of fold."""
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    places = _sampled(np.flatnonzero(counts[place] >= 10), rows)
    names, found = np.unique(labels[places], return_counts=True)
    if len(names) < 2 or found.min() < _RANDOM:
        return
    folds = StratifiedKFold(_RANDOM, shuffle=True, random_state=0)
    for column in columns:
        values = _without_gaps(column, examples.features[column.name][places])
        tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, random_state=0)
        guessed = cross_val_predict(tree, values.reshape(-1, 1), labels[places], cv=folds)
        score = float(balanced_accuracy_score(labels[places], guessed))
        if score >= PERFECT:
            yield Finding(
                f"leak:{column.name}",
                "error",
                f"{column.name!r} alone tells {told} with a balanced accuracy of "
                f"{100 * score:.1f} % (three folds, {len(places):,} rows)",
                "Is it known before the target is? If not, add it to ingest.ignore.",
            )


def _regression(examples: Examples, schema: Schema, columns: list[Column]) -> list[Finding]:
    count = len(schema.targets)
    rows = SAMPLE if count == 1 else max(SAMPLE // count, FEWER)
    places = _sampled(np.arange(len(examples)), rows)
    looked = examples.take(places)
    schema = schema.model_copy(update={"columns": tuple(columns)})
    found: dict[str, Finding] = {}
    for name, values in zip(schema.targets, examples.targets.T.astype(np.float64), strict=True):
        sums = [*_sums(examples, columns, values, name)]
        summed = {part for one in sums for part in one.columns}
        told = _Quantity(name, values[places])
        for finding in [*_alone(looked, schema, told, summed), *(one.finding for one in sums)]:
            found.setdefault(finding.name, finding)
    return [*found.values()]


@dataclass(frozen=True)
class _Quantity:
    """One target of a regression."""

    name: str
    values: Floats


def _alone(
    examples: Examples, schema: Schema, target: _Quantity, summed: set[str]
) -> Iterator[Finding]:
    """Columns that alone tell the target; those in `summed` only where they do so perfectly."""
    count = len(examples)
    if count < 30 or not target.values.std():
        return
    random = (np.random.default_rng(0).permutation(count) % _RANDOM).astype(np.int32)
    # Stretches of the file hold whole patients, days, regions where it is sorted by them. At
    # random, a column that only tells which patient it is would explain the target by heart.
    blocks = (np.arange(count) * _BLOCKS // count).astype(np.int32)
    # Unless it is sorted by the target itself: then no stretch is like another.
    by_target = abs(_rank_correlation(np.arange(count, dtype=np.float64), target.values)) >= SORTED
    fold = random if by_target else blocks
    for column in schema.columns:
        values = _without_gaps(column, examples.features[column.name])
        score = _tree(values, target.values, random)
        ranks = abs(_rank_correlation(values, target.values))
        if score >= PERFECT or (ranks >= MONOTONE and column.type != "categorical"):
            yield Finding(
                f"leak:{column.name}",
                "error",
                f"{column.name!r} alone tells {target.name!r}: out of fold it explains "
                f"{100 * score:.1f} % of the variance, and its rank correlation is {ranks:.3f} "
                f"({count:,} rows)",
                "Is it known before the target is? If not, add it to ingest.ignore.",
            )
        elif column.name not in summed:
            alone = _tree(values, target.values, fold)
            if alone >= STRONG:
                yield from _dominant(examples, schema, target, column, alone, fold)


def _dominant(
    examples: Examples,
    schema: Schema,
    target: _Quantity,
    column: Column,
    alone: float,
    fold: Folds,
) -> Iterator[Finding]:
    """A column that alone explains far more than everything else together."""
    others = schema.model_copy(
        update={"columns": tuple(one for one in schema.columns if one != column)}
    )
    if not others.columns:
        return
    features = {one.name: examples.features[one.name] for one in others.columns}
    looked = replace(examples, features=features)
    rest = quick_models.explained(looked, others, target.values, fold)
    if rest > alone - FAR and (alone < NEARLY or 1 - alone > (1 - rest) / TIMES):
        return
    shared = sorted(_words(column.name) & _words(target.name))
    # A strong cause looks the same; one that is called by the target's name does not.
    certain = bool(shared) and rest < ALONE
    named = f"; both are called {shared[0]!r}" if certain else ""
    yield Finding(
        f"leak:{column.name}",
        "error" if certain else "warning",
        f"{column.name!r} alone explains {100 * alone:.0f} % of the variance of "
        f"{target.name!r} out of fold, all other columns together "
        f"{100 * max(rest, 0):.0f} %{named}",
        "Is it known before the target is, or measured along with it? If so, add it to "
        "ingest.ignore.",
    )


def _words(name: str) -> set[str]:
    """The words of a column's name, in lower case, if they are long enough to mean something."""
    return {word for word in re.split(r"[^0-9a-z]+", name.lower()) if len(word) > 3}


def _tree(values: Floats, target: Floats, fold: Folds) -> float:
    """Out-of-fold R² of a small regression tree on one column."""
    from sklearn.tree import DecisionTreeRegressor

    guessed = np.empty(len(target))
    for one in range(int(fold.max()) + 1):
        seen, unseen = fold != one, fold == one
        tree = DecisionTreeRegressor(max_leaf_nodes=_LEAVES, min_samples_leaf=3, random_state=0)
        tree.fit(values[seen, None], target[seen])
        guessed[unseen] = tree.predict(values[unseen, None])
    return quick_models.r_squared(target, guessed)


def _rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's, with mean ranks for equal values; 0 where nothing varies."""
    left, right = (
        quick_models.mean_ranks(values) - (len(values) + 1) / 2 for values in (one, other)
    )
    scale = float(np.sqrt(np.square(left).sum() * np.square(right).sum()))
    return float((left * right).sum()) / scale if scale else 0.0


@dataclass(frozen=True)
class _Sum:
    """Columns that add up to the target."""

    columns: tuple[str, ...]
    finding: Finding


def _sums(
    examples: Examples, columns: Sequence[Column], target: Floats, name: str
) -> Iterator[_Sum]:
    """Two or three numeric columns whose sum or difference is the target, in every row."""
    numeric = [column.name for column in columns if column.type == "numeric"]
    tried = np.unique(np.linspace(0, len(target) - 1, ROWS).astype(np.int64))
    few = {one: examples.features[one][tried].astype(np.float64) for one in numeric}
    if not target[tried].std():
        return
    chosen = _likely(few, target[tried])
    found: list[set[str]] = []
    for size in (2, 3):
        for names in combinations(chosen, size):
            if any(known <= set(names) for known in found):
                continue
            for signs in product((1, -1), repeat=size):
                if not _is_sum(few, names, signs, target[tried]):
                    continue
                every = {one: examples.features[one].astype(np.float64) for one in names}
                if _is_sum(every, names, signs, target):
                    found.append(set(names))
                    yield _as_sum(names, signs, name)
                    break


def _likely(columns: dict[str, Floats], target: Floats) -> list[str]:
    """Columns that vary and are not the target themselves, in their order."""
    scores = {}
    for name, values in columns.items():
        known = np.isfinite(values)
        same = (np.abs(values - target) <= ROUNDING * (np.abs(target) + np.abs(values)))[known]
        if known.sum() < 20 or not values[known].std() or same.mean() >= HOLDS:
            continue
        scores[name] = -abs(_rank_correlation(values[known], target[known]))
    likely = sorted(scores, key=lambda name: scores[name])[:COLUMNS]
    return [name for name in scores if name in likely]


def _is_sum(
    columns: dict[str, Floats], names: Sequence[str], signs: Sequence[int], target: Floats
) -> bool:
    parts = [sign * columns[name] for name, sign in zip(names, signs, strict=True)]
    total = sum(parts[1:], parts[0])
    known = np.isfinite(total)
    if known.sum() < min(20, len(target)) or known.mean() < 0.25:
        return False
    size = sum((np.abs(part) for part in parts), np.abs(target))
    holds = np.abs(total - target) <= ROUNDING * size
    return bool(holds[known].mean() >= HOLDS)


def _as_sum(names: Sequence[str], signs: Sequence[int], target: str) -> _Sum:
    pairs = sorted(zip(names, signs, strict=True), key=lambda pair: -pair[1])
    text = "".join(
        f"{'' if not place and sign > 0 else '+' if sign > 0 else '-'}{name}"
        for place, (name, sign) in enumerate(pairs)
    )
    said = text.replace("+", " + ")
    finding = Finding(
        f"leak:{text}",
        "error",
        f"{' and '.join(map(repr, names))} give {target!r} in every row: {target} = {said}",
        f"Are they known before the target is? If not, add them to ingest.ignore: "
        f"[{', '.join(names)}].",
    )
    return _Sum(tuple(names), finding)


def _without_gaps(column: Column, values: npt.NDArray[np.generic]) -> Floats:
    """Numbers for a tree, in their order: missing ones below them all."""
    numbers = quick_models.as_numbers(column, values)
    known = np.isfinite(numbers)
    largest = float(np.abs(numbers[known]).max(initial=0.0))
    if largest > LARGE:
        numbers = numbers / largest
    lowest = float(numbers[known].min()) if known.any() else 0.0
    return np.where(known, numbers, lowest - 1)


def _sampled(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    if len(places) <= most:
        return places
    return np.sort(np.random.default_rng(0).choice(places, most, replace=False))
