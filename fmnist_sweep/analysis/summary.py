"""What came of a study, in sentences: for the terminal, the report and the dashboard's note."""

from __future__ import annotations

import shlex
from typing import Final

from fmnist_sweep.analysis.price import Price, price
from fmnist_sweep.analysis.ranking import (
    best_trials,
    candidates,
    default_trial,
    left_out_notes,
    measured_trials,
)
from fmnist_sweep.analysis.rescoring import Replayed
from fmnist_sweep.core.choosing import LOSSES
from fmnist_sweep.core.foreign import safe_line
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.progress import PAUSED
from fmnist_sweep.core.wording import NOT_STORED, Unit, show_score
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


def summary(study: StoredStudy) -> list[str]:
    """Return what came of a study: its best trial, the baseline, the trials that did not complete."""
    unit = UNITS[study.rule.metric]
    best = next(iter(best_trials(study, 1)), None)
    if best is None:
        return ["No trial is complete yet.", *_others(study)]
    where = "at the end" if best.epoch is None else f"after epoch {best.epoch + 1}"
    # Where there are repeats, theirs are the numbers to go by.
    best_is = (
        "The best"
        if study.linked is None or study.linked.decision is None
        else f"The sweep's own best, by the {study.examples} that picked it,"
    )
    sentences = [
        f"{best_is} is trial {best.number}, score {show_score(best.value)} {where}: {_numbers(best, unit)}."
    ]
    default = default_trial(study)
    if default is not None and default.number == best.number:
        sentences.append("It is the model's default configuration: nothing tried so far beats it.")
    elif default is not None and default.value is not None and best.value is not None:
        sentences.append(
            f"The default configuration (trial {default.number}) scores {show_score(default.value)}: "
            f"{_numbers(default, unit)}; "
            f"the difference is {unit.show(best.value - default.value, signed=True)}."
        )
    return [*sentences, *_others(study)]


def scoring(study: StoredStudy) -> str:
    """Return the study's score rule as one line of arithmetic.

    Example:
        ``score = validation accuracy - 1 x the gap beyond 1 point, at each trial's best epoch``
    """
    rule = study.rule
    unit = UNITS[rule.metric]
    value = f"validation {unit.name}" if rule.quantity.sign > 0 else f"minus validation {unit.name}"
    penalty = f" \N{MINUS SIGN} {rule.penalty:g} \N{MULTIPLICATION SIGN} the gap beyond "
    epoch = "at each trial's best epoch" if rule.epoch_rule == "best" else "after each trial's last epoch"
    floor = "" if rule.min_val_accuracy is None else f", with a floor of {100 * rule.min_val_accuracy:g} %"
    cost = f"{penalty}{unit.tolerance(rule.tolerance)}" if rule.penalty else ""
    tie = f"; within {rule.within_se:g} {_ERRORS} of the best, the smallest validation loss"
    return f"score = {value}{cost}, {epoch}{floor}{tie if study.near_best else ''}"


_ERRORS: Final = "standard errors"


def price_words(study: StoredStudy) -> list[str]:
    """Return what a study's penalty gave up and got, and a warning where it looks too strong.

    Of a rule that chooses among what it can't tell from the best, what that choice is.

    A sentence for each; none where there is no choice to speak of, see `price`.

    Example:
        ``The penalty chose trial 12 after epoch 9 (validation accuracy 89.60 %, gap 1.20 points); without it
        the choice is trial 7 after epoch 13 (89.90 %, 2.90 points): it gave up 0.30 points and got a gap
        smaller by 1.70 points.``
    """
    found = price(study)
    if found is None:
        return []
    if study.near_best:
        return [_tie(found, study)]
    if not study.rule.penalty:
        return ["The score has no penalty: nothing is given up for a smaller gap."]
    left_out = len(candidates(study)) < len(measured_trials(study))
    among = f"Of the trials within max_model_size = {study.size_limit:,} the" if left_out else "The"
    told = f"{among} penalty {_choice(found)}"
    return [told] if found.sign is None else [told, _too_strong(found, study.name)]


def _tie(found: Price, study: StoredStudy) -> str:
    """Return what was chosen among the epochs that validation can't tell from the best, and against what."""
    rule, chosen, plain = found.rule, found.chosen, found.plain
    unit, n = UNITS[rule.metric], len(study.near_best)
    loss = next(name for name in LOSSES if name in chosen.trial.columns)

    def told(one: Replayed) -> str:
        number = one.measured(loss)
        shown = "" if number is None else f", {loss.removeprefix('val_').replace('_', '-')} {number:.4f}"
        return f"trial {one.trial.number} after epoch {one.epoch + 1} ({unit.show(one.val)}{shown})"

    among = f"{n} trials are" if n > 1 else "1 trial is"
    words = f"{among} within {rule.within_se:g} {_ERRORS} of the best validation {unit.name}"
    words += f"; the smallest validation loss there is that of {told(chosen)}"
    return f"{words}. The best {unit.name} is that of {told(plain)}." if found.changed else f"{words}."


def _choice(found: Price) -> str:
    unit, chosen, plain = UNITS[found.rule.metric], found.chosen, found.plain
    if not found.changed:
        return f"changed nothing: with it and without it the choice is trial {chosen.trial.number}."
    val, gap = unit.show(chosen.val), unit.show(chosen.gap, gap=True)
    same = chosen.trial.number == plain.trial.number
    other = "the same trial" if same else f"trial {plain.trial.number}"
    return (
        f"chose trial {chosen.trial.number} after epoch {chosen.epoch + 1} (validation {unit.name} {val}, "
        f"gap {gap}); without it the choice is {other} after epoch {plain.epoch + 1} "
        f"({unit.show(plain.val)}, {unit.show(plain.gap, gap=True)}): it gave up "
        f"{unit.show(found.given_up, gap=True)} and got a gap smaller by {unit.show(found.got, gap=True)}."
    )


def _too_strong(found: Price, study: str) -> str:
    unit, chosen, default = UNITS[found.rule.metric], found.chosen, found.default
    number = chosen.trial.number
    if found.sign == "underfits" and default is not None:
        why = (
            f"trial {number} trains worse than the default configuration does without a penalty (training "
            f"{unit.name} {unit.show(chosen.train)}, against {unit.show(default.train)} in trial "
            f"{default.trial.number} after epoch {default.epoch + 1}) and validates no better "
            f"({unit.show(chosen.val)}, against {unit.show(default.val)})"
        )
    else:
        why = (
            f"most of the score of trial {number} is penalty: {unit.show(found.cost, gap=True)} for a gap of "
            f"{unit.show(chosen.gap, gap=True)}, beside a validation {unit.name} of {unit.show(chosen.val)}"
        )
    weaker = f"--set score.penalty={found.smaller:g}"
    again = f"fmnist-sweep run FILE --study NEW --import-from {shlex.quote(safe_line(study))} {weaker}"
    return (
        f"Warning: the penalty may be too strong: {why}. Try {weaker}: the report's slider shows, without "
        f"training, what it picks; {again} scores these trials anew and goes on from them."
    )


def _numbers(trial: StoredTrial, unit: Unit) -> str:
    val, train = (unit.show(trial.scores.get(f"{part}_{unit.metric}")) for part in ("val", "train"))
    words = f"validation {unit.name} {val}, training {train}, gap {unit.show(trial.gap, gap=True)}"
    size = trial.n_parameters
    return words if size is None else f"{words}, {size:,} parameters"


def _others(study: StoredStudy) -> list[str]:
    states = [t.told_state for t in study.trials]
    words = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        PAUSED: "paused",
        "FAIL": "failed",
        "RUNNING": "interrupted" if study.is_interrupted else "running",
        "WAITING": "waiting",
    }
    counts = [f"{states.count(state)} {word}" for state, word in words.items() if state in states]
    noun = "trial" if len(states) == 1 else "trials"
    told = [f"{len(states)} {noun}: {', '.join(counts)}."] if states else []
    return [*told, *([NOT_STORED] if study.is_of_objective else []), *left_out_notes(study)]
