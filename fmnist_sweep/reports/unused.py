"""Optuna's importances and its dashboard without scikit-learn, which nothing here asks them for.

Optuna's package of importances imports it for two evaluators that neither these pages nor the dashboard use:
a second and 70 MB for each report and for each run that ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import optuna

_IMPORTANCES: Final = "optuna.importance"
_UNUSED: Final = "sklearn"


@contextmanager
def without_sklearn() -> Iterator[None]:
    """Let Optuna's importances be imported without scikit-learn, for whoever imports them in here alone.

    They are forgotten again at the end: a program of the user's in this process that asks for them later
    gets them whole. Where they or scikit-learn are loaded already, there is nothing to save.

    Example:
        >>> with without_sklearn():
        ...     from optuna.importance import get_param_importances
    """
    modules: dict[str, Any] = sys.modules
    if _IMPORTANCES in modules or _UNUSED in modules:
        yield
        return
    # What stands for the package until somebody asks for one of its names.
    lazy = vars(optuna)["importance"]
    # Python's own way to say that there is no such module: Optuna goes on without the two evaluators.
    modules[_UNUSED] = None
    try:
        yield
    finally:
        del modules[_UNUSED]
        for name in [n for n in modules if n == _IMPORTANCES or n.startswith(f"{_IMPORTANCES}.")]:
            del modules[name]
        vars(optuna)["importance"] = lazy
