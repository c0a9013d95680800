"""Predict with the model of a bundle."""

from __future__ import annotations

from pathlib import Path

from fmnist_sweep.api.options import Say, say_nothing
from fmnist_sweep.export import predicting
from fmnist_sweep.export.predicting import Predicted


def predict(
    bundle: str | Path,
    data: str | Path,
    output: str | Path = "predictions.csv",
    *,
    force: bool = False,
    say: Say = say_nothing,
) -> Predicted:
    """Predict the rows of a file with the model of a bundle, and write what it gives.

    Args:
        bundle: The folder that `export` has written. The code in it is run, in a process of its own.
        data: An ``.npz``, ``.npy``, ``.csv`` or ``.parquet`` file; see docs/export.md.
        output: A ``.csv`` file, or an ``.npz`` file for the model's outputs as they are.
        force: Replace a file that is there.
        say: Takes a line for the user.

    Raises:
        SweepError: There is no bundle, or the rows are not what its model takes; nothing is written then.

    Example:
        >>> predict("exports/houses", "new.csv").columns  # doctest: +SKIP
        ('value',)
        >>> predict("nowhere", "new.csv")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        fmnist_sweep.core.errors.SweepError: nowhere is no folder (metrics.json is missing); ...
    """
    return predicting.predict(Path(bundle), Path(data), Path(output), force=force, say=say)
