"""Whether pictures of two sources are in the same units, such as 0 to 255, by how they spread."""

FACTOR = 4.0
"""Deviations that differ by more are of other units. Between 0 to 1 and 0 to 255, or 0 to 16, the
factor is 16 and more; between sets of pictures in the same units it is seldom beyond 2."""


def alike(one: float, other: float) -> bool:
    """Whether two standard deviations of all points may be of the same units."""
    return one <= FACTOR * other and other <= FACTOR * one
