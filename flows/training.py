"""The pipeline's story, and the only place where the DAG is written.

Read three ways: `fettle run` runs it through Prefect, `fettle render` traces it into dvc.yaml, and
DVC's commands run one stage of it each.
"""

from pipeline.artifacts import Given
from tasks.baseline import baseline
from tasks.distill import distill
from tasks.ensemble import ensemble
from tasks.evaluate import evaluate
from tasks.finetune import finetune
from tasks.ingest import ingest
from tasks.regularize import regularize
from tasks.report import report
from tasks.search import search
from tasks.split import split


def training(given: Given) -> None:
    """From raw data to a tuned, regularised, transferred, distilled and honestly tested model."""
    data = ingest(given.raw)
    parts = split(data.table)
    known = parts.development

    plain = baseline(known)
    found = search(known)
    regular = regularize(known, plain.model, found.model)
    tuned = finetune(known, plain.model, found.model, regular.model, given.pretrained)
    together = ensemble(known, plain.model, found.model, regular.model, tuned.model)
    student = distill(
        known,
        plain.model,
        found.model,
        regular.model,
        tuned.model,
        together.model,
        given.teacher,
        given.unlabelled,
    )

    result = evaluate(
        known,
        parts.holdout,
        plain.yardsticks,
        plain.model,
        found.model,
        regular.model,
        tuned.model,
        together.model,
        student.model,
        student.control,
        student.int8,
    )
    report(
        data.profile,
        data.findings,
        parts.summary,
        parts.findings,
        plain,
        found,
        regular,
        tuned,
        together,
        student,
        result,
    )
