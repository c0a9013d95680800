"""The paper on real models, as small as it gets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from programs import python

pytestmark = pytest.mark.slow

TINY = ("space.epochs=1", "training.train_size=200", "training.n_probe=200", "training.n_val=500")


def paper(folder: Path, *arguments: str) -> str:
    """Run the whole paper in a folder, and return what it said."""
    settings = [word for setting in TINY for word in ("--set", setting)]
    return python(folder, "-m", "original_study", "--seeds", "2", *settings, *arguments).stderr


def test_the_whole_paper_runs(tmp_path: Path) -> None:
    """Every configuration builds and trains, the test set is read, and again there is nothing to do."""
    assert "failed" not in paper(tmp_path)
    page = (tmp_path / "report" / "paper-quick" / "paper.md").read_text("utf-8")
    assert "quick form" in page
    assert "trainings failed" not in page
    assert "Of 1,000 images each, on average over 2 seeds" in page
    assert len(re.findall(r"^### \d+\. ", page, re.MULTILINE)) == 15
    assert "Experiment" not in paper(tmp_path)
