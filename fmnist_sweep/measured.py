"""Complete trials that are left out, told by another tool or too large now, and what is said of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

ATTRIBUTES: Final = ("hyperparameters", "epoch", "curve")
"""User attributes of every COMPLETE trial that a sweep has told; another tool knows none of them."""


def is_measured(attrs: Mapping[str, Any]) -> bool:
    """Return whether a complete trial's user attributes are a sweep's, and not what another tool leaves."""
    return attrs.keys() >= {*ATTRIBUTES}


def unmeasured_note(n: int) -> str:
    """Return what is said of so many complete trials that another tool told.

    Example:
        >>> unmeasured_note(1)
        '1 complete trial was told by another tool, without a learning curve: listed, but in no ranking.'
    """
    were = "trial was" if n == 1 else "trials were"
    return f"{n} complete {were} told by another tool, without a learning curve: listed, but in no ranking."


def exceeds(limit: int | None, n_parameters: int | None) -> bool:
    """Return whether so many weights are more than the limit; False where either is not known."""
    return limit is not None and n_parameters is not None and n_parameters > limit


def too_large_note(n: int, limit: int) -> str:
    """Return what is said of so many complete trials that a lowered ``max_model_size`` rules out.

    Example:
        >>> too_large_note(2, 120_000)
        '2 complete trials have more weights than max_model_size = 120,000: never confirmed or exported.'
    """
    have = "trial has" if n == 1 else "trials have"
    return f"{n} complete {have} more weights than max_model_size = {limit:,}: never confirmed or exported."
