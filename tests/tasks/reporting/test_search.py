import re

import numpy as np
import pytest

from metrics.readings import Reading
from pipeline import axes
from tasks.reporting import plots, search
from tasks.reporting.parallel import ABSENT, BOTTOM, HEIGHT, TOP, Line, parallel

ACCURACY = Reading(title="accuracy", sign=1, share=True, unit="")
ERROR = Reading(title="error", sign=-1, share=False, unit="m")


def trial(number, score, status="completed", reason=None, epochs=10, **values):
    loss = None if score is None else 1 - score
    return {
        "trial": number,
        **values,
        **{"score": score, "spread": None, "loss": loss, "epochs": epochs},
        **{"examples": 1, "parameters": 1, "seed": 1, "status": status, "reason": reason},
    }


def some(count=12):
    """The score follows from the learning rate; the momentum is there for every second trial."""
    random = np.random.default_rng(1)
    rates = 10 ** random.uniform(-4, -1, count)
    return [
        trial(
            number,
            float(0.5 + 0.1 * np.log10(rate)) + 0.4,
            learning_rate=float(rate),
            optimizer="adam" if number % 2 else "momentum",
            momentum=None if number % 2 else (0.8, 0.9)[number // 2 % 2],
            batch_norm=bool(number % 3),
        )
        for number, rate in enumerate(rates, 1)
    ]


def test_what_the_score_follows_from_is_important():
    names = ["learning_rate", "optimizer", "momentum", "batch_norm"]

    shares = search.importance(some(), names)

    assert list(shares) == names
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["learning_rate"] > 0.8
    assert shares == search.importance(some(), names)


@pytest.mark.parametrize(
    ("trials", "names"),
    [
        (some(5), ["learning_rate", "optimizer"]),
        (some(), ["learning_rate"]),
        ([trial(n, 0.5, a=n % 2, b=n % 3) for n in range(9)], ["a", "b"]),
    ],
)
def test_where_nothing_can_be_said_of_importance_nothing_is(trials, names):
    assert search.importance(trials, names) == {}


def test_a_wild_score_does_not_decide_what_is_important():
    wild = [*some(11), trial(12, 1e30, learning_rate=1e-4, optimizer="x", momentum=1, batch_norm=1)]

    shares = search.importance(wild, ["learning_rate", "optimizer"])

    assert shares["learning_rate"] > shares["optimizer"]


def test_numbers_have_axes_that_suit_them():
    def axis_of(name, values):
        [setting] = search.varied([trial(n, 0.5, **{name: v}) for n, v in enumerate(values)])
        return setting.axis

    assert axis_of("learning_rate", [1e-4, 1e-2]).logarithmic
    assert axis_of("l2", [1e-5 * 1.5**n for n in range(9)]).logarithmic
    assert not axis_of("dropout", [0.1 * n for n in range(8)]).logarithmic
    assert [name for _, name in axis_of("width", [64, 16, 32]).ticks] == ["16", "32", "64"]
    assert [name for _, name in axis_of("batch_norm", [True, False]).ticks] == ["no", "yes"]


def test_a_setting_of_one_value_is_not_drawn():
    assert search.varied([trial(n, 0.5, width=4) for n in range(3)]) == []


def test_lines_pass_below_an_axis_that_they_do_not_meet():
    axis = axes.plain_axis(0, 10)
    drawing = parallel(
        [("one", axis), ("two", axis), ("three", axis)],
        [Line((0.0, None, 10.0), "accent"), Line((10.0, 5.0, 0.0), "faint")],
        "<label>",
    )

    heights = [
        [float(point.split()[1]) for point in path.split("L")]
        for path in re.findall(r'd="M([^"]+)"', drawing)
    ]
    low, high = HEIGHT - BOTTOM, TOP
    assert heights == [[low, low + ABSENT, high], [high, (low + high) / 2, low]]
    assert "not varied" in drawing
    assert "&lt;label&gt;" in drawing


@pytest.mark.parametrize(("reading", "best"), [(ACCURACY, [0.2, 0.2, 0.6, 0.6]), (ERROR, None)])
def test_the_best_so_far_never_gets_worse(reading, best):
    scores = [0.2, None, 0.6, 0.4]
    trials = [
        trial(n, score, "completed" if score else "failed", width=n, epochs=5)
        for n, score in enumerate(scores, 1)
    ]

    found = search.drawn(trials, reading, "")["so_far"]

    path = re.search(r'<path class="curve accent" d="M([^"]+)"', found)[1]
    heights = [float(point.split()[1]) for point in path.split("L")]
    assert heights == sorted(heights, reverse=True) if best else len(set(heights)) == 1
    places = [float(point.split()[0]) for point in path.split("L")]
    assert places == sorted(places)


def test_what_came_to_nothing_is_told_with_its_reason():
    lost = [trial(n, None, "failed", f"reason {n}", 0, width=n) for n in range(20, 28)]
    stopped = trial(30, 0.5, "stopped", "worse than most", width=9)

    done = [trial(n, 0.1 * n, width=n) for n in (1, 2, 3)]

    told = search.drawn([*done, *lost, stopped], ACCURACY, "")

    assert told["lost"] == "8 failed, 1 stopped"
    assert told["reasons"][0] == (20, "failed", "reason 20")
    assert (len(told["reasons"]), told["more"]) == (5, 3)


def test_a_search_that_is_off_is_not_drawn():
    assert search.drawn([], ACCURACY, "") is None
    assert search.drawn([trial(1, None, "failed", width=1)], ACCURACY, "") is None


def test_the_range_test_is_drawn_with_what_it_suggests():
    losses = [2.0] * 10 + list(np.linspace(2, 1, 15)) + [50.0]
    steps = [
        {"rate": 10 ** (place / 5 - 6), "loss": loss, "average": loss, "suggestion": 0.0004}
        for place, loss in enumerate(losses)
    ]

    told = search.rates(steps)

    assert told["suggestion"] == "0.0004"
    assert told["panel"].count("<circle") == 1
    assert "Loss by learning rate" in told["panel"]
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", told["panel"])]
    assert min(heights) >= 0
    assert max(heights) <= plots.HEIGHT
    nothing = search.rates([step | {"suggestion": None} for step in steps])
    assert nothing["suggestion"] == "none"
    assert "<circle" not in nothing["panel"]
    assert search.rates([]) is None
