import re
from xml.etree import ElementTree

import pytest

from pipeline.picture import WIDTH, draw, read

STAGES = [
    ("ingest", []),
    ("split", ["ingest"]),
    ("baseline", ["split"]),
    ("search", ["split"]),
    ("evaluate", ["split", "baseline", "search"]),
    ("report", ["ingest", "evaluate"]),
]
SVG = "{http://www.w3.org/2000/svg}"


def elements(picture, tag, kind):
    root = ElementTree.fromstring(picture)
    return [one for one in root.iter(SVG + tag) if one.get("class") == kind]


def test_every_dependency_is_drawn_once():
    picture = draw(STAGES, {})
    # Neighbours have an arrow between them; every other dependency is a dot on a rail.
    neighbours = {("ingest", "split"), ("split", "baseline"), ("search", "evaluate")}
    neighbours |= {("evaluate", "report")}
    down = [one for one in elements(picture, "path", "tip") if "h8l-4 7z" in one.get("d")]
    dots = elements(picture, "circle", "tip")
    edges = [(need, name) for name, needs in STAGES for need in needs]
    assert len(down) == len(neighbours)
    assert len(dots) == len(edges) - len(neighbours)
    # split, ingest and baseline have takers further down, so a rail each at its own place.
    assert len({dot.get("cx") for dot in dots}) == 3


def test_dots_lie_on_the_takers_height():
    picture = draw(STAGES, {})
    boxes = {
        name.text: box
        for name, box in zip(
            elements(picture, "text", "name"), elements(picture, "rect", "box"), strict=True
        )
    }

    def dots_of(stage):
        top = float(boxes[stage].get("y"))
        bottom = top + float(boxes[stage].get("height"))
        dots = elements(picture, "circle", "tip")
        return sum(top < float(dot.get("cy")) < bottom for dot in dots)

    counted = {name: dots_of(name) for name, _ in STAGES}
    assert counted == {
        "ingest": 0,
        "split": 0,
        "baseline": 0,
        "search": 1,
        "evaluate": 2,
        "report": 1,
    }


def test_boxes_do_not_overlap_and_stay_inside():
    picture = draw(STAGES, {"split": "a label that is long enough to need more lines " * 4})
    height = float(ElementTree.fromstring(picture).get("height"))
    end = 0.0
    for box in elements(picture, "rect", "box"):
        assert float(box.get("y")) > end
        end = float(box.get("y")) + float(box.get("height"))
        assert float(box.get("x")) + float(box.get("width")) <= WIDTH
    assert end < height
    assert len(elements(picture, "text", "label")) > 4


def test_names_and_labels_are_escaped():
    picture = draw([("<b>&", [])], {"<b>&": "<script>alert('x')</script>"})
    assert "<script>" not in picture
    [name] = elements(picture, "text", "name")
    assert name.text == "<b>&"


def test_it_says_what_it_shows_and_loads_nothing():
    picture = draw(STAGES, {})
    root = ElementTree.fromstring(picture)
    assert root.get("role") == "img"
    assert "report reads ingest, evaluate" in root.find(SVG + "desc").text
    assert re.findall(r"https?://[^\"]+", picture) == ["http://www.w3.org/2000/svg"]


def test_a_picture_can_be_read_and_drawn_again():
    assert read(draw(STAGES, {"split": "<two> & more"})) == STAGES
    assert draw(read(draw(STAGES, {"split": "old"})), {}) == draw(STAGES, {})
    for wrong in ("", "no picture", '<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'):
        with pytest.raises(ValueError, match="not a picture of stages"):
            read(wrong)


def test_the_same_dag_gives_the_same_text():
    assert draw(STAGES, {"split": "x"}) == draw(tuple(STAGES), {"split": "x"})
    assert ElementTree.fromstring(draw([], {})) is not None


def test_a_dependency_that_comes_later_is_refused():
    with pytest.raises(ValueError, match="split depends on ingest"):
        draw([("split", ["ingest"]), ("ingest", [])], {})
