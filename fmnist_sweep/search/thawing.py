"""Freeze-thaw: each next epoch goes to the trial whose forecast promises the most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fmnist_sweep.search.forecast import MIN_CURVES, CurveForecast


@dataclass(frozen=True, slots=True)
class FreezeThaw:
    """How epochs are shared out.

    Attributes:
        mean_epochs: A new trial begins once those before it were trained for so many epochs in the mean.
        start_epochs: What it costs to go on with a paused trial, in epochs.
    """

    mean_epochs: float
    start_epochs: float


@dataclass
class Thaw:
    """The trials of a study by their curves: which of them deserves the next epoch.

    What a trial promises is the expected improvement of its last epoch over the best score so far, by
    `CurveForecast`, for each epoch that is left until then, and its start counts as epochs too. Where a new
    trial would have to promise more than all paused ones, it nearly always does, since nothing is known of
    it, and no trial is ever trained to its end; so the share of new ones is set. Higher scores are better;
    of equal promises the trial of the lower number goes on.

    Attributes:
        sharing: How epochs are shared out.
        longest: Number of epochs of the longest trial.

    References:
        Swersky, Snoek and Adams (2014), "Freeze-Thaw Bayesian Optimization".
    """

    sharing: FreezeThaw
    longest: int
    _scores: dict[int, Sequence[float]] = field(default_factory=dict, init=False)
    _epochs: dict[int, int] = field(default_factory=dict, init=False)
    _complete: set[int] = field(default_factory=set, init=False)
    _forecast: CurveForecast | None = field(default=None, init=False)

    def is_due(self, n_epochs: int) -> bool:  # noqa: ARG002 - each epoch may be a trial's last for now
        """Return whether trials are looked at after so many epochs."""
        return True

    def reach(self, trial: int, scores: Sequence[float], epochs: int) -> None:
        """Take note of a trial's scores so far, and of how many it is to have; once is enough."""
        if len(scores) >= len(self._scores.get(trial, ())):
            self._scores[trial], self._epochs[trial] = scores, epochs

    def forget(self, trial: int) -> None:
        """Leave a trial out that failed."""
        self._scores.pop(trial, None)

    def complete(self, trial: int) -> None:
        """Take note that a trial came to its end."""
        self._complete.add(trial)

    def goes_on(self, trial: int, paused: Mapping[int, int], *, closing: bool) -> bool:
        """Return whether a trial goes straight on.

        Args:
            trial: The trial.
            paused: Number of epochs of each trial that waits, and of this one.
            closing: Whether no new trial is to come.
        """
        if self._is_new_due:
            return closing and self._best(paused) == trial
        return self._most_promising(paused, running=trial) == trial

    def next_of(self, waiting: Mapping[int, int], *, at_least: int = 0) -> int | None:
        """Return the trial that goes on next; None where a new one is to begin, or none deserves it.

        Args:
            waiting: Number of epochs of each trial that waits.
            at_least: 1 where no new one is to come, and nothing runs: the best forecast comes to its end.
        """
        if not waiting:
            return None
        if self._is_new_due:
            return self._best(waiting) if at_least else None
        return self._most_promising(waiting)

    @property
    def _is_new_due(self) -> bool:
        n_epochs = sum(map(len, self._scores.values()))
        return len(self._scores) < MIN_CURVES or n_epochs >= self.sharing.mean_epochs * len(self._scores)

    def _most_promising(self, trials: Mapping[int, int], *, running: int | None = None) -> int:
        """Return which promises the most for each epoch that is left; a running one needs no start."""
        forecast, best = self._forecast_now(), max(map(max, self._scores.values()))

        def promise(trial: int) -> float:
            scores, epochs = self._scores[trial], self._epochs[trial]
            left = epochs - len(scores) + (0.0 if trial == running else self.sharing.start_epochs)
            return forecast.improvement(scores, epochs, best) / left

        return max(sorted(trials), key=promise)

    def _best(self, waiting: Mapping[int, int]) -> int | None:
        """Return the trial of the best forecast, if it waits: a complete one has what it came to."""
        forecast = self._forecast_now() if len(self._scores) >= MIN_CURVES else None

        def comes_to(trial: int) -> float:
            best = max(self._scores[trial])
            if forecast is None or trial in self._complete:
                return best
            return max(best, forecast.last(self._scores[trial], self._epochs[trial]))

        ended = self._complete & self._scores.keys()
        best = max(sorted({*waiting, *ended}), key=comes_to, default=None)
        return best if best in waiting else None

    def _forecast_now(self) -> CurveForecast:
        """Return a forecast; it is made anew whenever a quarter more trials have begun."""
        if self._forecast is None or len(self._scores) >= 1.25 * self._forecast.n_curves:
            self._forecast = CurveForecast(list(self._scores.values()), self.longest)
        return self._forecast
