"""Several comparisons at once: how sure each must be, so that all decisions together are.

Of twenty comparisons of what makes no difference, one is "proven" at 95 % by chance. Two remedies,
both valid however the comparisons depend on each other, which those with one reference do:

- Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
  Statistics 1979, for decisions: it keeps the probability of any false one below alpha, as
  Bonferroni's does, and finds at least as much;
- Dunn, "Multiple comparisons among means", JASA 1961 (Bonferroni), for intervals that hold all
  true values at once: Holm's steps have no such intervals. One that excludes zero is always
  decided by Holm as well, so that what is drawn never claims more than what is decided.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def p_value(value: float, draws: npt.NDArray[np.float64]) -> float:
    """How unlikely a difference like `value` would be if there were none, from its `(r,)` bootstrap
    draws: the least alpha at which their two-sided percentile interval excludes zero.

    Never less than r draws can tell, 2 / (r + 1) (Davison and Hinkley, "Bootstrap Methods and
    their Application", 1997, section 4.2); 1 where nothing could be measured.
    """
    known = draws[~np.isnan(draws)]
    if not known.size or np.isnan(value) or value == 0:
        return 1.0
    rising = np.sort(known if value > 0 else -known)
    beyond = int(np.searchsorted(rising, 0.0, side="right"))
    least = 2 / (len(rising) + 1)
    if beyond == 0:
        return least
    if beyond == len(rising):
        return 1.0
    # Where between two draws the quantile, which is linear between them, is zero.
    place = beyond - 1 - rising[beyond - 1] / (rising[beyond] - rising[beyond - 1])
    return float(min(1.0, max(least, 2 * place / (len(rising) - 1))))


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which of the hypotheses are rejected, in their order.

    From the smallest p on, the k-th of m is compared with alpha / (m - k + 1); the first that is
    not below ends it.
    """
    order = sorted(range(len(p_values)), key=lambda place: (p_values[place], place))
    rejected = [False] * len(p_values)
    for step, place in enumerate(order):
        if p_values[place] >= alpha / (len(p_values) - step):
            break
        rejected[place] = True
    return rejected


def simultaneous(level: float, comparisons: int) -> float:
    """The level of each of so many intervals, for all of them to hold together at `level`."""
    return 1 - (1 - level) / max(1, comparisons)
