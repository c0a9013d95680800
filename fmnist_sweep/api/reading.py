"""One study, read from a script or a notebook."""

from __future__ import annotations

import base64
import html
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fmnist_sweep.analysis.frames import curves_frame, trials_frame
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.analysis.summary import price_words, summary
from fmnist_sweep.api.notebook import require_notebook, show
from fmnist_sweep.api.studies import open_study
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.address import safe_url
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

if TYPE_CHECKING:
    import optuna
    import pandas as pd

_N_SHOWN: Final = 10
_DULL: Final = (
    "datetime_start",
    "datetime_complete",
    "seed",
    "peak_memory_mb",
    "stopped_early",
    "fail_reason",
)
"""Columns of `trials_dataframe` that a notebook's table leaves out."""


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
        """Return one row for each trial: see `fmnist_sweep.analysis.frames.trials_frame`.

        Where the number of epochs is searched, ``params_epochs`` is the number that was found best for the
        trial's configuration: one training tells of all of them.
        """
        study = self.stored
        frame = trials_frame(study)
        if _searches_epochs(study):
            frame["params_epochs"] = frame["epoch"]
        return frame

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

        Where the number of epochs is searched, ``epochs`` is the number that is best for each.

        Args:
            num_trials: At most so many.
        """
        carrying = importlib.import_module("fmnist_sweep.models.carrying")
        study = self.stored
        searched = _searches_epochs(study)
        return [
            carrying.hyperparameters_of(
                {**trial.hyperparameters, **({"epochs": trial.scored_after} if searched else {})}
            )
            for trial in best_trials(study, num_trials)
        ]

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the trained `keras.Model` of each of the best trials, best first.

        One whose weights the search has kept (``keep_models``) gets those, once they were seen to score what
        the trial's curve says; any other is trained anew, with the trial's seed, up to the epoch that was
        scored. A line says which, and why.

        Args:
            num_models: At most so many.

        Raises:
            SweepError: The study is no sweep, its data are gone, its model was edited, or a training failed.
        """
        study = self.stored
        trials = best_trials(study, num_models)
        return list(self._models(study, trials))

    def _models(self, study: StoredStudy, trials: list[StoredTrial]) -> Iterator[Any]:
        # Loaded now: whoever only reads trains nothing.
        from fmnist_sweep.api.trained import models_of  # noqa: PLC0415

        return models_of(study, trials, storage=self.storage, say=print)

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

    def show(self) -> None:
        """Show the study in a notebook: its best trials, and three figures as one small picture.

        Raises:
            SweepError: This is no notebook, or there is no study yet.
        """
        require_notebook()
        show({"text/html": self._html(self.stored), "text/plain": repr(self)})

    def report(self, output: str | Path = "report/index.html") -> Path:
        """Write a static page on the study, as ``fmnist-sweep report`` does on all, and return its file.

        Args:
            output: The page; its folder is made where it is missing.

        Raises:
            StorageError: The page can't be written.
        """
        # Loaded now: whoever only searches draws nothing.
        from fmnist_sweep.api.pages import report as write_page  # noqa: PLC0415

        return write_page(Path(output), storage=self.storage, names=[self.study_name])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.study_name!r}, storage={safe_url(self.storage)!r})"

    def _repr_html_(self) -> str:
        """Return what a notebook shows of it: also before there is a study, and where it is damaged."""
        try:
            return self._html(self.stored)
        except SweepError as error:
            return f"<p>{html.escape(repr(self))}: {html.escape(str(error))}</p>"

    def _html(self, study: StoredStudy) -> str:
        # Loaded now, as above.
        from fmnist_sweep.reports.inline import png_of, study_picture  # noqa: PLC0415

        told = [*study.damaged[:_N_SHOWN], *summary(study), *price_words(study)]
        words = "<br>".join(html.escape(line) for line in told)
        frame = trials_frame(study).sort_values("score", ascending=False).head(_N_SHOWN)
        dull = [name for name in frame if name in _DULL or frame[name].isna().all()]
        table = frame.drop(columns=dull).to_html(index=False, float_format="{:.4g}".format)
        picture = base64.b64encode(png_of(study_picture(study))).decode()
        shown = f'<img alt="figures of the study" src="data:image/png;base64,{picture}">'
        return f"<p><b>{html.escape(study.name)}</b>: {words}</p>{table}{shown}"


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


def _searches_epochs(study: StoredStudy) -> bool:
    return len(study.allowed_epochs or ()) > 1
