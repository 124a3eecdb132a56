"""Champion and challenger over several nights, in a real git and DVC repository."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dvc.repo import Repo

from dataset.examples import Development, Promotion
from dataset.partition import content_keys
from flows import champion, champion_decisions
from flows.champion_keeping import FOLDER, TRACKED
from models.judging.champion import Champion
from pipeline.errors import EnvironmentFault, InputError
from tests.dataset import tabled
from tests.flows.nights import Nights, rows

# DVC's index of a repository calls what its own dependency is to change one day.
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    made = Nights.begin(tmp_path / "project")
    monkeypatch.chdir(made.root)
    return made


def used(nights: Nights) -> int:
    return Champion(nights.root / FOLDER).facts().number


def test_the_first_is_champion_and_a_better_one_takes_its_place(nights: Nights) -> None:
    nights.run(weight=-2.0)
    first = champion.challenge(nights.root)
    assert (first.outcome, first.champion, first.before) == ("first", 1, None)
    assert first.line() == "champion-0001 is the first: there was none to compare it with"
    assert champion.challenge(nights.root).outcome == "same"

    nights.run(weight=2.0, count=700)
    second = champion.challenge(nights.root)
    assert (second.outcome, second.champion, second.before) == ("promoted", 2, 1)
    assert (
        "champion-0002 takes the place of champion-0001: proven better: accuracy" in second.line()
    )
    assert second.left_out == 0
    promotion = Promotion(nights.root / "artifacts/split/promotion")
    block, _ = next(promotion.blocks())
    truth = block.targets == "yes"
    right = ((block.features["x"] > 0) == truth).mean()
    assert second.rows == len(block)
    assert second.challenger_figure is not None
    assert second.challenger_figure.value == pytest.approx(right)
    assert second.champion_figure is not None
    assert second.champion_figure.value == pytest.approx(1 - right)

    nights.run(weight=-1.0, count=750)
    third = champion.challenge(nights.root)
    assert (third.outcome, third.champion) == ("kept", 2)
    assert "proven worse" in third.reason
    assert third.tracked is None
    told = champion_decisions.read(nights.root)
    assert [one.outcome for one in told] == ["first", "promoted", "kept"]
    assert told == [first, second, third]
    said = list(champion.lines(nights.root))
    assert said[0] == f"champion-0002, in use since {second.time}: search. Found by a search."
    assert "accuracy on the holdout of its run (99 examples): 90.0 %" in said[2]
    assert [line.split("  ")[0] for line in said[-3:]] == [one.time for one in reversed(told)]


def test_rows_added_later_move_no_old_one_and_newer_data_are_taken_where_they_are_not_worse(
    nights: Nights,
) -> None:
    nights.run(weight=1.0)
    champion.challenge(nights.root)
    nights.run(weight=2.0, count=900)
    decision = champion.challenge(nights.root)
    assert decision.left_out == 0
    # The same answers by other probabilities: accuracy cannot tell them apart.
    assert decision.outcome == "kept"
    assert "not proven better" in decision.reason
    nights.params("rule: better", "rule: not_worse")
    # As in a fresh clone.
    shutil.rmtree(nights.root / FOLDER)
    again = champion.challenge(nights.root)
    assert (again.outcome, again.champion) == ("promoted", 2)
    assert again.reason.startswith("not proven worse: accuracy")


def test_with_another_seed_rows_that_either_knows_are_left_out(nights: Nights) -> None:
    nights.run(weight=-2.0)
    champion.challenge(nights.root)
    known = Champion(nights.root / FOLDER).known()
    nights.run(weight=2.0, settings={"seed": 9})
    block, _ = next(Promotion(nights.root / "artifacts/split/promotion").blocks())
    met = np.isin(content_keys(block), known)
    assert 0 < met.sum() < len(block)
    decision = champion.challenge(nights.root)
    assert decision.outcome == "promoted"
    assert (decision.rows, decision.left_out) == ((~met).sum(), met.sum())
    assert f"{met.sum()} rows that one of them knew were left out" in decision.reason


def test_too_few_rows_are_no_comparison(nights: Nights) -> None:
    nights.run(weight=-2.0, settings={"promotion": 0})
    assert (
        "until split.promotion in params.yaml is above 0" in champion.challenge(nights.root).reason
    )
    nights.run(weight=2.0, settings={"promotion": 0})
    none = champion.challenge(nights.root)
    assert (none.outcome, none.rows) == ("refused", None)
    assert "split.promotion in params.yaml is 0" in none.reason
    # What is cut from the training rows now is what the champion was trained on.
    nights.run(weight=2.0)
    few = champion.challenge(nights.root)
    assert (few.outcome, few.rows, used(nights)) == ("refused", 0, 1)
    assert "champion.rows in params.yaml asks for 20" in few.reason
    appointed = champion.appoint(nights.root)
    assert (appointed.outcome, appointed.champion, used(nights)) == ("appointed", 2, 2)


def test_a_column_that_is_gone_is_missing_for_the_champion_and_its_rows_are_still_known(
    nights: Nights,
) -> None:
    examples, _ = rows(600)
    nights.run(weight=-2.0)
    champion.challenge(nights.root)
    name = Champion(nights.root / FOLDER).facts().development
    trained = Development(nights.root / "artifacts/split/development")
    seen = {
        float(x) for part in (trained.train(), trained.validation()) for x in part.features["x"]
    }
    bare, plain = tabled.table(examples.targets.tolist(), {"x": examples.features["x"].tolist()})
    nights.run(weight=2.0, given=(bare, plain))
    block, _ = next(Promotion(nights.root / "artifacts/split/promotion").blocks())
    met = [float(x) in seen for x in block.features["x"]]
    # Its rows are needed to tell which it knows.
    rows_of = nights.root / ".dvc/cache/files/md5" / name[:2] / name[2:]
    away = rows_of.with_name("away")
    rows_of.rename(away)
    refused = champion.challenge(nights.root)
    assert refused.outcome == "refused"
    assert "they are not in DVC's cache any more" in refused.reason
    away.rename(rows_of)
    decision = champion.challenge(nights.root)
    assert decision.outcome == "promoted"
    assert decision.left_out == sum(met) > 0
    assert decision.notes == (
        "gone since the champion was made: 'colour'; it is shown them as missing",
    )
    # And the other way round: another column more.
    nights.run(weight=-3.0)
    again = champion.challenge(nights.root)
    assert again.outcome == "kept"
    assert again.notes == ("the challenger alone takes 'colour'",)
    assert used(nights) == 2


def test_a_new_class_is_said_and_counts_as_not_known(nights: Nights) -> None:
    nights.run(weight=2.0)
    champion.challenge(nights.root)
    examples, schema = rows(600)
    examples.targets[examples.features["x"] > 1] = "zebra"
    nights.run(weight=2.0, given=(examples, schema))
    decision = champion.challenge(nights.root)
    assert decision.outcome == "kept"
    assert decision.notes == ("a class the champion does not know: 'zebra'",)
    # Neither ever says it.
    assert decision.champion_figure == decision.challenger_figure


def test_an_earlier_one_is_put_back(nights: Nights) -> None:
    nights.run(weight=-2.0)
    champion.challenge(nights.root)
    model = (nights.root / FOLDER / "model.keras").read_bytes()
    nights.run(weight=2.0)
    champion.challenge(nights.root)
    assert (nights.root / FOLDER / "model.keras").read_bytes() != model
    back = champion.roll_back(nights.root, None)
    assert (back.outcome, back.champion, back.before) == ("rolled back", 1, 2)
    assert (nights.root / FOLDER / "model.keras").read_bytes() == model
    assert used(nights) == 1
    # From there the one before is whoever it was.
    assert champion.roll_back(nights.root, None).champion == 2
    assert champion.roll_back(nights.root, 1).champion == 1
    # Numbers are not given twice.
    nights.run(weight=3.0)
    assert champion.challenge(nights.root).champion == 3
    for wrong in (3, 9):
        with pytest.raises(InputError, match=r"champion-0001, champion-0002"):
            champion.roll_back(nights.root, wrong)


def test_what_is_not_in_the_cache_is_pulled_and_else_it_is_said_what_to_do(
    nights: Nights, tmp_path: Path
) -> None:
    with (nights.root / ".dvc/config").open("a") as config:
        config.write(
            f"[core]\n    remote = far\n['remote \"far\"']\n    url = {tmp_path / 'far'}\n"
        )
    nights.run(weight=-2.0)
    first = champion.challenge(nights.root)
    repo = Repo(str(nights.root))
    repo.push([str(TRACKED)])
    repo.close()
    nights.run(weight=2.0)
    champion.challenge(nights.root)
    assert first.tracked is not None
    _forget(nights, first.tracked.md5)
    second = (nights.root / TRACKED).read_text()
    assert champion.roll_back(nights.root, 1).champion == 1
    assert used(nights) == 1
    # The other one was never pushed.
    _forget(nights, _md5(second))
    before = (nights.root / TRACKED).read_text()
    with pytest.raises(EnvironmentFault, match=r"champion-0002 is not in DVC's cache.*\n.*push"):
        champion.roll_back(nights.root, 2)
    assert (nights.root / TRACKED).read_text() == before
    assert used(nights) == 1


def test_a_champion_that_is_in_its_place_alone_is_put_into_the_cache_again(nights: Nights) -> None:
    nights.run(weight=-2.0)
    first = champion.challenge(nights.root)
    assert first.tracked is not None
    _forget(nights, first.tracked.md5)
    nights.run(weight=2.0)
    champion.challenge(nights.root)
    assert champion.roll_back(nights.root, None).champion == 1


def _forget(nights: Nights, name: str) -> None:
    """Take a folder out of DVC's cache."""
    (nights.root / ".dvc/cache/files/md5" / name[:2] / name[2:]).unlink()


def _md5(text: str) -> str:
    return text.split("md5: ", maxsplit=1)[1].split(maxsplit=1)[0]


def test_git_is_left_alone_unless_it_is_asked_for(nights: Nights) -> None:
    nights.run(weight=-2.0)
    head = nights.git("rev-parse", "HEAD")
    decision = champion.challenge(nights.root)
    assert decision.commit == head
    assert nights.git("rev-parse", "HEAD") == head
    assert nights.git("tag") == ""
    assert nights.git("diff", "--cached", "--name-only") == ""
    # What else is there is not swept along.
    (nights.root / "notes.txt").write_text("mine")
    nights.git("add", "notes.txt")
    (nights.root / ".dvcignore").write_text("/mine\n")
    said = champion.commit_decision(nights.root, decision)
    assert nights.git("tag") == "champion-0001"
    files = nights.git("show", "--name-only", "--format=", "champion-0001").splitlines()
    assert set(files) == {"artifacts/champion.dvc", "artifacts/champion.jsonl", "dvc.lock"}
    assert said[-1] == "not committed, and so not in the tag: .dvcignore, notes.txt"
    assert nights.git("diff", "--cached", "--name-only") == "notes.txt"
    assert champion.commit_decision(nights.root, champion.challenge(nights.root)) == []


def test_what_is_not_as_the_run_left_it_is_refused(nights: Nights) -> None:
    with pytest.raises(InputError, match=r"No model is chosen yet.*\./fettle run"):
        champion.challenge(nights.root)
    assert list(champion.lines(nights.root)) == [
        "There is no champion yet. Make one with: ./fettle champion --challenge"
    ]
    nights.run(weight=1.0)
    path = nights.root / "artifacts/split/promotion/schema.json"
    text = path.read_text()
    path.unlink()
    path.write_text(text + "\n")
    with pytest.raises(InputError, match=r"artifacts/split/promotion is not what dvc\.lock says"):
        champion.challenge(nights.root)
    path.write_text(text)
    champion.challenge(nights.root)
    chosen = nights.root / FOLDER / "choice.json"
    content = json.loads(chosen.read_text())
    chosen.unlink()
    chosen.write_text(json.dumps(content))
    with pytest.raises(InputError, match="changed by hand"):
        champion.challenge(nights.root)


@pytest.mark.parametrize(
    ("moment", "used_then"),
    [
        ("flows.champion_decisions.begin", 1),
        ("flows.champion.shutil.rmtree", 1),
        ("flows.champion_keeping.Keeping.add", 2),
        ("flows.champion_decisions.append", 2),
        ("flows.champion_decisions.forget", 2),
    ],
)
def test_whoever_is_killed_while_it_is_done_leaves_the_old_one_or_the_new_one(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, moment: str, used_then: int
) -> None:
    nights.run(weight=-2.0)
    champion.challenge(nights.root)
    nights.run(weight=2.0, count=700)

    class Killed(BaseException):
        pass

    def die(*told: Any, **options: Any) -> None:
        # The folder beside it is cleared first, which is no moment of interest.
        if not told or Path(str(told[0])).name != ".champion":
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(moment, die)
        with pytest.raises(Killed):
            champion.challenge(nights.root)

    champion.show(nights.root)
    assert used(nights) == used_then
    told = champion_decisions.read(nights.root)
    assert [one.champion for one in told] == [1, 2][:used_then]
    decision = champion.challenge(nights.root)
    assert decision.outcome == ("promoted" if used_then == 1 else "same")
    told = champion_decisions.read(nights.root)
    assert [one.outcome for one in told] == ["first", "promoted"]
    assert "proven better" in told[1].reason
    # Both can be had again.
    champion.roll_back(nights.root, 1)
    assert champion.roll_back(nights.root, 2).champion == 2


def two_champions(nights: Nights) -> bytes:
    """What DVC says of the second of two, which is in use."""
    nights.run(weight=-2.0)
    champion.challenge(nights.root)
    nights.run(weight=2.0, count=700)
    champion.challenge(nights.root)
    return (nights.root / TRACKED).read_bytes()


def require_as_before(nights: Nights, tracked: bytes) -> None:
    assert (nights.root / TRACKED).read_bytes() == tracked
    assert used(nights) == 2
    assert champion_decisions.begun(nights.root) is None
    # Neither is it said to be changed by hand.
    champion.show(nights.root)
    assert [one.outcome for one in champion_decisions.read(nights.root)] == ["first", "promoted"]
    assert champion.roll_back(nights.root, None).champion == 1


def test_where_dvc_is_busy_nothing_is_rolled_back(nights: Nights) -> None:
    tracked = two_champions(nights)
    other = Repo(str(nights.root))
    with other.lock, pytest.raises(EnvironmentFault, match="another process is working"):
        champion.roll_back(nights.root, None)
    other.close()
    require_as_before(nights, tracked)


def test_a_dvc_that_is_busy_is_not_taken_for_a_remote_that_lacks_it(
    nights: Nights, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracked = two_champions(nights)
    [first, _] = champion_decisions.read(nights.root)
    assert first.tracked is not None
    name = first.tracked.md5
    (nights.root / ".dvc/cache/files/md5" / name[:2] / name[2:]).rename(nights.root / "away")
    pull = Repo.pull

    def meanwhile(repo: Repo, *targets: Any, **options: Any) -> Any:
        other = Repo(repo.root_dir)
        with other.lock:
            return pull(repo, *targets, **options)

    monkeypatch.setattr(Repo, "pull", meanwhile)
    with pytest.raises(EnvironmentFault, match="another process is working"):
        champion.roll_back(nights.root, None)
    (nights.root / "away").rename(nights.root / ".dvc/cache/files/md5" / name[:2] / name[2:])
    require_as_before(nights, tracked)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_rollback_that_is_broken_off_is_undone(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    tracked = two_champions(nights)
    with monkeypatch.context() as patch:
        broken_off(patch, error)
        with pytest.raises(error):
            champion.roll_back(nights.root, None)
    require_as_before(nights, tracked)


def broken_off(patch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Let the first checkout end half-way by an exception."""
    checkout = Repo.checkout
    broken: list[bool] = []

    def half(repo: Repo, *targets: Any, **options: Any) -> Any:
        done = checkout(repo, *targets, **options)
        if not broken:
            broken.append(True)
            Path(repo.root_dir, FOLDER, "model.keras").unlink()
            raise error
        return done

    patch.setattr(Repo, "checkout", half)


@pytest.mark.parametrize(
    ("moment", "used_then"),
    [
        ("flows.champion_keeping.Keeping.put_back", 2),
        ("flows.champion_keeping.Keeping._check_out", 2),
        ("half", 2),
        ("flows.champion_decisions.append", 1),
        ("flows.champion_decisions.forget", 1),
    ],
)
def test_whoever_is_killed_while_it_is_rolled_back_leaves_the_one_or_the_other(
    nights: Nights, moment: str, used_then: int
) -> None:
    tracked = two_champions(nights)

    def die(*told: Any, **options: Any) -> None:
        os._exit(9)

    child = os.fork()
    if child == 0:
        with pytest.MonkeyPatch.context() as patch:
            if moment == "half":
                broken_off(patch, KeyboardInterrupt)
                patch.setattr(champion, "_undone", die)
            else:
                patch.setattr(moment, die)
            try:
                champion.roll_back(nights.root, None)
            finally:
                os._exit(9)
    os.waitpid(child, 0)
    champion.show(nights.root)
    if used_then == 2:
        require_as_before(nights, tracked)
        return
    assert used(nights) == 1
    told = champion_decisions.read(nights.root)
    assert [one.outcome for one in told] == ["first", "promoted", "rolled back"]
    assert (told[-1].champion, told[-1].before) == (1, 2)
    assert champion.roll_back(nights.root, None).champion == 2


def test_a_champion_that_git_brought_after_a_killed_rollback_stays(nights: Nights) -> None:
    two_champions(nights)
    with pytest.MonkeyPatch.context() as patch:
        broken_off(patch, KeyboardInterrupt)
        patch.setattr(champion, "_undone", lambda *told: None)
        with pytest.raises(KeyboardInterrupt):
            champion.roll_back(nights.root, None)
    theirs = "outs:\n- md5: 0123456789abcdef0123456789abcdef.dir\n  path: champion\n"
    (nights.root / TRACKED).write_text(theirs)
    with pytest.raises(InputError, match="git changed"):
        champion.show(nights.root)
    assert (nights.root / TRACKED).read_text() == theirs
    assert champion_decisions.begun(nights.root) is None


def test_wrong_values_and_a_torn_log_are_told(nights: Nights) -> None:
    nights.params("level: 0.95", "level: 95")
    with pytest.raises(InputError, match=r"champion\.level: 95"):
        champion.challenge(nights.root)
    log = nights.root / champion_decisions.LOG
    log.parent.mkdir()
    log.write_text('{"time":')
    with pytest.raises(InputError, match=r"champion\.jsonl, line 1"):
        list(champion.lines(nights.root))


def test_two_do_not_decide_at_once(nights: Nights) -> None:
    with champion._alone(nights.root), pytest.raises(EnvironmentFault, match="Another process"):
        champion.challenge(nights.root)


def test_the_command_line_says_the_decision(
    nights: Nights, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    from flows.main import main

    monkeypatch.chdir(nights.root)
    nights.run(weight=-2.0)
    assert main(["champion", "--challenge", "--commit"]) == 0
    assert "champion-0001 is the first" in capsys.readouterr().out
    nights.run(weight=-1.0)
    assert main(["champion", "--challenge"]) == 0
    assert "champion-0001 is kept: not proven better" in capsys.readouterr().out
    assert main(["champion"]) == 0
    assert "made at commit" in capsys.readouterr().out
    assert main(["champion", "--commit"]) == 3
    assert main(["champion", "--rollback"]) == 3
    assert "To be put back there are: none." in capsys.readouterr().err
