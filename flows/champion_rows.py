"""The promotion rows that neither champion nor challenger knows, and what both say of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.examples import Examples, Promotion, Schema, read_blocks
from dataset.partition import Keys
from flows.champion_keeping import Keeping
from metrics.classification import Predictions
from models.judging.champion import Champion, Run, known_of
from models.judging.evaluation import Chosen
from models.judging.promotion import incomparable, keys_by, known_rows, shown_to

APPOINT = "To begin anew with this model: ./fettle champion --appoint"


class Refused(Exception):
    """There can be no comparison; the message says why, and what to do."""

    def __init__(self, reason: str, rows: int | None = None, left_out: int | None = None) -> None:
        super().__init__(reason)
        self.rows, self.left_out = rows, left_out


@dataclass(frozen=True)
class Answers:
    """What both models say of the same n examples."""

    targets: npt.NDArray[Any]
    importance: npt.NDArray[np.float32] | None
    units: Keys
    """`(n,)` equal for what belongs together."""
    champion: Predictions
    """`(n, k)`, in the order of its own target."""
    challenger: Predictions

    def not_finite(self, predictions: Predictions) -> int | None:
        """Of how many rows something is said that is no number, if of any."""
        wrong = int((~np.isfinite(predictions)).any(axis=1).sum())
        return wrong or None


def unknown_to_both(
    promotion: Promotion, champion: Champion, run: Run, keeping: Keeping, least: int
) -> npt.NDArray[np.bool_]:
    """`(n,)` which promotion rows neither model was trained or chosen on.

    Raises Refused where the models cannot be asked about the same rows, where there is no telling
    which the champion knows, or where fewer than `least` are left.
    """
    old, new = champion.schema(), run.chosen.schema()
    if (why := incomparable((old, champion.target()), (new, run.chosen.target()))) is not None:
        raise Refused(f"{why}. {APPOINT}")
    blocks = list(_hashed(promotion, [old if _has_all(new, old) else _common(old, new), new]))
    if not blocks:
        raise Refused(
            "split.promotion in params.yaml is 0, so there are no rows to compare on. Set it to "
            "0.1, say, and run again"
        )
    units = np.concatenate([unit for unit, _ in blocks])
    by_old, by_new = (np.concatenate([keys[place] for _, keys in blocks]) for place in (0, 1))
    known = known_rows(by_old, units, [_champions(champion, old, new, keeping)])
    known |= known_rows(by_new, units, [known_of(run.development)])
    left = int((~known).sum())
    if left < least:
        raise Refused(
            f"of {len(known):,} promotion rows {left:,} are unknown to both models, and "
            f"champion.rows in params.yaml asks for {least:,}. More come with new data; to have a "
            f"larger part: split.promotion. {APPOINT}",
            left,
            len(known) - left,
        )
    return ~known


def answers(
    promotion: Promotion,
    free: npt.NDArray[np.bool_],
    models: tuple[Champion, Chosen],
) -> Answers:
    """What champion and challenger say of the rows that are `free`, `(n,)`."""
    given = promotion.schema()
    targets, weights, units = [], [], []
    for block, belonging in _free(promotion, free):
        targets.append(block.targets)
        units.append(belonging)
        if block.weights is not None:
            weights.append(block.weights)
    said = []
    for chosen in models:
        schema = chosen.schema()
        shown = (shown_to(schema, block, given) for block, _ in _free(promotion, free))
        said.append(_ask(chosen.model, shown))
    return Answers(
        np.concatenate(targets),
        np.concatenate(weights) if weights else None,
        np.concatenate(units),
        said[0],
        said[1],
    )


def _free(promotion: Promotion, free: npt.NDArray[np.bool_]) -> Iterator[tuple[Examples, Keys]]:
    begin = 0
    for block, units in promotion.blocks():
        places = np.flatnonzero(free[begin : begin + len(block)])
        begin += len(block)
        if len(places):
            yield block.take(places), units[places]


def _ask(model: Path, blocks: Iterator[Examples]) -> Predictions:
    from models import training
    from models.fitting import determinism

    # First of all that uses TensorFlow, like every process of the pipeline.
    determinism.pin()
    from models import archive

    loaded = archive.load(model)
    return np.concatenate([training.predict(loaded, block) for block in blocks])


def _hashed(promotion: Promotion, schemas: list[Schema]) -> Iterator[tuple[Keys, list[Keys]]]:
    """Of every block its units, and its rows' hashes by each schema."""
    for block, unit in promotion.blocks():
        keys = [keys_by(schema, block) for schema in schemas]
        yield unit, [one for one in keys if one is not None]


def _has_all(schema: Schema, wanted: Schema) -> bool:
    """Whether all that one schema has is there and of the same type in another."""
    return schema.kind == "pictures" or set(wanted.columns) <= set(schema.columns)


def _common(old: Schema, new: Schema) -> Schema:
    columns = tuple(column for column in old.columns if column in new.columns)
    if not columns:
        raise Refused(f"the two models have no column in common. {APPOINT}")
    return old.model_copy(update={"columns": columns})


def _champions(champion: Champion, old: Schema, new: Schema, keeping: Keeping) -> Keys:
    """Hashes of what the champion knows, by the columns that are there still."""
    if _has_all(new, old):
        return champion.known()
    # Its hashes are of all its columns, one of which is gone: the rows themselves are needed.
    common = _common(old, new)
    folder = champion.facts().development
    files = [keeping.cached(folder, f"{part}.parquet") for part in ("train", "validation")]
    keys = []
    for path in files:
        if path is None:
            raise Refused(
                "a column of the champion is gone, so its rows are needed to tell which it knows, "
                f"and they are not in DVC's cache any more. {APPOINT}"
            )
        for block, _ in read_blocks(old, path):
            held = keys_by(common, block)
            assert held is not None
            keys.append(held)
    return np.unique(np.concatenate(keys))
