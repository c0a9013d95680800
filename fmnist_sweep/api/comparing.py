"""Compare the winners of studies."""

from __future__ import annotations

from collections.abc import Sequence

from fmnist_sweep.analysis.comparing import Side, compared, require_distinct
from fmnist_sweep.api.studies import read_studies, uses_storage
from fmnist_sweep.storage import DEFAULT_STORAGE


@uses_storage
def compare(studies: Sequence[str], *, storage: str = DEFAULT_STORAGE) -> list[Side]:
    """Return the winners of studies: confirmed ones, or, where there are none, the sweeps' best.

    Args:
        studies: Names of two or more.
        storage: Where they are.

    Raises:
        ConfigError: Fewer than two, the same one twice, or one without a winner; all problems at once.
    """
    require_distinct(studies)
    return compared(read_studies(storage=storage, names=studies))
