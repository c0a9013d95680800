"""What is left unread where the slow tests are not asked for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SLOW = sorted((Path(__file__).parent / "slow").glob("test_*.py"))


@pytest.mark.parametrize("path", SLOW, ids=lambda path: path.stem)
def test_the_folder_of_slow_tests_holds_no_other(path: Path) -> None:
    """A fast test there would never run among the fast ones: `conftest.py` leaves the folder out."""
    marks = [
        ast.unparse(node.value)
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    assert any("pytest.mark.slow" in mark for mark in marks)
