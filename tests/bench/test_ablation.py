"""The table of the ablation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import ablation
from fmnist_sweep.models.catalog import MODELS


def test_differences_are_taken_seed_by_seed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A way has a row once all of its seeds are trained; the mean over mirror images counts every net."""
    monkeypatch.setattr(ablation, "RESULTS", tmp_path / "ablation.jsonl")
    assert ablation.table()[2:] == []
    first, way, half = list(ablation.WAYS)[:3]
    rows = [(first, 0.90, 0.91), (way, 0.91, 0.905), (half, 0.5, 0.5)]
    lines = [
        {
            "way": name,
            "seed": seed,
            "val_accuracy": accuracy + seed / 100,
            "train_accuracy": 0.95 + seed / 100,
            "averaged": {"accuracy": averaged + seed / 100},
        }
        for name, accuracy, averaged in rows
        for seed in ablation.SEEDS[: 1 if name == half else None]
    ]
    ablation.RESULTS.write_text("".join(json.dumps(line) + "\n" for line in lines))

    *table, last = ablation.table()
    assert table[2:] == [
        f"| {first} | 91.00 % |  |  | 5.00 |",
        f"| `{way}` | 92.00 % | +1.00, +1.00, +1.00 | +1.00 | 4.00 |",
        "",
    ]
    assert last.endswith("+0.25 points over all nets with flips, -0.50 to +1.00, better for 3 of 6.")


def test_each_way_is_in_the_models_space_and_small_enough() -> None:
    """Nothing is spelt in a way that the model would not read."""
    model = MODELS["cnn"]
    assert model.n_parameters is not None
    for way in ablation.WAYS.values():
        values = {**ablation.BASE, **way}
        assert set(values) <= set(model.space)
        assert model.n_parameters(values, (28, 28, 1), 10) == 31_338
