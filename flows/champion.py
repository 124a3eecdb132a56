"""`fettle champion`: the model in use, and whether a run's chosen model takes its place.

    ./fettle champion               the one in use, and the last decisions
    ./fettle champion --challenge   compare the chosen model with it, on rows that neither knows
    ./fettle champion --appoint     make the chosen model champion without a comparison
    ./fettle champion --rollback    put the one before back

It depends on what came before, so it is no stage: a run gives the same bytes whoever is champion.
"""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dataset.examples import Promotion
from flows import champion_decisions
from flows.champion_decisions import Decision, Outcome, Tracked, named
from flows.champion_keeping import FOLDER, Keeping, as_told, commit, commit_of, md5
from flows.champion_rows import Refused, answers, unknown_to_both
from metrics.intervals import Bootstrap, Interval
from metrics.objective import Objective
from metrics.readings import Reading
from models.judging.champion import Champion, Facts, Figures, Run
from models.judging.evaluation import Chosen
from models.judging.promotion import ChampionParams, Compared, Side, compare, differences, judged
from pipeline.errors import EnvironmentFault, InputError, shown
from pipeline.params import Section
from pipeline.params_file import PARAMS, load_some

SHOWN = 5
"""Decisions that are shown."""
GUARD = Path(".fettle/champion.lock")
PROMOTION = Path("artifacts/split/promotion")


@dataclass(frozen=True)
class _Settings:
    champion: ChampionParams
    objective: Objective

    @property
    def bootstrap(self) -> Bootstrap:
        params = self.champion
        return Bootstrap(params.replicates, params.level, params.seed)


def challenge(root: Path) -> Decision:
    """Compare the chosen model of the checkout at `root` with its champion, and promote it or not.

    The first one becomes champion without a comparison. Every decision is written to
    artifacts/champion.jsonl; git is left alone. Raises InputError where no run left a model that
    belongs to the promotion part, or params.yaml is wrong; EnvironmentFault where another process
    is at it, or the champion is neither in DVC's cache nor in a remote.
    """
    settings = _settings(root)
    with _alone(root):
        court = _Court(root, settings)
        if not court.keeping.there_is_one():
            return court.crown("first", _first(root))
        court.keeping.fetch()
        return court.meet()


def appoint(root: Path) -> Decision:
    """Make the chosen model champion without a comparison; raises as `challenge`."""
    settings = _settings(root)
    with _alone(root):
        return _Court(root, settings).crown("appointed", "as was asked, without a comparison")


def roll_back(root: Path, number: int | None) -> Decision:
    """Put an earlier champion back: the one before, or the one with a number.

    Raises InputError where there is no such champion, EnvironmentFault as `challenge`.
    """
    settings = _settings(root)
    with _alone(root):
        past = champion_decisions.read(root)
        keeping = Keeping(root)
        if not keeping.there_is_one():
            raise InputError(
                "There is no champion yet. Make one with: ./fettle champion --challenge"
            )
        keeping.fetch()
        current = Champion(root / FOLDER).facts().number
        wanted = _before(past, current) if number is None else number
        taken = {one.champion: one for one in past if one.took_over}
        if wanted not in taken or wanted == current:
            others = [one for one in sorted(taken) if one != current]
            told = ", ".join(map(named, others)) or "none"
            raise InputError(
                f"--rollback: {named(wanted) if wanted else 'one before'} was asked for, and "
                f"{named(current)} is in use. To be put back there are: {told}."
            )
        metric, back = settings.objective.metric, taken[wanted]
        written = _Written(metric, wanted, back.candidate, current, tracked=back.tracked)
        decision = written.decision(root, "rolled back", f"{named(current)} was in use")
        return _put_back(root, keeping, decision)


def _put_back(root: Path, keeping: Keeping, decision: Decision) -> Decision:
    """Carry out a rollback; whatever breaks it off, everything is as it was."""
    assert decision.tracked is not None
    replaced = keeping.told()
    champion_decisions.begin(root, decision, replaced)
    try:
        keeping.put_back(as_told(decision.tracked), named(decision.champion))
    except BaseException:
        # What cannot be undone now, the next command undoes.
        with suppress(Exception):
            _undone(root, keeping, replaced)
        raise
    champion_decisions.append(root, decision)
    champion_decisions.forget(root)
    return decision


def _undone(root: Path, keeping: Keeping, replaced: str) -> None:
    """Have the champion that a rollback took out of use in its place again."""
    keeping.put_back(replaced, "the champion")
    champion_decisions.forget(root)


def _before(past: list[Decision], current: int) -> int:
    """Who was in use before the current one took over; 0 where nobody was."""
    for one in reversed(past):
        if one.took_over and one.champion == current:
            return one.before or 0
    return 0


def show(root: Path) -> None:
    """Print the champion, where it comes from, and the last decisions."""
    if champion_decisions.begun(root) is not None:
        with _alone(root):
            pass
    for line in lines(root):
        print(shown(line))


def lines(root: Path) -> Iterator[str]:
    """The champion and the last decisions, in words."""
    past = champion_decisions.read(root)
    keeping = Keeping(root)
    if not keeping.there_is_one():
        yield "There is no champion yet. Make one with: ./fettle champion --challenge"
        return
    keeping.fetch()
    champion = Champion(root / FOLDER)
    facts, choice = champion.facts(), champion.choice()
    taken = [one for one in past if one.took_over and one.champion == facts.number]
    since = f", in use since {taken[-1].time}" if taken else ""
    yield f"{named(facts.number)}{since}: {facts.candidate}. {choice.reason}"
    yield _origin(facts)
    reading, held = facts.reading, facts.holdout
    yield (
        f"{reading.title} on the holdout of its run ({facts.holdout_rows:,} examples): "
        f"{reading.text(held.value)} ({100 * facts.level:g} % interval "
        f"{reading.span(held.low, held.high)})"
    )
    if taken:
        yield f"why: {taken[-1].reason}"
    for one in past[: -SHOWN - 1 : -1]:
        yield f"{one.time}  {one.line()}"
        yield from (f"    {note}" for note in one.notes)


def _origin(facts: Facts) -> str:
    if facts.commit is None:
        return f"made outside of git, by the dvc.lock with the MD5 sum {facts.lock}"
    changed = f", with uncommitted changes of {', '.join(facts.changed)}" if facts.changed else ""
    return f"made at commit {facts.commit}{changed}, by the dvc.lock with the MD5 sum {facts.lock}"


def commit_decision(root: Path, decision: Decision) -> list[str]:
    """Commit a decision, and tag a champion that is new; returns what was done, a line each."""
    if decision.outcome == "same":
        return []
    new = decision.outcome in ("first", "promoted", "appointed")
    return commit(root, decision.line(), decision.champion if new else None)


def _first(root: Path) -> str:
    words = "there was none to compare it with"
    if any(True for _ in Promotion(root / PROMOTION).blocks()):
        return words
    return (
        f"{words}; no later model can be compared with it until split.promotion in params.yaml is "
        "above 0"
    )


@dataclass(frozen=True)
class _Written:
    """What a decision is about, besides its outcome and its reason."""

    objective: str
    champion: int
    """Number of the one in use from now on."""
    candidate: str
    """The challenger's, or of the one that is put back."""
    before: int | None
    notes: tuple[str, ...] = ()
    compared: Compared | None = None
    rows: int | None = None
    left_out: int | None = None
    tracked: Tracked | None = None

    def down(self, root: Path, outcome: Outcome, reason: str) -> Decision:
        """The decision, written behind the others."""
        decision = self.decision(root, outcome, reason)
        if outcome != "same":
            champion_decisions.append(root, decision)
        return decision

    def decision(self, root: Path, outcome: Outcome, reason: str) -> Decision:
        """The decision, made now."""
        head, changed = commit_of(root)
        compared = self.compared
        return Decision(
            time=champion_decisions.now(),
            outcome=outcome,
            reason=reason,
            notes=self.notes,
            champion=self.champion,
            before=self.before,
            candidate=self.candidate,
            commit=head,
            changed=changed,
            lock=md5(root / "dvc.lock"),
            objective=self.objective,
            rows=self.rows if compared is None else compared.rows,
            left_out=self.left_out,
            champion_figure=None if compared is None else _figures(compared.champion),
            challenger_figure=None if compared is None else _figures(compared.challenger),
            difference=None if compared is None else _figures(compared.difference),
            tracked=self.tracked,
        )


class _Court:
    """One challenge: the run's chosen model, and the champion if there is one."""

    def __init__(self, root: Path, settings: _Settings) -> None:
        self.root = root
        self.settings = settings
        self.run = Run(root / "artifacts")
        if not self.run.chosen.model.is_file():
            raise InputError("No model is chosen yet. Make one with: ./fettle run")
        self.keeping = Keeping(root)
        self._development = self.keeping.require_made()
        self._champion = Champion(root / FOLDER)

    def crown(
        self,
        outcome: Outcome,
        reason: str,
        notes: tuple[str, ...] = (),
        compared: Compared | None = None,
        left_out: int | None = None,
    ) -> Decision:
        """Make the chosen model champion, and write down why."""
        numbers = [one.champion for one in champion_decisions.read(self.root)]
        before = None
        if self.keeping.there_is_one():
            self.keeping.fetch()
            before = self._champion.facts().number
            numbers.append(before)
        facts = self._facts(1 + max(numbers, default=0))
        # Beside the old one and then in its place, so that no half of either is met.
        new = Champion(self._champion.path.with_name(".champion"))
        shutil.rmtree(new.path, ignore_errors=True)
        new.write_from(self.run, facts)
        written = _Written(
            self.settings.objective.metric,
            facts.number,
            facts.candidate,
            before,
            notes=notes,
            compared=compared,
            left_out=left_out,
        )
        decision = written.decision(self.root, outcome, reason)
        champion_decisions.begin(self.root, decision)
        if self._champion.path.exists():
            shutil.rmtree(self._champion.path)
        new.path.rename(self._champion.path)
        return _carried_out(self.root, self.keeping, decision)

    def meet(self) -> Decision:
        """Compare, and crown the challenger or not."""
        if _same(self._champion, self.run.chosen):
            return self._kept("same", "there is nothing to compare")
        old = self._champion.schema(), self._champion.target()
        new = self.run.chosen.schema(), self.run.chosen.target()
        notes = tuple(differences(old, new)) if old[1].task == new[1].task else ()
        try:
            promoted, reason, compared, left_out = self._judged()
        except Refused as refused:
            return self._kept(
                "refused", str(refused), notes, rows=refused.rows, left_out=refused.left_out
            )
        if left_out:
            reason += f"; {left_out:,} rows that one of them knew were left out"
        if promoted:
            return self.crown("promoted", reason, notes, compared, left_out)
        return self._kept("kept", reason, notes, compared=compared, left_out=left_out)

    def _judged(self) -> tuple[bool, str, Compared | None, int]:
        """Whether the challenger takes over, why, by which figures, and how many rows were left
        out; raises Refused."""
        promotion = Promotion(self.root / PROMOTION)
        params = self.settings.champion
        free = unknown_to_both(promotion, self._champion, self.run, self.keeping, params.rows)
        left_out = int((~free).sum())
        said = answers(promotion, free, (self._champion, self.run.chosen))
        for who, predictions, promoted in (
            ("challenger", said.challenger, False),
            ("champion", said.champion, True),
        ):
            if (wrong := said.not_finite(predictions)) is not None:
                return (
                    promoted,
                    f"the {who} says what is no number of {wrong:,} rows",
                    None,
                    left_out,
                )
        try:
            compared = compare(
                Side(self._champion.target(), self._champion.decision(), said.champion),
                Side(self.run.chosen.target(), self.run.chosen.decision(), said.challenger),
                said.targets,
                said.importance,
                self.settings.objective,
                self.settings.bootstrap.among(said.units),
            )
        except InputError as error:
            raise Refused(" ".join(str(error).split()), len(said.targets), left_out) from None
        return *judged(compared, params), compared, left_out

    def _kept(
        self,
        outcome: Outcome,
        reason: str,
        notes: tuple[str, ...] = (),
        *,
        compared: Compared | None = None,
        rows: int | None = None,
        left_out: int | None = None,
    ) -> Decision:
        number = self._champion.facts().number
        return _Written(
            self.settings.objective.metric,
            number,
            self.run.chosen.choice().candidate,
            number,
            notes=notes,
            compared=compared,
            rows=rows,
            left_out=left_out,
        ).down(self.root, outcome, reason)

    def _facts(self, number: int) -> Facts:
        head, changed = commit_of(self.root)
        metrics, details = self.run.metrics(), self.run.details()
        return Facts(
            number=number,
            candidate=self.run.chosen.choice().candidate,
            commit=head,
            changed=changed,
            lock=md5(self.root / "dvc.lock"),
            development=self._development,
            reading=Reading.model_validate(details["figures"][metrics["objective"]]),
            level=details["level"],
            holdout=Figures.model_validate(metrics["chosen"][metrics["objective"]]),
            holdout_rows=metrics["n"],
        )


def _carried_out(root: Path, keeping: Keeping, decision: Decision) -> Decision:
    """Track the folder of a new champion that is in its place, and write the decision down."""
    decision = decision.model_copy(update={"tracked": keeping.add()})
    champion_decisions.append(root, decision)
    champion_decisions.forget(root)
    return decision


def _settle(root: Path) -> None:
    """Carry out what a process that was killed had decided: once the new folder is in its place,
    DVC may not know of it yet, or the log. Before that the old champion is still in use."""
    begun = champion_decisions.begun(root)
    if begun is None:
        return
    decision = begun.decision()
    if begun.replaced is not None:
        _settle_rollback(root, decision, begun.replaced)
        return
    champion = Champion(root / FOLDER)
    in_place = champion.path.is_dir() and champion.facts().number == decision.champion
    told = any(one.champion == decision.champion for one in champion_decisions.read(root))
    if in_place and not told:
        _carried_out(root, Keeping(root), decision)
    champion_decisions.forget(root)


def _settle_rollback(root: Path, decision: Decision, replaced: str) -> None:
    """As `_settle`, of a rollback: DVC knows of the folder first, and then it is put in its
    place."""
    assert decision.tracked is not None
    keeping = Keeping(root)
    told, wanted = keeping.told(), as_told(decision.tracked)
    if decision not in champion_decisions.read(root):
        if told == wanted and keeping.in_place():
            champion_decisions.append(root, decision)
        elif told in (wanted, replaced):
            # Else git, say, has brought another one meanwhile.
            keeping.put_back(replaced, "the champion")
    champion_decisions.forget(root)


def _same(one: Chosen, other: Chosen) -> bool:
    """Whether both answer the same, whatever they are given."""
    return one.model.read_bytes() == other.model.read_bytes() and (
        (one.schema(), one.target(), one.decision())
        == (other.schema(), other.target(), other.decision())
    )


def _figures(interval: Interval) -> Figures:
    return Figures(value=interval.value, low=interval.low, high=interval.high)


def _settings(root: Path) -> _Settings:
    types: dict[str, type[Section]] = {"champion": ChampionParams, "objective": Objective}
    params = load_some(types, root / PARAMS)
    champion, objective = (params[name] for name in types)
    assert isinstance(champion, ChampionParams)
    assert isinstance(objective, Objective)
    return _Settings(champion, objective)


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """While the block lasts, no other process decides about this checkout's champion."""
    path = root / GUARD
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise EnvironmentFault(
                "Another process is deciding about the champion. Wait for it to end, and run again."
            ) from None
        _settle(root)
        yield
