"""What came of a study, in sentences: for the report and for the dashboard's note."""

from __future__ import annotations

from fmnist_sweep.analysis.ranking import best_trials, default_trial, left_out_notes
from fmnist_sweep.core.metrics import UNITS, metric_of
from fmnist_sweep.core.wording import Unit, show_score
from fmnist_sweep.storage.stored import State, StoredStudy, StoredTrial


def summary(study: StoredStudy) -> list[str]:
    """Return what came of a study: its best trial, the baseline, the trials that did not complete."""
    unit = UNITS[study.rule.metric]
    best = next(iter(best_trials(study, 1)), None)
    if best is None:
        return ["No trial is complete yet.", *_others(study)]
    where = "at the end" if best.epoch is None else f"after epoch {best.epoch + 1}"
    # Where there are repeats, theirs are the numbers to go by.
    best_is = "The best" if study.linked is None else "The sweep's own best, by the images that picked it,"
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
    value = f"validation {unit.name}" if metric_of(rule.metric).sign > 0 else f"minus validation {unit.name}"
    penalty = f" \N{MINUS SIGN} {rule.penalty:g} \N{MULTIPLICATION SIGN} the gap beyond "
    epoch = "at each trial's best epoch" if rule.epoch_rule == "best" else "after each trial's last epoch"
    floor = "" if rule.min_val_accuracy is None else f", with a floor of {100 * rule.min_val_accuracy:g} %"
    cost = f"{penalty}{unit.tolerance(rule.tolerance)}" if rule.penalty else ""
    return f"score = {value}{cost}, {epoch}{floor}"


def _numbers(trial: StoredTrial, unit: Unit) -> str:
    val, train = (unit.show(trial.scores.get(f"{part}_{unit.metric}")) for part in ("val", "train"))
    words = f"validation {unit.name} {val}, training {train}, gap {unit.show(trial.gap, gap=True)}"
    size = trial.n_parameters
    return words if size is None else f"{words}, {size:,} parameters"


def _others(study: StoredStudy) -> list[str]:
    states = [t.state for t in study.trials]
    words: dict[State, str] = {
        "COMPLETE": "complete",
        "PRUNED": "pruned",
        "FAIL": "failed",
        "RUNNING": "interrupted" if study.is_interrupted else "running",
        "WAITING": "waiting",
    }
    counts = [f"{states.count(state)} {word}" for state, word in words.items() if state in states]
    noun = "trial" if len(states) == 1 else "trials"
    told = [f"{len(states)} {noun}: {', '.join(counts)}."] if states else []
    return [*told, *left_out_notes(study)]
