import json
import re
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metrics.readings import significant
from models.judging.evaluation import Details
from pipeline.picture import draw
from tasks import report
from tasks.reporting.diagnosis import alike
from tasks.reporting.holdout import _precision
from tests.tasks import candidates, pages
from tests.tasks.pages import (
    BETTER,
    HOSTILE,
    MACRO_F1,
    PARAMS,
    STAGES,
    TASKS,
    build,
    read,
    section,
    words,
)

pytestmark = pytest.mark.usefixtures("in_a_project")


def test_it_tells_the_story(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    text = words(page)
    assert "The chosen model is distill ." in text
    for name in candidates.STORY:
        assert name in text
    assert "Gain over search proven: +3.00 percentage points" in text
    assert "2 fits, 40 epochs, 16,000 examples" in text
    assert "400 + 400 + 200: train, validation, holdout" in text
    assert "12 trials, 1 diverged" in text
    # Every drawing says what it shows.
    assert page.count("<svg") == page.count('role="img"')
    assert len(re.findall(r'<svg class="panel"[^>]*aria-label="[^"]{10,}"', page)) >= 10


def test_text_from_data_is_escaped(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, names=("plain", HOSTILE), columns=(HOSTILE, "<img src=x>"))
    reader = read(page)
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    # It is shown all the same, as text, for classes, columns and notes, and in the SVG's labels.
    assert "".join(reader.text).count(HOSTILE) >= 6
    assert any(
        HOSTILE in (value or "") for name, value in reader.attributes if name == "aria-label"
    )


def test_it_loads_nothing_from_elsewhere(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    reader = read(page)
    loads = [value for name, value in reader.attributes if name in ("src", "href", "xlink:href")]
    assert {value for value in loads if not value.startswith("#")} == {"timing.html"}
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in page
    assert "url(" not in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("options", TASKS)
def test_bytes_are_equal_on_two_runs(tmp_path, monkeypatch, options):
    one = build(tmp_path / "one", monkeypatch, **options)
    two = build(tmp_path / "two", monkeypatch, **options)
    assert one == two


@pytest.mark.parametrize("options", TASKS)
def test_every_task_has_a_sound_page(tmp_path, monkeypatch, options):
    page = build(tmp_path, monkeypatch, **options)
    assert page.count("<svg") == page.count('role="img"')
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", words(page))
    for wrong in ("-0.0 ", "nan", "inf"):
        assert f'"{wrong}' not in page


@pytest.mark.parametrize("options", TASKS[2:])
def test_names_of_labels_and_targets_are_escaped(tmp_path, monkeypatch, options):
    hostile = (HOSTILE, "<img src=x onerror=y>")[: len(options["names"])]
    reader = read(build(tmp_path, monkeypatch, **{**options, "names": hostile}))
    assert "script" not in reader.tags
    assert "img" not in reader.tags
    assert not any(name.startswith("on") for name, _ in reader.attributes)
    assert "".join(reader.text).count(HOSTILE) >= 5


def test_figures_of_quantities_are_in_their_unit(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, **TASKS[3])
    figures = json.loads((tmp_path / "evaluate" / "metrics.json").read_text())
    rmse, mae = (figures["chosen"][name] for name in ("rmse", "mae"))
    text = words(page)
    assert "Its root mean squared error (lower is better) is" in text
    assert f"{significant(rmse['value'])} price on 200 examples" in text
    assert f"95 % interval {significant(rmse['low'])} to {significant(rmse['high'])}" in text
    assert "To predict price, a quantity" in text
    assert "a cheaper candidate may lose at most 1 % of its reference's value" in text
    tested = section(page, "holdout")
    assert "Root mean squared error, price (lower is better) objective" in tested
    assert (
        "{} ({} to {})".format(*(significant(mae[end]) for end in ("value", "low", "high")))
        in tested
    )
    assert f"R² {significant(figures['chosen']['r2']['value'])} (" in tested
    assert "Quantities, all examples Target least 25 % median 75 % most mean" in text
    assert "price 3.142 500 1,000 1,500 2,000,000 1,002" in text
    assert "price, train -7.5 1,000 1,400" in text
    assert "Examples by part train validation holdout together examples 400 400 200 1,000" in text


def test_the_rule_that_chose_is_said(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, choice="limit")
    assert "accuracy on validation, higher is better; the best of the candidates within" in (
        section(page, "asked")
    )
    ledger = section(page, "ledger")
    assert "it takes over where its figure is better and it is within the limits" in ledger
    assert "Not to be chosen: 40,000 multiply-adds an example, where 10,000 are the limit" in ledger
    assert "Chosen as the best within the limits (evaluate.choice: limit)." in ledger


def test_the_ledger_of_quantities_is_read_downwards(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, **TASKS[3])
    ledger = section(page, "ledger")
    assert "the difference lies below zero" in ledger
    assert "Against reference, price" in ledger
    # The objective is the loss: it stands there once.
    assert "Log loss" not in ledger
    assert ledger.count("Root mean squared error") == 1
    row = (tmp_path / "evaluate" / "ledger.csv").read_text().splitlines()[4].split(",")
    assert row[0] == "search"
    assert f"search {significant(float(row[2]))} " in ledger
    value, low, high = (significant(float(cell), sign="+") for cell in row[5:8])
    assert f"{value} {low} to {high}" in ledger
    # The constant answer lies beyond the scale, on the right: bad.
    assert page.count('class="plain tip far"') >= 1
    assert 'aria-label="mean: ' in page


def test_quantities_have_no_accuracy_and_no_classes(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, **TASKS[4])
    text = words(page)
    assert "Squared error of the standardised target" in section(page, "curves")
    for absent in ("Accuracy", "Log loss", "Confusion", "Calibration", "Recall", "threshold"):
        assert absent not in text.split("The stages, and what they cost")[1]
    assert "2 quantities: width, height" in text
    assert "mean over 2 targets is" in text or "mean over 2 targets (lower is better) is" in text


def test_predictions_are_drawn_against_actual_values(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, **TASKS[4])
    details = json.loads((tmp_path / "evaluate" / "details.json").read_text())
    for name in ("width", "height"):
        label = f"{name}: predicted against actual values of 200 examples"
        panel = page.split(f'aria-label="{label}"')[1].split("</svg>")[0]
        assert panel.count("h0") == len(details["points"][name]["actual"]) == 200
        assert "ideal" in panel
        cells = " ".join(f"{value:.4g}" for value in details["residuals"]["chosen"][name][:2])
        assert re.search(rf"{name} chosen {re.escape(cells[:5])}", section(page, "holdout"))
    assert section(page, "holdout").count("baseline") >= 2


def timid(made):
    """Right answers come with probabilities below 0.5 too."""
    for model in (candidate.model for candidate in made.training()):
        if model.record().enabled:
            model.write_predictions(0.7 * model.predictions())


def test_labels_have_a_table_with_precisions(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, threshold="tuned", change=timid, **TASKS[2])
    details = json.loads((tmp_path / "evaluate" / "details.json").read_text())
    tested = section(page, "holdout")
    for chosen, baseline in zip(
        *(details["labels"][m] for m in ("chosen", "baseline")), strict=True
    ):
        recall, precision = 100 * chosen["recall"], 100 * chosen["precision"]
        assert f"{chosen['name']} {chosen['examples']} {recall:.1f} % (" in tested
        assert (
            f"{precision:.1f} % of {chosen['answers']} "
            f"{100 * baseline['precision']:.1f} % of {baseline['answers']}"
        ) in tested
    assert "a threshold of its own, which was chosen on validation" in tested
    assert f"{details['thresholds']['chosen']['thresholds'][0]:.3g}" in tested
    assert "Confusion" not in tested
    assert "Calibration" not in tested
    text = words(page)
    assert "which of 3 labels an example has: calm, happy, sad" in text
    assert "all examples 400 400 200 1,000" in text
    assert "Share of labels right" in section(page, "curves")


def test_a_label_that_is_never_said_has_no_precision(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, **TASKS[2])
    path = tmp_path / "evaluate" / "details.json"
    details = json.loads(path.read_text())
    assert "never said" not in page
    details["labels"]["chosen"][0]["precision"] = None
    label = Details.model_validate(details).labels["chosen"][0]
    assert _precision(label) == "never said"


@pytest.mark.parametrize("how", ["half", "tuned"])
def test_two_classes_have_a_threshold(tmp_path, monkeypatch, how):
    options = {"names": ("ill", "well"), "shares": (20, 80), "objective": MACRO_F1}
    page = build(tmp_path, monkeypatch, threshold=how, **options)
    details = json.loads((tmp_path / "evaluate" / "details.json").read_text())
    tuned = details["thresholds"]["chosen"]
    tested = section(page, "holdout")
    assert f"the macro F1 is {100 * tuned['half']:.1f} %" in tested
    if how == "half":
        assert "“well” is the answer where its probability is above 0.5: no other" in tested
    else:
        [threshold] = tuned["thresholds"]
        assert threshold != 0.5
        assert f"above {threshold:.4g}. This threshold was chosen on validation." in tested
        assert f"at 0.5, and {100 * tuned['tuned']:.1f} % at {threshold:.4g}" in tested
    assert "The threshold" not in words(build(tmp_path / "three", monkeypatch))


def test_findings_begin_with_what_was_waved_through(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    text = section(page, "findings")
    assert "error, waved through shared_rows : 4 holdout rows are in training too. Group" in text
    assert text.index("shared_rows") < text.index("constant:")
    assert text.index("constant:") < text.index("7 rows without a target")
    assert "12 rows are copies of another" in text
    assert ">The data, looked at</a>" in page
    assert "x numeric 3 800 -1,235 to 2, median 0.5" in text


def test_the_search_is_drawn_by_text_reader_too(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, **TASKS[3])
    found = section(page, "search")
    assert "pool transformer reader of texts" in found
    trials = pd.read_csv(tmp_path / "in" / "search" / "trials.csv")
    best = trials.loc[trials["score"].idxmin()]
    assert f"The best, trial {best['trial']}, has on validation the root mean squared" in found
    assert f"{significant(best['score'])} price; lower is better" in found
    # Where lower is better, what diverged stands at the top.
    heights = re.findall(r'class="cross" d="M[0-9.]+ ([0-9.]+)l', page)
    assert {float(height) for height in heights} == {18.0}


def test_a_wild_trial_does_not_squeeze_the_others(tmp_path, monkeypatch):
    def wild(made):
        trials = pd.read_csv(made.search.trials.path)
        trials.loc[1, "score"] = 1e30
        made.search.trials.write(trials)

    page = build(tmp_path, monkeypatch, change=wild, **TASKS[3])
    ticks = re.findall(r'text-anchor="end">([^<]+)<', page.split('id="search"')[1])
    assert "4" in ticks
    assert not any("e" in tick for tick in ticks)


def test_switched_off_stages_are_said_to_be_off(tmp_path, monkeypatch):
    off = ("search", "regularize", "finetune", "distill")
    text = words(build(tmp_path, monkeypatch, off=off))
    assert text.count("switched off") >= 4  # in the picture
    assert "The search was switched off" in text
    assert "The chosen model is the baseline" in text
    assert "Switch on search, regularize, finetune, ensemble, distill." in text


@pytest.mark.parametrize("options", TASKS)
def test_an_ensemble_without_a_fit_is_reported_like_any_other(tmp_path, monkeypatch, options):
    better = {**BETTER, "ensemble": 0.99}
    page = build(tmp_path, monkeypatch, better, **options)
    text = words(page)
    assert "The chosen model is ensemble ." in text
    assert "no fits" in page.split('data-stage="ensemble"')[1].split("</g>")[0]
    assert "120,000 120,100 0, 0" in section(page, "ledger")
    # It has no curves to be drawn or told from, and is not said to be off for that.
    assert "Switched off." not in section(page, "curves")
    assert "ensemble" not in section(page, "curves").replace("chosen, ensemble", "")
    assert "ensemble" not in section(page, "diagnosis")
    assert "What ensemble trained." in text


def test_links_within_the_page_lead_somewhere(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    reader = read(page)
    targets = {value for name, value in reader.attributes if name == "id"}
    links = {value[1:] for name, value in reader.attributes if name == "href" and value[0] == "#"}
    assert links <= targets
    assert len(links) == 11


def test_headings_do_not_skip_a_level(tmp_path, monkeypatch):
    levels = [
        int(tag[1])
        for tag in read(build(tmp_path, monkeypatch)).tags
        if tag[0] == "h" and tag[1:].isdigit()
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


def test_very_many_classes_stay_readable(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, names=tuple(f"class {at:02d}" for at in range(45)), n=900)
    text = words(page)
    assert "45 classes are too many for a matrix" in text
    assert "The 40 classes found least often; 5 more are" in text
    assert "Most often mistaken" in text


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({**BETTER, "linear": 0.94}, "Its validation accuracy is 94.0 %, and the interval of "),
        (
            {**dict.fromkeys(BETTER, 0.85), "distill": 0.5},
            "The chosen network's gain over it is not proven: +0.00",
        ),
        # regularize is 1 of 400 better than search, too few to prove.
        (
            {**BETTER, "regularize": 0.9025},
            "about 1,500 validation examples or more would show it; there are 400",
        ),
        ({**BETTER, "distill": 0.99}, "the choice was optimistic"),
        (dict.fromkeys(BETTER, 0.36), "Look for other features: these may say nothing"),
    ],
)
def test_advice_follows_the_evidence(tmp_path, monkeypatch, accuracies, expected):
    assert expected in words(build(tmp_path, monkeypatch, accuracies))


def test_advice_on_quantities_is_read_downwards(tmp_path, monkeypatch):
    same = {**BETTER, "linear": 0.85, "baseline": 0.85}
    text = section(build(tmp_path / "one", monkeypatch, same, **TASKS[3]), "next")
    # A later network is far better than it.
    assert "Consider the linear model." not in text
    alike = dict.fromkeys(BETTER, 0.85)
    told = section(build(tmp_path / "alike", monkeypatch, alike, **TASKS[3]), "next")
    assert "Consider the linear model." in told
    assert "overfits. In epoch 20, whose weights are kept, its squared error of the" in text
    assert "a gap of 12.0 % of the target's variance, where 5 is the limit" in text
    # A little better on validation than on the holdout, but within its interval.
    assert "optimistic" not in text
    assert "Look at the examples of" not in text
    assert "rare classes" not in text
    assert "at their word" not in text
    text = section(build(tmp_path / "two", monkeypatch, tested=0.95, **TASKS[3]), "next")
    assert "Consider the linear model." not in text
    assert "optimistic" not in text
    assert "Look for other features" not in text
    nothing = dict.fromkeys(BETTER, -1.0)
    text = section(build(tmp_path / "three", monkeypatch, nothing, tested=-1.0, **TASKS[3]), "next")
    assert "To say the same of every example (mean) gives a validation root mean squared" in text
    lucky = section(build(tmp_path / "four", monkeypatch, tested=0.5, **TASKS[3]), "next")
    assert re.search(r"the root mean squared error .* is [0-9.]+ price, on the holdout", lucky)


def test_advice_on_two_classes_doubts_plain_accuracy(tmp_path, monkeypatch):
    uneven = {"names": ("ill", "well"), "shares": (12, 88)}
    text = section(build(tmp_path / "one", monkeypatch, **uneven), "next")
    assert "Choose by another objective than accuracy if “ill” is what matters" in text
    assert "Who always says “well” is right for 88.0 % of the training examples, and" in text
    assert "Training saw 352 examples of “well” and 48 of “ill”." in text
    other = section(build(tmp_path / "two", monkeypatch, objective=MACRO_F1, **uneven), "next")
    assert "another objective than accuracy" not in other
    even = section(build(tmp_path / "three", monkeypatch, names=("ill", "well")), "next")
    assert "another objective than accuracy" not in even


def test_advice_on_texts_names_what_was_not_tried(tmp_path, monkeypatch):
    def only_pool(made):
        trials = pd.read_csv(made.search.trials.path)
        made.search.trials.write(trials.assign(text="pool"))

    advice = "what else reads texts: convolution, transformer (search.space.text, or more"
    types = {"types": ("numeric", "text")}
    build_one = partial(build, monkeypatch=monkeypatch)
    assert advice in words(build_one(tmp_path / "one", change=only_pool, **types))
    assert advice not in words(build_one(tmp_path / "two", **types))
    assert advice not in words(build_one(tmp_path / "three", change=only_pool))


def test_advice_on_the_search_names_the_edges(tmp_path, monkeypatch):
    text = words(build(tmp_path, monkeypatch))
    # Of the synthetic trials the best has depth 3 of 1 to 3 and batch size 64 of 32 and 64.
    assert "Search further: a higher depth, a higher batch size." in text
    assert "with 3 for depth, 64 for batch size" in text


def test_advice_knows_its_limits(tmp_path, monkeypatch):
    silent = PARAMS.model_copy(update={"gap": 0.9, "recall": 0.0, "ece": 0.9})
    text = words(build(tmp_path / "silent", monkeypatch, params=silent))
    assert "overfits" not in text
    assert "Look at the examples of" not in text
    assert "at their word" not in text
    strict = PARAMS.model_copy(update={"gap": 0.001, "recall": 1.0, "ece": 0.001})
    text = words(build(tmp_path / "strict", monkeypatch, params=strict))
    assert "Look at the examples of" in text
    assert "underconfident: mean confidence" in text or "overconfident: mean confidence" in text
    assert "1 of 12 trials diverged" in text


def test_candidates_are_diagnosed_with_what_to_try(tmp_path, monkeypatch):
    text = section(build(tmp_path, monkeypatch), "diagnosis")
    # Accuracies of training come close to 1, of validation to the candidate's own.
    assert re.search(
        r"baseline overfit ?In epoch 20, whose weights are kept, its accuracy is", text
    )
    assert re.search(r"distill overfit ?In epoch 20", text)
    assert "a gap of 14.8 percentage points, where 5 is the limit" in text
    assert "A smaller network than width 32" in text
    assert "cannot be told: no shares of the rows were tried (baseline.shares)" in text
    assert "What more data would gain" not in text.split("cannot be told")[-1]
    assert "Validation stands for the training data as far as was looked" in text
    wide = PARAMS.model_copy(update={"gap": 0.3})
    text = section(build(tmp_path / "wide", monkeypatch, params=wide), "diagnosis")
    assert text.count("good fit") == 5
    off = build(tmp_path / "off", monkeypatch, off=("search", "distill"))
    assert "distill" not in section(off, "diagnosis")


def test_what_is_trained_to_be_compared_costs_as_much():
    student = candidates.record("distill", True, (1, 2))
    control: Any = SimpleNamespace(fits=2, epochs=24, examples=8_000)
    assert report._cost(student, []) == "2 fits, 40 epochs, 16,000 examples"
    assert report._cost(student, [control]) == "4 fits, 64 epochs, 24,000 examples"


def test_with_weights_it_is_said_what_they_count_in(tmp_path, monkeypatch):
    plain = words(build(tmp_path / "plain", monkeypatch))
    assert "plain counts" not in plain
    assert "count each example once" not in plain
    profile_of = pages.profile_of
    monkeypatch.setattr(pages, "profile_of", lambda *told: profile_of(*told) | {"weight": "w"})
    page = build(tmp_path / "weighted", monkeypatch)
    assert "each counts in the metrics as much as w says" in words(page)
    assert "numbers of examples are plain counts" in words(page)
    assert "Accuracies of this section count each example once" in section(page, "diagnosis")


@pytest.mark.parametrize("options", [{}, TASKS[3]])
def test_the_learning_curve_foretells_what_more_data_gain(tmp_path, monkeypatch, options):
    page = build(tmp_path, monkeypatch, change=candidates.write_learning, **options)
    text = section(page, "diagnosis")
    assert "on 400, 1,200, 4,000 training examples" in text
    assert re.search(r"2 times as many rows 0\.\d\d \(0\.\d\d to 0\.\d\d\), 5 times", text)
    unit = "of the target's variance less" if options else "percentage points fewer errors"
    assert unit in text
    assert "too little data" in text
    panel = page.split("on validation of 9 fits by number of training examples")[1]
    panel = panel.split("</svg>")[0]
    # Seeds, means, two forecasts with their intervals.
    assert panel.count("<circle") == 9 + 3 + 2
    assert panel.count('class="doubt"') == 2
    assert "Collect more data: the chosen network has too little of it." in section(page, "next")


def test_the_learning_curve_says_where_it_cannot_tell(tmp_path, monkeypatch):
    flat = partial(candidates.write_learning, floor=0.1, scale=0.0, noise=0.2)
    text = section(build(tmp_path, monkeypatch, change=flat), "diagnosis")
    assert "cannot be told: the error did not fall beyond what the seeds differ by" in text
    assert "It foretells of" not in text


def test_parts_that_differ_are_named_in_the_diagnosis():
    def found(name, evidence):
        return {"name": name, "severity": "warning", "evidence": evidence, "advice": ""}

    drift = found("drift:age", "'age' is distributed otherwise than in train: in validation a")
    elsewhere = found("drift:pay", "'pay' is distributed otherwise than in train: in holdout a")
    told = found("two_samples:validation", "a small model tells rows of validation from rows of")
    copies = found("shared_rows:validation", "4 validation rows are in train too")
    text = alike([elsewhere, drift, told, copies])
    assert "may not stand for the training data: drift:age, two_samples:validation (" in text
    assert "Validation stands for" in alike([elsewhere, copies])


@pytest.mark.parametrize("options", [{}, TASKS[3]])
def test_the_ablation_has_a_section_where_there_was_one(tmp_path, monkeypatch, options):
    sign = -1 if options else 1

    def ablated(made):
        candidates.write_ablation(made, HOSTILE, sign)

    page = build(tmp_path, monkeypatch, change=ablated, **options)
    text = section(page, "ablation")
    assert 'href="#ablation"' in page
    if options:
        assert "on validation: added to" not in text
        assert "Gains lie below zero" in text
        assert "-0.05000 (-0.06000 to -0.04000) -0.03000 (-0.05000 to -0.01000)" in text
    else:
        assert "in the accuracy on validation, in percentage points: added to the start" in text
        assert "+5.00 (+4.00 to +6.00) +3.00 (+1.00 to +5.00)" in text
    assert "4 comparisons are made, so each is drawn with its 98.75 % interval" in text
    assert "earned Because of" in text
    assert "does nothing" in text
    assert "2,468" in text
    # Escaped, and shown.
    reader = read(page)
    assert "script" not in reader.tags
    assert "<script>" in "".join(reader.text)
    assert page.split('id="ablation"')[1].split("</section>")[0].count("<svg") == 2
    without = build(tmp_path / "without", monkeypatch, **options)
    assert "ablation" not in words(without).lower()


def test_the_dag_is_the_rendered_one_with_costs(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch)
    assert "evaluate reads split, baseline, search, regularize, finetune, ensemble, distill" in page
    assert "as in the README" not in page
    (tmp_path / "docs" / "dag.svg").write_text(draw(STAGES[:3], {}))
    page = build(tmp_path / "other", monkeypatch)
    assert "evaluate reads" not in page
