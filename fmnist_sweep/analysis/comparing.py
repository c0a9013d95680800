"""Studies side by side: the winner of each, and the settings in which the winners differ."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.analysis.ranking import candidates, left_out_notes
from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.stored import StoredStudy

OF_OBJECTIVE: Final = "an Optuna objective"
"""What stands for the model where only an objective of the user's knows it."""

UNKNOWN: Final = "whether its data are those of the others is not known: an objective of yours had them."


@dataclass(frozen=True)
class Side:
    """A study's winner.

    Attributes:
        study: Name of the study.
        model: The model that it searched.
        data: Digest of its data.
        rule: Its score rule.
        confirmed: Whether the winner was confirmed; if not it is the sweep's best trial, whose score is
            optimistic.
        label: ``"trial 12"`` or ``"default"``.
        hyperparameters: The winner's complete set, ``epochs`` included.
        score: Mean over the repeats; of an unconfirmed winner the one score, without an interval.
        val_accuracy: Likewise; of another score than those of classes, the validation value of its metric.
        gap: Likewise, in the rule's metric.
        n_parameters: Number of weights; None where it was not told.
        seconds: Wall-clock time of a training; of an unconfirmed winner that of the sweep's trial, which may
            have trained on after the scored epoch.
        left_out: How many complete trials can't win and why, a sentence for each reason.
        read_only: Whether the study came with the repository, and can't be confirmed.
        examples: What its data are made of, ``"images"`` or ``"rows"``.
    """

    study: str
    model: str
    data: str
    rule: ScoreRule
    confirmed: bool
    label: str
    hyperparameters: Mapping[str, Scalar]
    score: Interval
    val_accuracy: Interval
    gap: Interval
    n_parameters: int | None
    seconds: float
    left_out: Sequence[str] = ()
    read_only: bool = False
    examples: str = "images"

    @property
    def of_objective(self) -> bool:
        """Whether an objective of the user's made the study, which ``confirm`` can't call again."""
        return self.model == OF_OBJECTIVE


def compared(studies: Sequence[StoredStudy]) -> list[Side]:
    """Return the winner of each study, in the order given.

    Raises:
        ConfigError: Fewer than two studies, the same one twice, or one without a winner; all problems at
            once.
    """
    problems = _name_problems([study.name for study in studies])
    problems += [f"{study.name}: {p}" for study in studies if (p := _problem(study)) is not None]
    if problems:
        raise ConfigError("compare", problems)
    return [side(study) for study in studies]


def require_distinct(names: Sequence[str]) -> None:
    """Raise `ConfigError` for names that can't be compared, whatever their studies hold."""
    problems = _name_problems(names)
    if problems:
        raise ConfigError("compare", problems)


def _name_problems(names: Sequence[str]) -> list[str]:
    few = [] if len(set(names)) > 1 else ["give the names of two studies or more"]
    return few + [f"{name}: given twice" for name in dict.fromkeys(names) if names.count(name) > 1]


def _problem(study: StoredStudy) -> str | None:
    for one in (study, study.linked):
        if one is not None and one.damaged:
            whose = "" if one is study else f"its confirmation {one.name} is "
            return f"{whose}damaged: {one.damage}"
    if study.is_confirmation:
        return f"a confirmation; give the study that it confirms, {study.confirms}"
    if not study.is_scored:
        return "not made by fmnist-sweep"
    if candidates(study, 1):
        return None
    return " ".join(["no trial is complete yet; run the sweep first", *left_out_notes(study)])


def side(study: StoredStudy) -> Side:
    """Return a study's winner; the study has one of `fmnist_sweep.analysis.ranking.candidates`."""
    confirmation = read_confirmation(study)
    winner = None if confirmation is None else confirmation.winner
    if winner is not None:
        told = winner.intervals
        label, n_parameters, seconds = winner.label, winner.n_parameters, winner.seconds
        hyperparameters, epochs = winner.candidate.hyperparameters, winner.candidate.epochs
    else:
        best = candidates(study, 1)[0]
        shown = best.scores.get(f"val_{study.rule.shown_metric}")
        one = {"score": best.value, f"val_{study.rule.shown_metric}": shown, "gap": best.gap}
        told = {name: Interval(float(value or 0.0), math.nan, math.nan, 1) for name, value in one.items()}
        label, n_parameters, seconds = f"trial {best.number}", best.n_parameters, best.seconds or 0.0
        hyperparameters, epochs = best.hyperparameters, best.scored_after
    return Side(
        study=study.name,
        model=OF_OBJECTIVE if study.is_of_objective else study.config["model"],
        data=study.data_digest or "",
        rule=study.rule,
        confirmed=winner is not None,
        label=label,
        hyperparameters={**hyperparameters, "epochs": epochs},
        score=told["score"],
        val_accuracy=told[f"val_{study.rule.shown_metric}"],
        gap=told["gap"],
        n_parameters=n_parameters,
        seconds=seconds,
        left_out=left_out_notes(study),
        read_only=study.read_only is not None,
        examples=study.examples,
    )


def differing(sides: Sequence[Side]) -> dict[str, list[Scalar | None]]:
    """Return the hyperparameters in which the winners differ, each one's value or None."""
    names = dict.fromkeys(name for s in sides for name in s.hyperparameters)
    values = {name: [s.hyperparameters.get(name) for s in sides] for name in names}
    # By their text: True is 1 for Python, and the two are not the same setting.
    return {name: found for name, found in values.items() if len(set(map(repr, found))) > 1}


def caveats(sides: Sequence[Side]) -> list[str]:
    """Return what keeps the sides from being comparable, or their scores from being trusted."""
    lines = [
        f"{s.study} is unconfirmed: its score was picked by its own validation {s.examples} and is "
        "optimistic."
        + ("" if s.read_only or s.of_objective else f" Next: fmnist-sweep confirm {shlex.quote(s.study)}")
        for s in sides
        if not s.confirmed
    ]
    lines += [f"{s.study}: {note}" for s in sides for note in s.left_out]
    if len({s.rule.shown_metric for s in sides}) > 1:
        lines.append("The studies are scored by different metrics: their scores have no common scale.")
    elif len({(s.rule.metric, s.rule.penalty, s.rule.tolerance, s.rule.min_val_accuracy) for s in sides}) > 1:
        lines.append("The studies have different score rules: compare accuracies and gaps, not scores.")
    lines += [f"{s.study}: {UNKNOWN}" for s in sides if s.of_objective]
    if len({s.data for s in sides if not s.of_objective}) > 1:
        lines.append("The studies were run on different data.")
    return lines
