"""The confirmation of a study: which configurations are trained again, how often, and from which seeds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import optuna
from optuna.storages import BaseStorage

from fmnist_sweep.analysis.confirmations import (
    DEFAULT,
    Candidate,
    read_confirmation,
)
from fmnist_sweep.analysis.ranking import (
    candidates,
    default_trial,
    left_out_notes,
    measured_trials,
)
from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.schema import LARGEST_COUNT, BudgetSection, NonePrunerSection, RandomSection
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.plan import ConfirmPlan, candidate_number, repeat_seeds
from fmnist_sweep.core.errors import ConfigError, StudyMismatchError, SweepError
from fmnist_sweep.core.jobs import DataRef, SplitSpec
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.search.history import configuration_key, without_epochs
from fmnist_sweep.search.model_source import require_same_model
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.attributes import CONFIRM
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.studies import confirm_name
from fmnist_sweep.storage.writing import write_candidates, write_n_repeats

MIN_REPEATS: Final = 2
"""One repeat has no spread, so no interval."""

MAX_REPEATS: Final = 1000


@dataclass(frozen=True)
class SweepToConfirm:
    """A sweep's study that is to be confirmed."""

    study: StoredStudy

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.name

    @cached_property
    def config(self) -> SweepConfig:
        """The settings that the study was run with.

        Raises:
            SweepError: Its model or its data can't be found any more, or it has settings of another version.
        """
        return parse_config(self.study.config, where=f"study {self.name!r}", folders=self.study.folders)

    @cached_property
    def distinct(self) -> list[StoredTrial]:
        """The COMPLETE trials that may be confirmed, best first; of equal configurations the first."""
        found: dict[tuple[str, int], StoredTrial] = {}
        for trial in candidates(self.study):
            key = configuration_key(trial.hyperparameters, None), trial.scored_after
            found.setdefault(key, trial)
        return list(found.values())

    @cached_property
    def default(self) -> Candidate | None:
        """The model's default configuration: the sweep's trial of it, or else with its own epochs.

        None where it has more weights than the sweep allows: no repeat of it would be trained.
        """
        trial = default_trial(self.study)
        if trial is None:
            own, point = self.config.model_space, self.config.default_point
            values = own.space.complete({}, own.defaults) if point is None else point
            epochs = values.get("epochs", own.defaults.get("epochs", self.config.epochs[-1]))
            # What is off by default, and the sweep does not name, its trials don't name either.
            unnamed = own.optional - set(self.config.space)
            hyperparameters = {
                name: value for name, value in without_epochs(values).items() if name not in unnamed
            }
            trial = next((t for t in self.distinct if t.hyperparameters == hyperparameters), None)
            if trial is None and self.config.is_too_large(hyperparameters):
                return None
            if trial is None:
                size = self.config.n_parameters(hyperparameters)
                return Candidate(DEFAULT, None, hyperparameters, int(epochs), None, size)
        candidate = _candidate(DEFAULT, trial)
        return None if exceeds(self.study.size_limit, candidate.n_parameters) else candidate


@dataclass(frozen=True)
class ConfirmationRequest:
    """What the confirmation of a study is to hold. Make one with `confirmation_request`.

    Attributes:
        swept: The confirmed study.
        candidates: Those that were taken up before stand first.
        too_large: Candidates that were taken up before the sweep's ``max_model_size`` ruled them out.
        n_repeats: Repeats of each candidate.
        max_retries: How often a trial whose process died is started again; None leaves it to the sweep's
            own budget.
    """

    swept: SweepToConfirm
    candidates: tuple[Candidate, ...]
    n_repeats: int
    max_retries: int | None = None
    too_large: tuple[Candidate, ...] = ()

    @property
    def pairs(self) -> list[tuple[str, int]]:
        """All labels and repeats, repeat by repeat: cut short anywhere, the candidates stay paired."""
        return [(c.label, r) for r in range(self.n_repeats) for c in self.candidates]

    def fulfilled(self) -> bool:
        """Return whether nothing is left to train by now."""
        known = read_confirmation(self.swept.study.again())
        return known is not None and set(self.pairs) <= {(r.candidate, r.repeat) for r in known.repeats}

    @cached_property
    def config(self) -> SweepConfig:
        """The linked study's settings: the sweep's, but each trial is trained to its end and scored there.

        Raises:
            SweepError: As for `SweepToConfirm.config`.
        """
        file = self.swept.config.file
        retries = file.budget.max_retries if self.max_retries is None else self.max_retries
        settings = {
            "study": confirm_name(self.swept.name),
            "score": file.score.model_copy(update={"epoch_rule": "last"}),
            "training": file.training.model_copy(update={"patience": None}),
            "sampler": RandomSection(enqueue_default=False),
            "pruner": NonePrunerSection(),
            "budget": BudgetSection(
                trials=len(self.pairs),
                trial_seconds=file.budget.trial_seconds,
                max_retries=retries,
                reconnect_seconds=file.budget.reconnect_seconds,
            ),
        }
        return replace(self.swept.config, file=file.model_copy(update=settings))

    @property
    def split(self) -> SplitSpec:
        """The split of the first repeat."""
        return replace(self.config.split, seed=repeat_seeds(self.config, 0)[1])

    def open(self, data: DataRef, storage: BaseStorage) -> optuna.Study:
        """Make the linked study, or go on with it.

        Raises:
            StudyMismatchError: The data are not those of the sweep, or the linked study is of other settings.
        """
        swept_on = str(self.swept.study.data_digest)
        if swept_on != data.digest:
            raise StudyMismatchError(
                f"study {self.swept.name!r} was run on other data: {data.name} had content {swept_on[:12]}, "
                f"now {data.digest[:12]}. Bring the old data back, or sweep again under another name."
            )
        # What the sweep accepted its confirmation accepts.
        return open_study(
            self.config,
            data,
            storage,
            kind=CONFIRM,
            confirms=self.swept.name,
            accept_edited_model=True,
        )

    def plan(self, linked: optuna.Study) -> ConfirmPlan:
        """Write into the linked study what it is to hold, and return what is left to train."""
        write_n_repeats(linked, self.n_repeats)
        write_candidates(linked, [c.to_attribute() for c in (*self.candidates, *self.too_large)])
        return ConfirmPlan(
            self.config,
            linked,
            # A repeat of one that has become too large may have been put back: it ends as infeasible.
            candidates=(*self.candidates, *self.too_large),
            pairs=self.pairs,
            n_repeats=self.n_repeats,
            last_trial=len(self.swept.study.trials) - 1,
        )


def confirmation_request(
    study: StoredStudy, *, top: int = 3, repeats: int = 5, max_retries: int | None = None
) -> ConfirmationRequest:
    """Return what the confirmation of a study is to hold, what it holds already included.

    Args:
        study: A sweep's study.
        top: So many of the best distinct configurations; the model's default configuration is always taken,
            unless it has more weights than the sweep allows.
        repeats: Repeats of each. Asking for fewer than there are leaves those that there are.
        max_retries: As in `ConfirmationRequest`.

    Raises:
        SweepError: The study is none that can be confirmed, or not so; all problems at once.
    """
    name = study.name
    require_whole(study, with_confirmation=True)
    if study.is_confirmation:
        raise SweepError(
            f"study {name!r} is a confirmation itself: confirm {study.confirms!r}, with more --repeats"
        )
    if not study.is_ours:
        raise SweepError(f"study {name!r} was not made by fmnist-sweep: it can't be confirmed")
    require_same_model(study)
    swept = SweepToConfirm(study)
    n = len(swept.distinct)
    problems = []
    if not n:
        problems += ["no trial is complete yet; run the sweep first", *left_out_notes(study)]
    elif top > n:
        problems.append(f"--top: {top} can't be taken; distinct complete configurations: {n}")
    problems += option_problems(top=top, repeats=repeats, max_retries=max_retries)
    if problems:
        raise ConfigError(f"study {name!r}", problems)
    before = _taken_up(swept)
    limit = study.size_limit
    kept = [c for c in before if not exceeds(limit, c.n_parameters)]
    # One configuration is one candidate: the default is not taken a second time for being among the best.
    default = next((c for c in kept if c.label == DEFAULT), None) or swept.default
    baseline = [] if default is None else [default]
    taken = {c.trial for c in baseline}
    best = [_candidate(f"trial {t.number}", t) for t in swept.distinct[:top] if t.number not in taken]
    wanted = {c.label: c for c in (*kept, *best, *baseline)}
    known = read_confirmation(study)
    n_repeats = repeats if known is None else max(repeats, len(known.paired))
    too_large = tuple(c for c in before if c not in kept)
    return ConfirmationRequest(swept, tuple(wanted.values()), n_repeats, max_retries, too_large)


def option_problems(*, top: int, repeats: int, max_retries: int | None) -> list[str]:
    """Return what is wrong with the options of a confirmation, whatever the study; empty if nothing is."""
    problems = []
    if top < 1:
        problems.append(f"--top: {top} can't be taken; at least 1")
    if repeats < MIN_REPEATS:
        problems.append(f"--repeats: {repeats} shows no spread; take at least {MIN_REPEATS}, better 5")
    elif repeats > MAX_REPEATS:
        problems.append(f"--repeats: {repeats} can't be taken; at most {MAX_REPEATS:,}")
    if max_retries is not None and not 0 <= max_retries <= LARGEST_COUNT:
        problems.append(f"--max-retries: {max_retries} can't be taken; from 0 to {LARGEST_COUNT}")
    return problems


def _candidate(label: str, trial: StoredTrial) -> Candidate:
    return Candidate(
        label, trial.number, trial.hyperparameters, trial.scored_after, trial.value, trial.n_parameters
    )


def _taken_up(swept: SweepToConfirm) -> list[Candidate]:
    """Return the candidates of the linked study that have a trial there.

    Raises:
        StudyMismatchError: One is not what the sweep's trial of its number is.
    """
    linked = swept.study.linked
    if linked is None:
        return []
    # By what was drawn: a trial whose run was killed in the middle of its draw has no more than that.
    begun = {t.params.get("candidate") for t in linked.trials}
    kept = [c for stored in linked.candidates or () if candidate_number(c := Candidate(**stored)) in begun]
    # Too large ones as well: a limit that was lowered makes no other study of it.
    trials = {t.number: _candidate("", t) for t in measured_trials(swept.study)}
    for i, candidate in enumerate(kept):
        if candidate.trial is None:
            continue
        now = trials.get(candidate.trial)
        if now is None or replace(now, label=candidate.label) != candidate:
            raise StudyMismatchError(
                f"study {linked.name!r} confirms an earlier study {swept.name!r}, whose trial "
                f"{candidate.trial} was another configuration; to confirm anew: fmnist-sweep delete"
                f" {shlex.quote(linked.name)}"
            )
        kept[i] = replace(now, label=candidate.label)
    return kept
