import json

import pandas as pd
import pytest

from flows.worth import EVALUATION, read_worth


@pytest.fixture
def evaluated(tmp_path):
    def write(reading, scores, chosen="baseline"):
        folder = tmp_path / EVALUATION
        folder.mkdir(parents=True)
        pd.DataFrame(
            {
                "candidate": list(scores),
                "score": list(scores.values()),
                "score_low": [score and 0.9 * score for score in scores.values()],
                "score_high": [score and 1.1 * score for score in scores.values()],
                "multiply_adds": [None if name == "linear" else 10 for name in scores],
                "decision": "kept",
            }
        ).to_csv(folder / "ledger.csv", index=False)
        details = {"objective": "it", "figures": {"it": reading}, "chosen": chosen}
        (folder / "details.json").write_text(json.dumps(details))
        return read_worth(tmp_path)

    return write


def test_networks_that_are_on_have_a_figure(evaluated):
    reading = {"title": "accuracy", "sign": 1, "share": True, "unit": ""}
    scores = {"linear": 0.5, "baseline": 0.8, "search": None, "distill in 8 bits": 0.82}
    worth = evaluated(reading, scores)
    assert list(worth.figures) == ["baseline", "distill in 8 bits"]
    assert worth.figures["baseline"].text == "80.0 % (72.0 to 88.0)"
    assert (worth.title, worth.sign, worth.chosen) == ("Accuracy", 1, "baseline")
    assert worth.axis.low <= 0.72
    assert worth.axis.high >= 0.82 * 1.1
    assert worth.axis.ticks[0][1].endswith("%")


def test_what_is_far_off_does_not_squeeze_the_scale(evaluated):
    reading = {"title": "error", "sign": -1, "share": False, "unit": "m"}
    worth = evaluated(reading, {"baseline": 3.0, "search": 2.9, "ensemble": 3.1, "distill": 1e9})
    assert worth.axis.high < 10
    assert worth.title == "Error, m"
    assert worth.figures["search"].text == "2.900 m (2.610 to 3.190)"


def test_without_figures_there_is_none(evaluated):
    assert evaluated({}, {"linear": 0.5}) is None
