import json
from types import SimpleNamespace

import pytest

from models.judging import latency
from pipeline import axes, timing
from pipeline.timing import Figure, Worth

NODES = [SimpleNamespace(name=name) for name in ("baseline", "evaluate", "report")]
WORTH = Worth(
    title="Accuracy",
    sign=1,
    axis=axes.share_axis(0.8, 0.95),
    figures={
        "baseline": Figure(0.85, 0.83, 0.87, "85.0 % (83.0 to 87.0)"),
        "distill": Figure(0.9, 0.88, 0.92, "90.0 % (88.0 to 92.0)"),
    },
    chosen="distill",
)


@pytest.fixture
def page(tmp_path):
    """Writes the timing.json of some stages, then the page, and gives its text."""

    def write(worth=None, **spans):
        for name, held in spans.items():
            folder = tmp_path / "artifacts" / name
            folder.mkdir(parents=True)
            content = {"seconds": 12.34, "spans": held}
            (folder / "timing.json").write_text(json.dumps(content))
        timing.write_page(NODES, tmp_path, worth)
        return (tmp_path / timing.PAGE).read_text()

    return write


def answered(**seconds):
    """Spans as `models.judging.latency` names them."""
    return {
        latency.span(name, batch): taken / 1000
        for name, both in seconds.items()
        for batch, taken in zip(latency.BATCHES, both, strict=True)
    }


def test_stages_have_a_row_each_whether_or_not_they_ran_here(page):
    text = page(baseline={"piece": 20.0, "fit": 18.25})
    assert "<tr><td>baseline</td><td>12.3</td><td>20.0</td><td>18.2</td></tr>" in text
    assert "<tr><td>report</td><td>–</td><td>–</td><td>–</td></tr>" in text
    assert "<tr><th>together</th><th>12.3</th>" in text
    assert "What an answer takes" not in text
    assert "<svg" not in text


def test_answers_are_drawn_against_what_they_are_worth(page):
    spans = answered(baseline=(2.5, 0.05), distill=(0.4, 0.002))
    text = page(WORTH, evaluate={"piece": 1.0, **spans})
    assert text.count("<svg") == text.count('role="img"') == 2
    assert text.index("Accuracy, one at a time") < text.index("Accuracy, 256 at once")
    assert text.count('class="mark chosen"') == 2
    assert text.count('class="mark plain"') == 2
    assert "distill 90.0 % (88.0 to 92.0) at 0.4 ms, baseline 85.0 %" in text
    cells = "<td>distill</td><td>90.0 % (88.0 to 92.0)</td><td>0.4</td><td>0.002</td>"
    assert cells in text
    # In the order of the ledger.
    assert text.index("<td>baseline</td><td>85") < text.index(cells)


def test_what_has_no_figure_is_in_the_table_alone(page):
    spans = answered(**{"<b>": (3.0, 0.3)}, distill=(1.0, 0.1))
    text = page(WORTH, evaluate=spans)
    assert text.count('class="mark') == 2
    assert "<td>&lt;b&gt;</td><td>–</td><td>3</td><td>0.3</td>" in text
    assert "<b>" not in text


def test_without_figures_there_is_a_table_alone(page):
    text = page(None, evaluate=answered(distill=(1.0, 0.1)))
    assert "<svg" not in text
    assert "<td>distill</td><td>1</td><td>0.1</td>" in text


def test_spans_of_answers_are_read_as_they_are_named():
    spans = [
        {latency.span("distill in 8 bits", 256): 2e-6, "fit": 3.0, "latency of nothing": 1.0},
        {latency.span("search", 1): 0.0, latency.span("distill", 1): 4e-4},
    ]
    found = timing.answers(spans)
    assert list(found) == [1, 256]
    assert found[1] == pytest.approx({"distill": 0.4})
    assert found[256] == pytest.approx({"distill in 8 bits": 0.002})


def test_half_a_file_of_timings_is_none(tmp_path):
    folder = tmp_path / "artifacts" / "baseline"
    folder.mkdir(parents=True)
    (folder / "timing.json").write_text('{"seconds": 1')
    assert timing.read(NODES[0], tmp_path) is None
