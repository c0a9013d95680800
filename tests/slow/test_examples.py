"""The worked examples of sweeps/examples, in a short form."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import ROOT, python

import fmnist_sweep as fs

pytestmark = pytest.mark.slow

EXAMPLES = sorted((ROOT / "sweeps" / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """Two trials of two epochs each, from another folder; both are measured, and have a gap."""
    short = ["--trials", "2", "--set", "space.epochs=2", "--set", "pruner.name=none"]
    python(tmp_path, "-m", "fmnist_sweep", "run", str(path), *short)
    study = f"example-{path.stem.replace('_', '-')}"
    trials = fs.load_study(study, f"sqlite:///{tmp_path / 'studies.db'}").trials_dataframe()
    assert list(trials["state"]) == ["COMPLETE"] * 2
    assert trials["gap"].notna().all()
