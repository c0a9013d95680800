"""The limits of a run: after which of them no further trial starts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from fmnist_sweep.core.progress import Stop
from fmnist_sweep.search.history import History
from fmnist_sweep.search.plan import TrialPlan
from fmnist_sweep.search.running import RunningTrial
from fmnist_sweep.search.settings import LoopSettings


@dataclass
class Limits:
    """Knows which limit of a run is reached.

    Attributes:
        settings: How the run goes.
        plan: What is tried.
        history: What was tried so far.
        n_failures_in_a_row: Trials that failed since one did not.
    """

    settings: LoopSettings
    plan: TrialPlan
    history: History
    n_failures_in_a_row: int = 0
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock time of the run so far."""
        return time.monotonic() - self._began

    def reached(self, *begun: Mapping[int, RunningTrial]) -> Stop | None:
        """Return the limit that lets no new trial start; None lets one start.

        Args:
            begun: The trials that are begun and not finished, by number.
        """
        n_begun = sum(map(len, begun))
        if self.history.n_finished + n_begun >= self.plan.n_trials:
            return Stop.TRIALS
        if (spent := self.spent()) is not None:
            return spent
        # First roughly: putting the points together would take longer than an event.
        left = self.plan.size - len(self.history.tried) - n_begun
        if left <= 0 and not self.history.waiting:
            seen = self.history.tried | {trial.point for trials in begun for trial in trials.values()}
            if len(seen) >= self.plan.size:
                return Stop.SPACE
        return None

    def spent(self) -> Stop | None:
        """Return the limit after which nothing is trained but what trains already; None without one."""
        settings = self.settings
        if settings.max_seconds is not None and self.seconds >= settings.max_seconds:
            return Stop.SECONDS
        if settings.max_trained_epochs is not None and self.history.n_epochs >= settings.max_trained_epochs:
            return Stop.EPOCHS
        if self.n_failures_in_a_row >= settings.max_failures:
            return Stop.FAILURES
        return None
