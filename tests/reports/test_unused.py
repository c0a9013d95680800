"""Optuna's importances and its dashboard without what nothing here asks them for."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import sys
import optuna
from fmnist_sweep.reports import search_figures
from fmnist_sweep.reports.gathered import optuna_dashboard
loaded = [name for name in sys.modules if name.split(".")[0] == "sklearn"]
importances = [name for name in sys.modules if name.startswith("optuna.importance")]
optuna.logging.set_verbosity(optuna.logging.ERROR)
study = optuna.create_study()
study.optimize(lambda trial: trial.suggest_float("x", 0, 1) + trial.suggest_int("y", 1, 2), n_trials=8)
ours = search_figures.get_param_importances(study)
theirs = optuna.importance.get_param_importances(study)
forest = optuna.importance.FanovaImportanceEvaluator(n_trees=2)
other = optuna.importance.get_param_importances(study, evaluator=forest)
print([loaded, importances, ours == theirs, sorted(other)])
"""


@pytest.mark.slow
def test_importances_load_no_scikit_learn_and_leave_it_to_who_asks() -> None:
    """A program of the user's in the same process gets Optuna's other evaluators, which need it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[[], [], True, ['x', 'y']]"
