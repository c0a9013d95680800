"""Made-up curves and test readings for the paper's experiments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna

import original_study
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import TrialJob
from fmnist_sweep.storage.writing import write_paper_test
from original_study.experiments import Scale

SWEEPS = Path(original_study.__file__).parent / "sweeps"
TINY = Scale("tiny-", 3)


def made_curve(job: TrialJob, *, val: float = 0.88, gap: float = 0.015) -> LearningCurve:
    """A curve that rises to a validation accuracy, with a little noise from seed and split."""
    noise = ((job.seed + 7 * (job.split.seed or 0)) % 100 - 50) / 50_000
    n = job.epochs
    vals = [val + noise - 0.05 * (n - 1 - e) / n for e in range(n)]
    trains = [v + gap * (e + 1) / n for e, v in enumerate(vals)]
    made = LearningCurve.from_scores(
        train=[round(t, 6) for t in trains],
        val=[round(v, 6) for v in vals],
        train_cross_entropy=[0.3] * n,
        val_cross_entropy=[0.32] * n,
    )
    rows = (
        replace(
            s,
            seconds=float(job.hyperparameters.get("pool_size", 2) == 1) * 5 + 1,
            running={"accuracy": t - 0.01},
        )
        for s, t in zip(made.epochs, trains, strict=True)
    )
    return LearningCurve(tuple(rows))


def add_test(study: optuna.Study, *, accuracy: float = 0.885, shirts: int = 100) -> None:
    """Write into a final model's study what three exported seeds said of the test set."""
    rows = []
    for i in range(3):
        confusion = [[0] * 10 for _ in range(10)]
        for k in range(10):
            confusion[k][k] = 1000
        for actual, predicted, n in ((6, 2, shirts + i), (2, 6, shirts), (0, 6, 60)):
            confusion[actual][predicted] += n
            confusion[actual][actual] -= n
        rows.append({"seed": i, "test_accuracy": accuracy + i / 10_000, "confusion": confusion})
    write_paper_test(study, rows)
