"""Which part an example belongs to: train, validation, holdout or promotion.

By fractions, the part follows from a hash of the example's content (or of its group) and from
thresholds that no other example moves: rows added later leave the old ones where they are, and
copies of a row are on one side, whatever their labels. By counts and by time it depends on all
rows, so added rows may move old ones.

The thresholds are the same for every class. A hash and thresholds of its own for each class would
leave a rare class as likely to be missing from a part: its rows would still fall one by one. And
copies with different labels would come apart.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from dataset.examples import Examples

Part = Literal["train", "validation", "holdout", "left out", "promotion"]
PARTS: tuple[Part, ...] = ("train", "validation", "holdout", "left out", "promotion")
"""The parts by their code in the arrays below; what is left out is a gap in time."""
TRAIN, VALIDATION, HOLDOUT, LEFT_OUT, PROMOTION = range(5)

Keys = npt.NDArray[np.uint64]
Codes = npt.NDArray[np.int8]


def content_keys(examples: Examples) -> Keys:
    """`(n,)` hashes of the features: equal for copies, whatever their labels and places.

    Of a row alone: examples cut into batches have the keys that they have together.
    """
    import pandas as pd

    first = next(iter(examples.features.values()))
    if first.ndim > 1:
        return np.array([_digest(picture.tobytes()) for picture in first], dtype=np.uint64)
    # pandas gives equal values one hash whatever their bits: both zeros, all ways of being missing.
    keys = pd.util.hash_pandas_object(pd.DataFrame(examples.features, copy=False), index=False)
    return np.asarray(keys, dtype=np.uint64)


def near_keys(examples: Examples) -> Keys:
    """`content_keys`, but that pictures which are nearly the same have one key too."""
    first = next(iter(examples.features.values()))
    if first.ndim == 1:
        return content_keys(examples)
    from dataset import near_copies

    return near_copies.near_keys(first)


def text_keys(values: Sequence[str] | npt.NDArray[np.generic]) -> Keys:
    """`(n,)` hashes of texts, or of what `str` makes of other values; missing ones are alike."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "f":
        # Both zeros are one value.
        values = np.add(values, 0, dtype=values.dtype)
    # By their texts: what is not a number equals nothing, itself neither.
    texts = [str(value) for value in values]
    keys = {text: _digest(text.encode()) for text in set(texts)}
    return np.array([keys[text] for text in texts], dtype=np.uint64)


def uniform(keys: Keys, seed: int) -> npt.NDArray[np.float64]:
    """`(n,)` numbers in [0, 1) that look random, one and the same for equal keys.

    The finaliser of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014) on key and seed.
    """
    mixed = keys + np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def by_fractions(
    keys: Keys, validation: float, holdout: float, seed: int, promotion: float = 0
) -> Codes:
    """`(n,)` codes of parts; each holds its fraction of the keys on average, not exactly.

    The promotion part is cut from the far end: whoever begins to want one takes it from the
    training rows, and validation and holdout stay what they were.
    """
    drawn = uniform(keys, seed)
    return np.select(
        [drawn < holdout, drawn < holdout + validation, drawn >= 1 - promotion],
        [HOLDOUT, VALIDATION, PROMOTION],
        TRAIN,
    ).astype(np.int8)


def by_counts(keys: Keys, validation: int, holdout: int, seed: int, promotion: int = 0) -> Codes:
    """`(n,)` codes of parts with at least so many examples; more where equal keys go along."""
    drawn = uniform(keys, seed)
    order = np.argsort(drawn, kind="stable")
    codes = np.full(len(keys), TRAIN, dtype=np.int8)
    held = _with_equals(drawn[order], min(holdout, len(keys)))
    seen = _with_equals(drawn[order], min(held + validation, len(keys)))
    codes[order[held:seen]] = VALIDATION
    codes[order[:held]] = HOLDOUT
    if promotion and seen < len(keys):
        first = drawn[order][max(len(keys) - promotion, seen)]
        codes[(drawn >= first) & (codes == TRAIN)] = PROMOTION
    return codes


def by_time(
    times: npt.NDArray[np.generic],
    validation: float,
    holdout: float,
    gap: int,
    promotion: float = 0,
) -> tuple[Codes, tuple[int, ...]]:
    """`(n,)` codes of parts, and where validation, holdout and, if there is one, promotion begin,
    as places in `unique(times)`.

    times: `(n,)`, sortable. The past trains, the future tests; examples of one time are in one
    part, and the newest are for promotion. `validation`, `holdout` and `promotion` are fractions,
    or counts where 1 or more. `gap` distinct times before each of them are left out.
    """
    distinct, place = np.unique(times, return_inverse=True)
    count = np.cumsum(np.bincount(place, minlength=len(distinct)))
    total = len(times)
    shares = [validation + holdout + promotion, holdout + promotion]
    parts = [VALIDATION, HOLDOUT]
    if promotion:
        shares, parts = [*shares, promotion], [*parts, PROMOTION]
    wanted = [total * share if share < 1 else share for share in shares]
    begins: list[int] = []
    # From the last part on, with at least one time for each.
    last = len(distinct)
    for rows in reversed(wanted):
        end = int(np.searchsorted(count, total - rows, side="right"))
        last = min(max(end, 0), last - 1)
        begins.insert(0, last)
    codes = np.full(len(times), TRAIN, dtype=np.int8)
    for part, begin in zip(parts, begins, strict=True):
        codes[place >= begin] = part
    for begin in begins:
        codes[(place >= begin - gap) & (place < begin)] = LEFT_OUT
    return codes, tuple(begins)


NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "validation": VALIDATION,
    "valid": VALIDATION,
    "val": VALIDATION,
    "dev": VALIDATION,
    "test": HOLDOUT,
    "testing": HOLDOUT,
    "holdout": HOLDOUT,
    "promotion": PROMOTION,
}
"""What a column that names the part may say, in any case."""


def by_names(names: npt.NDArray[np.generic]) -> Codes:
    """`(n,)` codes of parts by their names; raises KeyError with a text that names none."""
    codes = {text: NAMES[str(text).strip().lower()] for text in set(names.tolist())}
    return np.array([codes[text] for text in names.tolist()], dtype=np.int8)


def _with_equals(drawn: npt.NDArray[np.float64], count: int) -> int:
    """`count`, or as many more as are equal to the last of them; `drawn` is sorted."""
    if not count:
        return 0
    return int(np.searchsorted(drawn, drawn[count - 1], side="right"))


def _digest(content: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
