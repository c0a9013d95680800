"""Weights that a search keeps of a trial: when its process writes them, and the file that holds them."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.choosing import Scored, near_best
from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.score import ScoreRule

Weights: TypeAlias = Sequence[npt.NDArray[Any]]
"""Values of ``model.weights``, in that order."""

_FACTS: Final = "facts"


class NotKeptError(Exception):
    """There are no weights to load; the text says why, as the end of a sentence."""


_LAST: Final = ScoreRule(epoch_rule="last")


@dataclass(frozen=True, slots=True)
class Keep:
    """Which epoch's weights a trial keeps: those of the one that would be chosen, if it ended now.

    Where the rule chooses among what it can't tell from the best, the trial is taken for the best one: what
    others have come to its process does not know.

    Attributes:
        name: Of the file, among the weights that are kept.
        rule: Scores the curve.
        allowed: Epochs, from 0, that may be scored; None allows all.
        n_val: Number of validation examples, for the rule's ``within_se``; 0 where it is not known.
        patience: As in ``[training]``: an epoch that is trained after patience has ended the trial is none of
            its own.
    """

    name: str
    rule: ScoreRule = _LAST
    allowed: tuple[int, ...] | None = None
    patience: int | None = None
    n_val: int = 0

    def wants(self, epochs: Sequence[EpochScores], *, n_epochs: int | None = None) -> bool:
        """Return whether the last one of the epochs so far is to be kept.

        Args:
            epochs: Their scores.
            n_epochs: Number of epochs after which the training ends; None where only its fit knows.

        Example:
            >>> curve = LearningCurve.from_scores(train=[0.8, 0.9, 0.95], val=[0.8, 0.85, 0.82])
            >>> [Keep("trial-7.npz", ScoreRule()).wants(curve.epochs[:n]) for n in (1, 2, 3)]
            [True, True, False]
        """
        last = len(epochs) - 1
        if self.rule.epoch_rule == "last":
            return n_epochs is None or len(epochs) >= n_epochs
        if self.allowed is not None and last not in self.allowed:
            return False
        curve = LearningCurve(tuple(epochs))
        if self.rule.stop_epoch(curve, allowed=self.allowed, patience=self.patience) not in (None, last):
            return False
        scored = self.rule.scored_epoch(curve, allowed=self.allowed)
        value = float(curve.values(f"val_{self.rule.metric}")[scored])
        alone = Scored(0, float(self.rule.scores(curve)[scored]), value, curve.to_attribute())
        near = near_best([alone], self.rule, n_val=self.n_val, allowed=self.allowed)
        return near.get(0, scored) == last


def write_kept(path: Path, weights: Weights, scores: EpochScores) -> str | None:
    """Replace what is kept of a trial; return None, or in one line what was in the way.

    Args:
        path: The file; its folder is made where it is missing.
        weights: The model's.
        scores: Those that it was measured with.
    """
    facts = {"epoch": scores.epoch, "train": dict(scores.train), "val": dict(scores.val)}
    arrays = {str(i): array for i, array in enumerate(weights)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_file(path) as file:
            np.savez(file, allow_pickle=False, **{_FACTS: np.array(json.dumps(facts))}, **arrays)
    except OSError as error:
        return error.strerror or str(error)
    return None


def kept_scores(path: Path) -> EpochScores:
    """Return the epoch that a file keeps the weights of, without loading them.

    Raises:
        NotKeptError: There is no such file, or it is damaged.
    """
    facts: Mapping[str, Any] = json.loads(str(_read(path, [_FACTS])[0]))
    return EpochScores(facts["epoch"], facts["train"], facts["val"])


def kept_weights(path: Path) -> list[npt.NDArray[Any]]:
    """Return the weights of a file.

    Raises:
        NotKeptError: There is no such file, or it is damaged.
    """
    return _read(path, None)


def _read(path: Path, names: Sequence[str] | None) -> list[npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as kept:
            if names is None:
                names = [str(i) for i in range(len(kept.files) - 1)]
            return [kept[name] for name in names]
    except FileNotFoundError:
        raise NotKeptError("its weights were not kept") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise NotKeptError(f"the file of its weights, {path}, can't be read: {told}") from error
