"""Ask a study for its next trial, and make a job of it."""

from __future__ import annotations

import optuna
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import DataKey, TrialJob
from fmnist_sweep.search.files import TrialFiles
from fmnist_sweep.search.plan import TrialPlan
from fmnist_sweep.search.running import RunningTrial
from fmnist_sweep.search.settings import LoopSettings
from fmnist_sweep.storage.paused import is_paused, paused_trials
from fmnist_sweep.storage.stored import StoredTrial
from fmnist_sweep.storage.writing import write_draw, write_paused, write_run


class UndrawableError(Exception):
    """A trial that waited was given what its study can't draw.

    Args:
        trial: Optuna's side of it.
        reason: What that is, in one line.
    """

    def __init__(self, trial: optuna.Trial, reason: str) -> None:
        super().__init__(trial, reason)
        self.trial = trial
        self.reason = reason


class Asker:
    """Asks for trials.

    Args:
        settings: How they are trained.
        data: The data set that the jobs name.
        study: The study, held by this process.
        plan: What is tried.
        run: What each trial names as its owner.
        files: Gives trials their files.
    """

    def __init__(
        self,
        settings: LoopSettings,
        data: DataKey,
        study: optuna.Study,
        plan: TrialPlan,
        *,
        run: str,
        files: TrialFiles,
    ) -> None:
        self._settings = settings
        self._data = data
        self._study = study
        self._plan = plan
        self._run_id = run
        self._files = files

    def ask(self) -> RunningTrial:
        """Return the next trial: one that waits, or else a new one, its point drawn.

        Raises:
            UndrawableError: A trial that waited can't be drawn; it is running and wants to be told.
        """
        # This alone reads the study, with all its running trials: a trial that waits comes first.
        trial = self._study.ask()
        # Its sampler follows from its number, also where it was put back in the middle of its draw. Whatever
        # sampler was asked before could do nothing: Optuna's begin with the first parameter.
        self._study.sampler = self._plan.sampler(trial.number)
        write_run(trial, self._run_id)
        try:
            self._plan.require_drawable(self._frozen(trial))
        except TrialError as error:
            raise UndrawableError(trial, error.reason) from error
        if is_paused(self._frozen(trial)):
            # By a pruner that is no more.
            write_paused(trial, None)
        return self._begun(trial)

    def take_up_paused(self) -> list[RunningTrial]:
        """Return the trials that paused in an earlier run, with all that they have come to, by number."""
        found = []
        for frozen in paused_trials(self._study):
            number = frozen._trial_id  # noqa: SLF001
            self._study._storage.set_trial_state_values(number, TrialState.RUNNING)  # noqa: SLF001
            self._study.sampler = self._plan.sampler(frozen.number)
            trial = optuna.Trial(self._study, number)
            write_run(trial, self._run_id)
            running = self._begun(trial)
            running.take_over(StoredTrial.of(frozen))
            found.append(running)
        return found

    def _begun(self, trial: optuna.Trial) -> RunningTrial:
        """Return a trial that is running, and its job; its point is drawn as far as it was not."""
        drawn, settings = self._plan.draw(trial), self._settings
        write_draw(trial, drawn.attributes, split=None if drawn.split == settings.split else drawn.split)
        job = TrialJob(
            trial=trial.number,
            model=settings.model,
            hyperparameters=drawn.hyperparameters,
            epochs=drawn.epochs,
            seed=drawn.seed,
            data=self._data,
            split=drawn.split,
            n_probe=settings.n_probe,
            batch_size=settings.batch_size,
            deliver_to=drawn.deliver_to,
            hand_out=drawn.deliver_to is not None,
            running_metrics=settings.running_metrics,
            exact_steps=settings.exact_steps,
            model_source=settings.model_source,
            n_parameters=drawn.n_parameters,
            fit_epochs=drawn.fit_epochs,
            flip_average=drawn.flip_average,
            metric=settings.rule.metric,
            sometimes=settings.sometimes,
            **self._files.of(trial.number),
        )
        # A trial that was put back has reported some epochs already; equal jobs give equal scores.
        before = self._frozen(trial)
        reported = -1 if before.last_step is None else before.last_step
        kept = StoredTrial.of(before)
        return RunningTrial(trial, job, reported, kept.n_retries, kept.n_reused_epochs)

    def _frozen(self, trial: optuna.Trial) -> FrozenTrial:
        # The public ways would read all other trials as well.
        return self._study._storage.get_trial(trial._trial_id)  # noqa: SLF001
