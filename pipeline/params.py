"""params.yaml, read and checked: the only home of values.

Each stage's section has a frozen pydantic model beside its task, with bounds in the types and no
defaults. What is wrong is said by file, key, what was given and what is allowed.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.errors import InputError

PARAMS = Path("params.yaml")


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, no coercion of text to numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)
