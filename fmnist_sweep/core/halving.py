"""Successive halving that pauses: which of the trials that wait at a rung deserve to go on."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Halving:
    """Where trials stop, and how many of them go on.

    Attributes:
        min_resource: Epochs until the first rung; each next one is ``reduction_factor`` times as far.
        reduction_factor: Of so many trials that reached a rung, one goes on.

    Example:
        >>> [n for n in range(1, 30) if Halving(2, 3).is_rung(n)]
        [2, 6, 18]
    """

    min_resource: int
    reduction_factor: int

    def is_rung(self, n_epochs: int) -> bool:
        """Return whether trials stop after so many epochs."""
        rung = self.min_resource
        while rung < n_epochs:
            rung *= self.reduction_factor
        return rung == n_epochs


@dataclass
class Rungs:
    """The trials that reached each rung, and what they had come to there.

    A trial that arrives goes straight on if it is among the best ``1 / reduction_factor`` of those that
    reached the rung so far; else it waits, until enough worse ones have arrived. Higher scores are better;
    of equal ones the trial of the lower number is.

    Attributes:
        halving: Where trials stop.

    References:
        Li et al. (2020), "A System for Massively Parallel Hyperparameter Tuning", algorithm 2.

    Example:
        >>> rungs = Rungs(Halving(min_resource=2, reduction_factor=3))
        >>> for trial, score in enumerate([0.7, 0.9, 0.8]):
        ...     rungs.reach(trial, 2, score)
        >>> rungs.best(2), rungs.next_of({0: 2, 1: 2, 2: 2})
        ([1], 1)
    """

    halving: Halving
    _reached: dict[int, list[tuple[float, int]]] = field(default_factory=dict, init=False)
    _known: set[tuple[int, int]] = field(default_factory=set, init=False)

    def reach(self, trial: int, n_epochs: int, score: float) -> None:
        """Take note of a trial's score after some epochs, if that is a rung; once is enough."""
        if self.halving.is_rung(n_epochs) and (trial, n_epochs) not in self._known:
            self._known.add((trial, n_epochs))
            insort(self._reached.setdefault(n_epochs, []), (-score, trial))

    def forget(self, trial: int) -> None:
        """Leave a trial out that failed: it stands in nobody's way."""
        for n_epochs, reached in self._reached.items():
            if (trial, n_epochs) in self._known:
                self._known.discard((trial, n_epochs))
                reached[:] = [one for one in reached if one[1] != trial]

    def best(self, n_epochs: int, *, at_least: int = 0) -> list[int]:
        """Return the trials that deserve to go on from a rung, the best first, whether or not they wait.

        Args:
            n_epochs: The rung.
            at_least: As many as that, where so few reached the rung that a share of them is nobody.
        """
        reached = self._reached.get(n_epochs, [])
        n = max(at_least, len(reached) // self.halving.reduction_factor)
        return [trial for _, trial in reached[:n]]

    def next_of(self, waiting: Mapping[int, int], *, at_least: int = 0) -> int | None:
        """Return the trial that goes on next, from the highest rung possible; None where none deserves it.

        Args:
            waiting: The rung of each trial that waits.
            at_least: As for `best`.
        """
        for rung in sorted(self._reached, reverse=True):
            for trial in self.best(rung, at_least=at_least):
                if waiting.get(trial) == rung:
                    return trial
        return None
