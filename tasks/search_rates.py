"""Where a search looks for the learning rate: around what a range test suggests."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    columns = ["rate", "loss", "average", "suggestion"]
    if found is None:
        return pd.DataFrame(columns=columns)
    steps = zip(found.rates, found.losses, found.averages, strict=True)
    return pd.DataFrame([(*step, found.suggestion) for step in steps], columns=columns)
