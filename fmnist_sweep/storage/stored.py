"""Stored studies and trials as records: what their attributes say, each under its own name.

Both are looks at one moment. A study's attributes are read from the storage once, its trials when they are
first asked for; what must not be stale is asked for anew, with `StoredStudy.again`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import SplitSpec, parts_digest
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage.lease.process import was_killed
from fmnist_sweep.storage.studies import linked_study

State: TypeAlias = Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
"""A trial's state, as Optuna names it."""

_T = TypeVar("_T")


class _HasAttributes(Protocol):
    @property
    def attributes(self) -> Mapping[str, Any]: ...


class _Stored(Generic[_T]):
    """One attribute of a record, and what stands for it where it is not stored."""

    def __init__(self, name: str, otherwise: _T) -> None:
        self._name = name
        self._otherwise = otherwise

    def __get__(self, record: _HasAttributes, kind: type | None = None) -> _T:
        value: _T = record.attributes.get(self._name, self._otherwise)
        return value


@dataclass(frozen=True)
class StoredTrial:
    """A trial as its study holds it; what is not stored, as with one that another tool told, is None.

    Attributes:
        number: Counted from 0.
        state: As Optuna names it.
        value: Its score; of a PRUNED trial its last report, which is never to be ranked with scores.
        params: What was drawn.
        distributions: What each of ``params`` was drawn from.
        datetime_start: When it was asked for.
        datetime_complete: When it was told.
        attributes: All else that is stored, by the names in `fmnist_sweep.storage.attributes`.
    """

    number: int
    state: State
    value: float | None
    params: Mapping[str, Any] = field(hash=False)
    distributions: Mapping[str, BaseDistribution] = field(hash=False, repr=False)
    datetime_start: datetime | None
    datetime_complete: datetime | None
    attributes: Mapping[str, Any] = field(hash=False, repr=False)

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Return what a trial holds; nothing of it is copied."""
        return cls(
            number=trial.number,
            state=cast("State", trial.state.name),
            # One of several objectives has as many; this program makes none.
            value=trial.values[0] if len(trial.values or ()) == 1 else None,
            params=trial.params,
            distributions=trial.distributions,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
            attributes=trial.user_attrs,
        )

    @classmethod
    def told(
        cls,
        number: int,
        state: str,
        value: float | None,
        attributes: Mapping[str, Any],
        *,
        split: SplitSpec,
    ) -> Self:
        """Return a trial that a run has just ended, without asking the storage for it.

        Args:
            number: Its number.
            state: COMPLETE, PRUNED or FAIL.
            value: Its value, if it has one.
            attributes: What was written of its result; see `fmnist_sweep.storage.writing`.
            split: The split that it was trained on.
        """
        whole = {**attributes, names.SPLIT_SEED: split.seed}
        return cls(number, cast("State", state), value, {}, {}, None, None, whole)

    @property
    def score(self) -> float | None:
        """Its ``value`` where it can be ranked: None unless it is COMPLETE."""
        return self.value if self.state == "COMPLETE" else None

    @property
    def is_finished(self) -> bool:
        """Whether it came to an end, by failing too."""
        return self.state in ("COMPLETE", "PRUNED", "FAIL")

    @property
    def is_ours(self) -> bool:
        """Whether it holds what every complete trial of a sweep does, and not what another tool leaves."""
        return self.attributes.keys() >= {*names.OURS}

    # What was trained.

    configuration = _Stored[Mapping[str, Any] | None](names.HYPERPARAMETERS, None)
    """Its whole configuration, fixed values too; None where it never ran."""

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Its whole configuration, fixed values too; of one that never ran, what was drawn."""
        return dict(self.params if self.configuration is None else self.configuration)

    seed = _Stored[int | None](names.SEED, None)
    split_seed = _Stored[int | None](names.SPLIT_SEED, None)

    @property
    def has_own_split(self) -> bool:
        """Whether its split is another than the study's; its seed is then ``split_seed``."""
        return names.SPLIT_SEED in self.attributes

    candidate = _Stored[str | None](names.CANDIDATE, None)
    """Label of the candidate that it repeats."""

    repeat = _Stored[int | None](names.REPEAT, None)
    """Which repeat it is, from 0."""

    imported_from = _Stored[Mapping[str, Any] | None](names.IMPORTED_FROM, None)
    """The ``study`` and the ``trial`` that it was taken from."""

    retry_of = _Stored[int | None](names.RETRY_OF, None)
    """Number of the failed trial that it tries again."""

    model_source = _Stored[str | None](names.MODEL_SOURCE, None)
    """Digest of the source of the user's own model that it trained; None where that is not known."""

    # What came of it.

    @cached_property
    def curve(self) -> LearningCurve | None:
        """Its learning curve; None where it trained no epoch. Built when it is asked for: few readers do."""
        stored = self.attributes.get(names.CURVE)
        curve = None if stored is None else LearningCurve.from_attribute(stored)
        return curve if curve is not None and len(curve) else None

    epoch = _Stored[int | None](names.EPOCH, None)
    """The scored epoch, from 0."""

    @property
    def scored_after(self) -> int:
        """After how many epochs it was scored. Raises `KeyError` for a trial that was not."""
        return int(self.attributes[names.EPOCH]) + 1

    @cached_property
    def scores(self) -> Mapping[str, float]:
        """Train and validation scores at the scored epoch, by names such as ``val_accuracy``."""
        return {k: v for k, v in self.attributes.items() if k.startswith(names.SCORE_PREFIXES)}

    gap = _Stored[float | None](names.GAP, None)
    """The gap at the scored epoch, in the metric of the study's rule; positive is overfitting."""

    n_epochs = _Stored[int | None](names.N_EPOCHS, None)
    """Epochs that it has scores of."""

    n_reused_epochs = _Stored[int](names.N_REUSED_EPOCHS, 0)
    """Epochs among these that it did not train itself."""

    n_parameters = _Stored[int | None](names.N_PARAMETERS, None)
    """Number of weights."""

    seconds = _Stored[float | None](names.SECONDS, None)
    peak_memory_mb = _Stored[float | None](names.PEAK_MEMORY_MB, None)

    stopped_early = _Stored[bool](names.STOPPED_EARLY, False)
    """Whether patience ended it."""

    n_retries = _Stored[int](names.N_RETRIES, 0)
    """How often its process died and was started again."""

    fail_reason = _Stored[str | None](names.FAIL_REASON, None)
    fail_words = _Stored[str](names.FAIL_REASON, "no reason was stored")
    """Why it failed, for people."""


@dataclass(frozen=True, eq=False)
class StoredStudy:
    """A study as the storage holds it; what is not stored is None, or empty.

    Attributes:
        name: Its name.
        attributes: All that is stored of it, by the names in `fmnist_sweep.storage.attributes`.
    """

    name: str
    attributes: Mapping[str, Any] = field(repr=False)
    _study: optuna.Study = field(repr=False)

    @classmethod
    def of(cls, study: optuna.Study) -> Self:
        """Return what a study holds now: its attributes are read here, and not again."""
        return cls(study.study_name, study.user_attrs, study)

    def again(self) -> Self:
        """Return what the study holds by now."""
        return self.of(self._study)

    @cached_property
    def trials(self) -> tuple[StoredTrial, ...]:
        """All trials, by number."""
        return tuple(map(StoredTrial.of, self._study.get_trials(deepcopy=False)))

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
        return cast("Literal['maximize', 'minimize']", self._study.direction.name.lower())

    # What kind of study it is.

    @property
    def is_ours(self) -> bool:
        """Whether it was made by this program, and made to the end."""
        return names.CONFIG_DIGEST in self.attributes

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

    kind = _Stored[str | None](names.KIND, None)
    """What it is beside a sweep."""

    read_only = _Stored[str | None](names.READ_ONLY, None)
    """Where it came from, in words, if no command may change it."""

    # What it was made with.

    config = _Stored[Mapping[str, Any]](names.CONFIG, {})
    """The settings of its last run."""

    config_digest = _Stored[str | None](names.CONFIG_DIGEST, None)

    @cached_property
    def rule(self) -> ScoreRule:
        """The rule that scored its trials."""
        return ScoreRule(**self.config.get("score", {}))

    @property
    def size_limit(self) -> int | None:
        """The ``max_model_size`` of its last run; None without one."""
        limit: int | None = self.config.get("max_model_size")
        return limit

    allowed_epochs = _Stored[list[int] | None](names.ALLOWED_EPOCHS, None)
    """The epochs, from 0, that its space allows to be scored; None allows all."""

    model_path = _Stored[str | None](names.MODEL_PATH, None)

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

    def label(self, trial: StoredTrial) -> str:
        """Return a trial's number as tables show it: with a star if it `is_edited`."""
        return f"{trial.number}*" if self.is_edited(trial) else str(trial.number)

    data = _Stored[Mapping[str, Any]](names.DATA, {})
    """The data set's ``name, input_shape, class_names, n_train``."""

    data_digest = _Stored[str | None](names.DATA_DIGEST, None)
    versions = _Stored[Mapping[str, str]](names.VERSIONS, {})
    machine = _Stored[Mapping[str, Any]](names.MACHINE, {})

    default_trial = _Stored[int | None](names.DEFAULT_TRIAL, None)
    """Number of the trial of the model's default configuration."""

    @property
    def owner(self) -> Mapping[str, Any]:
        """The `Owner` that it names, as a mapping; empty where nobody runs it."""
        return self.attributes.get(names.OWNER) or {}

    @property
    def is_interrupted(self) -> bool:
        """Whether its run was killed: its RUNNING trials wait for the next one to take them up."""
        return was_killed(self.owner)

    # Its confirmation, or what it confirms.

    confirms = _Stored[str | None](names.CONFIRMS, None)
    """Name of the study whose candidates it repeats."""

    candidates = _Stored[Sequence[Mapping[str, Any]] | None](names.CANDIDATES, None)
    """The candidates that it repeats; None before they are written."""

    n_repeats = _Stored[int](names.N_REPEATS, 0)
    """Repeats that each candidate is to have, or seeds that each point of the paper is."""

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

    export = _Stored[Mapping[str, Any] | None](names.EXPORT, None)
    """What it keeps of its last bundle; None where it was never exported."""

    @property
    def bundles(self) -> tuple[Mapping[str, Any], ...]:
        """A few numbers of each of its bundles, in the order of their making."""
        return tuple(self.attributes.get(names.BUNDLES) or ())

    paper_test = _Stored[Sequence[Mapping[str, Any]] | None](names.PAPER_TEST, None)
    """What the test set said of each exported seed of a final model of the paper; None before it was read."""
