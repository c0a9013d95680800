"""What a person sees of the experiments while they run: a line for each trial that ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from typing_extensions import override

from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Progress


class Lines(Observer):
    """Says a line for each trial that ends.

    Args:
        say: Takes the line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._study = ""
        self._told: EndedTrial | None = None

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._study, self._told = study, None

    @override
    def on_progress(self, progress: Progress) -> None:
        ended = progress.ended
        if ended is None or ended == self._told:
            return
        self._told = ended
        outcome = ended.reason if ended.value is None else f"score {ended.value:.4f}"
        passed = timedelta(seconds=round(progress.seconds))
        count = f"[{progress.n_done}/{progress.n_trials}]"
        self._say(
            f"{self._study} {count} trial {ended.number} {ended.state.lower()}: {outcome}; {passed} passed"
        )
