from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.kept import Keep, NotKeptError, kept_scores, kept_weights, write_kept
from fmnist_sweep.core.score import ScoreRule

VAL = [0.5, 0.8, 0.7, 0.6, 0.9]
CURVE = LearningCurve.from_scores(train=VAL, val=VAL)
SCORES = EpochScores(1, {"mae": 0.25}, {"mae": 0.5})


def kept_epochs(keep: Keep) -> list[int]:
    """Return the epochs, from 0, that are written as a curve grows."""
    return [n - 1 for n in range(1, len(CURVE) + 1) if keep.wants(CURVE.epochs[:n])]


def test_each_new_best_epoch_is_kept() -> None:
    """The last that was written is always the one that would be scored."""
    assert kept_epochs(Keep("a", ScoreRule())) == [0, 1, 4]
    assert kept_epochs(Keep("a", ScoreRule(), allowed=(2, 3, 4))) == [2, 4]


def test_of_what_is_near_the_best_the_smallest_loss_is_kept() -> None:
    """As it would be chosen, were the trial the best one: over 16 examples 0.7 is an error below 0.8."""
    near = LearningCurve.from_scores(
        train=VAL, val=VAL, val_cross_entropy=[0.9, 0.6, 0.5, 0.4, 0.7], train_cross_entropy=VAL
    )

    def kept(keep: Keep) -> list[int]:
        return [n - 1 for n in range(1, len(near) + 1) if keep.wants(near.epochs[:n])]

    assert kept(Keep("a", ScoreRule(within_se=1.0), n_val=16)) == [0, 1, 2, 4]
    assert kept(Keep("a", ScoreRule(within_se=1.0))) == [0, 1, 4]


def test_what_is_trained_after_patience_has_ended_a_trial_is_not_kept() -> None:
    """A process may be an epoch further before it hears of it: the scored epoch's weights stay."""
    assert kept_epochs(Keep("a", ScoreRule(), allowed=(0, 1, 2, 3, 4), patience=2)) == [0, 1]


def test_under_the_rule_last_each_epoch_may_be_the_last() -> None:
    """Its score need not be known, as that of a fit that returns it."""
    keep = Keep("a", ScoreRule("returned", epoch_rule="last"))
    assert kept_epochs(keep) == [0, 1, 2, 3, 4]
    assert [keep.wants(CURVE.epochs[:n], n_epochs=3) for n in (1, 2, 3)] == [False, False, True]


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    """In their order and types, with the epoch and its scores."""
    file = tmp_path / "weights" / "trial-1.npz"
    weights = [np.arange(n, dtype=kind) for n, kind in enumerate(["float32", "float16", "uint32"] * 5)]
    assert write_kept(file, weights, SCORES) is None
    assert kept_scores(file) == SCORES
    again = kept_weights(file)
    assert [(a.dtype, a.tolist()) for a in again] == [(w.dtype, w.tolist()) for w in weights]


def test_a_folder_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    """In one line, for the trial to go on."""
    (tmp_path / "file").write_text("in the way")
    assert write_kept(tmp_path / "file" / "trial-1.npz", [], SCORES) == "File exists"


def test_what_is_missing_or_damaged_can_t_be_loaded(tmp_path: Path) -> None:
    """Nothing of a file is taken whose digest is another."""
    file = tmp_path / "trial-1.npz"
    with pytest.raises(NotKeptError, match="its weights were not kept"):
        kept_scores(file)
    write_kept(file, [np.arange(1000.0)], SCORES)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(NotKeptError, match="can't be read"):
        kept_weights(file)
    file.write_bytes(b"PK")
    with pytest.raises(NotKeptError, match="can't be read"):
        kept_scores(file)
