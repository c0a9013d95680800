"""Whatever moves inside, what was stored by an earlier release is told as it was then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stored_forms import PARTS, STORED


@pytest.mark.parametrize(
    ("name", "told"),
    [
        pytest.param(name, told, marks=pytest.mark.slow if name != "made.txt" else ())
        for name, told in PARTS.items()
    ],
)
def test_stored_studies_are_told_as_before(
    name: str, told: Callable[[Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every table, comparison, confirmation, refusal and page has the words and numbers that it had."""
    monkeypatch.delenv("FMNIST_SWEEP_STORAGE", raising=False)
    assert told(tmp_path).splitlines() == (STORED / name).read_text("utf-8").splitlines()
