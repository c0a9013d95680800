"""Who else may have a study while it is exported."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from made_exports import Exports
from made_studies import study
from rich.console import Console

from fmnist_sweep import claim
from fmnist_sweep.core.errors import StudyBusyError
from fmnist_sweep.exporting import run_export
from fmnist_sweep.reports.frames import readings_of

__all__ = ["study"]


def test_a_study_that_another_machine_holds_is_not_exported(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two exports of a server's study would each take the test set for unread."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    held = SimpleNamespace(take=lambda: False, holder=lambda: "4711 node-b", let_go=lambda: None)
    monkeypatch.setattr(claim, "ServerLock", lambda *_, **__: held)
    plan = Exports(study, tmp_path).plan()
    with pytest.raises(StudyBusyError, match="'dense' is being run by process 4711 on node-b"):
        run_export(plan, storage_url="postgresql+psycopg://me@host/db", console=Console(quiet=True))
    assert readings_of(study) == ()
    assert not plan.folder.exists()
