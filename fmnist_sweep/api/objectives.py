"""The gap in an Optuna objective of one's own: measured, penalised, pruned on, and kept with the trial."""

from __future__ import annotations

import importlib
import time
from types import GeneratorType
from typing import Any

import optuna

from fmnist_sweep.api.gap_scores import asked_rule
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import ConfigError, SweepError, TrialError
from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.versions import versions
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import (
    failed_attributes,
    result_attributes,
    scored_attributes,
    write_result,
    write_score_rule,
)

# Keras is known to `models` and `training` alone, and whoever asks for this class has loaded it.
_Measuring: Any = importlib.import_module("fmnist_sweep.training.gap_callback").MeasuringCallback


class GapPruning(_Measuring):  # type: ignore[misc]  # Keras carries no types
    """Keras callback for an Optuna objective: measures, scores, reports and prunes.

    After each epoch it measures a part of the training data and the validation data in the same way, with
    dropout off; reports validation minus penalised gap to the trial; and prunes where the study's pruner
    says so. The trial keeps the whole learning curve: the study opens in ``fmnist-sweep status``, ``trials``,
    ``compare``, ``report`` and ``dashboard``. The history that ``fit`` returns gets ``train_NAME``.

    Args:
        trial: The `optuna.Trial`; its study has one objective, which it maximizes.
        x: What trains, as it is given to ``model.fit``: arrays, a `tf.data.Dataset`, a
            `keras.utils.PyDataset`.
        y: Targets, likewise.
        objective: The metric that is scored, as Keras logs it; ``"val_"`` may be left out. Of one with an
            unknown name, an object with ``name`` and ``direction``, such as `Objective`.
        penalty: Score lost for each unit of gap beyond the tolerance; None is 0, the plain validation score.
        tolerance: Gap that costs nothing, in the metric's unit; None is 0.01 for accuracy and cross-entropy,
            and 0 for any other metric.
        validation_data: As given to ``model.fit``; None takes the validation scores that ``fit`` logs.
        validation_split: As given to ``model.fit``: the last rows validate, and are not measured as training.
        sample_weight: As given to ``model.fit``.
        n_probe: Rows of the training data that are measured; more cost time.
        prune: Whether the study's pruner is asked.

    Raises:
        ConfigError: What is given can't be used; all problems at once.

    Example:
        >>> import fmnist_sweep as fs
        >>> def objective(trial):
        ...     model = build(trial)
        ...     gap = fs.GapPruning(trial, x, y, penalty=1.0)
        ...     model.fit(x, y, validation_split=0.2, epochs=20, callbacks=[gap])
        ...     return gap.score
    """

    def __init__(
        self,
        trial: optuna.Trial | Any,
        x: Any,
        y: Any = None,
        *,
        objective: str | Any = "val_accuracy",
        penalty: float | None = None,
        tolerance: float | None = None,
        validation_data: Any = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        n_probe: int = 10_000,
        prune: bool = True,
    ) -> None:
        rule, problems = asked_rule(objective, penalty, tolerance)
        study = getattr(trial, "study", None)
        problems += _trial_problems(trial, study, n_probe)
        if isinstance(x, GeneratorType) or isinstance(validation_data, GeneratorType):
            problems.append(
                "x or validation_data is a generator, which can be read once; give arrays, a tf.data.Dataset "
                "or a keras.utils.PyDataset"
            )
        if rule is not None and study is not None:
            problems += _rule_problems(study, rule)
        if rule is None or problems:
            raise ConfigError("GapPruning", problems)
        given = {
            "x": x,
            "y": y,
            "sample_weight": sample_weight,
            "validation_data": validation_data,
            "validation_split": validation_split,
        }
        super().__init__(rule.metric, given, n_probe=n_probe)
        self._trial, self._rule, self._prune = trial, rule, prune
        self._began_at = time.perf_counter()
        self._epochs: list[EpochScores] = []

    @property
    def curve(self) -> LearningCurve:
        """What was measured so far."""
        return LearningCurve(tuple(self._epochs))

    @property
    def score(self) -> float:
        """The score of the best epoch so far: what an objective returns.

        Raises:
            SweepError: No epoch has been measured.
        """
        if not self._epochs:
            raise SweepError("GapPruning: no epoch was measured; give it to fit, as one of its callbacks")
        return float(self._rule.scores(self.curve)[self._rule.scored_epoch(self.curve)])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measure the epoch; see `on_scores`.

        Args:
            epoch: As Keras counts it.
            logs: What Keras tells of it, and what is measured besides.

        Raises:
            optuna.TrialPruned: The training diverged.
            ConfigError: The model does not have the metric, or nothing validates.
        """
        try:
            super().on_epoch_end(epoch, logs)
        except TrialError as error:
            if "diverged" not in error.reason:
                raise ConfigError("GapPruning", [error.reason]) from None
            # One that raised anything else would end the whole study.
            write_result(self._trial, failed_attributes(self._result(), reason=error.reason, detail=""))
            raise optuna.TrialPruned(error.reason) from None

    def on_scores(self, scores: EpochScores) -> None:
        """Report the score of an epoch, and prune where it is too low.

        Args:
            scores: What the epoch came to.

        Raises:
            optuna.TrialPruned: The pruner says so.
        """
        study = getattr(self._trial, "study", None)
        if not self._epochs and study is not None:
            # Not before: a metric that the model does not have is no study's rule.
            write_score_rule(study, self._rule.to_dict(), versions=versions())
        self._epochs.append(scores)
        self._trial.report(self._rule.score(scores), step=scores.epoch)
        if self._prune and self._trial.should_prune():
            self._keep()
            raise optuna.TrialPruned(f"after epoch {scores.epoch + 1}")

    def on_train_end(self, logs: Any = None) -> None:
        """Keep what was measured with the trial.

        Args:
            logs: What Keras tells.
        """
        del logs
        if self._epochs:
            self._keep()

    def _result(self) -> dict[str, Any]:
        return result_attributes(
            hyperparameters={name: _plain(value) for name, value in self._trial.params.items()},
            curve=self.curve,
            n_parameters=self.n_parameters,
            seed=None,
            seconds=time.perf_counter() - self._began_at,
        )

    def _keep(self) -> None:
        write_result(self._trial, scored_attributes(self._rule.scored(self.curve), self._result()))


def _trial_problems(trial: Any, study: Any, n_probe: Any) -> list[str]:
    problems = []
    if not all(hasattr(trial, name) for name in ("report", "should_prune", "params")):
        shown = safe_line(repr(trial), 80)
        problems.append(f"trial: {shown} is none; give the trial that Optuna hands the objective")
    if study is not None and len(study.directions) != 1:
        problems.append(
            f"the study has {len(study.directions)} objectives, and Optuna prunes with one; take the metric "
            "that decides: the gap is part of its score"
        )
    elif study is not None and study.direction != optuna.study.StudyDirection.MAXIMIZE:
        problems.append(
            "the study minimizes, and the score is better the higher it is, of a loss too; make it with "
            'optuna.create_study(direction="maximize")'
        )
    if not isinstance(n_probe, int) or n_probe < 1:
        problems.append(f"n_probe: {n_probe!r}; give a number of rows, from 1 on")
    return problems


def _rule_problems(study: optuna.Study, rule: ScoreRule) -> list[str]:
    """Return why trials scored by a rule can't stand in a study."""
    stored = StoredStudy.of(study)
    if not stored.is_scored:
        return []
    known, asked = stored.rule.to_dict(), rule.to_dict()
    told = [f"{k} {known.get(k)!r}, now {value!r}" for k, value in asked.items() if known.get(k) != value]
    if not told:
        return []
    line = f"earlier trials of study {study.study_name!r} were scored by another rule ({', '.join(told)})"
    return [f"{line}, and scores of two rules can't be ranked; make another study, or give the same"]


def _plain(value: Any) -> Any:
    """Return a parameter as a single value that JSON has; Optuna's categories may also be None."""
    return value if isinstance(value, bool | int | float | str) else str(value)
