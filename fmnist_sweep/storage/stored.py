"""Stored studies and trials as records: what their attributes say, each under its own name.

Both are looks at one moment. A study's attributes are read from the storage once, its trials when they are
first asked for; what must not be stale is asked for anew, with `StoredStudy.again`.

What anybody may have written there is looked at here, once: an attribute without the form that this program
gives it counts as not stored, and `StoredStudy.damaged` says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, Self, cast
from weakref import WeakKeyDictionary

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from fmnist_sweep import __version__
from fmnist_sweep.core.jobs import SplitSpec, n_val_of, parts_digest
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.user_code import code_folders
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage import checking
from fmnist_sweep.storage.choice import choice_among, stored_rule
from fmnist_sweep.storage.lease.process import was_killed
from fmnist_sweep.storage.stored_trial import State as State  # noqa: PLC0414 - one place to ask for both
from fmnist_sweep.storage.stored_trial import Stored
from fmnist_sweep.storage.stored_trial import StoredTrial as StoredTrial  # noqa: PLC0414 - as above
from fmnist_sweep.storage.studies import UNREADABLE, linked_study, tables_of

_LOOKED_AT: Final[WeakKeyDictionary[BaseStorage, dict[int, tuple[FrozenTrial, StoredTrial]]]] = (
    WeakKeyDictionary()
)
"""What was made of the finished trials of each storage that keeps what it has read."""


def _looked_at(study: optuna.Study, trial: FrozenTrial) -> StoredTrial:
    """Return what a trial holds; a finished one of a database never changes, and is looked at once.

    A run asks for all trials of its study half a dozen times.
    """
    if not trial.state.is_finished() or tables_of(study) is None:
        return StoredTrial.of(trial)
    known = _LOOKED_AT.setdefault(study._storage, {})  # noqa: SLF001 - a study does not tell its storage
    number = trial._trial_id  # noqa: SLF001 - that of its row, which no other study's trial has
    if number not in known or known[number][0] is not trial:
        known[number] = trial, StoredTrial.of(trial)
    return known[number][1]


@dataclass(frozen=True, eq=False)
class StoredStudy:
    """A study as the storage holds it; what is not stored is None, or empty.

    Attributes:
        name: Its name.
        attributes: All that is stored of it, by the names in `fmnist_sweep.storage.attributes`, less what is
            not of its form.
        problems: What is wrong with its attributes, a line each; `damaged` knows of its trials too.
    """

    name: str
    attributes: Mapping[str, Any] = field(repr=False)
    _study: optuna.Study = field(repr=False)
    problems: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """Return what a study holds now: its attributes are read here, and not again."""
        try:
            given = study.user_attrs
        except UNREADABLE as error:
            return cls(study.study_name, {}, study, (checking.unreadable("its attributes", error),))
        attributes, problems = checking.fitting_study(given)
        return cls(study.study_name, attributes, study, problems)

    def again(self) -> Self:
        """Return what the study holds by now."""
        return self.of(self._study)

    @cached_property
    def told_trials(self) -> tuple[StoredTrial, ...]:
        """All trials as they were told, each at its own best epoch; see `trials`."""
        try:
            return tuple(_looked_at(self._study, trial) for trial in self._study.get_trials(deepcopy=False))
        except UNREADABLE:
            return ()

    @cached_property
    def trials(self) -> tuple[StoredTrial, ...]:
        """All trials, by number; none where the storage can't give them back, see `damaged`.

        One that can't be told from the best is at the epoch that the rule chooses: see `near_best`.
        """
        near = self.near_best

        def chosen(trial: StoredTrial) -> StoredTrial:
            epoch = near.get(trial.number, trial.epoch)
            return trial if epoch is None or epoch == trial.epoch else trial.at(epoch, self.rule)

        return tuple(map(chosen, self.told_trials)) if near else self.told_trials

    @cached_property
    def near_best(self) -> Mapping[int, int]:
        """The trials that the rule can't tell from the best, and the epoch of each, the choice first.

        As `fmnist_sweep.core.choosing.near_best` has them, among the trials that may be handed out.
        """
        if not self.is_scored or self.problems or not self.rule.within_se:
            return {}
        return choice_among((t for t in self.told_trials if t.is_ours), self.attributes)

    @property
    def n_val(self) -> int:
        """Number of examples that validate; 0 where it is not stored."""
        return n_val_of(self.config, self.data)

    @cached_property
    def damaged(self) -> tuple[str, ...]:
        """What keeps every command but ``trials`` from using it, a line each; empty where it is whole.

        That is what this program can't have written: attributes of another form, several objectives, and
        what the storage can't give back. A plain study of another tool is whole.
        """
        try:
            about = checking.direction_problems([one.name for one in self._study.directions])
        except UNREADABLE as error:
            about = [checking.unreadable("its direction", error)]
        lines = [*self.problems, *about]
        try:
            self._study.get_trials(deepcopy=False)
        except UNREADABLE as error:
            lines.append(checking.unreadable("its trials", error))
        is_judged = self.is_scored or self.problems
        for trial in self.told_trials:
            told = [*(trial.problems if is_judged else ()), *(() if about else trial.row_problems)]
            lines += [f"trial {trial.number}: {line}" for line in told]
        return tuple(lines)

    @property
    def damage(self) -> str:
        """What is damaged, in one line; empty where it is whole."""
        return checking.in_short(self.damaged)

    def in_state(self, *states: State) -> list[StoredTrial]:
        """Return the trials in one of some states, by number."""
        return [trial for trial in self.trials if trial.state in states]

    @cached_property
    def followed(self) -> Mapping[int, int]:
        """Numbers of the failed trials that were tried again, and of the trials that did."""
        return {trial.retry_of: trial.number for trial in self.trials if trial.retry_of is not None}

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Which values are the better ones; this program makes no study that minimizes."""
        return cast("Literal['maximize', 'minimize']", self._study.directions[0].name.lower())

    # What kind of study it is.

    @property
    def is_ours(self) -> bool:
        """Whether it was made by this program, and made to the end."""
        return names.CONFIG_DIGEST in self.attributes

    @property
    def is_of_objective(self) -> bool:
        """Whether a user's own Optuna objective made it, and scored its trials by a rule that is stored."""
        return names.SCORE_RULE in self.attributes and not self.is_ours

    @property
    def is_scored(self) -> bool:
        """Whether its trials have curves and scores by its `rule`; any other's have what their tool knows."""
        return self.is_ours or self.is_of_objective

    @property
    def is_sweep(self) -> bool:
        """Whether it has settings of this program, and does not repeat another study's candidates."""
        return names.CONFIG in self.attributes and not self.is_confirmation

    @property
    def is_confirmation(self) -> bool:
        """Whether its trials are the repeats of another study's candidates."""
        return self.kind == names.CONFIRM

    @property
    def draws_trials(self) -> bool:
        """Whether a sampler drew its trials; those of a confirmation or of the paper were given."""
        return names.KIND not in self.attributes

    kind = Stored[str | None](names.KIND, None)
    """What it is beside a sweep."""

    read_only = Stored[str | None](names.READ_ONLY, None)
    """Where it came from, in words, if no command may change it."""

    # What it was made with.

    config = Stored[Mapping[str, Any]](names.CONFIG, {})
    """The settings of its last run."""

    config_digest = Stored[str | None](names.CONFIG_DIGEST, None)

    @cached_property
    def rule(self) -> ScoreRule:
        """The rule that scored its trials."""
        return stored_rule(self.attributes)

    @property
    def size_limit(self) -> int | None:
        """The ``max_model_size`` of its last run; None without one."""
        limit: int | None = self.config.get("max_model_size")
        return limit

    allowed_epochs = Stored[list[int] | None](names.ALLOWED_EPOCHS, None)
    """The epochs, from 0, that its space allows to be scored; None allows all."""

    model_path = Stored[str | None](names.MODEL_PATH, None)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where the files and modules of the user's that it names are looked for, in their order."""
        return code_folders(Path(str(self.attributes.get(names.FOLDER, "."))))

    @property
    def model_sources(self) -> Sequence[Mapping[str, str]]:
        """Digests of the parts of a user's own model's source, by name: once for each accepted edit.

        The first were there before any edit. Empty for a model of this package.
        """
        return self.attributes.get(names.MODEL_SOURCES) or ()

    @property
    def model_source(self) -> str:
        """Digest of the source that its next trial would train; empty where there is none to digest."""
        return parts_digest(self.model_sources[-1]) if self.model_sources else ""

    def source_of(self, trial: StoredTrial) -> str:
        """Return the digest of the source that a trial trained: where it names none, the study's first."""
        first = parts_digest(self.model_sources[0]) if self.model_sources else ""
        return first if trial.model_source is None else trial.model_source

    @cached_property
    def _first_measured(self) -> StoredTrial | None:
        return next(iter(self.in_state("COMPLETE", "PRUNED")), None)

    def is_edited(self, trial: StoredTrial) -> bool:
        """Return whether a trial trained another source of the model than the first one that was measured."""
        first = self._first_measured
        return (
            first is not None
            and trial.number > first.number
            and self.source_of(trial) != self.source_of(first)
        )

    def asked_epochs(self, trial: StoredTrial) -> int | None:
        """Return for how many epochs a trial was to train; None where that is not known.

        A user's ``fit`` may train more, a warm-up say, or fewer.
        """
        asked = self.config.get("training", {}).get("fit_epochs")
        if asked is not None:
            return int(asked)
        drawn = trial.params.get("epochs")
        if drawn is not None:
            return int(drawn)
        if self.allowed_epochs:
            return max(self.allowed_epochs) + 1
        entry = self.config.get("space", {}).get("epochs", {})
        return entry.get("value") if isinstance(entry, Mapping) else None

    def label(self, trial: StoredTrial) -> str:
        """Return a trial's number as tables show it: with a star if it `is_edited`."""
        return f"{trial.number}*" if self.is_edited(trial) else str(trial.number)

    data = Stored[Mapping[str, Any]](names.DATA, {})
    """The data set's ``name, input_shape, class_names, n_train``."""

    @property
    def is_of_images(self) -> bool:
        """Whether its data are images with class numbers, and not handed to ``fit`` as they are."""
        return str(self.data.get("form", "images")) == "images"

    @property
    def examples(self) -> str:
        """What its data are made of, as sentences call it: ``"images"`` or ``"rows"``."""
        return "images" if self.is_of_images and "name" in self.data else "rows"

    @property
    def splits_are_drawn(self) -> bool:
        """Whether a seed decides which rows validate: not where the data say it, or the kind of split."""
        kind = self.config.get("split", {}).get("kind")
        return SplitSpec(kind=kind).is_drawn and not self.data.get("validates", False)

    data_digest = Stored[str | None](names.DATA_DIGEST, None)
    versions = Stored[Mapping[str, str]](names.VERSIONS, {})
    machine = Stored[Mapping[str, Any]](names.MACHINE, {})

    default_trial = Stored[int | None](names.DEFAULT_TRIAL, None)
    """Number of the trial of the model's default configuration."""

    @property
    def owner(self) -> Mapping[str, Any]:
        """The `Owner` that it names, as a mapping; empty where nobody runs it."""
        return self.attributes.get(names.OWNER) or {}

    @property
    def is_interrupted(self) -> bool:
        """Whether its run was killed: its RUNNING trials wait for the next one to take them up."""
        return was_killed(self.owner)

    def state_word(self, trial: StoredTrial) -> str:
        """Return what a trial is at, as people read it: ``"interrupted"`` where its run was killed."""
        state = trial.told_state
        return "interrupted" if state == "RUNNING" and self.is_interrupted else state.lower()

    # Its confirmation, or what it confirms.

    confirms = Stored[str | None](names.CONFIRMS, None)
    """Name of the study whose candidates it repeats."""

    candidates = Stored[Sequence[Mapping[str, Any]] | None](names.CANDIDATES, None)
    """The candidates that it repeats; None before they are written."""

    n_repeats = Stored[int](names.N_REPEATS, 0)
    """Repeats that each candidate is to have, or seeds that each point of the paper is."""

    decision = Stored[Mapping[str, Any] | None](names.DECISION, None)
    """How its winner is decided, as stored; None in a confirmation of an earlier version."""

    @cached_property
    def linked(self) -> StoredStudy | None:
        """The study that repeats this one's candidates; None where it was never confirmed."""
        linked = linked_study(self._study)
        return None if linked is None else StoredStudy.of(linked)

    # Its exports.

    @property
    def readings(self) -> tuple[Mapping[str, Any], ...]:
        """All readings of the test set, oldest first.

        Of each: ``when`` (ISO 8601), ``what`` (words), ``trial``, ``key`` (of the configuration and its
        training), ``n_models``, ``reason`` and ``complete``: whether what was read could be stored.
        """
        return tuple(self.attributes.get(names.TEST_READINGS, ()))

    @property
    def export(self) -> Mapping[str, Any] | None:
        """What its last bundle says; None where nothing was exported."""
        return self.attributes.get(names.EXPORT_OF_FIT) or self.attributes.get(names.EXPORT)

    """What it keeps of its last bundle; None where it was never exported."""

    @property
    def bundles(self) -> tuple[Mapping[str, Any], ...]:
        """A few numbers of each of its bundles, in the order of their making."""
        return tuple(self.attributes.get(names.BUNDLES) or ())

    @property
    def checkpoint_storage(self) -> tuple[str, ...]:
        """The folders in which nodes of a cluster kept its checkpoints; see `SharedFolder.record`."""
        return tuple(self.attributes.get(names.CHECKPOINT_STORAGE) or ())

    figures_of = Stored[str | None](names.FIGURES_OF, None)
    """What `drawn_from` was when a run last drew its figures; None where none did."""

    @property
    def drawn_from(self) -> str:
        """Digest of what its figures are drawn from: its settings, its finished trials, and this version."""
        n_finished = sum(trial.is_finished for trial in self.trials)
        told = json.dumps([__version__, dict(self.config), n_finished], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:16]

    paper_test = Stored[Sequence[Mapping[str, Any]] | None](names.PAPER_TEST, None)
    """What the test set said of each exported seed of a final model of the paper; None before it was read."""
