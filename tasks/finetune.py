"""Transfer: a base that was trained elsewhere, then tuned to this task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from dataset.examples import Development
from metrics.intervals import Bootstrap
from metrics.objective import Measure, Objective
from models import results
from models.budget import Allowance, Budget
from models.candidate import Finetuned, Record, Trained
from models.judging import shares
from models.settings import Epochs, FitSettings, NetworkSpec, Patience, Recipe, Seeds
from models.training import Run
from models.transfer import phases, probe, sources, worth
from models.transfer.phases import Transferred
from models.transfer.probe import Probes, Row
from models.transfer.source_settings import Application, Earlier, OtherData, TransferSource, told
from models.transfer.sources import SourceResult
from models.transfer.transfer_settings import Head
from models.transfer.worth import Judge, Way, Worth
from pipeline.artifacts import Source
from pipeline.declaration import Cost, stage
from pipeline.errors import FettleError
from pipeline.executor import Executor
from pipeline.params import Section


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError("must not repeat a value")
    return values


Sources = Annotated[
    tuple[TransferSource, ...], Field(min_length=1, max_length=20), AfterValidator(_distinct)
]
Shares = Annotated[
    tuple[Annotated[float, Field(ge=0.001, le=1)], ...],
    Field(max_length=20),
    AfterValidator(_distinct),
]


class FinetuneParams(Section):
    """The section `finetune`."""

    enabled: bool
    """Whether to transfer at all."""
    sources: Sources
    """What to transfer from, see `transfer.source_settings`; of several the best by a probe."""
    pretrained: str | None
    """The file or folder below data/ that holds what sources name; null: they name none."""
    pictures: int = Field(ge=10, le=1_000_000)
    """Digits drawn, for `fonts`; pictures shown at the most, for `rotated` and `denoised`."""
    swap: float = Field(gt=0, lt=1)
    """Fraction of values swapped and of words hidden, for `masked`."""
    source_epochs: Epochs
    """Of each source that has to be trained first."""
    head: Head
    """What stands on the base."""
    frozen_epochs: Epochs
    """Of the first phase: the new head alone, at the learning rate of the settings so far."""
    epochs: Epochs
    """Of the second phase, with blocks of the base, at the most."""
    unfreeze: Literal["all"] | Annotated[int, Field(ge=1, le=1000)]
    """How many blocks the second phase trains, from the last on."""
    learning_rate_factor: float = Field(gt=0, le=1)
    """The second phase's learning rate over the first's."""
    layer_decay: float = Field(gt=0, le=1)
    """A block's learning rate over that of what stands above it; 1: alike."""
    patience: Patience
    """Epochs without a better validation loss until the second phase ends."""
    shares: Shares
    """Of the labels, at which transfer is compared with the same network from scratch; []: it is
    not. Bases that use no labels are trained on all examples whatever the share."""
    replicates: int = Field(ge=100, le=100_000)
    """Resamplings of the bootstrap of both comparisons."""
    level: float = Field(ge=0.5, lt=1)
    """How sure each of their intervals is."""
    seed: int = Field(ge=0)
    """Of the resamplings."""
    seeds: Seeds
    """Two fits for each; a source is trained once, with the first."""


@dataclass(frozen=True)
class _Lengths:
    """Epochs that the stage's fits ask for."""

    source: int
    frozen: int
    tuned: int
    scratch: int

    @classmethod
    def of(cls, params: FinetuneParams, share: float) -> "_Lengths":
        """At a share of the labels: as many steps as with all of them."""
        together = params.frozen_epochs + params.epochs
        lengths = (params.frozen_epochs, params.epochs, together)
        return cls(params.source_epochs, *(shares.longer(one, share) for one in lengths))


def _trained(source: TransferSource) -> bool:
    """Whether a base has to be trained first."""
    return not isinstance(source, Application | Earlier)


def _allowed(params: FinetuneParams, budget: Budget) -> Allowance:
    """Sources, both phases of every seed and what they are compared with are shortened alike."""
    lengths = [params.source_epochs for source in params.sources if _trained(source)]
    for share in {1.0: None} | dict.fromkeys(params.shares):
        asked = _Lengths.of(params, share)
        both = [asked.frozen, asked.tuned]
        compared = [asked.scratch] if share in params.shares else []
        lengths += [*both, *compared] * len(params.seeds)
    return budget.among(lengths)


def _cost(params: FinetuneParams, budget: Budget) -> Cost:
    if not params.enabled:
        return Cost()
    allowed = _allowed(params, budget)
    return Cost(allowed.fits, allowed.most)


def _caution(params: FinetuneParams, budget: Budget) -> str | None:
    return budget.caution() if params.enabled else None


@stage(cost=_cost, caution=_caution)
def finetune(
    out: Finetuned,
    development: Development,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    pretrained: Source,
    objective: Objective,
    budget: Budget,
    params: FinetuneParams,
    executor: Executor,
) -> None:
    """A base that was trained elsewhere, then tuned to this task in two phases."""
    if not params.enabled:
        results.switched_off(out, "finetune")
        out.probe.write(probe.table([]))
        out.worth.write(worth.table([]))
        return
    given = None if pretrained.path == Path() else str(pretrained.path)
    for source in params.sources:
        sources.check(source, development.schema(), given)
    measure = objective.metric_for(development.target())
    start = results.latest(regularize, search, baseline)
    work = _Work(out, development, Recipe.of(start.settings), _allowed(params, budget), params)
    learned = work.pretrain(executor, given)
    rows, best = work.probe(executor, measure)
    out.probe.write(probe.table(rows))
    held = work.transfer(executor, best)
    compared, apart = work.compare(executor, best, measure, held)
    out.worth.write(worth.table(compared))
    for base in work.bases:
        base.unlink()
    runs = [one.tuned for one in held]
    results.gather(
        out,
        runs,
        stage="finetune",
        summary=_summary(work, start, rows, best),
        settings=work.settings(best),
        development=development,
        before=[*(_as_run(one, runs[0]) for one in learned if one.lines), *apart],
    )


@dataclass(frozen=True)
class _Work:
    """What the stage trains, by which settings."""

    out: Finetuned
    development: Development
    recipe: Recipe
    allowed: Allowance
    params: FinetuneParams

    @property
    def bases(self) -> list[Path]:
        """The sources' files, in their order."""
        folder = self.out.model.path
        return [folder / f"base-{place}.keras" for place, _ in enumerate(self.params.sources, 1)]

    @property
    def spec(self) -> NetworkSpec:
        """Of the settings so far."""
        return self.recipe.network

    def source_settings(self) -> FitSettings:
        """Of sources that have to be trained first."""
        return self._settings(epochs=self.params.source_epochs, patience=None)

    def frozen(self, share: float = 1.0) -> FitSettings:
        """Of the first phase, at a share of the labels."""
        asked = self._plain(epochs=self.params.frozen_epochs, patience=None)
        return self.allowed.shorten(_lengthened(asked, share))

    def unfrozen(self, share: float = 1.0) -> FitSettings:
        """Of the second phase."""
        params = self.params
        rate = self.recipe.learning_rate * params.learning_rate_factor
        asked = self._plain(epochs=params.epochs, patience=params.patience, learning_rate=rate)
        return self.allowed.shorten(_lengthened(asked, share))

    def scratch(self, share: float) -> FitSettings:
        """Of the same network from fresh weights: as many epochs as both phases have, all of them.

        It is never ended early, and keeps the weights of its best epoch: fresh weights learn
        little at first, and a patience that suits a transferred network would take that for the
        end.
        """
        epochs = self.params.frozen_epochs + self.params.epochs
        asked = self._plain(epochs=epochs, patience=epochs)
        return self.allowed.shorten(_lengthened(asked, share))

    def _plain(self, **changes: Any) -> FitSettings:
        return self.recipe.fit.model_copy(update=changes)

    def _settings(self, **changes: Any) -> FitSettings:
        return self.allowed.shorten(self._plain(**changes))

    def settings(self, best: int) -> dict[str, Any]:
        """What the record holds."""
        params = self.params
        return (
            self.spec.model_dump()
            | self.unfrozen().model_dump()
            | {
                "source": told(params.sources[best]),
                "head": params.head.model_dump(),
                "frozen_epochs": self.frozen().epochs,
                "unfreeze": params.unfreeze,
                "learning_rate_factor": params.learning_rate_factor,
                "layer_decay": params.layer_decay,
            }
        )

    def pretrain(self, executor: Executor, given: str | None) -> list[SourceResult]:
        """Write the sources' bases; those first that need no training, but may be refused."""
        self.out.model.make()
        items = [
            sources.SourceRun(
                development=str(self.development.path),
                model=str(base),
                source=source,
                given=given,
                spec=self.spec,
                settings=self.source_settings(),
                pictures=self.params.pictures,
                swap=self.params.swap,
                seed=self.params.seeds[0],
                name=f"finetune source {told(source)}",
                minutes=self.allowed.minutes,
            )
            for source, base in zip(self.params.sources, self.bases, strict=True)
        ]
        learned: dict[str, SourceResult] = {}
        for first in (True, False):
            chosen = [item for item in items if _trained(item.source) is not first]
            found = executor.map(sources.pretrain, chosen, [item.name for item in chosen])
            learned |= dict(zip([item.model for item in chosen], found, strict=True))
        for item in items:
            _check_source(learned[item.model], item)
        return [learned[item.model] for item in items]

    def probe(self, executor: Executor, measure: Measure) -> tuple[list[Row], int]:
        """The rows of probe.csv and the place of the best source; of one source no rows."""
        params = self.params
        if len(params.sources) == 1:
            return [], 0
        names = [*(told(source) for source in params.sources), probe.UNTRAINED]
        items = [
            probe.ProbeRun(
                str(self.development.path),
                str(base),
                name == probe.UNTRAINED,
                params.seeds[0],
                f"finetune probe {name}",
            )
            for name, base in zip(names, [*self.bases, self.bases[0]], strict=True)
        ]
        probed = executor.map(probe.probe, items, [item.name for item in items])
        probes = Probes(self.development, measure, self._bootstrap)
        best = probes.best(probed[:-1])
        networks = [self._network(source) for source in (*params.sources, params.sources[0])]
        rows = [
            probes.row(name, network, one, chosen=place == best)
            for place, (name, network, one) in enumerate(zip(names, networks, probed, strict=True))
        ]
        return rows, best

    def _network(self, source: TransferSource) -> str:
        if isinstance(source, Application):
            return source.network
        if isinstance(source, Earlier):
            return "its own"
        return f"{self.spec.architecture}, width {self.spec.width}, depth {self.spec.depth}"

    @property
    def _bootstrap(self) -> Bootstrap:
        return Bootstrap(self.params.replicates, self.params.level, self.params.seed)

    def transfer(self, executor: Executor, best: int, share: float = 1.0) -> list[Transferred]:
        """Both phases with every seed; of all labels the models are kept."""
        params = self.params
        some = "" if share == 1 else f" {100 * share:g} %"
        items = [
            phases.TransferRun(
                development=str(self.development.path),
                folder=str(self.out.model.path) if share == 1 else None,
                spec=self.spec,
                settings=self.unfrozen(share),
                seed=seed,
                name=f"finetune{some} seed {seed}",
                base=str(self.bases[best]),
                head=params.head,
                share=share,
                frozen=self.frozen(share),
                unfreeze=params.unfreeze,
                layer_decay=params.layer_decay,
                minutes=self.allowed.minutes,
            )
            for seed in params.seeds
        ]
        return executor.map(phases.transfer, items, [item.name for item in items])

    def from_scratch(self, executor: Executor, best: int, share: float) -> list[Run]:
        """The same network from fresh weights with every seed; no model is kept."""
        params = self.params
        items = [
            phases.ScratchRun(
                development=str(self.development.path),
                folder=None,
                spec=self.spec,
                settings=self.scratch(share),
                seed=seed,
                name=f"finetune scratch {100 * share:g} % seed {seed}",
                base=str(self.bases[best]),
                head=params.head,
                share=share,
                minutes=self.allowed.minutes,
            )
            for seed in params.seeds
        ]
        return executor.map(phases.scratch, items, [item.name for item in items])

    def compare(
        self, executor: Executor, best: int, measure: Measure, whole: Sequence[Transferred]
    ) -> tuple[list[Worth], list[Run]]:
        """The rows of worth.csv, and the runs that were made for them beside the stage's own."""
        truth, importance = self.development.truth("validation")
        bootstrap = self._bootstrap.among(self.development.units("validation"))
        judge = Judge(measure, truth, importance, bootstrap)
        rows: list[Worth] = []
        apart: list[Run] = []
        for share in sorted(self.params.shares):
            held = whole if share == 1 else self.transfer(executor, best, share)
            runs: Mapping[Way, Sequence[Run]] = {
                "scratch": self.from_scratch(executor, best, share),
                "frozen": [one.frozen for one in held],
                "tuned": [one.tuned for one in held],
            }
            examples = len(shares.sampled(self.development, share))
            rows += judge.rows(share, examples, runs)
            of = f"{100 * share:g} % of the labels"
            apart += [results.called(run, f"scratch, {of}") for run in runs["scratch"]]
            if share < 1:
                apart += [results.called(run, f"transferred, {of}") for run in runs["tuned"]]
        return rows, apart


def _lengthened(settings: FitSettings, share: float) -> FitSettings:
    return settings if share == 1 else shares.lengthened(settings, share)


def _check_source(learned: SourceResult, item: sources.SourceRun) -> None:
    if learned.diverged:
        raise FettleError(
            f"finetune: the source task {told(item.source)} diverged: its loss is no number any "
            f"more. It was trained with learning_rate {item.settings.learning_rate:g}; lower "
            f"search.space.learning_rate or recipe.learning_rate in params.yaml, whichever it "
            f"came from."
        )


def _summary(work: _Work, start: Record, rows: Sequence[Row], best: int) -> str:
    params = work.params
    source = params.sources[best]
    top = params.unfreeze
    rest = "without" if top == "all" else f"with its last {top} blocks trained"
    line = (
        f"{_base(source, start, params)}, then tuned: {work.frozen().epochs} epochs with the base "
        f"frozen, up to {work.unfrozen().epochs} {rest}."
    )
    if not rows:
        return line
    others = ", ".join(f"{row.source} {_score(row)}" for row in rows if not row.chosen)
    return (
        f"{line} Of {len(params.sources)} sources it has the best features, by a linear model on "
        f"them: {_score(rows[best])}; {others}."
    )


def _score(row: Row) -> str:
    return "not known" if row.score is None else f"{row.score:.4g}"


def _base(source: TransferSource, start: Record, params: FinetuneParams) -> str:
    if isinstance(source, Application):
        return f"{told(source)} with the training of {start.stage}"
    if isinstance(source, Earlier):
        return f"The network of {source.model} with the training of {start.stage}"
    how = {
        "fonts": f"{params.pictures:,} digits drawn from fonts",
        "rotated": "telling which way up pictures are",
        "denoised": "taking noise out of pictures",
        "masked": f"putting right {params.swap:.0%} of the values, swapped or hidden",
    }
    learned = source.data if isinstance(source, OtherData) else how[source]
    return f"The network of {start.stage}, its base trained on {learned}"


def _as_run(source: SourceResult, run: Run) -> Run:
    """The source task's fit, for the count of what the stage cost."""
    return replace(run, lines=(source.lines,), examples=source.examples)
