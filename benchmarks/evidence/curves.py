"""Recorded draws at rest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CURVES: Final = Path(__file__).parent / "curves"
FIRST_SEED: Final = 1000


def draw_file(folder: Path, problem: str, number: int) -> Path:
    """Return where a draw is."""
    return folder / problem / f"{number:03}.jsonl"
