"""The base of every section of params.yaml; the file itself is read by pipeline.params_file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section's types and bounds: frozen, unknown keys refused, no defaults, no coercion."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
