"""What happens in a run, a line of JSON for each event, to a stream or a file. See docs/machine.md."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from typing_extensions import override

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.events import CheckpointSkipped, EpochDone, Started, TrialEvent
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Progress, RetriedTrial, Stop
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.versions import SCHEMA_VERSION

EVENTS: Final[Mapping[str, str]] = {
    "start": "study settings",
    "note": "message",
    "trial_start": "trial hyperparameters epochs seed n_parameters n_resumed",
    "epoch": "trial epoch score train val seconds",
    "trial_retry": "trial n_retries reason",
    "checkpoint_skipped": "trial reason",
    "trial_pause": "trial score n_epochs",
    "trial_end": "trial state score reason n_epochs",
    "end": "stop n_trials n_complete n_pruned n_failed n_paused n_reused_epochs seconds best",
    "error": "message exit_code",
}
"""The events, and what each holds beside ``schema_version``, ``event`` and ``time``."""


class EventWriter(Observer):
    """Makes a line of each event as it happens; a subclass says where it goes."""

    def __init__(self) -> None:
        self._rule = ScoreRule()
        self._last: Progress | None = None
        self._retried: RetriedTrial | None = None
        self._paused: EndedTrial | None = None

    def note(self, message: str) -> None:
        """Write what is said to the user."""
        self.write("note", message=message)

    def write(self, event: str, **told: Any) -> None:
        """Write an event, with all that it has by `EVENTS`."""
        if list(told) != EVENTS[event].split():
            raise ValueError(f"{event}: {list(told)}, not {EVENTS[event]}")
        head = {"schema_version": SCHEMA_VERSION, "event": event, "time": datetime.now(UTC).isoformat()}
        self.put(f"{json.dumps(_finite({**head, **told}), allow_nan=False)}\n")

    def put(self, line: str) -> None:
        """Write a line where it belongs."""
        raise NotImplementedError

    @contextmanager
    def telling_errors(self) -> Iterator[None]:
        """Write an error that the user can mend as an event; it goes on up."""
        try:
            yield
        except SweepError as error:
            self.write("error", message=str(error), exit_code=error.exit_code)
            raise

    @override
    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        self._rule = ScoreRule(**settings["score"])
        self.write("start", study=study, settings=dict(settings))

    @override
    def on_event(self, event: TrialEvent, job: TrialJob) -> None:
        if isinstance(event, Started):
            self.write(
                "trial_start",
                trial=event.trial,
                hyperparameters=dict(job.hyperparameters),
                epochs=job.epochs,
                seed=job.seed,
                n_parameters=event.n_parameters,
                n_resumed=event.n_resumed,
            )
        elif isinstance(event, EpochDone):
            scores = event.scores
            self.write(
                "epoch",
                trial=event.trial,
                epoch=scores.epoch + 1,
                score=self._rule.score(scores),
                train=dict(scores.train),
                val=dict(scores.val),
                seconds=scores.seconds,
            )
        elif isinstance(event, CheckpointSkipped):
            self.write("checkpoint_skipped", trial=event.trial, reason=event.reason)

    @override
    def on_trial_end(self, trial: EndedTrial, job: TrialJob, curve: LearningCurve) -> None:
        self.write(
            "trial_end",
            trial=trial.number,
            state=trial.state,
            score=trial.value,
            reason=trial.reason,
            n_epochs=len(curve),
        )

    @override
    def on_progress(self, progress: Progress) -> None:
        self._last = progress
        retried = progress.retried
        if retried is not None and retried != self._retried:
            self._retried = retried
            self.write(
                "trial_retry", trial=retried.number, n_retries=retried.n_retries, reason=retried.reason
            )

        paused = progress.paused
        if paused is not None and paused is not self._paused:
            self._paused = paused
            n_epochs = 0 if paused.epoch is None else paused.epoch + 1
            self.write("trial_pause", trial=paused.number, score=paused.value, n_epochs=n_epochs)

    @override
    def on_end(self, stop: Stop | None) -> None:
        progress = self._last
        # An error has an event of its own.
        if stop is None or progress is None:
            return
        best = progress.best
        self.write(
            "end",
            stop=stop.name.lower(),
            n_trials=progress.n_trials,
            n_complete=progress.n_complete,
            n_pruned=progress.n_pruned,
            n_failed=progress.n_failed,
            n_paused=progress.n_paused,
            n_reused_epochs=progress.n_reused_epochs,
            seconds=progress.seconds,
            best=None if best is None else {"trial": best.number, "score": best.score},
        )


class JsonEvents(EventWriter):
    """Writes a line for each event to a stream.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    @override
    def put(self, line: str) -> None:
        self._stream.write(line)
        try:
            # Who reads along waits for it.
            self._stream.flush()
        except BrokenPipeError:
            # The reader has had enough: no run ends for that.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


class JsonLines(EventWriter):
    """Adds the events of each run to a file, as ``--json-events`` prints them; `EVENTS` lists them.

    Args:
        file: Made where it is not there, with its folder; what it holds stays.
    """

    def __init__(self, file: str = "events.jsonl") -> None:
        super().__init__()
        self._path = Path(file).expanduser()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # Tried at once: what can't be written is told before anything is trained.
        self.put("")

    @override
    def put(self, line: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line)


def _finite(value: Any) -> Any:
    """Return a value with None for each number that JSON does not have."""
    if isinstance(value, Mapping):
        return {str(key): _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
