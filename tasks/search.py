"""The search: trials proposed by Keras Tuner, the best one retrained with several seeds."""

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dataset.examples import Development
from metrics.objective import Measure, Objective
from models import determinism, results, training
from models.candidate import Searched
from models.settings import Changes, FitSettings, NetworkSpec, Recipe, Seed, Seeds
from models.space import Space
from pipeline.declaration import Cost, stage
from pipeline.errors import FettleError
from pipeline.executor import Executor
from pipeline.params import Section

if TYPE_CHECKING:
    import pandas as pd

    from models import tuning
    from models.tuning import Values


class SearchParams(Section):
    """The section `search`."""

    enabled: bool
    """Whether to search at all."""
    method: Literal["random", "bayesian"]
    """How values are proposed."""
    trials: int = Field(gt=0, le=1000)
    """Fits with different values, one seed each."""
    space: Space
    """What is varied."""
    set: Changes
    """Other values of the recipe that differ, for trials and retrainings."""
    seed: Seed
    """Of the proposals."""
    seeds: Seeds
    """One retraining of the best trial for each."""


def _cost(params: SearchParams, recipe: Recipe) -> Cost:
    fits = (params.trials + len(params.seeds)) * params.enabled
    return Cost(fits=fits, epochs=fits * params.set.get("epochs", recipe.epochs))


@dataclass(frozen=True)
class Trial:
    """A trial that was run; the fields but for `values` are columns of trials.csv."""

    trial: int
    values: "Values"
    score: float | None
    """Of the objective."""
    loss: float | None
    epochs: int
    examples: int
    parameters: int
    status: Literal["completed", "diverged"]


@stage(cost=_cost)
def search(
    out: Searched,
    development: Development,
    objective: Objective,
    recipe: Recipe,
    params: SearchParams,
    executor: Executor,
) -> None:
    """Trials proposed by Keras Tuner; the best one retrained with several seeds."""
    if not params.enabled:
        results.switched_off(out, "search")
        out.trials.write(_table([]))
        return
    metric = objective.metric_for(development.target())
    trials, tried = _try(development, metric, recipe, params, executor)
    best = _best(trials, metric)
    found = _recipe(best.values, recipe, params)
    runs = training.train_seeds(
        executor, development, out.model.make(), found, params.seeds, "search"
    )
    out.trials.write(_table(trials))
    results.gather(
        out,
        runs,
        stage="search",
        summary=f"The best of {len(trials)} {params.method} trials: width {best.values.width}, "
        f"depth {best.values.depth}, learning rate {best.values.learning_rate:g}, batch size "
        f"{best.values.batch_size}.",
        settings=found.model_dump(),
        development=development,
        before=tried,
    )


def _try(
    development: Development,
    metric: Measure,
    recipe: Recipe,
    params: SearchParams,
    executor: Executor,
) -> tuple[list[Trial], list[training.Run]]:
    """All trials in the order asked, in rounds."""
    from models import tuning

    determinism.start(params.seed)
    space = _space(development, params)
    truth, importance = development.truth("validation")
    trials: list[Trial] = []
    tried: list[training.Run] = []
    with tuning.Oracle(
        params.method, space, params.trials, params.seed, higher=metric.sign > 0
    ) as oracle:
        while proposals := oracle.ask(min(tuning.ROUND, params.trials - len(trials))):
            numbers = range(len(trials) + 1, len(trials) + len(proposals) + 1)
            items = [
                training.SeedRun(
                    str(development.path),
                    None,
                    *_parts(_recipe(values, recipe, params)),
                    values.seed(params.seed),
                    f"search trial {number}",
                )
                for number, values in zip(numbers, proposals, strict=True)
            ]
            runs = executor.map(training.train, items, [item.name for item in items])
            for number, values, run in zip(numbers, proposals, runs, strict=True):
                score = metric.score(run.predictions, truth, importance)
                trial = _trial(number, values, run, score)
                oracle.tell(values, trial.score)
                trials.append(trial)
            tried.extend(_named(run) for run in runs)
    return trials, tried


def _space(development: Development, params: SearchParams) -> "tuning.Space":
    from models import tuning

    reads = any(column.type == "text" for column in development.schema().columns)
    ends = {name: dimension.ends() for name, dimension in params.space.items()}
    low, high = ends["learning_rate"]
    text = ends["text"] if reads else ends["text"][:1]
    return tuning.Space((low, high), ends["width"], ends["depth"], ends["batch_size"], text)


def _recipe(values: "Values", recipe: Recipe, params: SearchParams) -> Recipe:
    return recipe.changed({**params.set, **asdict(values)})


def _parts(recipe: Recipe) -> tuple[NetworkSpec, FitSettings]:
    return recipe.network, recipe.fit


def _named(run: training.Run) -> training.Run:
    """The run with its phase called "trial", so that fits.csv tells it from the retrainings."""
    lines = tuple(tuple(replace(line, phase="trial") for line in fit) for fit in run.lines)
    return replace(run, lines=lines)


def _trial(number: int, values: "Values", run: training.Run, score: float) -> Trial:
    return Trial(
        number,
        values,
        None if run.diverged else float(f"{score:.7g}"),
        None if run.diverged else float(f"{run.loss:.6g}"),
        run.epochs,
        run.examples,
        run.parameters,
        "diverged" if run.diverged else "completed",
    )


def _best(trials: list[Trial], metric: Measure) -> Trial:
    """The best score; of equal ones the lowest loss, of those the first.

    Raises FettleError where every trial diverged.
    """
    completed = [trial for trial in trials if trial.status == "completed"]
    if not completed:
        raise FettleError(
            f"search: all {len(trials)} trials diverged; lower search.learning_rate in params.yaml"
        )
    return min(completed, key=lambda trial: (-metric.sign * (trial.score or 0.0), trial.loss))


def _table(trials: list[Trial]) -> "pd.DataFrame":
    import pandas as pd

    varied = ["learning_rate", "width", "depth", "batch_size", "text"]
    columns = [field.name for field in fields(Trial)]
    columns[1:2] = varied
    rows = [{**asdict(trial), **asdict(trial.values)} for trial in trials]
    return pd.DataFrame(rows, columns=columns)
