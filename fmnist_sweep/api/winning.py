"""The configuration that a study hands out, without training anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fmnist_sweep.api.studies import open_study, require_model, uses_storage
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.export.choice import Chosen, chosen, sweep_file
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.stored import StoredStudy


@dataclass(frozen=True)
class Best:
    """A configuration, and how it was chosen.

    Attributes:
        study: Name of its study.
        choice: The configuration.
        sweep_file: A sweep file, as TOML, that trains it, and nothing else.
    """

    study: str
    choice: Chosen
    sweep_file: str

    def facts(self) -> dict[str, Any]:
        """Return what scripts read: plain values, ``trial`` None for the model's default."""
        choice = self.choice
        return {
            "study": self.study,
            "trial": choice.trial,
            "confirmed": choice.confirmed,
            "epochs": choice.epochs,
            "n_parameters": choice.n_parameters,
            "hyperparameters": dict(choice.hyperparameters),
            "chosen": choice.words,
        }


@uses_storage
def best(study: str, *, trial: int | None = None, storage: str = DEFAULT_STORAGE) -> Best:
    """Return the configuration that `export` would train: the confirmed winner, or else the best trial.

    Args:
        study: Name of a sweep's study.
        trial: Number of a COMPLETE trial to return in its place.
        storage: Where the study is.

    Raises:
        SweepError: There is no such study or trial, none is complete, or the study is damaged or no sweep.

    Example:
        >>> from fmnist_sweep.api.winning import best
        >>> best("dense").facts()["hyperparameters"]["activation"]  # doctest: +SKIP
        'leaky_relu'
    """
    stored = StoredStudy.of(open_study(study, storage=storage))
    require_whole(stored, with_confirmation=True)
    require_model(stored)
    if not stored.is_ours:
        raise SweepError(f"study {study!r} was not made by fmnist-sweep: its settings are not known")
    choice = chosen(stored, trial)
    seed = stored.config["training"]["seed"]
    return Best(study, choice, sweep_file(stored, choice, name=f"{study}-best", seed=seed))
