"""From quantities to the normal scores of their ranks, whatever their distribution."""

from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

KNOTS = 257
"""Quantiles that are remembered."""
REACH = 5.0
"""Standard normal scores beyond which nothing goes: about 1 in 3.5 million."""


def normal_scores(values: npt.NDArray[Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Distinct quantiles of `(n,)` values, rising, and the standard normal score of each's rank.

    Between them one interpolates. As scikit-learn's QuantileTransformer with normal output.
    """
    ranks = np.linspace(0, 1, KNOTS)
    found = np.quantile(values, ranks)
    knots = np.unique(found)
    # A value that fills several quantiles stands for the middle of them.
    middles = [float(ranks[found == knot].mean()) for knot in knots]
    normal = NormalDist()
    least = normal.cdf(-REACH)
    scored = [normal.inv_cdf(min(max(rank, least), 1 - least)) for rank in middles]
    return tuple(map(float, knots)), tuple(scored)
