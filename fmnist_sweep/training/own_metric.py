"""A metric of the user's own: a function of the targets and the outputs, named by its import path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.user_code import import_users
from fmnist_sweep.models.load import describe


def own_metric(path: str, folders: Sequence[Path], y: Any, outputs: Any) -> float:
    """Return what a user's function makes of targets and outputs.

    Args:
        path: ``"package.module:function"``; the function takes ``(y_true, y_pred)`` and returns a number.
        folders: Where modules of the user's are looked for.
        y: The targets, as they reached ``model.fit``.
        outputs: What the model gives for them, with dropout off.

    Raises:
        TrialError: There is no such function, it fails, or it returns no number.
    """
    function = _function(path, tuple(folders))
    try:
        value = function(np.asarray(y), np.asarray(outputs))
    except Exception as error:
        raise TrialError(f"score.metric {path} failed: {describe(error)}") from error
    if np.ndim(value) or not np.isreal(value):
        told = f"an array of shape {np.shape(value)}" if np.ndim(value) else type(value).__name__
        raise TrialError(f"score.metric {path} returned {told}; it must return one number")
    return float(value)


@cache
def _function(path: str, folders: tuple[Path, ...]) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    try:
        found: Any = import_users(module, folders)
        for part in name.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:
        raise TrialError(f"score.metric {path} can't be imported: {describe(error)}") from error
    if not callable(found):
        raise TrialError(f"score.metric {path} is no function but {type(found).__name__}")
    function: Callable[..., Any] = found
    return function
