"""What the loop needs to know of a run: a sweep's settings, or those of final trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from optuna.pruners import BasePruner, NopPruner

from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.halving import Halving
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.core.progress import MAX_FAILURES_IN_A_ROW, MAX_RETRIES
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.search.pruners import build_pruner, pausing_of
from fmnist_sweep.search.thawing import FreezeThaw


@dataclass(frozen=True)
class LoopSettings:
    """What decides how the loop runs; what it tries next is its plan's.

    Attributes:
        model: Import path of the HyperModel.
        rule: Scores a learning curve.
        max_epochs: Number of epochs of a trial whose parameters hold no ``epochs``.
        split: The study's train/validation split.
        n_probe: As in `TrialJob`.
        batch_size: Images in a step where the hyperparameters name no ``batch_size``.
        running_metrics: As in `TrialJob`.
        exact_steps: As in `TrialJob`.
        model_source: As in `TrialJob`.
        allowed_epochs: Epochs, from 0, that may be scored; None allows all.
        patience: Epochs without a better score after which a trial stops early; None stops none.
        max_model_size: Most weights that a model may have; None sets no limit.
        max_seconds: Seconds after which no trial is started; None sets no limit.
        max_trained_epochs: Epochs of all trials together after which none is started; None sets no limit.
        max_retries: How often a trial whose process died is started again.
        max_failures: Failures in a row that end the run.
        pruner: Ends trials by comparing them with others.
        pausing: Lets trials pause instead, by this rule; None lets none.
        sometimes: As in `TrialJob`.
        keep_models: Of how many of the best trials the weights are kept.
        told: What observers are told of the settings, laid out like a sweep file.
    """

    model: str
    rule: ScoreRule
    max_epochs: int
    split: SplitSpec
    n_probe: int | None
    batch_size: int
    running_metrics: bool = False
    exact_steps: bool = False
    model_source: str = ""
    allowed_epochs: Sequence[int] | None = None
    patience: int | None = None
    max_model_size: int | None = None
    max_seconds: float | None = None
    max_trained_epochs: int | None = None
    max_retries: int = MAX_RETRIES
    max_failures: int = MAX_FAILURES_IN_A_ROW
    pruner: BasePruner = field(default_factory=NopPruner)
    pausing: Halving | FreezeThaw | None = None
    sometimes: tuple[str, ...] = ()
    keep_models: int = 0
    told: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: SweepConfig, *, model_source: str = "") -> Self:
        """Return the settings of a sweep."""
        training, budget = config.file.training, config.file.budget
        return cls(
            model=config.model_space.path,
            rule=config.score_rule,
            max_epochs=config.epochs[-1],
            split=config.split,
            n_probe=config.n_probe,
            batch_size=training.batch_size,
            running_metrics=training.running_metrics,
            exact_steps=training.exact_steps,
            model_source=model_source,
            allowed_epochs=config.allowed_epochs,
            patience=training.patience,
            max_model_size=config.file.max_model_size,
            max_seconds=budget.seconds,
            max_trained_epochs=budget.epochs,
            max_retries=budget.max_retries,
            pruner=build_pruner(config.file.pruner, max_epochs=config.epochs[-1]),
            pausing=pausing_of(config.file.pruner),
            sometimes=config.model_space.sometimes,
            keep_models=config.file.keep_models,
            told=config.to_dict(),
        )
