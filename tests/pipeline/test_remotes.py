"""Runs shared by a remote: a folder, and a bucket on a real S3 server."""

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.memory import Memory
from pipeline.remote import Remote, silent, within
from tests.conftest import Checkout
from tests.pipeline.remotes import KEY, SECRET, Place, bucket_server, folder, share
from tests.pipeline.test_doors import STAGES, cached

doors = pytest.mark.doors


@pytest.fixture(scope="session")
def bucket() -> Iterator[Place]:
    with bucket_server() as place:
        yield place


@pytest.fixture(params=["folder", "S3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A remote of each kind, empty."""
    if request.param == "folder":
        return folder(tmp_path / "remote")
    held: Place = request.getfixturevalue("bucket")
    return Place(f"{held.url}/{tmp_path.name}", held.settings)


def ran(checkout: Checkout) -> list[str]:
    """Stages whose body wrote down how long it took."""
    return [one for one in STAGES if (checkout.root / f"artifacts/{one}/timing.json").exists()]


@doors
def test_a_clone_elsewhere_gets_a_run_from_a_remote_and_trains_nothing(
    clone: Callable[[str], Checkout], place: Place
) -> None:
    one = clone("one")
    place.add(one)
    share(one)
    output = one.fettle("run")
    assert ran(one) == STAGES
    assert KEY not in output
    assert SECRET not in output

    other = clone("elsewhere/deeper")
    place.add(other)
    shutil.copy(one.root / "dvc.lock", other.root / "dvc.lock")
    # Nothing but section run differs, on which nothing depends.
    other.dvc("pull")
    assert "didn't change" in other.dvc("repro")
    assert other.lock == one.lock
    assert ran(other) == []

    # A third who has neither the lock nor the results asks for each stage's alone.
    third = clone("third")
    place.add(third)
    share(third, push=False)
    output = third.fettle("run")
    assert cached(output, "fetched from team") == STAGES
    assert third.lock == one.lock
    assert ran(third) == []
    assert "up to date" in third.dvc("status")
    entries = list((third.root / ".dvc/cache/runs").rglob("*"))
    assert len([path for path in entries if path.is_file()]) == len(STAGES)

    # And with DVC's own door.
    fourth = clone("fourth")
    place.add(fourth)
    fourth.dvc("fetch", "--run-cache")
    fourth.dvc("repro", "--pull")
    assert fourth.lock == one.lock
    assert ran(fourth) == []
