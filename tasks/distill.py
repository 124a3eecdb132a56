"""Distillation: a small network learns from the best one so far, or from one of the user's own."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from dataset.arrivals import Reading
from dataset.examples import Development
from dataset.ingest_settings import IngestParams
from dataset.tables.cells import Missing
from metrics.objective import Objective
from models import results
from models.budget import Allowance, Budget
from models.candidate import Distilled, Trained
from models.distillation import quantising, student_size, students, teachers
from models.distillation.student_size import Cost as Costs
from models.distillation.students import Lesson, StudentRun, Weights
from models.distillation.teachers import Taught, Teaching, Unlabelled
from models.networks import suited
from models.settings import Changes, Recipe, Retraining
from models.training import SeedRun
from pipeline.artifacts import Source
from pipeline.declaration import Cost, stage
from pipeline.errors import InputError
from pipeline.executor import Executor
from pipeline.params import Section


class Size(Section):
    """What a student may have of its teacher's costs, as shares; null: as much as it likes."""

    parameters: float | None = Field(gt=0, le=1)
    multiply_adds: float | None = Field(gt=0, le=1)
    """For one example, at inference."""

    def of(self, taught: Taught) -> Costs:
        """The shares of what the teacher costs; raises InputError where that cannot be counted."""
        if self.multiply_adds is not None and taught.multiply_adds is None:
            raise InputError(
                "params.yaml: distill.size: multiply_adds: the teacher has layers whose "
                "multiply-adds cannot be counted here.\n"
                "Set it to null and give a share of its parameters instead."
            )

        def most(share: float | None, whole: int | None) -> float:
            return float("inf") if share is None or whole is None else share * whole

        return Costs(
            most(self.parameters, taught.parameters),
            most(self.multiply_adds, taught.multiply_adds),
        )

    def asked(self) -> str:
        """In words: at most which shares."""
        shares = {"parameters": self.parameters, "multiply-adds": self.multiply_adds}
        return " and ".join(
            f"{100 * share:g} % of the teacher's {name}"
            for name, share in shares.items()
            if share is not None
        )


class DistillParams(Retraining):
    """The section `distill`."""

    student: Changes
    """Its values of the recipe that differ; its width is the most that it may have."""
    size: Size
    """By which its width is found."""
    temperature: float = Field(ge=1, le=100)
    """By which both networks' logits are divided: the higher, the softer."""
    hard_weight: float = Field(ge=0, le=1)
    """Share of the labels in the loss; the rest is the teacher's."""
    feature_weight: float = Field(ge=0, le=1000)
    """Weight of the teacher's last hidden vector; 0: it is not taught."""
    teacher: str | None
    """A Keras model of the user's own below data/; null: the best candidate so far."""
    unlabelled: str | None
    """Examples without targets below data/, as `fettle predict` takes them; null: none."""
    control: bool
    """Whether the same student is trained without its teacher, to be compared."""
    int8: bool
    """Whether it is converted to 8 bits, likewise."""

    @property
    def fits(self) -> int:
        """Fits of the students and of their controls."""
        return len(self.seeds) * (2 if self.control else 1)


def _allowed(params: DistillParams, recipe: Recipe, budget: Budget) -> Allowance:
    return budget.among([params.student.get("epochs", recipe.epochs)] * params.fits)


def _cost(params: DistillParams, recipe: Recipe, budget: Budget) -> Cost:
    if not params.enabled:
        return Cost()
    allowed = _allowed(params, recipe, budget)
    return Cost(allowed.fits, allowed.most)


def _caution(params: DistillParams, budget: Budget) -> str | None:
    return budget.caution() if params.enabled else None


@dataclass(frozen=True)
class _Teacher:
    """Who teaches."""

    model: Path
    name: str
    """A candidate's stage, or a file's name."""
    given: bool


@stage(cost=_cost, caution=_caution)
def distill(
    out: Distilled,
    development: Development,
    baseline: Trained,
    search: Trained,
    regularize: Trained,
    finetune: Trained,
    ensemble: Trained,
    teacher: Source,
    unlabelled: Source,
    objective: Objective,
    recipe: Recipe,
    budget: Budget,
    ingest: IngestParams,
    params: DistillParams,
    executor: Executor,
) -> None:
    """A small network that learns from the best one so far.

    Raises InputError where the user's teacher or unlabelled examples do not suit the data, or
    where no student is as small as it is to be.
    """
    if not params.enabled:
        results.switched_off(out, "distill")
        results.nothing(out.control, "control", "distill.enabled")
        quantising.switched_off(out.int8, "Switched off by distill.enabled in params.yaml.")
        return
    asked = _asked(recipe, params, development)
    who = _teacher(
        teacher, development, objective, [baseline, search, regularize, finetune, ensemble]
    )
    folder = out.model.make()
    teaching = _teaching(who, folder, development, unlabelled, ingest, params)
    [taught] = executor.map(teachers.teach, [teaching], [f"distill teacher {who.name}"])
    width = _width(asked, taught, params.size, development, executor)
    allowed = _allowed(params, recipe, budget)
    student = allowed.shorten(asked.changed({"width": width}))

    def item(seed: int, name: str, kept: Path | None) -> SeedRun:
        return SeedRun(
            str(development.path),
            None if kept is None else str(kept),
            student.network,
            student.fit,
            seed,
            name,
            minutes=allowed.minutes,
        )

    lesson = _lesson(teaching, params)
    taught_runs = [
        StudentRun(**vars(item(seed, f"distill seed {seed}", folder)), lesson=lesson)
        for seed in params.seeds
    ]
    controls = [
        item(seed, f"distill control seed {seed}", None)
        for seed in (params.seeds if params.control else ())
    ]
    every: list[SeedRun] = [*taught_runs, *controls]
    runs = executor.map(students.run, every, [one.name for one in every])
    _remove(teaching)
    shape = f"width {student.width} and depth {student.depth}"
    results.gather(
        out,
        runs[: len(taught_runs)],
        stage="distill",
        summary=f"A student with {shape}, taught by {who.name}{_softly(params, development)}."
        f"{_sized(width, asked, params)}{_more(taught)}",
        settings=student.model_dump()
        | {
            "teacher": who.name,
            "temperature": params.temperature if _is_softened(development) else None,
            "hard_weight": params.hard_weight,
            "feature_weight": params.feature_weight,
            "unlabelled": taught.unlabelled,
        },
        development=development,
    )
    if controls:
        results.without_model(
            out.control,
            runs[len(taught_runs) :],
            stage="control",
            summary=f"The same student with {shape}, trained with the same seeds on the labels "
            "alone, to tell what the teacher gave.",
            settings=student.model_dump(),
        )
    else:
        results.nothing(out.control, "control", "distill.control")
    if params.int8:
        small = quantising.Quantising(
            str(development.path), str(out.model.model), str(out.int8.make())
        )
        executor.map(quantising.quantise, [small], ["distill int8"])
    else:
        quantising.switched_off(out.int8, "Switched off by distill.int8 in params.yaml.")


def _asked(recipe: Recipe, params: DistillParams, development: Development) -> Recipe:
    """The student as it is asked for, its width the most; raises InputError where it suits
    neither the data nor what it is to be taught."""
    # Its teacher is asked about the examples as they are, and knows nothing of their mixtures.
    asked = recipe.changed({**params.student, "mixup": 0.0})
    suited.require(asked, development.schema())
    if params.feature_weight and asked.architecture == "tabm":
        raise InputError(
            f"distill.feature_weight is {params.feature_weight:g}, but a student of many networks "
            "in one (architecture: tabm) has no single hidden vector.\n"
            "Set it to 0.0, or distill.student: {architecture: plain}."
        )
    return asked


def _teacher(
    given: Source, development: Development, objective: Objective, candidates: list[Trained]
) -> _Teacher:
    """The user's own, or the best candidate."""
    if given.path != Path():
        return _Teacher(given.path, given.path.name, given=True)
    best = results.ranked(development, objective, candidates)[0]
    return _Teacher(best.model, best.record().stage, given=False)


def _teaching(
    who: _Teacher,
    folder: Path,
    development: Development,
    unlabelled: Source,
    ingest: IngestParams,
    params: DistillParams,
) -> Teaching:
    """What is asked of the teacher; its answers lie in the folder while students learn."""
    more = None
    if unlabelled.path != Path():
        reading = Reading(ingest.target, Missing(ingest.missing, ingest.missing_in), ingest.picture)
        more = Unlabelled(str(unlabelled.path), reading, str(folder / "unlabelled.npy"))
    return Teaching(
        str(development.path),
        str(who.model),
        str(folder / "teacher.npy"),
        given=who.given,
        hints=str(folder / "hints.npy") if params.feature_weight else None,
        unlabelled=more,
    )


def _lesson(teaching: Teaching, params: DistillParams) -> Lesson:
    return Lesson(
        Weights(params.temperature, params.hard_weight, params.feature_weight),
        teaching.outputs,
        teaching.hints,
        teaching.unlabelled.encoded if teaching.unlabelled else None,
    )


def _remove(teaching: Teaching) -> None:
    """Delete the teacher's answers: they are large, and follow from the teacher."""
    more = teaching.unlabelled.encoded if teaching.unlabelled else None
    for path in (teaching.outputs, teaching.hints, more):
        if path is not None:
            Path(path).unlink()


def _width(
    asked: Recipe, taught: Taught, size: Size, development: Development, executor: Executor
) -> int:
    """The student's width; raises InputError where even the smallest is too large."""
    if not size.asked():
        return asked.width
    most = size.of(taught)
    item = student_size.Sizing(str(development.path), asked.network, most)
    [found] = executor.map(student_size.size, [item], ["distill size"])
    if found.width is not None:
        return found.width
    raise InputError(_too_large(found, most, taught, size))


def _too_large(found: student_size.Sized, most: Costs, taught: Taught, size: Size) -> str:
    """What to do where no student is small enough."""
    shares = (
        ("parameters", found.cost.parameters, most.parameters, taught.parameters),
        ("multiply_adds", found.cost.multiply_adds, most.multiply_adds, taught.multiply_adds),
    )
    least = {
        name: (cost, whole, round(cost / whole + 0.0005, 3))
        for name, cost, bound, whole in shares
        if cost > bound and whole
    }
    given = ", ".join(f"{name}: {getattr(size, name):g}" for name in least)
    told = " and ".join(
        f"{cost:,.0f} {name.replace('_', '-')}, where its teacher has {whole:,}"
        for name, (cost, whole, _) in least.items()
    )
    enough = ", ".join(f"{name}: {share:g}" for name, (_, _, share) in least.items())
    ways = [] if any(share > 1 for *_, share in least.values()) else [f"give {enough}, the least"]
    if found.smaller:
        ways.append(f"make it smaller by one of distill.student: {', '.join(found.smaller)}")
    ways.append("set the share to null")
    return (
        f"params.yaml: distill.size: {given}: even with width 1 the student has {told}.\n"
        f"What would do: {'; or '.join(ways)}."
    )


def _is_softened(development: Development) -> bool:
    """Whether the teacher gives chances: of quantities there is nothing to soften."""
    return development.target().task != "regression"


def _softly(params: DistillParams, development: Development) -> str:
    return f" at temperature {params.temperature:g}" if _is_softened(development) else ""


def _sized(width: int, asked: Recipe, params: DistillParams) -> str:
    shares = params.size.asked()
    if not shares:
        return ""
    why = "the one asked for," if width == asked.width else "the largest"
    return f" Width {width} is {why} with at most {shares}."


def _more(taught: Taught) -> str:
    if not taught.unlabelled:
        return ""
    return f" It also learned from {taught.unlabelled:,} examples without a label."
