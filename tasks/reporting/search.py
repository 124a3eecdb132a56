"""The report's section on the search: what was tried, what it cost, and what mattered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from metrics.readings import Reading
from pipeline import axes
from pipeline.axes import Axis, near
from tasks.reporting import plots
from tasks.reporting.advice import best_trial, is_number, names
from tasks.reporting.parallel import Line, parallel
from tasks.reporting.text import axis, capital, count, percent, tidy

Trial = Mapping[str, Any]
TITLES = {"text": "reader of texts"}
"""Of settings that their names do not tell."""
MOST_PANELS = 9
"""Settings that are drawn by themselves, at the most: the most important ones."""
MOST_REASONS = 5
"""Trials that came to nothing whose reasons are told, at the most."""
LEAST = 6
"""Trials from which on importance is estimated."""
A_FEW = 10
"""Trials for each setting below which importance is called rough."""
FEW_VALUES = 6
"""Numbers that are drawn side by side, whatever their distances, at the most."""
WIDE = 10.0
"""How many times the lowest number the highest one is where an axis is logarithmic."""
CUT = 1.5
"""Of the first loss of a range test, the height up to which it is drawn."""
TREES, REPEATS, SEED = 100, 10, 1


@dataclass(frozen=True)
class Setting:
    """One that was varied, and the axis of its values."""

    name: str
    title: str
    axis: Axis
    places: Mapping[Any, float]
    """Where each value lies on the axis."""


def drawn(trials: Sequence[Trial], reading: Reading, summary: str) -> dict[str, Any] | None:
    """What the template needs; None where the search is off. `summary`: the candidate's."""
    done = [trial for trial in trials if trial["score"] is not None]
    if not done:
        return None
    lost = [trial for trial in trials if trial["score"] is None]
    best = best_trial(done, reading.sign)
    scale = _scale(done, best, reading)
    settings = varied(trials)
    shares = importance(done, [setting.name for setting in settings])
    return {
        "summary": summary,
        "count": len(trials),
        "lost": ", ".join(f"{many} {status}" for status, many in _lost(trials)),
        "reasons": [
            (trial["trial"], trial["status"], trial["reason"] or "")
            for trial in lost[:MOST_REASONS]
        ],
        "more": len(lost) - MOST_REASONS,
        "best": best["trial"],
        "score": tidy(reading.text(best["score"])),
        "parallel": _parallel(settings, done, best, scale, reading) if settings else None,
        "so_far": _so_far(trials, scale, reading),
        "panels": [
            _panel(setting, done, lost, best, scale, reading)
            for setting in _foremost(settings, shares)
        ],
        "importance": [
            (setting.title, plots.bar(shares[setting.name], setting.title), percent(share, 0))
            for setting in _foremost(settings, shares)
            for share in [shares[setting.name]]
        ]
        if shares
        else [],
        "rough": len(done) < A_FEW * len(settings),
        "done": len(done),
    }


def rates(steps: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The range test of learning rates, as rates.csv has it; None where there was none.

    Losses far above the first are cut off: there training had come apart.
    """
    if not steps:
        return None
    suggestion = steps[0]["suggestion"]
    curve = [(float(step["rate"]), float(step["average"])) for step in steps]
    low, high = min(loss for _, loss in curve), CUT * curve[0][1]
    x = axes.logarithmic_axis(curve[0][0], curve[-1][0])
    y = axes.plain_axis(low, max(high, low + 1e-9))
    told = "none" if suggestion is None else f"{suggestion:g}"
    label = f"Loss by learning rate in the range test; suggestion: {told}"
    dots = []
    if suggestion is not None:
        nearest = min(curve, key=lambda point: abs(point[0] - suggestion))
        dots = [(nearest[0], axes.held(y, nearest[1]))]
    panel = plots.line_panel(curve, dots, x, y, "learning rate", label)
    return {"panel": panel, "suggestion": told}


def _lost(trials: Sequence[Trial]) -> list[tuple[str, int]]:
    """How many ended otherwise than they should, by how."""
    words = {"memory": "out of memory"}
    counts = Counter(trial["status"] for trial in trials if trial["status"] != "completed")
    return [(words.get(status, status), counts[status]) for status in sorted(counts)]


def varied(trials: Sequence[Trial]) -> list[Setting]:
    """Those of which several values were tried, with their axes."""
    found = []
    for name in names(trials):
        values = {trial[name] for trial in trials if trial[name] is not None}
        if len(values) > 1:
            found.append(_setting(name, values))
    return found


def _setting(name: str, values: set[Any]) -> Setting:
    title = TITLES.get(name, name.replace("_", " "))
    if not all(map(is_number, values)):
        words = {value: shown(value) for value in values}
        order = sorted(values, key=lambda value: words[value])
        side = axes.category_axis([words[value] for value in order])
        return Setting(name, title, side, {value: float(at) for at, value in enumerate(order)})
    order = sorted(values)
    low, high = float(order[0]), float(order[-1])
    if len(order) <= FEW_VALUES and name != "learning_rate":
        side = axes.category_axis([float(value) for value in order])
        return Setting(name, title, side, {value: float(at) for at, value in enumerate(order)})
    logarithmic = low > 0 and (name == "learning_rate" or high >= WIDE * low)
    scale = axes.logarithmic_axis(low, high) if logarithmic else axes.plain_axis(low, high)
    return Setting(name, title, scale, {value: float(value) for value in order})


def shown(value: Any) -> str:
    """A setting's value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _foremost(settings: Sequence[Setting], shares: Mapping[str, float]) -> list[Setting]:
    """The most important ones first; as they come where that is not known."""
    return sorted(settings, key=lambda one: -shares.get(one.name, 0.0))[:MOST_PANELS]


def importance(done: Sequence[Trial], settings: Sequence[str]) -> dict[str, float]:
    """By name the share of each setting in what the scores' ranks follow from; empty where the
    trials are too few, or say nothing.

    A random forest (seeded) is fitted to the ranks, so that one wild trial does not outweigh all
    others, and every setting is permuted in turn (Breiman, "Random forests", Machine Learning
    2001): how much worse the forest then is, in shares of all settings together.
    """
    if len(done) < LEAST or len(settings) < 2:
        return {}
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    columns = np.array([_codes([trial[name] for trial in done]) for name in settings]).T
    ranks = np.unique([trial["score"] for trial in done], return_inverse=True)[1].astype(np.float64)
    forest = RandomForestRegressor(n_estimators=TREES, random_state=SEED).fit(columns, ranks)
    found = permutation_importance(forest, columns, ranks, n_repeats=REPEATS, random_state=SEED)
    gains = np.maximum(found.importances_mean, 0.0)
    total = float(gains.sum())
    if total <= 0:
        return {}
    return {name: float(gain) / total for name, gain in zip(settings, gains, strict=True)}


def _codes(values: Sequence[Any]) -> list[float]:
    """Numbers as they are, other values by their place; where there is none, below all others."""
    present = {value for value in values if value is not None}
    if all(map(is_number, present)):
        below = min(present, default=0) - 1
        return [float(below if value is None else value) for value in values]
    order = {value: float(place) for place, value in enumerate(sorted(present, key=shown))}
    return [order.get(value, -1.0) for value in values]


def _parallel(
    settings: Sequence[Setting],
    done: Sequence[Trial],
    best: Trial,
    scale: Axis,
    reading: Reading,
) -> Any:
    """Worse trials first, so that the better ones lie on them."""
    order = sorted(done, key=lambda trial: reading.sign * trial["score"])
    better = len(order) - max(1, len(order) // 4)
    lines = [
        Line(
            (
                *(
                    None if trial[one.name] is None else one.places[trial[one.name]]
                    for one in settings
                ),
                trial["score"],
            ),
            "plain" if place >= better else "faint",
        )
        for place, trial in enumerate(order)
        if trial is not best
    ]
    lines.append(
        Line(
            (
                *(
                    None if best[one.name] is None else one.places[best[one.name]]
                    for one in settings
                ),
                best["score"],
            ),
            "accent",
        )
    )
    sides = [(one.title, one.axis) for one in settings]
    values = ", ".join(f"{one.title} {shown(best[one.name])}" for one in settings)
    return parallel(
        [*sides, (reading.title, scale)],
        lines,
        f"{len(done)} trials, each a line through its values; the best has {values}, and the "
        f"{reading.title} {tidy(reading.text(best['score']))}",
    )


def _so_far(trials: Sequence[Trial], scale: Axis, reading: Reading) -> Any:
    """The best score by the epochs that were spent."""
    spent = list(accumulate(trial["epochs"] for trial in trials))
    points = [
        (float(epochs), float(trial["score"]))
        for epochs, trial in zip(spent, trials, strict=True)
        if trial["score"] is not None
    ]
    pick = max if reading.sign > 0 else min
    bests = list(accumulate((score for _, score in points), pick))
    steps = [(at, height) for (at, _), height in zip(points, bests, strict=True)]
    x = axes.axis(0.0, float(spent[-1]), count)
    return plots.steps_panel(
        [(at, axes.held(scale, score)) for at, score in points],
        [*steps, (float(spent[-1]), bests[-1])],
        x,
        scale,
        "epochs of all trials so far",
        f"Best {reading.title} so far by the epochs spent: {tidy(reading.text(bests[-1]))} after "
        f"{count(spent[-1])}",
    )


def _panel(
    setting: Setting,
    done: Sequence[Trial],
    lost: Sequence[Trial],
    best: Trial,
    scale: Axis,
    reading: Reading,
) -> Any:
    """One setting against the score, of the trials that had it."""
    places, name = setting.places, setting.name
    centre = (
        (places[best[name]], axes.held(scale, best["score"])) if best[name] is not None else None
    )
    return plots.trials_panel(
        [
            (places[trial[name]], axes.held(scale, trial["score"]))
            for trial in done
            if trial[name] is not None
        ],
        centre,
        [places[trial[name]] for trial in lost if trial[name] is not None],
        setting.axis,
        scale,
        reading.sign,
        setting.title,
        f"{capital(reading.title)} on validation of {len(done)} trials by {setting.title}; "
        f"the best has {shown(best[name])} and {tidy(reading.text(best['score']))}",
    )


def _scale(done: Sequence[Trial], best: Trial, reading: Reading) -> Axis:
    """Over all trials but those that are much worse than most."""
    every = [(trial["score"], trial["score"]) for trial in done]
    held = [low for low, _ in near(every, best["score"], every)]
    return axis(reading, min(held), max(held))
