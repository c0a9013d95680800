"""Real trainings that pause and go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.search.run import run_sweep
from fmnist_sweep.storage.stored import StoredStudy

pytestmark = pytest.mark.slow


def run(folder: Path, pruner: dict[str, Any]) -> tuple[optuna.Study, list[str]]:
    """Run a small sweep with dropout, whose generator has a state of its own."""
    settings = {
        "study": str(pruner["name"]),
        "model": "dense",
        "tune_new_entries": False,
        "space": {
            "learning_rate": {"low": 1e-4, "high": 1e-2, "type": "float", "log": True},
            "dropout": 0.3,
            "units_1": 32,
            "depth": 1,
            "epochs": 4,
        },
        "sampler": {"name": "random", "enqueue_default": False},
        "pruner": pruner,
        "training": {"train_size": 1510, "n_val": 300, "n_probe": 200},
        "budget": {"trials": 4},
    }
    said: list[str] = []
    config = parse_config(settings, where="promotion.toml")
    url = f"sqlite:///{folder / 'studies.db'}"
    study, _, _ = run_sweep(config, storage_url=url, say=said.append, n_workers=2)
    return study, said


def test_a_trial_that_paused_has_the_curve_of_an_unbroken_training(tmp_path: Path) -> None:
    """To the last digit, in processes of their own; those that still wait have the beginning of it."""
    promoted, said = run(tmp_path, {"name": "promotion", "min_resource": 1, "reduction_factor": 2})
    whole, _ = run(tmp_path, {"name": "none"})
    pairs = list(zip(StoredStudy.of(promoted).trials, StoredStudy.of(whole).trials, strict=True))
    for trial, unbroken in pairs:
        assert trial.params == unbroken.params
        for name, column in trial.columns.items():
            if name != "seconds":
                assert column == unbroken.columns[name][: trial.n_epochs], name
    assert {trial.told_state for trial, _ in pairs} == {"COMPLETE", "PAUSED"}
    # The first ones can't know yet that they are among the best: one of them at least went on later.
    assert any(trial.paused_after is None and "paused" in trial.attributes for trial, _ in pairs)
    assert any(line.startswith("Checkpoints of unfinished trials take") for line in said)
