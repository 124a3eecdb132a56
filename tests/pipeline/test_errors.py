"""Errors for people: what is shown of names and cells that come from the data."""

import copy
import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import EnvironmentFault, InputError, as_fault


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


@pytest.mark.parametrize(
    ("left", "said"),
    [
        ({"f_bavail": 3}, "The disk is full"),
        ({"f_favail": 2}, "The disk is full"),
        ({"f_flag": os.ST_RDONLY}, "The file system is read-only"),
        ({}, "DVC cannot write this file"),
    ],
)
def test_dvcs_list_of_links_is_told_as_what_hinders_writing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, left: dict[str, int], said: str
) -> None:
    from dvc.exceptions import CacheLinkError

    room = {"f_bavail": 10**6, "f_frsize": 4096, "f_favail": 10**6, "f_flag": 0} | left
    asked = []

    def statvfs(path: str) -> SimpleNamespace:
        asked.append(path)
        return SimpleNamespace(**room)

    monkeypatch.setattr(os, "statvfs", statvfs)
    fault = as_fault(CacheLinkError([str(tmp_path / "artifacts" / "x.json")]))
    assert isinstance(fault, EnvironmentFault)
    assert str(fault).startswith(f"{said} ({tmp_path}/artifacts/x.json).\nNothing half-written")
    assert asked == [str(tmp_path)]


def test_the_disks_own_error_is_told_before_the_one_that_wraps_it() -> None:
    from dvc.exceptions import DvcException

    wrapping = DvcException("it failed")
    wrapping.__cause__ = OSError(errno.ENOSPC, "no room", "cache")
    assert str(as_fault(wrapping)).startswith("The disk is full (cache).")


def test_colours_of_dvcs_messages_are_left_out() -> None:
    from dvc.exceptions import DvcException

    assert str(as_fault(DvcException("see <\x1b[36mhttps://x\x1b[39m>"))) == "DVC: see <https://x>"


def test_an_error_of_prefects_server_is_its_own_and_no_defect() -> None:
    import httpx
    from prefect.exceptions import PrefectHTTPStatusError

    request = httpx.Request("POST", "http://127.0.0.1:9/api/flow_runs")
    answer = httpx.Response(500, request=request)
    wrong = httpx.HTTPStatusError("500", request=request, response=answer)
    for error in (wrong, PrefectHTTPStatusError.from_httpx_error(wrong)):
        fault = as_fault(error)
        assert isinstance(fault, EnvironmentFault)
        assert str(fault).startswith("The Prefect server answers with an error (500).")
    assert str(as_fault(httpx.ConnectError("no"))).startswith("The Prefect server does not answer")
