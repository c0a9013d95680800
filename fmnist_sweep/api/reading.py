"""One study, read from a script or a notebook."""

from __future__ import annotations

import html
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist_sweep.analysis.frames import curves_frame, trials_frame
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.analysis.summary import price_words, summary
from fmnist_sweep.api.studies import open_study
from fmnist_sweep.reports.page import write_report
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

if TYPE_CHECKING:
    import optuna
    import pandas as pd

_N_SHOWN = 10


class StudyReader:
    """What a study holds, whatever made it; read anew at each call, so a sweep may be running.

    Args:
        study_name: Name of the study.
        storage: Where it is.
    """

    def __init__(self, study_name: str, storage: str) -> None:
        self.study_name = study_name
        self.storage = storage

    @property
    def study(self) -> optuna.Study:
        """The Optuna study, to be read.

        Raises:
            StudyNotFoundError: There is none of that name yet.
        """
        return open_study(self.study_name, storage=self.storage)

    @property
    def stored(self) -> StoredStudy:
        """The study with all that this package keeps in it."""
        return StoredStudy.of(self.study)

    def trials_dataframe(self) -> pd.DataFrame:
        """Return one row for each trial: see `fmnist_sweep.analysis.frames.trials_frame`."""
        return trials_frame(self.stored)

    def curves_dataframe(self) -> pd.DataFrame:
        """Return one row for each epoch of each trial: see `fmnist_sweep.analysis.frames.curves_frame`."""
        return curves_frame(self.stored)

    def best(self, n: int = 1) -> list[StoredTrial]:
        """Return the best trials, best first.

        Args:
            n: At most so many.
        """
        return best_trials(self.stored, n)

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[Any]:
        """Return the `keras_tuner.HyperParameters` of the best trials, best first.

        Args:
            num_trials: At most so many.
        """
        carrying = importlib.import_module("fmnist_sweep.models.carrying")
        return [carrying.hyperparameters_of(t.hyperparameters) for t in self.best(num_trials)]

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials, with their scores and their hyperparameters.

        Args:
            num_trials: At most so many.
        """
        study = self.stored
        lines = [f"Study {self.study_name!r} in {safe_url(self.storage)}: {len(study.trials)} trials"]
        names = [f"{part}_{study.rule.shown_metric}" for part in ("val", "train")]
        for trial in best_trials(study, num_trials):
            measured = ", ".join(f"{name} {trial.scores[name]:.4f}" for name in names if name in trial.scores)
            after = f"after {trial.scored_after} epochs"
            lines += [f"Trial {trial.number}: score {trial.value:.4f}, {measured}, {after}"]
            lines += [f"  {name}: {value}" for name, value in trial.hyperparameters.items()]
        print("\n".join([*lines, *price_words(study)]))  # noqa: T201 - as in KerasTuner

    def report(self, output: str | Path = "report/index.html") -> Path:
        """Write a static page on the study, and return its file.

        Args:
            output: The page; its folder is made where it is missing.

        Raises:
            StorageError: The page can't be written.
        """
        return write_report([self.stored], Path(output), storage=safe_url(self.storage))

    def _repr_html_(self) -> str:
        """Return the best trials as a notebook shows them."""
        study = self.stored
        frame = trials_frame(study).sort_values("score", ascending=False).head(_N_SHOWN)
        told = " ".join([*summary(study), *price_words(study)])
        return f"<p>{html.escape(told)}</p>{frame.dropna(axis=1, how='all').to_html(index=False)}"


def load_study(name: str, storage: str = DEFAULT_STORAGE) -> StudyReader:
    """Return a study to be read, whatever made it.

    Args:
        name: Name of the study.
        storage: Where it is.

    Raises:
        StudyNotFoundError: There is no such study.

    Example:
        >>> load_study("dense").trials_dataframe()  # doctest: +SKIP
        >>> load_study.__name__
        'load_study'
    """
    reader = StudyReader(name, storage)
    _ = reader.study
    return reader
