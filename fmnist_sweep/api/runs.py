"""Run a sweep, and confirm its best."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import optuna

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.overtuning import overtuning_words
from fmnist_sweep.analysis.ranking import left_out_notes
from fmnist_sweep.analysis.verdicts import verdicts
from fmnist_sweep.api.options import RunOptions, Say, say_nothing
from fmnist_sweep.api.studies import open_study, require_model, uses_storage
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.request import (
    MIN_REPEATS,
    TOP,
    ConfirmationRequest,
    confirmation_request,
    option_problems,
    study_problems,
)
from fmnist_sweep.confirm.rule import AskedRule, Prefer
from fmnist_sweep.core.errors import ConfigError, SweepError
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import RECONNECT_S, Progress, Stop
from fmnist_sweep.observers.opening import open_observers
from fmnist_sweep.search import run as running
from fmnist_sweep.search.retrying import failed_trials
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.reconnecting import Patience, wait_for_server
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import linked_study
from fmnist_sweep.storage.writing import write_figures_of


@dataclass(frozen=True)
class RunEnd:
    """What came of a run.

    Attributes:
        study: The study.
        stop: Why the run ended.
        progress: What it was at.
    """

    study: StoredStudy
    stop: Stop
    progress: Progress

    @property
    def n_retryable(self) -> int:
        """Failed trials that can be tried again."""
        return len(failed_trials(self.study))


@uses_storage
def run(
    config: SweepConfig,
    *,
    storage: str = DEFAULT_STORAGE,
    import_from: str | None = None,
    accept_edited_model: bool = False,
    retry_failed: bool = False,
    options: RunOptions | None = None,
    say: Say = say_nothing,
    observers: Iterable[Observer] = (),
    observe: Iterable[str] = (),
) -> RunEnd:
    """Run a sweep, or go on with it.

    Args:
        config: The sweep; `load_config` reads one.
        storage: Where its study is, or is made.
        import_from: Name of a study in the same storage whose fitting trials are brought over first.
        accept_edited_model: Go on though the source of the model was edited since; trials of both are told
            apart.
        retry_failed: Try again what failed, each as a new trial; the model may have been edited since.
        options: How it is run.
        say: Takes a line for the user.
        observers: Told what happens.
        observe: Names of more observers, beside those of the sweep file's ``[observers]``.

    Raises:
        SweepError: The data, the storage, the study or an observer can't be used; nothing stored is changed.

    Example:
        >>> from pathlib import Path
        >>> from fmnist_sweep.config.loading import load_config
        >>> run(load_config(Path("sweeps/dense.toml"))).progress.best  # doctest: +SKIP
    """
    named = {**{name: {} for name in observe}, **config.file.observers}
    told = [*observers, *open_observers(named)]
    # Its study as the run has read it: to open a storage and to read thousands of trials takes a second.
    study, stop, progress = running.run_sweep(
        config,
        storage_url=storage,
        say=say,
        import_from=import_from,
        accept_edited_model=accept_edited_model,
        retry_failed=retry_failed,
        observers=told,
        **(options or RunOptions()).of_run(),
    )
    # What was found is not to be missed for a server that is away just now.
    wait_for_server(study, Patience(storage, config.file.budget.reconnect_seconds, say=say))
    stored = StoredStudy.of(study)
    if stored.figures_of != stored.drawn_from:
        _attach_figures(study, stored)
        write_figures_of(study, stored.drawn_from)
    return RunEnd(stored, stop, progress)


def _attach_figures(study: optuna.Study, stored: StoredStudy | None = None) -> None:
    # The dashboard takes a second to import, and a run that finds nothing left to try draws nothing.
    from fmnist_sweep.reports.dashboard import attach_figures  # noqa: PLC0415

    attach_figures(study, stored)


@dataclass(frozen=True)
class ConfirmationEnd:
    """What came of a confirmation.

    Attributes:
        confirmation: What is known now; None where no repeat was trained.
        end: Of the run; None where nothing was left to train.
        linked: Name of the study that holds the repeats.
        overtuning: How much of the sweep's gain is real, in sentences; none of an earlier version's.
    """

    confirmation: Confirmation | None
    end: tuple[Stop, Progress] | None
    linked: str
    overtuning: Sequence[str] = ()

    @property
    def sentences(self) -> list[str]:
        """What it came to, in sentences."""
        if self.confirmation is None:
            return [f"{self.linked}: no repeat was trained."]
        return [*verdicts(self.confirmation), *self.overtuning]

    def __str__(self) -> str:
        return "\n".join(self.sentences)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a row for each candidate, best first, and the sentences."""
        words = "<br>".join(map(html.escape, self.sentences))
        if self.confirmation is None:
            return f"<p>{words}</p>"
        # Loaded now, as for figures.
        from fmnist_sweep.reports.confirmed import confirmed_columns, confirmed_rows  # noqa: PLC0415

        lines = [("th", confirmed_columns(self.confirmation))]
        lines += [("td", row) for row in confirmed_rows(self.confirmation)]
        rows = ("".join(f"<{kind}>{html.escape(cell)}</{kind}>" for cell in row) for kind, row in lines)
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table><p>{words}</p>"


def repeats_within(budget: int, *, top: int | None, repeats: int | None) -> int:
    """Return how many repeats of each candidate, and of the baseline, so many trainings allow.

    Args:
        budget: Trainings in all.
        top: As for `confirm`.
        repeats: As for `confirm`; not beside a budget.

    Raises:
        ConfigError: They are too few, or both are given.

    Example:
        >>> repeats_within(20, top=3, repeats=None)
        5
    """
    if repeats is not None:
        raise ConfigError("confirm", ["budget and repeats both say how often is trained; give one of them"])
    n_each = TOP + 1 if top is None else top + 1
    if budget < MIN_REPEATS * n_each:
        told = (
            f"a budget of {budget} trainings is too small: {n_each} configurations, the baseline among them"
        )
        raise ConfigError("confirm", [f"{told}, take at least {MIN_REPEATS * n_each}"])
    return budget // n_each


def _also(study: str, storage: str, top: int | None) -> list[str]:
    """Return what a study has against a confirmation whose options are wrong, where it can be read at all."""
    with suppress(SweepError):
        return study_problems(StoredStudy.of(open_study(study, storage=storage)), top)
    return []


@uses_storage
def confirm(
    study: str,
    *,
    storage: str = DEFAULT_STORAGE,
    top: int | None = None,
    incumbents: bool = False,
    repeats: int | None = None,
    sure: float | None = None,
    thorough: bool | None = None,
    prefer: Prefer | None = None,
    within: float | None = None,
    max_retries: int | None = None,
    options: RunOptions | None = None,
    say: Say = say_nothing,
    observers: Iterable[Observer] = (),
) -> ConfirmationEnd:
    """Train a study's best configurations and its baseline anew, on fresh seeds and splits, and decide.

    Nothing is trained twice: more repeats, or a larger ``top``, add to what is there.

    Args:
        study: Name of a sweep's study.
        storage: Where it is.
        top: So many of its best distinct configurations; by default 4.
        incumbents: Also those that were the sweep's best for a while: they show how much of its gain is real.
        repeats: Trainings of each; by default 5.
        sure: Keep the baseline unless its chance to be beaten is above this; by default 0.8.
        thorough: Pick on four repeats, and decide by eight fresh ones of pick and baseline.
        prefer: ``"smallest"`` picks the smallest of those near the best mean; by default ``"best"``.
        within: How near that is, in the shown unit of the metric; by default 0.1. What is None of these four
            stays as the confirmation has it.
        max_retries: How often a trial whose process died is started again; None leaves it to the sweep.
        options: How they are trained.
        say: Takes a line for the user.
        observers: Told what happens.

    Raises:
        SweepError: The study can't be confirmed, or not so; all problems at once.
    """
    # Whatever the study holds, and though there is none.
    problems = [] if options is None else options.problems()
    rule = AskedRule(sure, thorough, prefer, within)
    problems += option_problems(top=top, repeats=repeats, max_retries=max_retries, rule=rule)
    if problems:
        raise ConfigError(f"study {study!r}", [*problems, *_also(study, storage, top)])
    swept = open_study(study, storage=storage)
    wait_for_server(swept, Patience(storage, RECONNECT_S, say=say))
    before = StoredStudy.of(swept)
    require_model(before)

    def request() -> ConfirmationRequest:
        return confirmation_request(
            before.again(),
            top=top,
            with_incumbents=incumbents,
            repeats=repeats,
            rule=rule,
            max_retries=max_retries,
        )

    wanted = request()
    for note in left_out_notes(before):
        say(note)
    patience = Patience(storage, wanted.config.file.budget.reconnect_seconds, say=say)
    wait_for_server(swept, patience)
    end, done = None, None
    # A duel is known once its pick is. What failed is not tried again by the same command.
    while wanted.pairs != done and not wanted.fulfilled():
        done = wanted.pairs
        end = running.run(
            wanted,
            storage_url=storage,
            say=say,
            observers=observers,
            **(options or RunOptions()).of_run(),
        )
        wanted = request()
    if end is not None:
        for one in filter(None, (swept, linked_study(swept))):
            _attach_figures(one)
    now = before.again()
    found, told = read_confirmation(now), []
    if found is not None and found.decision_rule is not None:
        told = overtuning_words(now, found)
    return ConfirmationEnd(found, end, wanted.config.file.study, told)
