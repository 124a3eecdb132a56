"""Errors for people: what is shown of names and cells that come from the data."""

import copy

import pytest

from pipeline.errors import EnvironmentFault, InputError


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain, 日本 and é\nsecond line", "plain, 日本 and é\nsecond line"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("a\rb\tc\x7f\x85", r"a\rb\tc\x7f\x85"),
        ("\u2028\u202eabc\ufeff", r"\u2028\u202eabc\ufeff"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(given: str, shown: str) -> None:
    assert str(InputError(given)) == str(EnvironmentFault(given)) == shown


def test_a_line_of_a_books_length_is_cut_in_its_middle() -> None:
    told = str(InputError("data.csv: " + "a" * 70_000 + " is no number.\nMend it."))
    assert len(told) < 1_100
    assert told.startswith("data.csv: aaa")
    assert told.endswith("aaa is no number.\nMend it.")


def test_a_copy_as_processes_send_it_is_the_same() -> None:
    again = copy.deepcopy(InputError("a\x07"))
    assert isinstance(again, InputError)
    assert again.args == ("a\x07",)
