"""The worked examples of sweeps/examples, in a short form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from programs import ROOT, python

pytestmark = pytest.mark.slow

EXAMPLES = sorted((ROOT / "sweeps" / "examples").glob("*.toml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    """Two trials of two epochs each, from another folder; both are measured, and have a gap."""
    short = ["--trials", "2", "--set", "space.epochs=2", "--set", "pruner.name=none"]
    python(tmp_path, "-m", "fmnist_sweep", "run", str(path), *short)
    study = f"example-{path.stem.replace('_', '-')}"
    told = python(tmp_path, "-m", "fmnist_sweep", "trials", study, "--json").stdout
    rows = json.loads(told)["trials"]
    assert [row["state"] for row in rows] == ["COMPLETE"] * 2
    assert all(row["gap"] is not None for row in rows)
