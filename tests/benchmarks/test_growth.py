"""What is said of growth follows from what was measured."""

from xml.etree import ElementTree

import pytest

from benchmarks import growth


def test_the_power_is_that_of_the_two_largest_sizes():
    found = {
        "10": {"linear": 900.0, "square": 1.0},
        "1000": {"linear": 10.0, "square": 3.0},
        "100": {"linear": 1.0, "square": 0.03},
    }
    assert growth.exponents(found) == pytest.approx({"linear": 1.0, "square": 2.0})
    assert growth.exponents({"10": {"linear": 1.0}}) == {}


def test_every_size_and_every_figure_is_drawn():
    sizes = {str(size): {"search": size / 2, growth.MEMORY: 1.0} for size in (10, 100, 1000)}
    drawn = ElementTree.fromstring(growth.drawing({"trials": sizes, "rows": sizes}))
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawn.findall(f".//{space}circle")) == 2 * 2 * 3
    assert [one.text for one in drawn.iter(f"{space}text")].count("search") == 2
