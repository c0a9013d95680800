"""Fixtures of made studies and exports."""

from pathlib import Path

import optuna
import pytest
from made_exports import Exports
from made_studies import confirmed, quiet_optuna, sqlite_study, study, tiny_study

__all__ = ["confirmed", "exports", "quiet_optuna", "sqlite_study", "study", "tiny_study"]


@pytest.fixture
def exports(study: optuna.Study, tmp_path: Path) -> Exports:
    """Exports of a full study into the test's folder."""
    return Exports(study, tmp_path)
