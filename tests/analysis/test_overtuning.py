"""How much of what a sweep gained is there on fresh repeats."""

from __future__ import annotations

import optuna
import pytest
from made_studies import StudyMaker, add_confirmation, stored

from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.analysis.overtuning import Overtuning, incumbents, overtuning, overtuning_words

BASELINE = [0.86, 0.862, 0.858]


@pytest.fixture
def swept(tiny_study: StudyMaker) -> optuna.Study:
    """A sweep whose trials 0, 1 and 3 were its best for a while, and which gained 3 points of accuracy."""
    values = (0.87, 0.89, 0.88, 0.90)
    return tiny_study(*(([v - 0.02, v], [v - 0.02, v]) for v in values))


def of(study: optuna.Study) -> Overtuning | None:
    confirmation = read_confirmation(stored(study))
    assert confirmation is not None
    return overtuning(stored(study), confirmation)


def words(study: optuna.Study) -> list[str]:
    confirmation = read_confirmation(stored(study))
    assert confirmation is not None
    return overtuning_words(stored(study), confirmation)


def above(by: float) -> list[float]:
    """Return scores that lie above the baseline's by so much on average."""
    return [round(b + by + wobble, 6) for b, wobble in zip(BASELINE, (-0.002, 0.001, 0.001), strict=True)]


def test_the_incumbents_are_those_that_beat_all_before_them(swept: optuna.Study) -> None:
    """In the order of the sweep."""
    assert [t.number for t in incumbents(stored(swept))] == [0, 1, 3]


def test_what_was_gained_is_set_beside_what_remains(swept: optuna.Study) -> None:
    """The same two configurations both times, and the share that a better one of before had."""
    add_confirmation(
        swept, {"trial 3": above(0.01), "trial 1": above(0.02), "baseline": BASELINE}, decision={}
    )
    found = of(swept)
    assert found is not None
    assert (found.trial, found.n_incumbents, found.n_all_incumbents) == (3, 2, 3)
    assert (found.gained, found.remains.mean) == pytest.approx((0.03, 0.01))
    # It ended 1 point below the best of them, which had gained 2.
    assert found.relative == pytest.approx(0.5)
    first, second = words(swept)
    assert first.startswith(
        "Of 3.00 points of accuracy that the sweep's best, trial 3, gained over your baseline in the sweep, "
        "1.00 points remain on fresh seeds and splits (+1.00 points, 95 % "
    )
    assert second.startswith("Relative overtuning is estimated at 0.50, by 2 of the 3 configurations ")


def test_what_is_lost_is_said_to_be(swept: optuna.Study) -> None:
    """Below the baseline nothing remains, and a share of nothing is not defined."""
    add_confirmation(swept, {"trial 3": above(-0.01), "baseline": BASELINE}, decision={})
    (only,) = words(swept)
    assert ", nothing remains on fresh seeds and splits (-1.00 points, 95 % " in only


def test_more_than_was_gained_is_all_of_it(swept: optuna.Study) -> None:
    """A sweep's images may have been unkind to its best; no more than all remains."""
    add_confirmation(swept, {"trial 3": above(0.04), "baseline": BASELINE}, decision={})
    assert ", all remain on fresh seeds and splits (+4.00 points, 95 % " in words(swept)[0]


def test_the_baseline_counts_at_the_epochs_that_it_trains(swept: optuna.Study) -> None:
    """From the curve that the sweep stored of it: not at the epoch that the score picked."""
    linked = add_confirmation(swept, {"trial 3": above(0.01), "baseline": BASELINE}, decision={})
    made = [{**c, "epochs": 1} if c["label"] == "baseline" else c for c in linked.user_attrs["candidates"]]
    linked.set_user_attr("candidates", made)
    found = of(swept)
    assert found is not None
    assert found.gained == pytest.approx(0.05)


def test_in_a_confirmation_of_before_it_is_the_score(swept: optuna.Study) -> None:
    """Which ranked its candidates; its default was trained like one."""
    add_confirmation(swept, {"trial 3": above(0.01), "default": BASELINE})
    assert words(swept)[0].startswith(
        "Of 3.00 points of score that the sweep's best, trial 3, gained over the"
    )


@pytest.mark.parametrize("label", ["trial 1", "baseline"])
def test_nothing_is_said_without_both(swept: optuna.Study, label: str) -> None:
    """Without repeats of the sweep's best, or of a baseline."""
    add_confirmation(swept, {label: BASELINE}, decision={})
    assert (of(swept), words(swept)) == (None, [])
