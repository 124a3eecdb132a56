import re
from functools import partial

import pytest

from tests.tasks import candidates
from tests.tasks.pages import BETTER, HOSTILE, TASKS, build, read, section

pytestmark = pytest.mark.usefixtures("in_a_project")


@pytest.fixture
def distilled(tmp_path, monkeypatch):
    """The page of a run with a control and a network in 8 bits, each this much above the
    student."""

    def make(
        name="page",
        control=(-0.013, -0.02, -0.001),
        int8=(-0.002, -0.006, 0.002),
        accuracies=BETTER,
        teacher="finetune",
        reason=None,
        **options,
    ):
        def change(made):
            candidates.write_distilled(made, 0.91, 0.92, teacher=teacher, reason=reason)

        def judge(made, evaluation):
            candidates.write_compared(made, evaluation, control, None if reason else int8)

        return build(
            tmp_path / name, monkeypatch, accuracies, change=change, judge=judge, **options
        )

    return make


def test_the_student_stands_beside_its_teacher_itself_without_and_in_8_bits(distilled):
    page = distilled()
    text = section(page, "distillation")
    assert re.search(r"Teacher finetune 93\.0 % \([0-9. to]+\) 40,100 40,000 160 kB", text)
    assert re.search(r"Student 92\.8 % \([0-9. to]+\) 4,100 4,000 16\.4 kB", text)
    control = r"Without its teacher 91\.5 % \([0-9. to]+\) -1\.30 \(-2\.00 to -0\.10\) 4,100"
    assert re.search(control, text)
    small = r"In 8 bits 92\.5 % \([0-9. to]+\) -0\.20 \(-0\.60 to \+0\.20\) 4,100 4,000 5\.3 kB"
    assert re.search(small, text)
    # The teacher's gift is the control's lack, turned round.
    assert (
        "The teacher changed the student's accuracy by +1.30 percentage points (+0.10 to +2.00): "
        "a gain that is proven."
    ) in text
    assert "The ledger says of it: Cheaper than finetune, 4,000 multiply-adds" in text
    assert "In 8 bits the network's file is 5.3 kB rather than 17.4 kB." in text
    assert "at the most 0.60 percentage points are lost, where 1.00 would be allowed" in text
    drawn = page.split('id="distillation"')[1].split("</section>")[0]
    assert drawn.count('<svg class="whiskers"') == 4
    assert page.count("<svg") == page.count('role="img"')


@pytest.mark.parametrize(
    ("control", "verdict"),
    [
        ((-0.01, -0.02, 0.01), "which proves neither a gain nor a loss"),
        ((0.02, 0.01, 0.03), "a loss that is proven: the labels alone teach it better"),
    ],
)
def test_what_is_not_proven_of_the_teacher_is_not_claimed(distilled, control, verdict):
    page = distilled(control=control)
    assert verdict in section(page, "distillation")
    advice = section(page, "next")
    told = (
        "Train the small network from the labels alone (distill.hard_weight: 1)"
        if control[0] > 0
        else "Give the teacher a fairer trial: more seeds"
    )
    assert told in advice
    what = "harmed" if control[0] > 0 else "gave nothing that is proven"
    assert f"Its teacher, finetune, {what}: with it the accuracy on validation changes" in advice


def test_a_teacher_that_gave_something_is_left_alone(distilled):
    assert "Train the small network from the labels alone" not in section(distilled(), "next")


def test_an_error_is_turned_round_as_well(distilled):
    page = distilled(control=(0.5, 0.2, 0.9), int8=(0.0, -0.001, 0.0005), **TASKS[3])
    text = section(page, "distillation")
    assert "by -0.5000 price (-0.9000 to -0.2000): a gain that is proven." in text
    assert "at the most 0.0005000 price are lost" in text


def test_a_teacher_from_a_file_has_no_figures_but_a_name(distilled):
    page = distilled(teacher=HOSTILE)
    text = section(page, "distillation")
    assert f"Teacher {HOSTILE} Student 92.8 %" in text
    assert "script" not in read(page).tags


def test_the_reason_for_no_network_in_8_bits_is_told(distilled):
    page = distilled(reason="TensorFlow Lite cannot convert <it>.")
    text = section(page, "distillation")
    assert "There is no network in 8 bits: TensorFlow Lite cannot convert <it>." in text
    assert "In 8 bits 9" not in text
    assert "Where size counts" not in section(page, "next")
    costs = section(page, "ledger").split("What it costs")[1]
    assert "8 bits" not in costs


def test_without_a_control_what_the_teacher_gave_is_not_known(distilled):
    text = section(distilled(control=None), "distillation")
    assert "what the teacher gave is not known" in text
    assert "Without its teacher" not in text


def test_a_student_that_is_off_has_no_section(tmp_path, monkeypatch):
    page = build(tmp_path, monkeypatch, off=("distill",))
    assert 'id="distillation"' not in page
    assert 'href="#distillation"' not in page


@pytest.mark.parametrize("rest", [(-0.002, -0.0099, 0.002), (0.0, 0.0, 0.0)])
def test_8_bits_are_recommended_where_they_lose_no_more_than_the_tolerance(distilled, rest):
    advice = section(distilled(int8=rest), "next")
    assert (
        "Where size counts take the network in 8 bits: artifacts/distill/int8/network.tflite, 5.3 "
        "kB rather than 17.4 kB."
    ) in advice.replace("\N{NO-BREAK SPACE}", " ")
    assert f"It loses at most {abs(100 * rest[1]):.2f} percentage points of accuracy" in advice


def test_8_bits_are_not_recommended_where_they_may_lose_more_or_the_student_is_left_out(distilled):
    assert "Where size counts" not in section(distilled(int8=(-0.004, -0.0101, 0.002)), "next")
    worse = {**BETTER, "distill": 0.86}
    assert "Where size counts" not in section(distilled("worse", accuracies=worse), "next")


@pytest.mark.parametrize("options", [{}, TASKS[2], TASKS[3]])
def test_every_candidate_is_drawn_against_what_it_costs(distilled, options):
    page = distilled(int8=(0.0, 0.0, 0.0), off=("search",), **options)
    text = section(page, "ledger").split("What it costs")[1]
    assert "A hollow mark is the student without its teacher, a square the student in 8" in text
    assert "neither can be chosen" in text
    drawn = page.split("<h3>What it costs</h3>")[1].split("</section>")[0]
    panels = re.findall(r'<svg class="panel scatter".*?</svg>', drawn, re.S)
    assert len(panels) == 2
    for panel in panels:
        names = re.findall(r'<text class="name[^>]*>([^<]+)<', panel)
        shown = ["8 bits", "baseline", "distill", "finetune", "regularize", "without teacher"]
        assert sorted(names) == shown
        assert panel.count('class="mark chosen"') == 1
        assert panel.count('class="mark hollow"') == panel.count('class="mark square"') == 1
        assert panel.count('class="front"') == 1
    adds, size = panels
    label = re.search('aria-label="([^"]+)"', adds)[1]
    assert re.search(r"by multiply-adds an example; 8 bits [^,]+ at 4k, distill", label)
    label = re.search('aria-label="([^"]+)"', size)[1].replace("\N{NO-BREAK SPACE}", " ")
    assert re.search(r"numbers; 8 bits [^,]+ at 5\.3 kB, distill [^,]+ at 16\.4 kB, without", label)


def test_variants_are_not_said_to_be_switched_off(distilled):
    advice = section(distilled(), "next")
    assert "Switch on ensemble." in advice


def test_one_network_alone_is_not_drawn(tmp_path, monkeypatch):
    off = ("search", "regularize", "finetune", "distill")
    assert "What it costs" not in build(tmp_path, monkeypatch, off=off)


def test_bytes_are_equal_on_two_runs(distilled):
    one, two = (partial(distilled, name)() for name in ("one", "two"))
    assert one == two
