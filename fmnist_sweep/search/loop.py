"""The loop: ask, submit, report, tell. The one writer of a study."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Self, TypeAlias

import optuna
from optuna.trial import TrialState

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import (
    Cancelled,
    CheckpointSkipped,
    EpochDone,
    Failed,
    Finished,
    Started,
    TrialEvent,
)
from fmnist_sweep.core.jobs import DataKey, DataRef, TrialJob
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Progress, RetriedTrial, Stop
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.engines.base import Engine, end_jobs
from fmnist_sweep.search.asking import Asker, UndrawableError
from fmnist_sweep.search.files import TrialFiles
from fmnist_sweep.search.history import History, KnownCurve
from fmnist_sweep.search.limits import Limits
from fmnist_sweep.search.pausing import PausedTrials
from fmnist_sweep.search.plan import SweepPlan, TrialPlan
from fmnist_sweep.search.running import RunningTrial
from fmnist_sweep.search.settings import LoopSettings
from fmnist_sweep.search.showing import Showing
from fmnist_sweep.search.size_limit import size_problem
from fmnist_sweep.search.standing import Standing
from fmnist_sweep.search.telling import Teller
from fmnist_sweep.search.turns import Turns
from fmnist_sweep.storage.checkpoints import CheckpointFolder
from fmnist_sweep.storage.lease.ownership import put_back
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.weights import WeightsFolder
from fmnist_sweep.storage.writing import write_n_retries, write_n_reused_epochs

_LONGEST_WAIT_S: Final = 0.5

Deliver: TypeAlias = Callable[[TrialJob, LearningCurve], None]


class Search:
    """Runs a study until its budget is used up.

    Args:
        settings: How it runs.
        data: The data set that the jobs name.
        study: The study, held by this process.
        engine: Where the jobs run.
        plan: What is tried.
        run: What each running trial names as its owner; see `Owner`.
        checkpoints: Where trials keep what they have come to; None keeps nothing.
        weights: Where the weights of the best trials are kept; None keeps none.
        check: Raises what is to end the run before it writes what came from the engine; see `Lease.check`.
        deliver: Called with each trial that was trained to its end, once the study was told. Unlike what an
            observer raises, what this raises ends the run.
        observer: Told what happens.
    """

    def __init__(
        self,
        settings: LoopSettings,
        data: DataKey,
        study: optuna.Study,
        engine: Engine,
        *,
        plan: TrialPlan,
        run: str = "",
        checkpoints: CheckpointFolder | None = None,
        weights: WeightsFolder | None = None,
        check: Callable[[], None] = lambda: None,
        deliver: Deliver = lambda _job, _curve: None,
        observer: Observer | None = None,
    ) -> None:
        self._settings = settings
        self._study = study
        self._engine = engine
        self._plan = plan
        self._files = TrialFiles(settings, plan.goes_on, checkpoints, weights)
        self._asker = Asker(settings, data, study, plan, run=run, files=self._files)
        self._teller = Teller(study, settings.rule, settings.allowed_epochs)
        self._goes_on = checkpoints is not None and plan.goes_on
        self._observer = Observer() if observer is None else observer
        self._check = check
        self._deliver = deliver
        self._history = History(study, max_epochs=settings.max_epochs, split_seed=settings.split.seed)
        self._paused = PausedTrials(settings, study, self._history)
        self._turns = Turns(study)
        self._running: dict[int, RunningTrial] = {}
        # Told already, or paused (RUNNING); the engine has not yet said that their jobs are gone.
        self._ending: dict[int, tuple[RunningTrial, TrialState]] = {}
        self._twins: dict[int, list[RunningTrial]] = {}
        self._files.begin(study, self._history.waiting)
        study.pruner = settings.pruner
        self._limits = Limits(settings, plan, self._history)
        self._standing = Standing(plan, self._history, self._limits, engine, self._running, self._paused)
        self._showing = Showing(self._observer, self._standing)

    @classmethod
    def of(
        cls,
        config: SweepConfig,
        data: DataRef,
        study: optuna.Study,
        engine: Engine,
        *,
        plan: TrialPlan | None = None,
        **options: Any,
    ) -> Self:
        """Return the search of a sweep, by its own plan unless another one is given."""
        plan = SweepPlan(config) if plan is None else plan
        settings = LoopSettings.of(config, model_source=StoredStudy.of(study).model_source)
        return cls(settings, data.key, study, engine, plan=plan, **options)

    def run(self, interrupted: threading.Event | None = None) -> Stop:
        """Train trials until a limit is reached, and return which.

        Trials that are running when the limit is reached are trained to their end. Where the loop ends in
        any other way, an exception included, they are put back for the next run to take up: none is left
        RUNNING.

        Args:
            interrupted: Once set, the search puts the running trials back and returns `Stop.INTERRUPTED`.
        """
        interrupted = threading.Event() if interrupted is None else interrupted
        self._observer.on_start(self._study.study_name, self._settings.told)
        with self._turns.held():
            return self._held_run(interrupted)

    def _held_run(self, interrupted: threading.Event) -> Stop:
        stop: Stop | None = None
        try:
            self._paused.take_up(self._asker)
            stop = self._run(interrupted)
        finally:
            try:
                self._put_back()
            except KeyboardInterrupt:
                # Whoever presses Ctrl-C twice presses it twice quickly; this takes no time.
                self._put_back()
                raise
            finally:
                self._observer.on_end(stop)
        return stop

    def _run(self, interrupted: threading.Event) -> Stop:
        while not interrupted.is_set():
            stop = self._fill()
            if stop is not None and not self._running and not self._ending:
                return stop
            events = self._engine.events(_LONGEST_WAIT_S)
            # An engine may wait long: what counts is whose the study is once they are there.
            self._check()
            with self._turns.turn():
                for event in events:
                    self._handle(event)
            self._showing.show()
        return Stop.INTERRUPTED

    def progress(self) -> Progress:
        """Return what the sweep is at."""
        return self._standing.progress()

    # --- ask and submit ------------------------------------------------------------------------------------

    def _fill(self) -> Stop | None:
        """Start trials until the workers are busy or a limit is reached; return the limit."""
        while True:
            stop = self._limits.reached(self._running, self._paused)
            if len(self._engine.running) >= self._engine.slots:
                return stop
            if self._limits.spent() is None and self._promote(stop):
                continue
            if stop is not None:
                return stop
            try:
                running = self._asker.ask()
            except UndrawableError as refused:
                self._refuse(refused)
                continue
            self._history.waiting.discard(running.job.trial)
            self._running[running.job.trial] = running
            self._start(running)

    def _promote(self, stop: Stop | None) -> bool:
        """Let the paused trial go on that deserves it, and return whether there was one.

        Where nothing new is to come and nothing runs, the best one of each rung goes on: so that one comes
        to its end however few there are.
        """
        closing = stop is not None
        is_last = closing and not self._running and not self._ending
        running = self._paused.take_next(at_least=int(is_last), closing=closing, busy=self._ending)
        if running is None:
            return False
        self._running[running.job.trial] = running
        self._engine.submit(running.job)
        return True

    def _start(self, running: RunningTrial) -> None:
        """Train a trial, unless an equal one has been trained, or is being trained, for as long."""
        known = self._history.answer(running.job)
        if known is not None:
            self._answer(running, known)
            return
        (key, _), found = running.point, map(self._running.get, self._engine.running)
        # Less what was stopped; there may be thousands.
        for other in [other for other in found if other is not None and other.point[0] == key]:
            if other.contains(running) or (self._goes_on and running.contains(other)):
                # A longer one waits as well: it goes on from where the other ends.
                self._twins.setdefault(other.job.trial, []).append(running)
                return
        if self._files.go_on(running.job):
            # At most; the job's start tells how many. Written now: a run that is killed before it tells has
            # moved the checkpoint already.
            running.n_reused = running.job.epochs
            write_n_reused_epochs(running.trial, running.n_reused)
        self._engine.submit(running.job)

    def _answer(self, running: RunningTrial, known: KnownCurve) -> None:
        """Finish a trial from the stored curve of an equal one, without training."""
        running.n_parameters = known.n_parameters
        running.epochs.extend(self._history.curve(known).epochs[: running.job.epochs])
        for scores in running.epochs:
            self._report(running, scores)
        running.n_reused = len(running.epochs)
        cut = len(running.epochs) < running.job.epochs
        state = TrialState.PRUNED if known.pruned and cut else TrialState.COMPLETE
        self._tell(running, state, stopped_early=known.stopped_early and cut)

    # --- events --------------------------------------------------------------------------------------------

    def _handle(self, event: TrialEvent) -> None:
        if isinstance(event, Cancelled):
            if event.trial in self._ending:
                self._freed(*self._ending.pop(event.trial))
            return
        running = self._running.get(event.trial)
        if running is None:
            # It was stopped by an earlier event of the same batch.
            return
        self._observer.on_event(event, running.job)
        running.take(event)
        match event:
            case Started():
                self._started(running, event)
            case CheckpointSkipped():
                self._standing.skipped = event
            case EpochDone(scores=scores):
                self._epoch_done(running, scores)
            case Finished():
                self._tell(running, TrialState.COMPLETE)
            case Failed(died=True) if running.n_retries < self._settings.max_retries:
                self._retry(running, event.reason)
            case Failed(reason=reason, detail=detail):
                self._fail(running, reason, detail)

    def _started(self, running: RunningTrial, event: Started) -> None:
        running.n_parameters, running.unused = event.n_parameters, event.unused
        if running.n_reused:
            # Less where another job's checkpoint turned out to be of no use, or was lost with a process.
            running.n_reused = min(running.n_reused, event.n_resumed)
            # Written now: a run that takes this trial up can't tell whose epochs its checkpoint holds.
            write_n_reused_epochs(running.trial, running.n_reused)
        # Only a build could count the weights of a user's own model.
        limit, known = self._settings.max_model_size, running.job.n_parameters
        problem = size_problem(event.n_parameters, limit=limit, known=known)
        if problem is not None:
            self._engine.cancel(running.job.trial)
            self._fail(running, problem, "", broken=not exceeds(limit, event.n_parameters))

    def _retry(self, running: RunningTrial, reason: str) -> None:
        """Start a trial again whose process died; the epochs of its checkpoint come up once more."""
        running.n_retries += 1
        # Written now: a run that is killed as well must not count from the beginning.
        write_n_retries(running.trial, running.n_retries)
        running.begin_again()
        self._standing.retried = RetriedTrial(running.job.trial, running.n_retries, reason)
        self._engine.submit(running.job)

    def _epoch_done(self, running: RunningTrial, scores: EpochScores) -> None:
        try:
            scores.require_finite()
        except TrialError as error:
            self._engine.cancel(running.job.trial)
            self._fail(running, error.reason, error.detail)
            return
        running.epochs.append(scores)
        fresh = self._report(running, scores)
        if len(running.epochs) == running.job.epochs:
            # Finished follows: there is nothing left to save by stopping it.
            return
        if self._out_of_patience(running):
            self._engine.cancel(running.job.trial)
            self._tell(running, TrialState.COMPLETE, stopped_early=True)
        elif fresh and self._paused.waits(running):
            self._engine.cancel(running.job.trial)
            self._pause(running)
        elif fresh and running.trial.should_prune():
            self._engine.cancel(running.job.trial)
            self._tell(running, TrialState.PRUNED)

    def _report(self, running: RunningTrial, scores: EpochScores) -> bool:
        """Report an epoch's score, and return whether it is new to the study."""
        running.score = self._settings.rule.score(scores)
        self._paused.note(running, scores.epoch)
        if scores.epoch <= running.reported:
            return False
        running.trial.report(running.score, scores.epoch)
        return True

    def _out_of_patience(self, running: RunningTrial) -> bool:
        known = self._settings
        stop = known.rule.stop_epoch(running.curve, allowed=known.allowed_epochs, patience=known.patience)
        return stop is not None

    def _pause(self, running: RunningTrial) -> None:
        """Let a trial wait for its turn: its checkpoint stays, and its worker is free."""
        paused = self._teller.pause(running)
        # Now: with its last report, or a run that is killed would not know that it was decided.
        self._turns.write()
        del self._running[paused.number]
        self._paused.add(running)
        self._standing.paused = paused
        self._showing.show()
        self._let_go(running, TrialState.RUNNING)

    # --- tell ----------------------------------------------------------------------------------------------

    def _tell(self, running: RunningTrial, state: TrialState, *, stopped_early: bool | None = None) -> None:
        attrs, ended = self._teller.tell(running, state, stopped_early=stopped_early)
        self._limits.n_failures_in_a_row = 0
        self._close(running, attrs, ended)

    def _fail(self, running: RunningTrial, reason: str, detail: str, *, broken: bool = True) -> None:
        attrs, ended = self._teller.fail(running, reason, detail)
        self._limits.n_failures_in_a_row += broken
        self._close(running, attrs, ended)

    def _refuse(self, refused: UndrawableError) -> None:
        """Fail a trial that another tool enqueued; the sweep's own trials are none the worse for it."""
        attrs, self._standing.ended = self._teller.refuse(refused.trial, refused.reason)
        self._history.refused(self._standing.ended.number, attrs)
        self._standing.n_done += 1
        self._showing.show()

    def _close(self, running: RunningTrial, attrs: Mapping[str, Any], ended: EndedTrial) -> None:
        del self._running[ended.number]
        state = TrialState[ended.state]
        told = StoredTrial.told(ended.number, ended.state, ended.value, attrs, split=running.job.split)
        self._history.take(told, epochs=running.job.epochs)
        self._files.told(told)
        self._paused.told(ended.number, state)
        self._turns.then(partial(self._closed, running, ended, state))

    def _closed(self, running: RunningTrial, ended: EndedTrial, state: TrialState) -> None:
        """Go on from the end of a trial, which is stored."""
        if state is TrialState.COMPLETE:
            self._deliver(running.job, running.curve)
        self._standing.n_done += 1
        self._standing.ended = ended
        self._observer.on_trial_end(ended, running.job, running.curve)
        self._showing.show()
        self._let_go(running, state)

    def _let_go(self, running: RunningTrial, state: TrialState) -> None:
        if running.job.trial in self._engine.running:
            # Its end was asked for: until that comes, it may still write to its checkpoint.
            self._ending[running.job.trial] = (running, state)
        else:
            self._freed(running, state)

    def _freed(self, running: RunningTrial, state: TrialState) -> None:
        """Go on where a trial's job is gone: with its checkpoint, and with those that waited for it."""
        self._files.close(running.job, state)
        # The longest first: one slot has become free, and the others then wait for that one.
        for twin in sorted(self._twins.pop(running.job.trial, []), key=lambda twin: -twin.job.epochs):
            self._start(twin)

    def _put_back(self) -> None:
        try:
            for event in end_jobs(self._engine):
                if event.trial in self._ending and event.trial not in self._engine.running:
                    running, state = self._ending.pop(event.trial)
                    self._files.close(running.job, state)
        finally:
            self._check()
            put_back(self._study)  # Also a trial whose draw was cut short.
