"""One memory, two doors: nine trivial stages, real DVC, a real Prefect server, real processes."""

import itertools
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psutil
import pytest

from flows import left_running
from tests.conftest import VENV, Checkout, kill_group

pytestmark = pytest.mark.doors

Found = TypeVar("Found")

STAGES = [
    "ingest",
    "split",
    "baseline",
    "search",
    "regularize",
    "finetune",
    "distill",
    "evaluate",
    "report",
]


def cached(output: str, word: str = "", stages: Sequence[str] = STAGES) -> list[str]:
    """Stages that a run's output calls cached."""
    return [stage for stage in stages if f"{stage}: cached ({word}" in output]


def slow_search(checkout: Checkout, seconds: float = 4.0) -> None:
    checkout.replace("params.yaml", "seconds: 0.05", f"seconds: {seconds}")


def test_two_clones_and_two_doors_end_with_the_same_lock(clone: Callable[[str], Checkout]) -> None:
    one, other = clone("one"), clone("other")
    one.dvc("repro")
    other.fettle("run")
    assert one.lock == other.lock
    assert cached(one.fettle("run"), "current") == STAGES
    assert "didn't change" in other.dvc("repro")
    assert "up to date" in other.dvc("status")
    assert one.lock == other.lock
    assert one.git("status", "--short") == "?? dvc.lock\n"


@pytest.mark.parametrize("runner", ["local", "dask", "ray"])
def test_every_runner_ends_with_the_same_lock(
    clone: Callable[[str], Checkout], runner: str
) -> None:
    one, other = clone("one"), clone("other")
    one.dvc("repro")
    other.replace("params.yaml", "runner: processes", f"runner: {runner}")
    before = trainings(other)
    output = other.fettle("run")
    assert one.lock == other.lock
    assert [line for line in output.splitlines() if "search 3 of 3: trial" in line]
    [own] = trainings(other) - before

    def shown() -> dict[str, Any]:
        found = task_runs(other, {"name": {"any_": ["search", "trial 0"]}})
        return {run["name"]: run for run in found if run["flow_run_id"] == own}

    # The server learns of stages by events, a moment later.
    latest = until(shown, lambda found: len(found) == 2)
    # A stage has the run's own tags and no more: a set that Prefect has not seen costs a second.
    assert latest["search"]["tags"] == [runner]
    assert sorted(latest["trial 0"]["tags"]) == sorted([runner, "search"])
    parents = latest["trial 0"]["task_inputs"]["__parents__"]
    assert [parent["id"] for parent in parents] == [latest["search"]["id"]]
    assert latest["trial 0"]["state"]["name"] == "Completed"


def test_a_runner_may_be_another_for_once(toy: Checkout) -> None:
    toy.dvc("repro", "split")
    toy.fettle("stage", "search", "--runner", "local")
    before = trainings(toy)
    toy.fettle("run", "--runner", "local")
    [own] = trainings(toy) - before
    run = answered(toy, f"flow_runs/{own}")
    assert run["tags"] == ["local"]
    assert run["parameters"] == {"runner": "local"}


@pytest.mark.parametrize("runner", ["processes", "local"])
def test_a_run_that_is_cancelled_ends_its_workers_and_goes_on_later(
    toy: Checkout, runner: str
) -> None:
    # Waits for it go on in steps, since a call of the system cannot be ended from outside.
    toy.replace("tasks/search.py", "time.sleep(piece.seconds)", "_steps(piece.seconds)")
    toy.replace("tasks/search.py", "def wait(", STEPS + "def wait(")
    toy.replace("params.yaml", "seconds: 0.05", "seconds: 60.0")
    before = trainings(toy)
    run = toy.start("./fettle", "run", "--runner", runner)
    try:
        toy.wait_for(".searching")
        below = psutil.Process(run.pid).children(recursive=True)
        [own] = trainings(toy) - before
        state = {"state": {"type": "CANCELLING"}}
        began = time.monotonic()
        answered(toy, f"flow_runs/{own}/set_state", state)
        output, _ = run.communicate(timeout=120)
    finally:
        kill_group(run)
    assert run.returncode == 130, output
    assert "The run was cancelled" in output
    assert "Traceback" not in output
    assert time.monotonic() - began < 60
    assert not psutil.wait_procs(below, timeout=20)[1]
    assert answered(toy, f"flow_runs/{own}")["state"]["type"] == "CANCELLED"

    def states() -> set[str]:
        pieces = task_runs(toy, {"name": {"like_": "trial"}})
        return {one["state"]["type"] for one in pieces if one["flow_run_id"] == own}

    assert until(states, lambda found: found == {"CANCELLED"})
    toy.replace("params.yaml", "seconds: 60.0", "seconds: 0.05")
    assert cached(toy.fettle("run"), "current") == STAGES[:3]


STEPS = """def _steps(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)


"""


@pytest.mark.parametrize("door", ["run", "repro"])
def test_a_stage_that_takes_too_long_ends_and_its_pieces_are_kept(toy: Checkout, door: str) -> None:
    toy.replace("params.yaml", "timeouts: {}", "timeouts: {search: 0.2}")
    toy.replace("params.yaml", "workers: 2", "workers: 1")
    toy.replace("tasks/search.py", "time.sleep(piece.seconds)", "time.sleep(place * 60)")
    run = toy.start("./fettle", "run") if door == "run" else toy.start(".venv/bin/dvc", "repro")
    output, _ = run.communicate(timeout=240)
    assert run.returncode == (1 if door == "run" else 255), output
    assert "search: took longer than the 0.2 minutes" in output
    assert "Traceback" not in output
    assert len(list((toy.root / ".fettle/pieces").glob("*.npz"))) == 1


def test_a_time_limit_of_no_stage_is_refused(toy: Checkout) -> None:
    toy.replace("params.yaml", "timeouts: {}", "timeouts: {serach: 5}")
    assert "run.timeouts.serach: there is no such stage" in toy.fettle("plan", expect=3)


def test_a_killed_worker_costs_a_piece_a_second_try(toy: Checkout) -> None:
    slow_search(toy, 3.0)
    run = toy.start("./fettle", "run")
    try:
        toy.wait_for(".searching")
        [worker, *_] = [
            child
            for child in psutil.Process(run.pid).children(recursive=True)
            if "pipeline.runners.seat" in " ".join(child.cmdline())
        ]
        worker.kill()
        output, _ = run.communicate(timeout=240)
    finally:
        kill_group(run)
    assert run.returncode == 0, output
    assert "its worker was lost (killed by SIGKILL); handed out again" in output
    text = (toy.root / "artifacts/search/text/text.txt").read_text()
    assert text.startswith("[0, 1, 4] by length")


def test_one_core_and_one_worker_end_with_the_same_lock(clone: Callable[[str], Checkout]) -> None:
    one, other = clone("one"), clone("other")
    one.fettle("run")
    other.replace("params.yaml", "workers: 2", "workers: 1")
    other.run("taskset", "--cpu-list", "0", "./fettle", "run")
    assert one.lock == other.lock


def test_a_parameter_reruns_what_follows_and_set_back_restores(toy: Checkout) -> None:
    toy.fettle("run")
    before = toy.lock
    toy.replace("params.yaml", "temperature: 4.0", "temperature: 2.0")
    plan = toy.fettle("plan")
    assert "because parameter distill.temperature changed from 4.0 to 2.0" in plan
    assert "3 of 9 stages would run" in plan
    toy.dvc("repro")
    toy.replace("params.yaml", "temperature: 2.0", "temperature: 4.0")
    assert "distill     restore" in toy.fettle("plan")
    output = toy.fettle("run")
    assert cached(output) == STAGES
    assert "distill" in cached(output, "restored")
    assert toy.lock == before


def test_a_shared_section_reruns_the_stages_that_take_it_and_what_follows(toy: Checkout) -> None:
    toy.fettle("run")
    before = toy.lock
    toy.replace("params.yaml", "word: length", "word: width")
    plan = toy.fettle("plan").splitlines()
    found = [line.split()[:2] for line in plan if line.split()[0] in STAGES]
    because = "because parameter aim.word changed from length to width"
    reasons = {stage: because in "".join(_reasons(plan, stage)) for stage in STAGES}
    takers = ["search", "distill", "evaluate"]
    assert found == [
        *([stage, "current"] for stage in STAGES[:3]),
        *([stage, "run"] for stage in STAGES[3:]),
    ]
    assert [stage for stage in STAGES if reasons[stage]] == takers
    assert cached(toy.fettle("run"), "current") == STAGES[:3]
    assert "by width" in (toy.root / "artifacts/search/text/text.txt").read_text()
    assert "up to date" in toy.dvc("status")
    toy.replace("params.yaml", "word: width", "word: length")
    assert cached(toy.fettle("run"), "restored") == STAGES[3:]
    assert toy.lock == before


def _reasons(plan: list[str], stage: str) -> list[str]:
    """The lines below a stage's own."""
    start = next(place for place, line in enumerate(plan) if line.split()[0] == stage)
    own = itertools.takewhile(lambda line: line.startswith(" "), plan[start + 1 :])
    return list(own)


def test_a_plan_says_what_to_know_before_a_stage_runs_on_other_inputs(toy: Checkout) -> None:
    toy.replace("params.yaml", "word: halves", "word: counted")
    assert "note:" not in toy.fettle("plan")
    toy.dvc("repro", "split")
    assert "note:" not in toy.fettle("plan")
    toy.replace("params.yaml", "word: toy", "word: other")
    assert "note: old rows may move" in toy.fettle("plan")
    toy.dvc("repro", "ingest")
    assert "note: old rows may move" in toy.fettle("plan")
    toy.replace("params.yaml", "word: counted", "word: halves")
    assert "note:" not in toy.fettle("plan")


def test_code_reruns_the_stages_that_import_it_and_no_other(toy: Checkout) -> None:
    toy.fettle("run")
    toy.replace("models/student.py", "The first ten", "Ten")
    plan = toy.fettle("plan")
    assert "because code models/student.py changed" in plan
    assert [stage for stage in STAGES if f"{stage:<11} run" in plan] == STAGES[6:]
    toy.git("checkout", "--", "models/student.py")
    toy.replace("tasks/report.py", "Write a page.", "Write one page.")
    toy.fettle("render")
    assert cached(toy.fettle("run"), "current") == STAGES[:-1]


def test_experiments_in_copies_run_the_edited_code(toy: Checkout) -> None:
    toy.dvc("repro")
    toy.git("add", "--all")
    toy.git("commit", "--quiet", "--message=results")
    toy.replace("models/student.py", "text[:10]", "text[:7]")
    toy.dvc("exp", "run", "--temp", "--name=aside", "--set-param=distill.temperature=3.0")
    toy.dvc("exp", "run", "--queue", "--name=queued", "--set-param=distill.temperature=5.0")
    # DVC's queue worker calls `dvc` by name, so for the queue alone .venv has to be activated.
    path = f"PATH={VENV / 'bin'}:{toy.environment['PATH']}"
    toy.run("env", path, "dvc", "exp", "run", "--run-all")
    toy.git("checkout", "--", "models/student.py")
    for name, temperature in (("aside", 3.0), ("queued", 5.0)):
        toy.dvc("exp", "apply", name)
        text = (toy.root / "artifacts/distill/text/text.txt").read_text()
        assert text == f"finetun at {temperature}"
        assert cached(toy.fettle("run")) == STAGES
        assert (toy.root / "artifacts/distill/text/text.txt").read_text() == text
        toy.git("checkout", "--", ".")


def test_repro_is_refused_while_a_run_holds_the_stage(toy: Checkout) -> None:
    toy.replace(
        "tasks/search.py",
        "time.sleep(piece.seconds)",
        'while not Path("free").exists():\n        time.sleep(0.05)',
    )
    run = toy.start("./fettle", "run")
    try:
        toy.wait_for(".searching")
        assert "busy" in toy.dvc("repro", "search", expect=255)
        message = toy.fettle("run", expect=4)
        assert "another process is working in this repository" in message
        (toy.root / "free").touch()
        output, _ = run.communicate(timeout=120)
    finally:
        kill_group(run)
    assert run.returncode == 0, output
    assert "up to date" in toy.dvc("status")


@pytest.mark.parametrize("door", ["run", "repro"])
def test_an_edit_in_mid_run_is_not_committed(toy: Checkout, door: str) -> None:
    slow_search(toy)
    run = toy.start("./fettle", "run") if door == "run" else toy.start(".venv/bin/dvc", "repro")
    try:
        toy.wait_for(".searching")
        toy.replace("tasks/search.py", "place * place", "place + 1")
        output, _ = run.communicate(timeout=120)
    finally:
        kill_group(run)
    assert run.returncode == (4 if door == "run" else 255), output
    assert "edited while the stage ran: tasks/search.py" in output
    assert "Traceback" not in output
    assert b"search" not in toy.lock.replace(b"artifacts/search", b"")
    toy.fettle("run")
    assert (toy.root / "artifacts/search/text/text.txt").read_text().startswith("[1, 2, 3]")


@pytest.mark.parametrize("door", ["run", "repro"])
@pytest.mark.parametrize(
    ("section", "old", "new"),
    [("search", "trials: 3", "trials: 2"), ("aim", "word: length", "word: width")],
)
def test_an_edit_of_a_section_in_mid_run_is_not_committed(
    toy: Checkout, door: str, section: str, old: str, new: str
) -> None:
    slow_search(toy)
    run = toy.start("./fettle", "run") if door == "run" else toy.start(".venv/bin/dvc", "repro")
    try:
        toy.wait_for(".searching")
        toy.replace("params.yaml", old, new)
        output, _ = run.communicate(timeout=120)
    finally:
        kill_group(run)
    assert run.returncode == (4 if door == "run" else 255), output
    assert f"search: edited while the stage ran: params.yaml (section {section})" in output
    assert b"search" not in toy.lock.replace(b"artifacts/search", b"")


def test_an_edit_before_a_later_stage_stops_the_run_there(toy: Checkout) -> None:
    slow_search(toy)
    run = toy.start("./fettle", "run")
    try:
        toy.wait_for(".searching")
        toy.replace("models/student.py", "text[:10]", "text[:5]")
        output, _ = run.communicate(timeout=120)
    finally:
        kill_group(run)
    assert run.returncode == 4, output
    assert "distill: edited since this process read it: models/student.py" in output
    assert cached(toy.fettle("run"), "current") == STAGES[:6]
    assert (toy.root / "artifacts/distill/text/text.txt").read_text() == "finet at 4.0"


@pytest.mark.parametrize("torn", ["", '{"write": {"a'])
def test_a_torn_list_of_readers_and_writers_is_no_obstacle(toy: Checkout, torn: str) -> None:
    toy.fettle("run")
    (toy.root / ".dvc" / "tmp" / "rwlock").write_text(torn)
    toy.replace("params.yaml", "temperature: 4.0", "temperature: 3.75")
    output = toy.fettle("run")
    assert "rwlock was torn; removed" in output
    assert "Ran distill, evaluate, report" in output


@pytest.mark.parametrize("torn", ["", "schema: '2.0'\nstages:\n  ingest:\n    cm"])
def test_a_torn_lock_is_mended_from_the_run_cache(toy: Checkout, torn: str) -> None:
    toy.fettle("run")
    before = toy.lock
    (toy.root / "dvc.lock").write_text(torn)
    output = toy.fettle("run")
    assert cached(output, "restored") == STAGES
    assert toy.lock == before


def test_stages_out_of_order_say_what_is_missing(toy: Checkout) -> None:
    message = toy.fettle("stage", "distill", expect=3)
    assert "distill: its input artifacts/split/text is missing" in message
    assert "there is no such stage" in toy.fettle("stage", "destill", expect=3)
    assert not (toy.root / "artifacts").exists()


def test_a_hand_edited_dvc_yaml_is_refused_by_both_doors(toy: Checkout) -> None:
    toy.replace("dvc.yaml", "tasks/distill.py", "tasks/report.py")
    for command in ("run", "plan"):
        message = toy.fettle(command, expect=3)
        assert "dvc.yaml, line" in message
        assert "./fettle render" in message
    assert "./fettle render" in toy.dvc("repro", "ingest", expect=255)
    toy.fettle("render", "--check", expect=3)
    toy.fettle("render")
    toy.fettle("render", "--check")


@pytest.mark.parametrize("stage", ["search", "distill"])
def test_kill_9_and_run_again_ends_with_the_same_bytes(
    clone: Callable[[str], Checkout], stage: str
) -> None:
    undisturbed, killed = clone("undisturbed"), clone("killed")
    for checkout in (undisturbed, killed):
        slow_search(checkout, 1.0)
        checkout.replace(
            "models/student.py",
            "    return",
            "    import time\n    from pathlib import Path\n\n"
            '    Path(".distilling").touch()\n    time.sleep(1)\n    return',
        )
    undisturbed.fettle("run")
    before = trainings(killed)
    run = killed.start("./fettle", "run")
    killed.wait_for(".searching" if stage == "search" else ".distilling")
    children = psutil.Process(run.pid).children(recursive=True)
    # The run alone, not its workers: they must notice by themselves.
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    assert not psutil.wait_procs(children, timeout=20)[1]
    [left] = trainings(killed) - before
    assert answered(killed, f"flow_runs/{left}")["state"]["name"] == "Running"
    output = killed.fettle("run")
    assert killed.lock == undisturbed.lock
    # Else it would be shown as running for ever.
    name, state = (answered(killed, f"flow_runs/{left}")[key] for key in ("name", "state"))
    assert (state["name"], state["message"]) == ("Crashed", left_running.KILLED)
    assert f"the run {name} was killed; Prefect shows it as Crashed now" in output
    assert not list((killed.root / left_running.FOLDER).iterdir())


def answered(checkout: Checkout, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the Prefect server says to a question."""
    request = urllib.request.Request(
        f"{checkout.api_url}/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def asked(checkout: Checkout, what: str, body: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs of that kind that match."""
    found: list[dict[str, Any]] = answered(checkout, f"{what}/filter", body)
    return found


def trainings(checkout: Checkout) -> set[str]:
    """Ids of the pipeline's flow runs, which other tests may have left on the same server too."""
    wanted = {"flows": {"name": {"any_": ["training"]}}}
    return {run["id"] for run in asked(checkout, "flow_runs", wanted)}


def until(look: Callable[[], Found], good: Callable[[Found], bool], seconds: float = 60) -> Found:
    """What a look finds as soon as it is good; the last one where it never is."""
    deadline = time.monotonic() + seconds
    while not good(found := look()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert good(found), found
    return found


def task_runs(checkout: Checkout, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """Task runs that match, the latest first."""
    body = {"task_runs": wanted, "sort": "EXPECTED_START_TIME_DESC"}
    return asked(checkout, "task_runs", body)


def runs_of_pieces(checkout: Checkout) -> list[dict[str, Any]]:
    """What the Prefect server says of the pieces of the checkout's searches, the latest first."""
    return task_runs(checkout, {"name": {"like_": "trial"}})


def test_pieces_finished_before_a_kill_show_as_recalled(toy: Checkout) -> None:
    # With two workers, the first two trials of three end together, and the third not soon.
    slow_search(toy, 8.0)
    run = toy.start("./fettle", "run")
    kept = toy.root / ".fettle" / "pieces"

    def pieces() -> int:
        # A name that begins with a point is of a file that is being written.
        return len([path for path in kept.glob("*.npz") if not path.name.startswith(".")])

    until(pieces, lambda found: found >= 2, seconds=120)
    kill_group(run)
    finished = pieces()
    before = trainings(toy)

    output = toy.fettle("run")

    [own] = trainings(toy) - before
    new = [one for one in runs_of_pieces(toy) if one["flow_run_id"] == own]
    states = {one["name"]: (one["state"]["name"], one["state"]["type"]) for one in new}
    recalled = [name for name, state in states.items() if state == ("Recalled", "COMPLETED")]
    assert len(new) == len(states) == 3
    assert len(recalled) == finished == 2
    assert states.keys() == {f"trial {place}" for place in range(3)}
    assert [state for state in states.values() if state[0] != "Recalled"] == [
        ("Completed", "COMPLETED")
    ]
    assert all(f"{name}: recalled" in output for name in recalled)
    text = (toy.root / "artifacts/search/text/text.txt").read_text()
    assert text.startswith("[0, 1, 4] by length")


def test_an_interrupt_ends_with_130_and_goes_on_later(toy: Checkout) -> None:
    slow_search(toy)
    run = toy.start("./fettle", "run")
    try:
        toy.wait_for(".searching")
        # As a terminal does: to the whole foreground group.
        os.killpg(run.pid, signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    finally:
        kill_group(run)
    assert run.returncode == 130, output
    assert "Finished stages are kept" in output
    assert "Traceback" not in output
    assert cached(toy.fettle("run"), "current") == STAGES[:3]


def test_a_server_that_goes_away_ends_with_a_message(toy: Checkout) -> None:
    own = Checkout(toy.root)
    slow_search(own)
    own.fettle("server", "start")
    run = own.start("./fettle", "run")
    try:
        own.wait_for(".searching")
        own.fettle("server", "stop")
        output, _ = run.communicate(timeout=240)
    finally:
        kill_group(run)
    assert run.returncode == 4, output
    assert "The Prefect server does not answer" in output
    assert "Traceback" not in output
    # What was finished meanwhile is kept too.
    assert cached(toy.fettle("run"), "current")[:3] == STAGES[:3]


def test_two_checkouts_have_a_server_each_and_nothing_stays(
    clone: Callable[[str], Checkout],
) -> None:
    one, other = (Checkout(clone(name).root) for name in ("one", "other"))
    try:
        urls = {checkout.fettle("server", "start") for checkout in (one, other)}
        assert len(urls) == 2
        assert one.fettle("server", "start") in urls
        assert "answers" in one.fettle("server", "status")
    finally:
        for checkout in (one, other):
            assert "Stopped" in checkout.fettle("server", "stop")
    one.fettle("server", "status", expect=1)
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if str(one.root) in " ".join(process.info["cmdline"] or [])
    ]
    assert left == []


def test_a_configured_server_that_is_away_is_said_and_none_is_started(toy: Checkout) -> None:
    away = Checkout(toy.root, "http://127.0.0.1:9/api")
    message = away.fettle("run", expect=4)
    assert "http://127.0.0.1:9/api does not answer" in message
    assert not (toy.root / ".fettle" / "server.json").exists()


def test_a_full_disk_is_said_and_nothing_half_written_counts(toy: Checkout) -> None:
    toy.fettle("run")
    toy.replace("params.yaml", "word: plain", "word: " + "plain" * 100_000)
    small = toy.root / "artifacts" / "baseline"
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], check=False
        ).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        message = toy.fettle("run", expect=4)
        assert "The disk is full" in message
    finally:
        time.sleep(0.2)
        subprocess.run(["umount", str(small)], check=True)
    assert cached(toy.fettle("run"), "current")[:2] == ["ingest", "split"]
    assert "up to date" in toy.dvc("status")
