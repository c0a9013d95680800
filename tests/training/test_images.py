"""Images are scaled once: by this program, or by the model."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
from placing import placed_here

from fmnist_sweep.core.jobs import Scale, SplitSpec, TrialJob
from fmnist_sweep.data.own import prepare_npz
from fmnist_sweep.data.reading import Reading


@pytest.fixture(autouse=True)
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Find the models that stand for a user's, and keep what is made here out of their cache."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "models"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("kind", "asked", "path", "is_bytes", "given"),
    [
        ("divided", "auto", "mine:Net", True, "none"),
        ("plain", "auto", "mine:Net", True, "auto"),
        ("divided", "auto", "mine:Net", False, "auto"),
        ("divided", "255", "mine:Net", True, "255"),
        ("divided", "auto", "fmnist_sweep.models:DenseModel", True, "auto"),
    ],
)
def test_a_model_that_scales_bytes_itself_gets_them_as_they_are(
    kind: str, asked: Scale, path: str, is_bytes: bool, given: str, *, tmp_path: Path
) -> None:
    """Nothing else changes what is done to them: floats, what the settings say, our own models."""
    from fmnist_sweep.training.images import images_for

    images = np.zeros((6, 8, 8), np.uint8 if is_bytes else np.float32)
    np.savez(tmp_path / "mine.npz", x_train=images, y_train=np.arange(6) % 3)
    data = prepare_npz(tmp_path / "mine.npz", reading=Reading(scale=asked))
    job = TrialJob(0, path, {}, epochs=1, seed=0, data=data, split=SplitSpec(n_val=3))
    model = importlib.import_module("user_models").scaling_model(kind)
    assert images_for(model, placed_here(job)).scale == given
