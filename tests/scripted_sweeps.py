"""Sweeps of the command line whose trials follow a script, in this process, instead of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fmnist_sweep import data
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.search import run as runner
from fmnist_sweep.training.testing import ScriptedTrainer


def follow(monkeypatch: pytest.MonkeyPatch, trainer: Any) -> None:
    """Let all trials be trained by something else, in this process."""
    monkeypatch.setattr(runner, "open_engine", lambda *_, places, **__: InlineEngine(trainer, places=places))


def scripted_sweep(monkeypatch: pytest.MonkeyPatch, folder: Path, text: str) -> Path:
    """Write a sweep file, of images that are nowhere, and let its trials follow a script."""
    found = DataRef("fashion-mnist", "d1" * 32, (28, 28, 1), tuple("abcdefghij"), 60_000, "/nowhere")
    monkeypatch.setattr(data, "open_data", lambda *_args, **_kwargs: found)
    monkeypatch.setattr(data, "check_split", lambda *_args: [])
    follow(monkeypatch, ScriptedTrainer())
    path = folder / "tiny.toml"
    path.write_text(text)
    return path
