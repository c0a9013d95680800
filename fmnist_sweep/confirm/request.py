"""The confirmation of a study: which configurations are trained again, how often, and from which seeds."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
import optuna
from optuna.storages import BaseStorage

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.decision import N_SELECTING, DecisionRule
from fmnist_sweep.analysis.overtuning import incumbents
from fmnist_sweep.analysis.ranking import (
    candidates,
    left_out_notes,
    measured_trials,
)
from fmnist_sweep.analysis.repeats import BASELINE, DEFAULT, Candidate
from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.schema import BudgetSection, NonePrunerSection, RandomSection
from fmnist_sweep.config.section import LARGEST_COUNT
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.near import merged
from fmnist_sweep.confirm.plan import ConfirmPlan, candidate_number, repeat_seeds
from fmnist_sweep.confirm.rule import AskedRule
from fmnist_sweep.core.errors import ConfigError, StudyMismatchError, SweepError
from fmnist_sweep.core.jobs import DataRef, Hyperparameters, SplitSpec
from fmnist_sweep.core.metrics import is_returned
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.search.history import configuration_key, without_epochs
from fmnist_sweep.search.model_source import require_same_model
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.storage.attributes import CONFIRM
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.studies import confirm_name
from fmnist_sweep.storage.writing import write_candidates, write_decision, write_n_repeats

MIN_REPEATS: Final = 2
"""One repeat has no spread, so no interval."""

MAX_REPEATS: Final = 1000

TOP: Final = 4
REPEATS: Final = 5


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
        """The COMPLETE trials that may be confirmed, best first; of equal or near ones the first."""
        return merged(candidates(self.study), self.config.sampled_space)

    @cached_property
    def baseline(self) -> Candidate | None:
        """What the user had before: the model's default configuration, as its author trains it.

        It trains the model's own number of epochs. Where the model has none, it trains up to the epoch at
        which the sweep's trial of it had the best plain validation, without that trial the sweep's most.
        None where it has more weights than the sweep allows: no repeat of it would be trained.
        """
        own = self.config.model_space
        values = own.space.complete({}, own.defaults)
        # What is off by default, and the sweep does not name, its trials don't name either.
        unnamed = own.optional - set(self.config.space)
        hyperparameters = {n: value for n, value in without_epochs(values).items() if n not in unnamed}
        epochs, asked = values.get("epochs", own.defaults.get("epochs")), None
        if epochs is None:
            # As the sweep's trials are trained, and ended where that of it was best.
            epochs, asked = self._plain_epochs(hyperparameters), self.config.epochs[-1]
        # As it was measured, where it was.
        same = (t.n_parameters for t in measured_trials(self.study) if t.hyperparameters == hyperparameters)
        size = next(same, self.config.n_parameters(hyperparameters))
        if exceeds(self.study.size_limit, size):
            return None
        return Candidate(BASELINE, None, hyperparameters, int(epochs), None, size, asked)

    def _plain_epochs(self, hyperparameters: Hyperparameters) -> int:
        most = self.config.epochs[-1]
        trial = next(
            (t for t in measured_trials(self.study) if t.hyperparameters == hyperparameters and t.curve), None
        )
        metric = self.study.rule.quantity
        # What fit returns is of all epochs.
        if trial is None or trial.curve is None or is_returned(metric.name):
            return most
        val = metric.sign * trial.curve.values(f"val_{metric.name}")
        return 1 + int(np.argmax(val))


@dataclass(frozen=True)
class ConfirmationRequest:
    """What the confirmation of a study is to hold. Make one with `confirmation_request`.

    Attributes:
        swept: The confirmed study.
        candidates: Those that were taken up before stand first.
        too_large: Candidates that were taken up before the sweep's ``max_model_size`` ruled them out.
        n_repeats: Repeats of each candidate.
        rule: How the winner is decided; None leaves a confirmation of an earlier version as it is, whole.
        max_retries: How often a trial whose process died is started again; None leaves it to the sweep's
            own budget.
    """

    swept: SweepToConfirm
    candidates: tuple[Candidate, ...]
    n_repeats: int
    rule: DecisionRule | None = field(default_factory=DecisionRule)
    max_retries: int | None = None
    too_large: tuple[Candidate, ...] = ()

    @cached_property
    def pairs(self) -> list[tuple[str, int]]:
        """All labels and repeats, repeat by repeat: cut short anywhere, the candidates stay paired.

        Those of a duel follow where its pick is known by now.
        """
        pairs = [(c.label, r) for r in range(self.n_repeats) for c in self.candidates]
        known = read_confirmation(self.swept.study.again())
        if known is None or {c.label for c in known.candidates} != {c.label for c in self.candidates}:
            return pairs
        ruled = replace(known, decision_rule=self.rule, n_repeats=self.n_repeats)
        return pairs + ruled.duel_pairs

    def fulfilled(self) -> bool:
        """Return whether nothing is left to train by now."""
        known = read_confirmation(self.swept.study.again())
        if self.rule is None or known is None or known.decision_rule != self.rule:
            return self.rule is None
        return set(self.pairs) <= {(r.candidate, r.repeat) for r in known.repeats}

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
            "score": file.score.model_copy(update={"epoch_rule": "last", "within_se": 0.0}),
            "training": file.training.model_copy(update={"patience": None}),
            # What is handed out comes from the sweep, or from final trainings.
            "keep_models": 0,
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
        if self.rule is not None:
            write_decision(linked, self.rule.to_attribute())
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
    study: StoredStudy,
    *,
    top: int | None = None,
    with_incumbents: bool = False,
    repeats: int | None = None,
    rule: AskedRule | None = None,
    max_retries: int | None = None,
) -> ConfirmationRequest:
    """Return what the confirmation of a study is to hold, what it holds already included.

    Args:
        study: A sweep's study.
        top: So many of the best distinct configurations, by default `TOP`, or as many as there are. The
            baseline is always taken, unless it has more weights than the sweep allows.
        with_incumbents: Take those that were the sweep's best for a while as well.
        repeats: Repeats of each, by default `REPEATS`, or of a thorough confirmation `N_SELECTING`. Asking
            for fewer than there are leaves those that there are.
        rule: How the winner is decided; what is not asked for stays as it is.
        max_retries: As in `ConfirmationRequest`.

    Raises:
        SweepError: The study is none that can be confirmed, or not so; all problems at once.
    """
    asked = AskedRule() if rule is None else rule
    problems = study_problems(study, top)
    problems += option_problems(top=top, repeats=repeats, max_retries=max_retries, rule=asked)
    if problems:
        raise ConfigError(f"study {study.name!r}", problems)
    swept = SweepToConfirm(study)
    known = read_confirmation(study)
    same = asked == AskedRule() and not with_incumbents
    if known is not None and same and _is_whole_of_old(known, swept, top, repeats):
        return ConfirmationRequest(swept, known.candidates, known.n_repeats, None, max_retries)
    decides = asked.rule(study)
    if repeats is None:
        repeats = N_SELECTING if decides.thorough else REPEATS
    before = _taken_up(swept)
    limit = study.size_limit
    kept = [c for c in before if not exceeds(limit, c.n_parameters)]
    fresh = _fresh(swept, kept, TOP if top is None else top, with_incumbents=with_incumbents)
    wanted = {c.label: c for c in (*kept, *fresh)}
    n_repeats = repeats if known is None else max(repeats, len(known.paired))
    too_large = tuple(c for c in before if c not in kept)
    return ConfirmationRequest(swept, tuple(wanted.values()), n_repeats, decides, max_retries, too_large)


def study_problems(study: StoredStudy, top: int | None) -> list[str]:
    """Return why a sweep's study can't be confirmed as it stands; empty if it can.

    Args:
        study: The study.
        top: As in `confirmation_request`.

    Raises:
        SweepError: The study is none that can be confirmed, whatever is added to it.
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
    n = len(SweepToConfirm(study).distinct)
    if not n:
        return ["no trial is complete yet; run the sweep first", *left_out_notes(study)]
    if top is not None and top > n:
        return [f"--top: {top} can't be taken; distinct complete configurations: {n}"]
    return []


def _is_whole_of_old(
    known: Confirmation, swept: SweepToConfirm, top: int | None, repeats: int | None
) -> bool:
    """Return whether a confirmation of an earlier version is finished, and no more than it has is asked for.

    It stays what it was, then; whatever adds to it lets it be decided by the rule of today.
    """
    if known.decision_rule is not None or not known.finished or known.failures:
        return False
    wanted = {t.number for t in swept.distinct[: top or 0]} - {c.trial for c in known.candidates}
    return not wanted and (repeats or 0) <= len(known.paired)


def _fresh(
    swept: SweepToConfirm, kept: list[Candidate], top: int, *, with_incumbents: bool
) -> list[Candidate]:
    """Return the best of a sweep and its baseline, which is no rival of itself for being among the best.

    Args:
        swept: The sweep.
        kept: What was taken up before. In a confirmation of an earlier version the default configuration may
            have been trained as its author does: then it is the baseline.
        top: So many of the best.
        with_incumbents: Also those that were the best for a while.
    """
    own = next((c for c in kept if c.label == BASELINE), swept.baseline)
    baseline = [] if own is None else [own]
    same = [c for c in kept if c.label == DEFAULT and _same(c, baseline)]
    best = [_candidate(f"trial {t.number}", t, swept.study) for t in swept.distinct]
    rivals = [c for c in best if not _same(c, [*baseline, *same])]
    were_best = {t.number for t in incumbents(swept.study)} if with_incumbents else set()
    return [*rivals[:top], *(c for c in rivals[top:] if c.trial in were_best), *([] if same else baseline)]


def _same(candidate: Candidate, others: list[Candidate]) -> bool:
    """Return whether one of the others trains the same: equal hyperparameters for as many epochs."""
    key = configuration_key(candidate.hyperparameters, None), candidate.epochs
    return key in [(configuration_key(c.hyperparameters, None), c.epochs) for c in others]


def option_problems(
    *, top: int | None, repeats: int | None, max_retries: int | None, rule: AskedRule | None = None
) -> list[str]:
    """Return what is wrong with the options of a confirmation, whatever the study; empty if nothing is."""
    problems = []
    if top is not None and top < 1:
        problems.append(f"--top: {top} can't be taken; at least 1")
    if repeats is not None and repeats < MIN_REPEATS:
        problems.append(f"--repeats: {repeats} shows no spread; take at least {MIN_REPEATS}, better 5")
    elif repeats is not None and repeats > MAX_REPEATS:
        problems.append(f"--repeats: {repeats} can't be taken; at most {MAX_REPEATS:,}")
    if max_retries is not None and not 0 <= max_retries <= LARGEST_COUNT:
        problems.append(f"--max-retries: {max_retries} can't be taken; from 0 to {LARGEST_COUNT}")
    return problems if rule is None else [*problems, *rule.problems()]


def _candidate(label: str, trial: StoredTrial, study: StoredStudy) -> Candidate:
    return Candidate(
        label,
        trial.number,
        trial.hyperparameters,
        trial.scored_after,
        trial.value,
        trial.n_parameters,
        study.asked_epochs(trial),
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
    trials = {t.number: _candidate("", t, swept.study) for t in measured_trials(swept.study)}
    for i, candidate in enumerate(kept):
        if candidate.trial is None:
            continue
        now = trials.get(candidate.trial)
        if now is not None and swept.study.rule.within_se:
            # What is chosen of a trial depends on the best one, which later trials may have beaten.
            now = replace(now, epochs=candidate.epochs, sweep_score=candidate.sweep_score)
        if now is None or replace(now, label=candidate.label) != candidate:
            raise StudyMismatchError(
                f"study {linked.name!r} confirms an earlier study {swept.name!r}, whose trial "
                f"{candidate.trial} was another configuration; to confirm anew: fmnist-sweep delete"
                f" {shlex.quote(linked.name)}"
            )
        kept[i] = replace(now, label=candidate.label)
    return kept
