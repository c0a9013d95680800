"""Which trials of a large study figures draw, and the words that say so.

Ten thousand points, each with what it shows on hover, make a page of tens of megabytes that no browser moves,
and look as a thousand do.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TypeVar

from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.storage.lean import MAX_WHOLE, N_WHOLE
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

_T = TypeVar("_T")


def drawn_best(study: StoredStudy) -> list[StoredTrial]:
    """Return the ranked trials that figures draw, best first; of a large study not all: `thinned_note`."""
    ranked = best_trials(study)
    if len(ranked) <= MAX_WHOLE:
        return ranked
    return [*ranked[:N_WHOLE], *even_share(ranked[N_WHOLE:], MAX_WHOLE - N_WHOLE)]


def even_share(items: Sequence[_T], n: int = MAX_WHOLE) -> list[_T]:
    """Return at most ``n`` items, evenly spread from the first one on.

    Example:
        >>> even_share(range(10), 4)
        [0, 2, 5, 7]
    """
    if len(items) <= n:
        return list(items)
    return [items[i * len(items) // n] for i in range(n)]


def thinned_note(study: StoredStudy) -> str | None:
    """Return what is said of the trials that figures leave out; None where they draw all."""
    n_ranked, n_pruned = len(best_trials(study)), len(study.in_state("PRUNED"))
    if max(n_ranked, n_pruned) <= MAX_WHOLE:
        return None
    parts = []
    if n_ranked > MAX_WHOLE:
        parts.append(
            f"{MAX_WHOLE:,} of the {n_ranked:,} complete trials: the {N_WHOLE} best, and of the others"
            " an even share by their rank"
        )
    if n_pruned > MAX_WHOLE:
        parts.append(f"{MAX_WHOLE:,} of the {n_pruned:,} pruned trials, evenly by their number")
    return (
        f"Figures draw {'; and '.join(parts)}. Tables, facts and importance are of all trials, which"
        f" fmnist-sweep trials {shlex.quote(study.name)} --csv lists."
    )
