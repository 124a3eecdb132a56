"""Nine trivial stages: the doors without any model."""

from pipeline.artifacts import Given
from tasks.baseline import baseline
from tasks.distill import distill
from tasks.evaluate import evaluate
from tasks.finetune import finetune
from tasks.ingest import ingest
from tasks.regularize import regularize
from tasks.report import report
from tasks.search import search
from tasks.split import split


def training(given: Given) -> None:
    """Raw text to report."""
    table = ingest(given.raw)
    parts = split(table)
    plain = baseline(parts)
    found = search(parts)
    regular = regularize(parts, found)
    tuned = finetune(parts, regular)
    student = distill(parts, tuned)
    result = evaluate(parts, plain, found, regular, tuned, student)
    report(plain, result)
