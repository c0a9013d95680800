"""Functions of the user's own that a sweep file names: what is wrong with them before any is imported."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from fmnist_sweep.core.metrics import is_function
from fmnist_sweep.core.user_code import code_folders, in_words, shadow_problem


def function_problems(metric: str, folders: Sequence[Path]) -> list[str]:
    """Return what is wrong with a metric that is an import path; empty for any other, and where nothing is.

    Args:
        metric: ``score.metric``.
        folders: Where modules of the user's are looked for; without any, in the current folder.
    """
    if not is_function(metric):
        return []
    module, _, name = metric.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        return [
            f"score.metric: {metric!r} is no import path; give package.module:function, or a metric's name"
        ]
    folders = folders or code_folders()
    shadow = shadow_problem(metric, folders)
    if shadow is not None:
        return [f"score.metric: {shadow}"]
    top = module.partition(".")[0]
    if PathFinder.find_spec(top, [*map(str, folders), *sys.path]) is None:
        return [f"score.metric: there is no module {top!r} in {in_words(folders)} or among what is installed"]
    return []
