"""Tables and sentences on trials for the terminal. Nothing here loads pandas."""

from __future__ import annotations

from rich.console import Console

from fmnist_sweep.analysis.ranking import best_trials, default_trial
from fmnist_sweep.analysis.summary import price_words
from fmnist_sweep.cli.console.cells import new_table, say
from fmnist_sweep.cli.console.trial_table import configuration, print_left_out, short_name
from fmnist_sweep.core.progress import Progress, Stop
from fmnist_sweep.core.wording import difference, fraction, points
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

_N_BEST = 5


def print_summary(console: Console, study: StoredStudy, stop: Stop, progress: Progress) -> None:
    """Print what came of a sweep: the five best trials, and how they compare with the default."""
    name = study.name
    n_saved = progress.n_reused_epochs
    reused = f"; saved {n_saved} {'epoch' if n_saved == 1 else 'epochs'} by reuse" if n_saved else ""
    say(console, f"\nStudy {name!r}: {stop.value}; {progress.states}{reused}.")
    best = best_trials(study, _N_BEST)
    if best:
        metric = study.rule.shown_metric
        columns = [f"{part} {short_name(metric)}" for part in ("val", "train")]
        table = new_table("trial", "score", *columns, "gap", "epoch", "parameters", "seconds")
        for trial in best:
            table.add_row(
                study.label(trial),
                fraction(trial.value),
                fraction(trial.scores.get(f"val_{metric}")),
                fraction(trial.scores.get(f"train_{metric}")),
                difference(trial.gap),
                f"{trial.scored_after}/{trial.n_epochs}",
                f"{trial.n_parameters:,}",
                f"{trial.seconds:.0f}",
            )
        console.print(table)
        searched = {name for trial in study.trials for name in trial.params}
        setting = {k: v for k, v in best[0].hyperparameters.items() if k in searched}
        told = configuration(setting) or "nothing was searched"
        say(console, f"Trial {best[0].number}: {told}.")
        _print_against_default(console, study, best[0])
        for sentence in price_words(study):
            say(console, sentence)
    print_left_out(console, study)


def _print_against_default(console: Console, study: StoredStudy, best: StoredTrial) -> None:
    default = default_trial(study)
    if default is None or default.value is None or best.value is None:
        return
    if default.number == best.number:
        console.print("The best is the model's default configuration; nothing tried so far beats it.")
        return
    in_points = study.rule.quantity.unit.in_points
    gain = best.value - default.value
    by = points(gain) if in_points else f"{gain:+.4f}"
    console.print(
        f"Against the model's default configuration (trial {default.number}): {by}.", highlight=False
    )
