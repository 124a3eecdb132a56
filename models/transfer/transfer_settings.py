"""What stands on a base that is transferred, as values of params.yaml. Free of Keras."""

from typing import Literal

from pydantic import Field

from models.settings import Share
from pipeline.params import Section

Pooling = Literal["average", "max", "flatten"]


class Head(Section):
    """The new layers on a base."""

    pooling: Pooling
    """How a map of features becomes a vector: the mean or the largest of each over all places, or
    all of them side by side. Of bases that give a vector already it is not asked for."""
    hidden: int = Field(ge=0, le=4096)
    """Units of a layer between the features and the last layer; 0: none."""
    dropout: Share
    """Fraction dropped in front of the last layer."""
