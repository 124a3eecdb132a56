import re
from functools import partial

import pytest

from metrics.readings import Reading
from tasks.reporting import transfer
from tests.tasks import candidates
from tests.tasks.pages import BETTER, HOSTILE, TASKS, build, read, section, words

pytestmark = pytest.mark.usefixtures("in_a_project")

ACCURACY = Reading(title="accuracy", sign=1, share=True, unit="")
ERROR = Reading(title="root mean squared error", sign=-1, share=False, unit="price")
SOURCES = [
    ("fonts", "the recipe's", 0.83, True),
    (HOSTILE, "read from the file", 0.8, False),
    ("fonts, untrained", "the recipe's", 0.6, False),
]
GAINS = {0.05: 0.06, 0.2: 0.02, 1.0: 0.004}


def row(share, way, difference, reach=0.01, score=0.8, cost=100):
    told = (
        dict.fromkeys(("difference", "difference_low", "difference_high"))
        if difference is None
        else {
            "difference": difference,
            "difference_low": difference - reach,
            "difference_high": difference + reach,
        }
    )
    return {
        **{"share": share, "examples": round(2000 * share), "way": way, "seeds": 2},
        **{"score": score, "low": score - 0.02, "high": score + 0.02, **told, "loss": 0.3},
        **{"epochs": 12, "examples_seen": cost},
    }


def compared(*tuned, frozen=0.0):
    """Rows of shares 0.05, 0.2 and 1 with these gains of tuning; of fewer the last shares."""
    shares = (0.05, 0.2, 1.0)[-len(tuned) :]
    return [
        one
        for share, gain in zip(shares, tuned, strict=True)
        for one in (
            row(share, "scratch", None),
            row(share, "frozen", frozen),
            row(share, "tuned", gain),
        )
    ]


def transferred(made, gains=GAINS, sign=1, **options):
    candidates.write_probe(made, SOURCES)
    candidates.write_worth(made, gains, sign=sign, **options)


@pytest.mark.parametrize(
    ("tuned", "follows"),
    [
        ((0.05, 0.03, 0.02), "Transfer is worth it here."),
        ((0.05,), "Transfer is worth it here."),
        (
            (0.05, 0.03, 0.0),
            "Transfer is worth it where examples are few; with as many as there are that is not "
            "proven.",
        ),
        (
            (0.05, 0.0, -0.05),
            "Transfer is worth it where examples are few; with as many as there are it harms.",
        ),
        (
            (0.0, 0.0, 0.05),
            "Transfer is worth it with all 2,000 training examples; with fewer it is not always "
            "proven.",
        ),
        (
            (0.0, 0.009, -0.009),
            "Transfer is not proven to be worth it here, with few examples or with many.",
        ),
        ((0.0,), "Transfer is not proven to be worth it here."),
        (
            (0.0, 0.0, -0.05),
            "Transfer is not worth it here: it gains nothing that is proven, and it harms.",
        ),
    ],
)
def test_what_follows_is_what_is_proven(tuned, follows):
    assert transfer.told(compared(*tuned), ACCURACY)[-1] == follows
    # The same of what had better be low.
    downwards = compared(*(-gain for gain in tuned))
    assert transfer.told(downwards, ERROR)[-1] == follows


def test_every_share_is_told_with_its_difference():
    few, some, every, _ = transfer.told(compared(0.05, -0.03, 0.004), ACCURACY)
    assert few == (
        "With 5 % of the training examples (100) the tuned network is better than from scratch by "
        "5.00 percentage points (4.00 to 6.00): proven."
    ).replace(" %", "\N{NO-BREAK SPACE}%")
    assert "worse than from scratch by 3.00 percentage points (2.00 to 4.00): proven" in some
    assert every == (
        "With all 2,000 training examples the tuned network is not proven to differ from the one "
        "from scratch: +0.40 percentage points (\N{MINUS SIGN}0.60 to +1.40)."
    )


def test_a_gain_of_an_error_is_an_amount_in_its_unit():
    [told, _] = transfer.told(compared(-0.05), ERROR)
    assert "is better than from scratch by 0.05000 price (0.04000 to 0.06000): proven" in told


def test_a_frozen_trunk_is_named_where_it_alone_gains():
    told = transfer.told(compared(0.0, 0.05, 0.0, frozen=0.03), ACCURACY)
    assert told[-1] == (
        "With its trunk frozen, and not tuned, the network is proven better with 5 % of the "
        "training examples (100) and all 2,000 training examples."
    ).replace(" %", "\N{NO-BREAK SPACE}%")
    assert "frozen" not in " ".join(transfer.told(compared(0.05, 0.05, 0.05), ACCURACY))


def test_where_nothing_could_be_compared_nothing_is_claimed():
    [told] = transfer.told([row(1.0, "scratch", None), row(1.0, "tuned", None)], ACCURACY)
    assert "is not known: nothing could be compared" in told


def test_crowded_shares_lose_the_names_of_some_ticks():
    rows = [row(share, "tuned", 0.0) for share in (0.05, 0.06, 0.07, 0.9, 1.0)]
    names = [name for _, name in transfer._examples_axis(rows).ticks]
    assert names == ["7\N{NO-BREAK SPACE}%\n140", "100\N{NO-BREAK SPACE}%\n2,000"]


def test_the_page_has_sources_and_what_transfer_is_worth(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, change=transferred)
    text = section(page, "transfer")
    assert 'href="#transfer"' in page
    assert re.search(r"fonts tuned the recipe's 83\.0 % \(81\.0 to 85\.0\) 64 12,345 67,890", text)
    assert text.index("fonts tuned") < text.index("<script>") < text.index("fonts, untrained")
    assert "20 % 400 trunk frozen 83.0 % (81.0 to 85.0) +1.00 (+0.00 to +2.00)" in text
    assert "5 % 100 from scratch 80.5 % (78.5 to 82.5) 40 4,000" in text
    assert "better than from scratch by 6.00 percentage points (5.00 to 7.00): proven" in text
    drawn = page.split('id="transfer"')[1].split("</section>")[0]
    assert drawn.count('<svg class="panel"') == 2
    # Each way has a mark and a dash of its own, in both panels and in the key.
    for way, mark in (("scratch", "rect"), ("frozen", "path"), ("tuned", "circle")):
        assert drawn.count(f'<{mark} class="way mark {way}"') == 2 * 3 + 1
        assert drawn.count(f'<path class="way line {way}"') == 2 + 1
        assert drawn.count(f'<line class="way {way}"') == 2 * 3
    label = "with 100 % of them from scratch 90.0 %, trunk frozen 90.2 %, tuned 90.4 %"
    assert label.replace(" %", "\N{NO-BREAK SPACE}%") in drawn
    assert "script" not in read(page).tags
    assert page.count("<svg") == page.count('role="img"')


def test_quantities_are_read_downwards(tmp_path, monkeypatch):
    change = partial(transferred, sign=-1, scratch=0.9)
    text = section(build(tmp_path, monkeypatch, change=change, **TASKS[3]), "transfer")
    assert "the tuned network is better than from scratch by 0.06000 price (0.05000" in text
    assert "-0.06000 (-0.07000 to -0.05000)" in text
    assert "Root mean squared error, price" in text


def test_sources_alone_and_comparisons_alone_are_shown(tmp_path, monkeypatch):
    def probed(made):
        candidates.write_probe(made, SOURCES)

    def worthy(made):
        candidates.write_worth(made, GAINS)

    text = section(build(tmp_path / "one", monkeypatch, change=probed), "transfer")
    assert "Which source" in text
    assert "Whether it is worth it" not in text
    text = section(build(tmp_path / "two", monkeypatch, change=worthy), "transfer")
    assert "Which source" not in text
    assert "Whether it is worth it" in text


def test_without_either_or_switched_off_there_is_no_section(tmp_path, monkeypatch):
    page = build(tmp_path / "one", monkeypatch)
    assert 'id="transfer"' not in page
    assert 'href="#transfer"' not in page
    off = build(tmp_path / "two", monkeypatch, change=transferred, off=("finetune",))
    assert 'id="transfer"' not in off


def test_advice_is_to_switch_off_what_is_not_proven_worth_it(tmp_path, monkeypatch):
    same = {**BETTER, "finetune": 0.9025}

    def advice(name, accuracies=same, gains=GAINS, **options):
        change = partial(transferred, gains=gains)
        page = build(tmp_path / name, monkeypatch, accuracies, change=change, **options)
        return section(page, "next")

    said = advice("same")
    assert "Switch transfer off (finetune.enabled); that saves 2 fits." in said
    assert "not proven to be better than the same one from scratch: +0.40 percentage" in said
    assert "Where examples are fewer it may be: with 5 % and 20 % of them it is proven." in said
    # Not both: a fairer trial, and none.
    assert "Give finetune a fairer trial" not in said
    assert "Switch transfer off" not in advice("proven", gains={1.0: 0.05})
    assert "Give finetune a fairer trial" in advice("again", gains={1.0: 0.05})
    assert "Switch transfer off" not in advice("few", gains={0.2: 0.0})
    assert "Switch transfer off" not in advice("kept", BETTER)

    def taught(made):
        transferred(made)
        candidates.write_distilled(made, 0.9, 0.92, teacher="finetune")

    told = build(tmp_path / "teacher", monkeypatch, same, change=taught)
    assert "Switch transfer off" not in words(told)
