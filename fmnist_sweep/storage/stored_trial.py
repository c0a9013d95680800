"""A stored trial as a record; everybody has it from `fmnist_sweep.storage.stored`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, Self, TypeAlias, TypeVar, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.core.progress import PAUSED
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage import checking
from fmnist_sweep.storage.choice import at_epoch

State: TypeAlias = Literal["COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING"]
"""A trial's state, as Optuna names it."""

_T = TypeVar("_T")


class _HasAttributes(Protocol):
    @property
    def attributes(self) -> Mapping[str, Any]: ...


class Stored(Generic[_T]):
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
        attributes: All else that is stored, by the names in `fmnist_sweep.storage.attributes`, less what is
            not of its form.
        problems: What is wrong with the trial, a line each; empty for one that another tool has told.
        row_problems: What no trial of a study of one objective has, whoever told it, a line each.
    """

    number: int
    state: State
    value: float | None
    params: Mapping[str, Any] = field(hash=False)
    distributions: Mapping[str, BaseDistribution] = field(hash=False, repr=False)
    datetime_start: datetime | None
    datetime_complete: datetime | None
    attributes: Mapping[str, Any] = field(hash=False, repr=False)
    problems: tuple[str, ...] = field(default=(), repr=False)
    row_problems: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, trial: FrozenTrial) -> Self:
        """Return what a trial holds; nothing of it is copied unless something of it must be left out."""
        # One of several objectives has as many values; this program makes none.
        n_values = len(trial.values or ())
        value = None if trial.values is None or n_values != 1 else trial.values[0]
        numbers = (
            n for n, kind in trial.distributions.items() if not isinstance(kind, CategoricalDistribution)
        )
        bad_params = [n for n in numbers if not _is_finite(trial.params.get(n))]
        state, given = trial.state.name, trial.user_attrs
        rows = checking.row_problems(n_values, bad_params, is_complete=state == "COMPLETE")
        attributes, problems = checking.fitting_trial(given, value, is_complete=state == "COMPLETE")
        return cls(
            number=trial.number,
            state=cast("State", state),
            value=value if _is_finite(value) else None,
            params=trial.params,
            distributions=trial.distributions,
            datetime_start=trial.datetime_start,
            datetime_complete=trial.datetime_complete,
            attributes=attributes,
            problems=problems,
            row_problems=tuple(rows),
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

    def at(self, epoch: int, rule: ScoreRule) -> Self:
        """Return the trial as if another epoch, from 0, of its curve had been scored by a rule."""
        score, attributes = at_epoch(self.columns, self.attributes, epoch, rule)
        return replace(self, value=score, attributes=attributes)

    def bare(self, *, measured: bool) -> FrozenTrial:
        """Return it as Optuna has trials, without attributes and reports.

        Args:
            measured: Whether it counts; else it stands there as a failed one, which keeps the numbers as they
                are.
        """
        # Not `create_trial`, which looks at each value again: they come from a study.
        return FrozenTrial(
            number=self.number,
            trial_id=self.number,
            state=TrialState.COMPLETE if measured else TrialState.FAIL,
            value=self.value if measured else None,
            datetime_start=self.datetime_start,
            datetime_complete=self.datetime_complete,
            params=cast("dict[str, Any]", self.params) if measured else {},
            distributions=cast("dict[str, BaseDistribution]", self.distributions) if measured else {},
            user_attrs={},
            system_attrs={},
            intermediate_values={},
        )

    @property
    def score(self) -> float | None:
        """Its ``value`` where it can be ranked: None unless it is COMPLETE."""
        return self.value if self.state == "COMPLETE" else None

    @property
    def rank(self) -> tuple[float, float, float, int]:
        """Its place among complete trials, the least is the best.

        By score, equal scores by the smaller gap, then by fewer weights, then by number.
        """
        value = -math.inf if self.value is None else self.value
        gap, size = (math.inf if x is None else float(x) for x in (self.gap, self.n_parameters))
        return -value, gap, size, self.number

    @property
    def is_finished(self) -> bool:
        """Whether it came to an end, by failing too."""
        return self.state in ("COMPLETE", "PRUNED", "FAIL")

    @property
    def is_ours(self) -> bool:
        """Whether it holds what every complete trial of a sweep does, and not what another tool leaves."""
        return self.attributes.keys() >= {*names.OURS}

    @property
    def is_paused(self) -> bool:
        """Whether it is paused, with all that it has come to, for its turn to go on."""
        return not self.is_finished and self.paused_after is not None

    @property
    def told_state(self) -> str:
        """Its state in the words of tables: Optuna's, or PAUSED, for which Optuna has none."""
        return PAUSED if self.is_paused else self.state

    # What was trained.

    configuration = Stored[Mapping[str, Any] | None](names.HYPERPARAMETERS, None)
    """Its whole configuration, fixed values too; None where it never ran."""

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Its whole configuration, fixed values too; of one that never ran, what was drawn."""
        return dict(self.params if self.configuration is None else self.configuration)

    seed = Stored[int | None](names.SEED, None)
    split_seed = Stored[int | None](names.SPLIT_SEED, None)

    @property
    def has_own_split(self) -> bool:
        """Whether its split is another than the study's; its seed is then ``split_seed``."""
        return names.SPLIT_SEED in self.attributes

    candidate = Stored[str | None](names.CANDIDATE, None)
    """Label of the candidate that it repeats."""

    repeat = Stored[int | None](names.REPEAT, None)
    """Which repeat it is, from 0."""

    imported_from = Stored[Mapping[str, Any] | None](names.IMPORTED_FROM, None)
    """The ``study`` and the ``trial`` that it was taken from."""

    retry_of = Stored[int | None](names.RETRY_OF, None)
    """Number of the failed trial that it tries again."""

    model_source = Stored[str | None](names.MODEL_SOURCE, None)
    """Digest of the source of the user's own model that it trained; None where that is not known."""

    # What came of it.

    @cached_property
    def curve(self) -> LearningCurve | None:
        """Its learning curve; None where it trained no epoch. Built when it is asked for: few readers do."""
        stored = self.attributes.get(names.CURVE)
        curve = None if stored is None else LearningCurve.from_attribute(stored)
        return curve if curve is not None and len(curve) else None

    @property
    def columns(self) -> Mapping[str, Sequence[float]]:
        """The numbers of its curve as they are stored, by names such as ``val_accuracy``; empty without."""
        return self.attributes.get(names.CURVE) or {}

    epoch = Stored[int | None](names.EPOCH, None)
    """The scored epoch, from 0."""

    @property
    def scored_after(self) -> int:
        """After how many epochs it was scored. Raises `KeyError` for a trial that was not."""
        return int(self.attributes[names.EPOCH]) + 1

    @cached_property
    def scores(self) -> Mapping[str, float]:
        """Train and validation scores at the scored epoch, by names such as ``val_accuracy``."""
        return {k: v for k, v in self.attributes.items() if k.startswith(names.SCORE_PREFIXES)}

    gap = Stored[float | None](names.GAP, None)
    """The gap at the scored epoch, in the metric of the study's rule; positive is overfitting."""

    n_epochs = Stored[int | None](names.N_EPOCHS, None)
    """Epochs that it has scores of."""

    n_reused_epochs = Stored[int](names.N_REUSED_EPOCHS, 0)
    """Epochs among these that it did not train itself."""

    n_parameters = Stored[int | None](names.N_PARAMETERS, None)
    """Number of weights."""

    returned = Stored[Mapping[str, float]](names.RETURNED, {})
    """Numbers that the user's ``fit`` returned, by name; empty where it returned none."""

    seconds = Stored[float | None](names.SECONDS, None)
    peak_memory_mb = Stored[float | None](names.PEAK_MEMORY_MB, None)

    stopped_early = Stored[bool](names.STOPPED_EARLY, False)
    """Whether patience ended it."""

    paused_after = Stored[int | None](names.PAUSED, None)
    """After how many epochs it paused last; None where it never did, or went on since."""

    n_retries = Stored[int](names.N_RETRIES, 0)
    """How often its process died and was started again."""

    @property
    def fail_reason(self) -> str | None:
        """Why it failed, in a line: it is mostly the text of somebody's exception."""
        stored = self.attributes.get(names.FAIL_REASON)
        return None if stored is None else safe_line(stored)

    @property
    def fail_words(self) -> str:
        """Why it failed, for people."""
        return self.fail_reason or "no reason was stored"


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
