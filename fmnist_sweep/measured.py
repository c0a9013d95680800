"""Which complete trials of a sweep were measured by it: another tool may have told one a score of its own."""

from __future__ import annotations

from typing import Final

ATTRIBUTES: Final = ("hyperparameters", "epoch", "curve")
"""User attributes of every COMPLETE trial that a sweep has told; another tool knows none of them."""


def unmeasured_note(n: int) -> str:
    """Return what is said of so many complete trials that another tool told.

    Example:
        >>> unmeasured_note(1)
        '1 complete trial was told by another tool, without a learning curve: listed, but in no ranking.'
    """
    were = "trial was" if n == 1 else "trials were"
    return f"{n} complete {were} told by another tool, without a learning curve: listed, but in no ranking."
