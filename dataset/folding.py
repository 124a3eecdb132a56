"""What folds are, and the file that keeps them; `dataset.folds` makes them.

Apart from it, since every stage can read them, and what makes them is no concern of most.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.artifacts import replacing

Places = npt.NDArray[np.int64]
"""Which examples, `(m,)`."""


@dataclass(frozen=True)
class Folding:
    """One partition of n rows into folds. A row trains in fold f if `since <= f` and it is not
    validated on there."""

    fold: npt.NDArray[np.int32]
    """`(n,)` the fold in which a row is validated on; -1: none."""
    since: npt.NDArray[np.int32]
    """`(n,)` the first fold that may train on it: 0, but where folds go forward in time."""

    def count(self) -> int:
        """How many folds there are."""
        return int(self.fold.max(initial=-1)) + 1

    def training(self, fold: int) -> npt.NDArray[np.bool_]:
        """`(n,)`: whether the fold trains on a row."""
        return np.asarray((self.since <= fold) & (self.fold != fold))


def write(foldings: list[Folding], rows: npt.NDArray[np.int64], path: Path) -> None:
    """Write a Parquet file: row (int64), repeat, fold and since (int32), see `Folding`.

    Without foldings there is no file afterwards.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not foldings:
        path.unlink(missing_ok=True)
        return
    repeats = np.repeat(np.arange(len(foldings), dtype=np.int32), len(rows))
    columns = {
        "row": np.tile(rows, len(foldings)),
        "repeat": repeats,
        "fold": np.concatenate([folding.fold for folding in foldings]),
        "since": np.concatenate([folding.since for folding in foldings]),
    }
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def read(path: Path, rows: npt.NDArray[np.int64]) -> list[tuple[Places, Places]]:
    """For every fold of every repeat, places in `rows` to train on and to validate on.

    rows: `(n,)` int64, the rows that there are. One that is there several times, having been
    repeated for training, is trained on as often and validated on once.
    """
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    known = {name: table[name].to_numpy() for name in table.column_names}
    once = np.zeros(len(rows), dtype=np.bool_)
    once[np.unique(rows, return_index=True)[1]] = True
    pairs = []
    for repeat in range(int(known["repeat"].max()) + 1):
        these = np.flatnonzero(known["repeat"] == repeat)
        order = these[np.argsort(known["row"][these], kind="stable")]
        at = order[np.searchsorted(known["row"][order], rows)]
        folding = Folding(known["fold"][at], known["since"][at])
        pairs += [
            (
                np.flatnonzero(folding.training(fold)).astype(np.int64),
                np.flatnonzero((folding.fold == fold) & once).astype(np.int64),
            )
            for fold in range(folding.count())
        ]
    return pairs
