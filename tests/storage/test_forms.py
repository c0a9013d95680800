"""Attributes that somebody else wrote: what each reading of a study makes of them."""

from __future__ import annotations

import json
from typing import Any, Final

import optuna
import pytest
from made_studies import (
    add_confirmation,
    add_trial,
    empty_study,
    in_memory,
    params_of,
    scripted_curve,
    stored,
)

from fmnist_sweep.analysis.frames import studies_frame, to_csv, trials_frame
from fmnist_sweep.cli.console.frame_table import records
from fmnist_sweep.core.curves import METRICS
from fmnist_sweep.core.errors import StudyDamagedError
from fmnist_sweep.storage import attributes as names
from fmnist_sweep.storage import forms
from fmnist_sweep.storage.damage import require_whole


def _nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": [value]}
    return value


WRONG: Final[dict[str, Any]] = {
    "text": "text",
    "number": 7.5,
    "below zero": -7,
    "true": True,
    "list": [1, "a"],
    "mapping": {"a": 1},
    "nothing": None,
    "nested": {"a": [{"b": None}]},
    "deep": _nested(200),
    "huge": 10**400,
    "not finite": float("nan"),
    "no text": "\ud800\x00[/x]" * 100_000,
    "empty mapping": {},
    "empty list": [],
}
FITS: Final = {
    (name, "true") for name in (names.LOADING, names.STOPPED_EARLY)
} | {
    (name, kind)
    for kind in ("text", "no text")
    for name in [n for n, form in (forms.OF_STUDIES | forms.OF_TRIALS).items() if form is str]
} | {
    (name, "nothing")
    for name in (
        names.ALLOWED_EPOCHS, names.OWNER, names.LOADING, names.N_PARAMETERS, names.MODEL_SOURCES,
        names.PAUSED,
    )
} | {
    (name, "empty list")
    for name in (
        names.ALLOWED_EPOCHS, names.CANDIDATES, names.TEST_READINGS, names.BUNDLES, names.PAPER_TEST,
        names.MODEL_SOURCES,
    )
} | {
    (name, "empty mapping") for name in (names.VERSIONS, names.DATA, names.HYPERPARAMETERS, names.RETURNED)
} | {
    (name, kind) for kind in ("number", "below zero") for name in (names.GAP, *METRICS)
} | {
    (names.SEED, "below zero"), (names.SPLIT_SEED, "below zero"),
    (names.SECONDS, "number"), (names.PEAK_MEMORY_MB, "number"),
    (names.HYPERPARAMETERS, "mapping"), (names.RETURNED, "mapping"), (names.DATA, "mapping"),
    (names.DATA, "nested"), (names.DATA, "deep"),
}  # fmt: skip
"""What is of the form of an attribute, and so may be anything."""


def combinations(table: dict[str, Any]) -> list[Any]:
    """Return every attribute with every wrong value."""
    pairs = [(name, kind) for name in table for kind in WRONG if (name, kind) not in FITS]
    return [pytest.param(name, WRONG[kind], id=f"{name}-{kind}") for name, kind in pairs]


@in_memory
def small_study() -> optuna.Study:
    """Return a study with two trials."""
    study = empty_study(None)
    for i in range(2):
        add_trial(study, params_of(i), scripted_curve(0.88, 0.02, n_epochs=4))
    return study


def look(study: optuna.Study) -> None:
    """Read all that the commands read of a study before they pass it by."""
    found = stored(study)
    assert found.damaged
    rows = records(studies_frame([found]))
    assert json.loads(json.dumps(rows, allow_nan=False))[0]["damaged"] == found.damage
    table = trials_frame(found)
    json.dumps(records(table), allow_nan=False)
    assert to_csv(table).encode()
    with pytest.raises(StudyDamagedError) as refused:
        require_whole(found)
    assert str(refused.value).startswith(f"study '{study.study_name}' is damaged")
    assert max(map(len, str(refused.value).splitlines())) < 300
    assert (found.is_interrupted, found.linked, found.direction) == (False, None, "maximize")


@pytest.mark.parametrize(("name", "value"), combinations(forms.OF_STUDIES))
def test_a_study_with_an_attribute_of_another_form_is_damaged(name: str, value: Any) -> None:
    """It says which one; whoever reads on finds it as if it were not stored."""
    study = small_study()
    study._storage.set_study_user_attr(study._study_id, name, value)
    look(study)
    assert stored(study).damaged[0].startswith(f"{name}: ")


@pytest.mark.parametrize(("name", "value"), combinations(forms.OF_TRIALS))
def test_a_study_with_a_trial_of_another_form_is_damaged(name: str, value: Any) -> None:
    """It says which trial and which attribute; the other trials can be seen."""
    study = small_study()
    attributes = {**study.trials[0].user_attrs, name: value}
    study.add_trial(
        optuna.create_trial(
            value=0.5,
            params=study.trials[0].params,
            distributions=study.trials[0].distributions,
            user_attrs=attributes,
        )
    )
    look(study)
    assert stored(study).damaged[0].startswith(f"trial 2: {name}: ")
    assert [t.is_ours for t in stored(study).trials[:2]] == [True, True]


@pytest.mark.parametrize("name", [*METRICS, "gap"])
def test_a_complete_trial_that_lacks_a_score_is_damaged(name: str) -> None:
    """Every one that was scored has them all."""
    study = small_study()
    attributes = {k: v for k, v in study.trials[0].user_attrs.items() if k != name}
    study.add_trial(optuna.create_trial(value=0.5, user_attrs=attributes))
    look(study)
    assert stored(study).damaged == (f"trial 2: {name}: missing",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"val_accuracy": "0.9"}, "curve: val_accuracy: text, not a list"),
        ({"val_accuracy": [0.9]}, "curve: val_accuracy has 1 epochs, seconds 4"),
        ({"val_accuracy": [0.9, None, 0.9, 0.9]}, "curve: val_accuracy.1: nothing, not a number"),
        ({"val_accuracy": [0.9, float("inf"), 0.9, 0.9]}, "curve: val_accuracy is not finite"),
        ({"val_accuracy": [0.9, 1e200, 0.9, 0.9]}, "curve: val_accuracy is not finite"),
        ({"train_mine": [1.0] * 4}, "curve: train_mine without val_mine"),
        ({"seconds": [1.0] * 3}, "has 4 epochs, seconds 3"),
    ],
)
def test_a_curve_that_was_edited_is_damaged(change: dict[str, Any], told: str) -> None:
    """Its lists are of equal length, and hold finite numbers."""
    study = small_study()
    attributes = study.trials[0].user_attrs
    attributes["curve"] = {**attributes["curve"], **change}
    study.add_trial(optuna.create_trial(value=0.5, user_attrs=attributes))
    look(study)
    (line,) = stored(study).damaged
    assert line.startswith("trial 2: curve: ")
    assert told in line


def test_what_does_not_fit_together_is_damaged() -> None:
    """A scored epoch beyond the curve, a score that is infinite."""
    study = small_study()
    attributes = {**study.trials[0].user_attrs, "epoch": 4}
    study.add_trial(optuna.create_trial(value=float("inf"), user_attrs=attributes))
    look(study)
    assert stored(study).damaged == (
        "trial 2: its score is inf",
        "trial 2: epoch: 4, counted from 0, but its curve has 4",
    )


def test_a_study_that_this_program_made_is_whole(study: optuna.Study) -> None:
    """With trials of every state, its confirmation, and what another tool told in it."""
    linked = add_confirmation(study, {"trial 1": [0.9, None], "default": [0.89, 0.9]})
    trial = study.ask()
    # Names that this program has too, of somebody else's trial.
    for name, value in (("seed", "mine"), ("epoch", [1]), ("val_note", "good"), ("gap", None)):
        trial.set_user_attr(name, value)
    study.tell(trial, 0.5)
    assert (stored(study).damaged, stored(linked).damaged) == ((), ())
    require_whole(stored(study))
    assert stored(study).trials[-1].epoch is None
    assert stored(study).trials[-1].scores == {}


@pytest.mark.parametrize("value", WRONG.values(), ids=WRONG)
def test_a_study_of_another_tool_may_call_its_own_as_it_likes(value: Any) -> None:
    """None of its attributes is ours: it is whole, and none of them is read."""
    study = optuna.create_study(study_name="theirs")
    for name in forms.OF_STUDIES.keys() - {names.CONFIG_DIGEST}:
        study._storage.set_study_user_attr(study._study_id, name, value)
    study.add_trial(optuna.create_trial(value=0.5, user_attrs=dict.fromkeys(forms.OF_TRIALS, value)))
    found = stored(study)
    assert found.damaged == ()
    records(studies_frame([found]))
    records(trials_frame(found))


def test_a_study_of_several_objectives_is_passed_by() -> None:
    """None of its trials can be ranked."""
    study = optuna.create_study(study_name="two", directions=["maximize", "minimize"])
    study.add_trial(optuna.create_trial(values=[0.5, 3.0]))
    look(study)
    assert stored(study).damage == "it has 2 objectives; the studies that are read here have one"


def test_a_damaged_confirmation_stands_for_no_confirmation(study: optuna.Study) -> None:
    """And keeps the sweep from being used as an unconfirmed one."""
    linked = add_confirmation(study, {"trial 1": [0.9, 0.91], "default": [0.89, 0.9]})
    for name in ("confirms", "candidates"):
        before = linked.user_attrs[name]
        linked.set_user_attr(name, 7)
        with pytest.raises(StudyDamagedError, match=f"'dense-confirm' is damaged(.|\n)*{name}: a number"):
            require_whole(stored(study), with_confirmation=True)
        linked.set_user_attr(name, before)
    require_whole(stored(study), with_confirmation=True)


def test_status_knows_the_scores_that_curves_have() -> None:
    """They stand there a second time, since it loads no NumPy."""
    assert set(forms.SCORES) == set(METRICS)


def test_all_attributes_have_a_form() -> None:
    """A new one needs its own."""
    fixed = {"CONFIRM", "SCORE_PREFIXES", "OURS"}
    known = {value for name, value in vars(names).items() if name.isupper() and name not in fixed}
    assert known == (forms.OF_STUDIES.keys() | forms.OF_TRIALS.keys()) - set(METRICS)


def test_attributes_that_fit_are_checked_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another they are looked at only where something is wrong: a study has tens of thousands."""
    monkeypatch.setattr(forms, "_adapter", lambda *_: pytest.fail("one by one"))
    fitting = {"epoch": 2, "gap": 0.01, "hyperparameters": {"depth": 2, "activation": "relu"}, "note": [7]}
    assert forms.problems(fitting, forms.OF_TRIALS) == {}
