"""Which configuration of a study is handed out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import tomli_w

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.ranking import candidates, left_out_notes
from fmnist_sweep.analysis.repeats import Standing
from fmnist_sweep.analysis.verdicts import headline, verdicts
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.jobs import Hyperparameters
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.score import exceeds
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


@dataclass(frozen=True)
class Chosen:
    """A configuration that is handed out.

    Attributes:
        hyperparameters: The complete set.
        epochs: Number of epochs to train.
        trial: Number of the trial that it comes from; None for the model's default.
        confirmed: Whether repeats on fresh seeds and reshuffled splits confirmed it.
        words: How it was chosen, in a sentence or two.
        n_parameters: Number of its weights in the sweep, where that is known.
        headline: Who won the confirmation, where this is what it says to hand out.
        beside: What is read beside it, in the same reading of the test set: the baseline, or, where that is
            handed out, what was picked against it; None without a confirmation that compared the two.
        fit_epochs: As in `TrialJob`.
    """

    hyperparameters: Hyperparameters
    epochs: int
    trial: int | None
    confirmed: bool
    words: str
    n_parameters: int | None = None
    headline: str | None = None
    beside: Chosen | None = None
    fit_epochs: int | None = None

    @property
    def name(self) -> str:
        """The configuration in a sentence, such as ``"trial 7"``."""
        return "the model's default" if self.trial is None else f"trial {self.trial}"

    def was_told(self, words: str) -> bool:
        """Return whether a bundle says the same of its choice: earlier ones called any rows images."""
        earlier = self.words.replace("these same validation rows", "these same validation images")
        return words in (self.words, earlier)


def chosen(study: StoredStudy, trial: int | None = None) -> Chosen:
    """Return the configuration to hand out.

    Args:
        study: A sweep's study.
        trial: Number of a COMPLETE trial; by default the confirmed winner, or else the best one.

    Raises:
        SweepError: No trial is complete, there is no such trial, or it is not complete.
    """
    confirmation = read_confirmation(study)
    winner = None if confirmation is None else confirmation.winner
    if confirmation is not None and winner is not None and trial in (None, winner.candidate.trial):
        candidate = winner.candidate
        words = " ".join(verdicts(confirmation))
        return Chosen(
            candidate.hyperparameters,
            candidate.epochs,
            candidate.trial,
            confirmed=True,
            words=words,
            n_parameters=winner.n_parameters,
            headline=headline(confirmation),
            beside=_beside(confirmation, winner),
            fit_epochs=candidate.fit_epochs,
        )
    picked = _complete_trial(study, trial)
    how = "the best of" if trial is None else "asked for by its number among"
    n = len(candidates(study))
    words = (
        f"Trial {picked.number} of study {json.dumps(study.name)}, {how} {n} complete trials: "
        f"{_scores(study, picked)}. Unconfirmed: it was picked by these same validation {study.examples}, "
        "so its score in the sweep is optimistic."
    )
    return Chosen(
        picked.hyperparameters,
        picked.scored_after,
        picked.number,
        confirmed=False,
        words=words,
        n_parameters=picked.n_parameters,
        fit_epochs=study.asked_epochs(picked),
    )


def _beside(confirmation: Confirmation, winner: Standing) -> Chosen | None:
    decision = confirmation.decision
    if decision is None or decision.difference is None:
        return None
    label = decision.pick if winner.label == confirmation.baseline else confirmation.baseline
    other = next(s for s in confirmation.standings if s.label == label)
    candidate = other.candidate
    return Chosen(
        candidate.hyperparameters,
        candidate.epochs,
        candidate.trial,
        confirmed=True,
        words="",
        n_parameters=other.n_parameters,
        fit_epochs=candidate.fit_epochs,
    )


def sweep_file(study: StoredStudy, choice: Chosen, *, name: str, seed: int, as_swept: bool = False) -> str:
    """Return a sweep file, as TOML, whose space is one point: the choice.

    It trains the choice's epochs with the given seed and scores the last one. A user's own fit is asked for
    as many as in the sweep, and ended where that was scored: it may train more, such as a warm-up.

    Args:
        study: The sweep's study.
        choice: The choice.
        name: Of the study that the file makes.
        seed: Of the training.
        as_swept: Train as the sweep did, bit for bit, rather than by the operations of Keras's ``fit``.
    """
    config = study.config
    # Of our own models nothing knows what was asked for.
    asked = choice.fit_epochs if study.model_source or not study.is_of_images else None
    fixed = {
        **config,
        "study": name,
        "space": {**choice.hyperparameters, "epochs": choice.epochs},
        "score": {**config["score"], "epoch_rule": "last"},
        # Patience could end the training before the scored epoch.
        "training": {
            **config["training"],
            "patience": None,
            "seed": seed,
            **({} if as_swept else {"exact_steps": True}),
            "fit_epochs": asked,
        },
        # Nothing is left to draw, nor a second trial to compare with.
        "sampler": {"name": "random", "enqueue_default": False},
        "pruner": {"name": "none"},
        "budget": {"trials": 1},
    }
    fixed.pop("keep_models", None)
    facts = [*choice.words.split(". "), f"Data digest {study.data_digest}"]
    header = [f"# {fact.rstrip('.')}.\n" for fact in facts]
    return "".join([*header, "\n", tomli_w.dumps(without_none(fixed))])


def without_none(value: Any) -> Any:
    """Return nested mappings less what is None, for TOML has no such value.

    Example:
        >>> without_none({"a": None, "b": {"c": None, "d": 1}})
        {'b': {'d': 1}}
    """
    if isinstance(value, Mapping):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return value


def _complete_trial(study: StoredStudy, number: int | None) -> StoredTrial:
    complete = candidates(study)
    if not complete:
        told = [f"study {study.name!r} has no complete trial yet; run it first", *left_out_notes(study)]
        raise SweepError(". ".join(told))
    if number is None:
        return complete[0]
    found = next((t for t in study.trials if t.number == number), None)
    if found is None:
        raise SweepError(
            f"study {study.name!r} has no trial {number}; it has trials 0 to {len(study.trials) - 1}"
        )
    if found.state != "COMPLETE":
        raise SweepError(
            f"trial {number} of study {study.name!r} is {found.told_state.lower()}, not complete; "
            f"the best complete one is trial {complete[0].number}"
        )
    if not found.is_ours:
        raise SweepError(
            f"trial {number} of study {study.name!r} was told by another tool: what it trained is "
            f"not known; the best that was measured is trial {complete[0].number}"
        )
    size, limit = found.n_parameters, study.size_limit
    if exceeds(limit, size):
        raise SweepError(
            f"trial {number} of study {study.name!r} has {size:,} weights, more than max_model_size = "
            f"{limit:,} of its last run; run it with a higher one, or take trial {complete[0].number}, the "
            "best of the others"
        )
    return found


def _scores(study: StoredStudy, trial: StoredTrial) -> str:
    unit, after = UNITS[study.rule.metric], trial.scored_after
    val, train = (unit.show(trial.scores.get(f"{part}_{unit.metric}")) for part in ("val", "train"))
    gap = unit.show(trial.gap, gap=True)
    epoch = f"epoch {after} of {after if trial.n_epochs is None else trial.n_epochs}"
    return f"score {trial.value:.4f} at {epoch}, validation {unit.name} {val}, training {train}, gap {gap}"
