"""Nights by hand, with real data, git, DVC and Prefect: what they fetch, do, commit and tell."""

import contextlib
import http.server
import json
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from flows import fetch, nightly, record, turns
from pipeline.closure import closure
from pipeline.errors import EnvironmentFault, InputError
from pipeline.nightly_params import FetchParams, NightlyParams
from pipeline.params_file import read_raw
from pipeline.run_params import RunParams
from tests.conftest import ROOT, Checkout

pytestmark = pytest.mark.doors


@dataclass(frozen=True)
class Told(Checkout):
    """A checkout in whose environment a webhook's address is."""

    webhook: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"FETTLE_WEBHOOK": self.webhook}


@dataclass
class Webhook:
    """What was posted to an address that has a secret in it."""

    address: str
    texts: list[str] = field(default_factory=list)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    texts: list[str] = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            texts.append(json.loads(self.rfile.read(length))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield Webhook(f"http://127.0.0.1:{server.server_port}/services/SECRET", texts)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def set_run(checkout: Checkout, *changes: tuple[str, str]) -> None:
    for old, new in changes:
        checkout.replace("params.yaml", old, new)


def with_data(toy: Checkout, source: Path) -> None:
    """Let the toy's data be copied from `source` every night, and one of its metrics say how much
    there is of them."""
    for path in closure("flows.placing", ROOT):
        (toy.root / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, toy.root / path)
    (toy.root / "data/rows.txt").write_text("one row\n")
    (toy.root / "data/schema.yaml").write_text("{}\n")
    toy.replace("params.yaml", "path: null", "path: data/rows.txt")
    set_run(toy, ("copy_from: {}", f"copy_from: {{data/rows.txt: {source}}}"))
    toy.replace("tasks/evaluate.py", '"n": 3', '"n": len(plain.read())')
    toy.dvc("add", "--quiet", "data/rows.txt")
    toy.fettle("render")
    toy.git("add", "--all")
    toy.git("commit", "--quiet", "--message=data")


def test_two_nights_and_the_first_had_again(toy: Checkout, tmp_path: Path) -> None:
    source, remote, team = tmp_path / "rows.txt", tmp_path / "remote", tmp_path / "team.git"
    source.write_text("one row\ntwo rows\n")
    with_data(toy, source)
    set_run(toy, ("commit: false", "commit: true"), ("push: null", "push: team"))
    toy.dvc("remote", "add", "--quiet", "--default", "store", str(remote))
    toy.git("remote", "add", "team", str(team))
    # The user is at something: a file is staged, another is half-written.
    (toy.root / "staged.txt").write_text("staged")
    toy.git("add", "staged.txt")
    (toy.root / "docs/notes.txt").write_text("half a")
    head, staged = toy.git("rev-parse", "HEAD"), toy.git("diff", "--cached")

    refused = toy.fettle("nightly", expect=4)
    assert "git push" in refused
    toy.git("init", "--quiet", "--bare", str(team))
    first = toy.fettle("nightly")
    assert "ingest: cached" in first
    assert "branch pushed to team" in first
    assert "Nothing had to run" in toy.fettle("nightly")
    one = night(toy)
    lock, page = toy.lock, (toy.root / "artifacts/report/index.html").read_bytes()

    source.write_text("one row\ntwo rows\nthree rows\n")
    second = toy.fettle("nightly")
    assert "data/rows.txt: copied from" in second
    assert "| artifacts/evaluate/metrics.json | n " in second
    two = night(toy)
    assert toy.git("rev-parse", f"{two}~1").strip() == one
    files = toy.git("show", "--name-only", "--format=", two).split()
    assert files == ["data/rows.txt.dvc", "dvc.lock"]

    assert toy.git("rev-parse", "HEAD") == head
    assert toy.git("symbolic-ref", "--short", "HEAD").strip() == "main"
    assert toy.git("diff", "--cached") == staged
    assert (toy.root / "docs/notes.txt").read_text() == "half a"
    assert "notes.txt" not in toy.git("ls-tree", "-r", "--name-only", two)
    assert "n " in toy.dvc("metrics", "diff", one, two)

    # Somebody else has the first night again, from what was pushed.
    other = Checkout(tmp_path / "other", toy.api_url)
    toy.git("clone", "--quiet", str(team), str(other.root))
    other.git("checkout", "--quiet", one)
    other.dvc("remote", "add", "--quiet", "--default", "--local", "store", str(remote))
    other.dvc("pull", "--quiet")
    assert other.lock == lock
    assert (other.root / "artifacts/report/index.html").read_bytes() == page


def night(toy: Checkout) -> str:
    [line] = toy.git("for-each-ref", "--format=%(objectname)", "refs/heads/nightly").split()
    return line


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ("champion: {rule: better}\nsplit: {promotion: 0.1}\n", True),
        ("champion: {rule: better}\nsplit: {promotion: 0}\n", False),
        ("split: {promotion: 0.1}\n", False),
        ("champion: {rule: better}\nsplit: {}\n", False),
    ],
)
def test_the_champion_is_challenged_where_there_are_rows_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: str, asked: bool
) -> None:
    (tmp_path / "params.yaml").write_text(values)
    module: Any = ModuleType("flows.champion")
    module.__spec__ = ModuleSpec("flows.champion", None)
    roots = []

    def decide(root: Path) -> Any:
        roots.append(root)
        return SimpleNamespace(line=lambda: "champion-0002 takes over", notes=("newer rows",))

    module.challenge = decide
    monkeypatch.setitem(sys.modules, "flows.champion", module)
    challenge = nightly._challenge(tmp_path)
    assert (challenge is not None) == asked
    if challenge is not None:
        assert challenge() == "Champion: champion-0002 takes over"
        assert roots == [tmp_path]


def test_a_failure_is_told_and_a_message_that_cannot_be_sent_changes_nothing(
    toy: Checkout, webhook: Webhook
) -> None:
    set_run(toy, ("notify: null", "notify: FETTLE_WEBHOOK"))
    said = 'raise InputError("rows are missing: see postgres://me:hidden@host/base")'
    toy.replace(
        "tasks/baseline.py", "from tasks", "from pipeline.errors import InputError\nfrom tasks"
    )
    toy.replace("tasks/baseline.py", "    out.write(", f"    {said}\n    out.write(")
    toy.fettle("render")
    told = Told(toy.root, toy.api_url, webhook.address)
    output = told.fettle("nightly", expect=3)
    [text] = webhook.texts
    lines = text.splitlines()
    assert lines[0] == "fettle: nightly ended as Bad input"
    assert lines[1].startswith("flow: nightly, run ")
    assert lines[2:4] == ["stage: baseline", "reason: rows are missing: see postgres://host/base"]
    assert lines[4].startswith(f"run: {str(toy.api_url).removesuffix('/api')}/runs/flow-run/")
    silent = Told(toy.root, toy.api_url, "http://127.0.0.1:9/services/SECRET")
    again = silent.fettle("run", expect=3)
    assert "nobody was told that this run ended as Bad input: FETTLE_WEBHOOK does not" in again
    assert "SECRET" not in output + again
    assert len(webhook.texts) == 1


def test_of_what_changed_the_log_says_what_it_is_read_for() -> None:
    head = ["| Path | Metric | one | two | Change |", "|--|--|--|--|--|"]
    rows = [
        "| artifacts/evaluate/metrics.json | baseline.accuracy.value | 0.8 | 0.9 | 0.1 |",
        "| artifacts/evaluate/metrics.json | chosen.accuracy.low | 0.7 | 0.8 | 0.1 |",
        "| artifacts/evaluate/metrics.json | chosen.accuracy.value | 0.8 | 0.9 | 0.1 |",
    ]
    assert nightly.of_the_chosen("\n".join([*head, *rows])) == [*head, rows[2]]
    assert nightly.of_the_chosen("No metric changed.") == ["No metric changed."]


def test_a_night_is_recorded_without_a_word_to_index_and_branch(toy: Checkout) -> None:
    toy.git("config", "user.email", "me@localhost")
    (toy.root / "dvc.lock").write_text("schema: '2.0'\n")
    index = (toy.root / ".git/index").read_bytes()
    one = record.record(toy.root, "n/{date}", "2026-11-26", "0300", "one")
    assert one.before is None
    assert (toy.root / ".git/index").read_bytes() == index
    assert record.record(toy.root, "n/{date}", "2026-11-27", "0300", "again") == one
    toy.replace("models/student.py", "text[:10]", "text[:7]")
    toy.replace("flows/main.py", "The command line", "The  command line")
    two = record.record(toy.root, "n/{date}", "2026-11-27", "0300", "two")
    assert (two.branch, two.before) == ("n/2026-11-27", one.commit)
    # What a stage depends on is committed as it was when the result was made.
    assert two.edited == ("models/student.py",)
    assert "text[:7]" in toy.git("show", f"{two.branch}:models/student.py")
    assert "models/student.py" in toy.git("log", "-1", "--format=%b", two.branch)
    assert toy.git("rev-parse", f"{two.branch}~1") == toy.git("rev-parse", "HEAD")


def test_a_branch_that_is_checked_out_does_not_move(toy: Checkout) -> None:
    (toy.root / "dvc.lock").write_text("schema: '2.0'\n")
    one = record.record(toy.root, "n/{date}", "2026-11-27", "0300", "one")
    toy.git("checkout", "--quiet", "--force", one.branch)
    (toy.root / "dvc.lock").write_text("schema: '2.0' \n")
    two = record.record(toy.root, "n/{date}", "2026-11-27", "0400", "two")
    assert two.branch == "n/2026-11-27-0400"
    assert toy.git("rev-parse", "n/2026-11-27").strip() == one.commit


def test_one_branch_may_go_on_from_night_to_night(toy: Checkout) -> None:
    commits = []
    for place in range(3):
        (toy.root / "dvc.lock").write_text(f"schema: '2.0' # {place}\n")
        recorded = record.record(toy.root, "nightly", f"2026-11-2{place}", "0300", "night")
        commits.append(recorded)
        toy.git("commit", "--quiet", "--allow-empty", "--message=work")
    assert [found.before for found in commits] == [None, commits[0].commit, commits[1].commit]
    # What the user committed in between is in the history too, so that it can be pushed.
    assert toy.git("merge-base", "main", "nightly") == toy.git("rev-parse", "main~1")


def test_without_git_a_commit_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"run\.nightly\.commit.*no git repository"):
        record.record(tmp_path, "n/{date}", "2026-11-27", "0300", "one")


def test_a_branch_that_git_cannot_make_is_said_before_anything_runs(toy: Checkout) -> None:
    toy.git("branch", "nightly")
    set_run(toy, ("commit: false", "commit: true"))
    said = toy.fettle("nightly", expect=3)
    assert "cannot be made beside the branch nightly" in said
    assert not (toy.root / "dvc.lock").exists()


def test_new_data_are_fetched_as_declared(
    toy: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(toy.root)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_text("a")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = Checkout(elsewhere)
    other.git("init", "--quiet")
    other.dvc("init", "--quiet")
    (elsewhere / "rows.csv").write_text("1")
    other.dvc("add", "--quiet", "rows.csv")
    other.git("add", "--all")
    other.git("commit", "--quiet", "--message=one")
    toy.dvc("import", "--quiet", str(elsewhere), "rows.csv", "--out", "data/rows.csv")
    wanted = FetchParams(
        update=("data/rows.csv.dvc",),
        pull=("data/rows.csv.dvc",),
        copy_from={"data/parts": str(folder)},
    )
    assert fetch.fetch(toy.root, wanted) == [f"data/parts: copied from {folder}"]
    assert fetch.fetch(toy.root, wanted) == []
    # Whoever copied it last was ended before it was tracked: else nobody could have it again.
    tracked = toy.root / "data/parts.dvc"
    [whole] = re.findall(r"md5: \w{32}\.dir", tracked.read_text())
    for left in (tracked.read_text().replace(whole, f"md5: {'0' * 32}.dir"), None):
        tracked.unlink()
        if left is not None:
            tracked.write_text(left)
        assert fetch.fetch(toy.root, wanted) == [f"data/parts: copied from {folder}"]
        assert whole in tracked.read_text()
    assert fetch.fetch(toy.root, wanted) == []
    (elsewhere / "rows.csv").write_text("1 2")
    other.dvc("commit", "--quiet", "--force", "rows.csv.dvc")
    other.git("commit", "--quiet", "--all", "--message=two")
    (folder / "b.csv").write_text("b")
    changed = fetch.fetch(toy.root, wanted)
    assert changed == ["data/rows.csv.dvc: updated", f"data/parts: copied from {folder}"]
    assert (toy.root / "data/rows.csv").read_text() == "1 2"
    assert (toy.root / "data/parts/b.csv").read_text() == "b"
    (toy.root / "data/rows.csv").unlink()
    pulled = wanted.model_copy(update={"update": ()})
    assert fetch.fetch(toy.root, pulled) == ["data/rows.csv.dvc: pulled"]
    assert (toy.root / "data/rows.csv").read_text() == "1 2"
    shutil.rmtree(folder)
    with pytest.raises(EnvironmentFault, match="there is no such file now"):
        fetch.fetch(toy.root, wanted)


def test_a_source_that_is_being_written_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("1\n")

    def settle(self: Any) -> None:
        source.write_text("1\n2\n")

    monkeypatch.setattr("flows.placing.Arrival.settle", settle)
    wanted = FetchParams(update=(), pull=(), copy_from={"data/rows.csv": str(source)})
    with pytest.raises(EnvironmentFault, match="changed while it was copied"):
        fetch.fetch(tmp_path, wanted)


def test_a_night_that_meets_a_run_is_skipped_or_waits(tmp_path: Path) -> None:
    with turns.at_work(tmp_path), turns.at_work(tmp_path), turns.alone(tmp_path, "skip") as why:
        assert why == "Another run is at work in this checkout"
    order: list[str] = []
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        with turns.alone(tmp_path, "wait") as why:
            order.append(why or "turn")

    with contextlib.ExitStack() as stack:
        assert stack.enter_context(turns.alone(tmp_path, "skip")) is None
        # A night at work lets its own training be at work.
        stack.enter_context(turns.at_work(tmp_path))
        threads = [threading.Thread(target=wait, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        begun.wait()
        deadline = time.monotonic() + 60
        while not order:
            assert time.monotonic() < deadline, "neither was sent away"
            time.sleep(0.02)
        assert "one waits for its end already" in order[0]
        order.append("end")
    for thread in threads:
        thread.join(60)
    assert order[1:] == ["end", "turn"]


def nights(**changes: Any) -> NightlyParams:
    raw = read_raw(ROOT / "params.yaml")["run"]
    section = {**raw, "nightly": {**raw["nightly"], **changes}}
    return RunParams.model_validate_json(json.dumps(section)).nightly


def test_of_missed_nights_the_last_is_made_up_for(
    prefect_server: str,
) -> None:
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings
    from prefect.states import Scheduled

    now = datetime.now(UTC)
    times = [now - timedelta(days=2), now - timedelta(days=1), now + timedelta(days=1)]
    with temporary_settings({PREFECT_API_URL: prefect_server}):
        with get_client(sync_client=True) as client:
            flow = client.create_flow_from_name("missed")
            deployment = client.create_deployment(flow, "nights")
            runs = [
                client.create_flow_run_from_deployment(
                    deployment, state=Scheduled(scheduled_time=time)
                )
                for time in times
            ]

        def why(place: int, scheduled: bool = True, **changes: Any) -> str | None:
            # Which of them the schedule made is the server's to say.
            run = runs[place].model_copy(update={"auto_scheduled": scheduled})
            return turns.missed(nights(**changes), run)

        assert "a later one stands in for it" in str(why(0, missed="run_once"))
        assert why(1, missed="run_once") is None
        assert re.match(r"Missed: 144\d minutes late", str(why(1, missed="skip")))
        assert why(2, missed="skip") is None
        assert why(0, scheduled=False, missed="skip") is None


def test_a_night_that_meets_a_run_says_so_and_ends_well(
    clone: Callable[[str], Checkout],
) -> None:
    toy = clone("met")
    with turns.at_work(toy.root):
        output = toy.fettle("nightly")
    assert "Another run is at work in this checkout" in output
    assert not (toy.root / "dvc.lock").exists()
