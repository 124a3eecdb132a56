"""Choose, and write what the doors publish."""

import json

from pipeline.declaration import stage
from pipeline.params import Section
from tasks.parts import Evaluated, Objective, Text


class EvaluateParams(Section):
    """What evaluate can be told."""

    word: str


@stage()
def evaluate(
    out: Evaluated,
    parts: Text,
    plain: Text,
    found: Text,
    regular: Text,
    tuned: Text,
    student: Text,
    objective: Objective,
    params: EvaluateParams,
) -> None:
    """Choose, and write what the doors publish."""
    import pandas as pd

    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    reason = f"{params.word} by {objective.metric}: {len(student.read())} <letters> | in all"
    out.ledger.write(
        pd.DataFrame([{"candidate": "baseline", "decision": "chosen", "reason": reason}])
    )
    figures = {"accuracy": figure}
    out.metrics.write({"n": 3, "objective": "accuracy", "chosen": figures, "baseline": figures})
    reading = {"title": "accuracy", "sign": 1, "share": True, "unit": ""}
    out.details.write({"figures": {"accuracy": reading}, "level": 0.95})
    (out.chosen.make() / "choice.json").write_text(
        json.dumps({"candidate": "baseline", "reason": reason})
    )
