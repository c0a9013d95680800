"""What every section of a sweep file is made of."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from fmnist_sweep.core.space import FiniteFloat

LARGEST_COUNT: Final = 2**31 - 1
"""TensorFlow counts steps, and PostgreSQL trials, in 32 bits."""

PositiveInt: TypeAlias = Annotated[StrictInt, Field(ge=1, le=LARGEST_COUNT)]
Count: TypeAlias = Annotated[StrictInt, Field(ge=0, le=LARGEST_COUNT)]
# What a float can still be multiplied with, or a clock wait for.
NonNegative: TypeAlias = Annotated[FiniteFloat, Field(ge=0, le=1e9)]
Positive: TypeAlias = Annotated[FiniteFloat, Field(gt=0, le=1e9)]


class Section(BaseModel):
    """A section, which is not changed once it is read; a setting that it does not have is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
