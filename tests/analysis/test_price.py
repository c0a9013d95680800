"""What a penalty gave up and got, and when it looks too strong."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from made_studies import StudyMaker, add_confirmation, add_trial, params_of, stored, tell_from_elsewhere
from optuna.trial import TrialState

from fmnist_sweep.analysis.price import Price, price
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.analysis.rescoring import rescored
from fmnist_sweep.analysis.summary import price_words, scoring, summary
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.score import ScoreRule

# At penalty 1 and tolerance 0.01 the scores are 0.86 (the default), 0.87 at a gap of 0.02, and 0.865 (0.82).
DEFAULT = ([0.80, 0.86], [0.80, 0.86])
BALANCED = ([0.82, 0.90], [0.81, 0.88])
OVERFIT = ([0.87, 0.99], [0.865, 0.90])


def found(study: optuna.Study) -> Price:
    paid = price(stored(study))
    assert paid is not None
    return paid


def sentence(study: optuna.Study) -> str:
    (told,) = price_words(stored(study))
    return told


def test_the_price_is_the_validation_accuracy_given_up_for_the_smaller_gap(tiny_study: StudyMaker) -> None:
    """Without its penalty the rule picks another trial, at that trial's own best plain epoch."""
    study = tiny_study(DEFAULT, BALANCED, OVERFIT)
    paid = found(study)
    assert (paid.chosen.at, paid.plain.at) == ((1, 1), (2, 1))
    assert (paid.given_up, paid.got) == pytest.approx((0.02, 0.07))
    assert sentence(study) == (
        "The penalty chose trial 1 after epoch 2 (validation accuracy 88.00 %, gap 2.00 points); without it "
        "the choice is trial 2 after epoch 2 (90.00 %, 9.00 points): it gave up 2.00 points and got a gap "
        "smaller by 7.00 points."
    )


def test_the_penalty_may_choose_another_epoch_of_the_same_trial(tiny_study: StudyMaker) -> None:
    """The trial is named once, with both epochs."""
    study = tiny_study(OVERFIT)
    assert (found(study).chosen.at, found(study).plain.at) == ((0, 0), (0, 1))
    assert "chose trial 0 after epoch 1" in price_words(stored(study))[0]
    assert (
        "the choice is the same trial after epoch 2 (90.00 %, 9.00 points)" in price_words(stored(study))[0]
    )


def test_a_penalty_that_changes_nothing_is_said_to(tiny_study: StudyMaker) -> None:
    """Both rules choose one trial at one epoch: nothing is given up."""
    assert sentence(tiny_study(DEFAULT, BALANCED)) == (
        "The penalty changed nothing: with it and without it the choice is trial 1."
    )


def test_without_a_penalty_nothing_is_given_up(tiny_study: StudyMaker) -> None:
    """That is said, and no trial is called a choice of the penalty."""
    told = sentence(tiny_study(DEFAULT, OVERFIT, penalty=0.0))
    assert told == "The score has no penalty: nothing is given up for a smaller gap."


def entropy_study(tiny_study: StudyMaker, *rows: tuple[float, float], **score: object) -> optuna.Study:
    """Make a study scored by cross-entropy; each trial has one epoch of a (train, val) cross-entropy."""
    study = tiny_study(metric="cross_entropy", **score)
    for i, (train, val) in enumerate(rows):
        # Accuracy goes the other way, so that one that is taken for the metric shows.
        curve = LearningCurve.from_scores(
            train=[0.9 - i / 10], val=[0.9 - i / 10], train_cross_entropy=[train], val_cross_entropy=[val]
        )
        add_trial(study, params_of(i), curve)
    return study


def test_a_loss_is_called_by_its_name_in_its_unit(tiny_study: StudyMaker) -> None:
    """A lower cross-entropy is the better one, is told in nats, and is no accuracy."""
    study = entropy_study(tiny_study, (0.55, 0.56), (0.45, 0.50), (0.20, 0.40))
    paid = found(study)
    assert (paid.chosen.at, paid.plain.at) == ((1, 0), (2, 0))
    assert (paid.given_up, paid.got) == pytest.approx((0.1, 0.15))
    told = sentence(study)
    assert "trial 1 after epoch 1 (validation cross-entropy 0.5000 nats, gap 0.0500 nats)" in told
    assert "it gave up 0.1000 nats and got a gap smaller by 0.1500 nats" in told
    assert "accuracy" not in told
    assert "points" not in told


def test_a_floor_holds_with_and_without_the_penalty(tiny_study: StudyMaker) -> None:
    """Under a floor that one trial alone reaches, both choose it; with none that reaches it, too."""
    reached = tiny_study(DEFAULT, BALANCED, OVERFIT, min_val_accuracy=0.89)
    assert (found(reached).chosen.at, found(reached).changed) == ((2, 1), False)
    missed = tiny_study(DEFAULT, OVERFIT, penalty=50.0, min_val_accuracy=0.95)
    assert sentence(missed).endswith("the choice is trial 1.")


def test_the_last_epoch_counts_in_both_under_that_rule(tiny_study: StudyMaker) -> None:
    """A better earlier epoch is no plain pick where the rule scores the last one."""
    fading = ([0.90, 0.99], [0.90, 0.87])
    study = tiny_study(DEFAULT, fading, BALANCED, epoch_rule="last")
    assert (found(study).chosen.at, found(study).plain.at) == ((2, 1), (2, 1))
    assert found(tiny_study(DEFAULT, fading, BALANCED)).chosen.at == (1, 0)


def test_only_epochs_that_the_space_allows_are_compared(tiny_study: StudyMaker) -> None:
    """A plain pick is one that the sweep without a penalty could have scored."""
    study = tiny_study(DEFAULT)
    study.set_user_attr("allowed_epochs", [2])
    add_trial(study, params_of(1), LearningCurve.from_scores(train=[0.9, 0.9, 0.99], val=[0.9, 0.8, 0.85]))
    assert found(study).plain.at == (0, 1)


def test_what_is_too_large_to_be_handed_out_is_no_choice(tiny_study: StudyMaker) -> None:
    """Both are chosen among the trials within the limit, and it is said so; with none nothing is said."""
    study = tiny_study(DEFAULT, BALANCED, OVERFIT)
    config = study.user_attrs["config"]
    sizes = [t.user_attrs["n_parameters"] for t in study.get_trials()]
    study.set_user_attr("config", {**config, "max_model_size": sizes[0]})
    assert (found(study).chosen.at, found(study).plain.at) == ((0, 1), (0, 1))
    assert sentence(study).startswith(
        f"Of the trials within max_model_size = {sizes[0]:,} the penalty changed"
    )
    study.set_user_attr("config", {**config, "max_model_size": 1})
    assert price_words(stored(study)) == []


def test_pruned_foreign_and_failed_trials_are_no_choice(tiny_study: StudyMaker) -> None:
    """Only COMPLETE trials that the sweep measured are compared: the others have no curve to its end."""
    study = tiny_study(DEFAULT, BALANCED)
    best = LearningCurve.from_scores(train=[1.0], val=[0.95])
    add_trial(study, params_of(2), best, state=TrialState.PRUNED)
    add_trial(study, params_of(3), best, state=TrialState.FAIL, fail_reason="oom")
    tell_from_elsewhere(study, 0.99)
    assert sentence(study).endswith("the choice is trial 1.")


def test_where_nothing_was_chosen_nothing_is_said(tiny_study: StudyMaker) -> None:
    """A study without a complete trial, another tool's, a confirmation, whose trials were chosen before."""
    elsewhere = optuna.create_study(direction="maximize")
    tell_from_elsewhere(elsewhere, 0.9)
    repeats = add_confirmation(tiny_study(DEFAULT, BALANCED), {"trial 1": [0.9, 0.8]})
    for study in (tiny_study(), elsewhere, repeats):
        assert price_words(stored(study)) == []


def test_a_damaged_study_is_passed_by(tiny_study: StudyMaker) -> None:
    """A scored epoch beyond a curve's end is no price, and no error."""
    study = tiny_study(DEFAULT, BALANCED)
    add_trial(study, params_of(2), LearningCurve.from_scores(train=[0.9], val=[0.9]), epoch=99)
    assert price(stored(study)) is None


def test_a_choice_that_trains_and_validates_worse_than_the_default_is_warned_of(
    tiny_study: StudyMaker,
) -> None:
    """The default counts at its best epoch without a penalty; what to set is told, and how to look first."""
    learned, hardly = ([0.78, 1.0], [0.76, 0.83]), ([0.80], [0.78])
    study = tiny_study(learned, hardly, ([0.98], [0.84]))
    assert found(study).sign == "underfits"
    _, warning = price_words(stored(study))
    assert "training accuracy 80.00 %, against 100.00 % in trial 0 after epoch 2" in warning
    assert "validates no better (78.00 %, against 83.00 %)" in warning
    # At half the penalty trial 2 scores 0.775 against 0.775 of trial 1; at a quarter it is ahead.
    assert "Try --set score.penalty=0.25" in warning
    assert "--import-from tiny --set score.penalty=0.25" in warning
    assert "slider" in warning


def test_training_worse_and_validating_better_is_what_a_penalty_is_for(tiny_study: StudyMaker) -> None:
    """No warning where the default overfits and the choice does better on new images."""
    study = tiny_study(([0.97], [0.87]), ([0.90], [0.88]), ([0.99], [0.89]))
    assert found(study).changed
    assert found(study).sign is None


def test_a_choice_that_needs_no_penalty_is_not_warned_of(tiny_study: StudyMaker) -> None:
    """Where the rule without it chooses the same, the penalty is not why a net underfits."""
    assert found(tiny_study(([0.95], [0.86]), BALANCED)).sign is None


def test_a_score_that_is_mostly_penalty_is_warned_of(tiny_study: StudyMaker) -> None:
    """More than half of the validation accuracy is taken away; a study of one trial may have that."""
    study = tiny_study(([0.95], [0.60]), penalty=2.0)
    _, warning = price_words(stored(study))
    assert (
        "most of the score of trial 0 is penalty: 68.00 points for a gap of 35.00 points, beside a" in warning
    )
    assert "beside a validation accuracy of 60.00 %" in warning
    # At 1 it takes 34 points and leaves 26; at 0.5 it takes 17 and leaves 43.
    assert found(study).smaller == pytest.approx(0.5)


def test_a_loss_that_is_mostly_penalty_is_warned_of(tiny_study: StudyMaker) -> None:
    """The penalty is larger than the cross-entropy itself."""
    study = entropy_study(tiny_study, (0.10, 0.50), penalty=2.0)
    _, warning = price_words(stored(study))
    assert "0.7800 nats for a gap of 0.4000 nats, beside a validation cross-entropy of 0.5000 nats" in warning
    assert found(study).smaller == pytest.approx(1.0)


def test_no_penalty_is_called_most_of_a_score_that_is_a_shortfall(tiny_study: StudyMaker) -> None:
    """Under a floor that nothing reaches the penalty decides nothing."""
    assert found(tiny_study(([0.95], [0.60]), penalty=2.0, min_val_accuracy=0.9)).sign is None


def test_a_choice_without_a_default_is_judged_by_its_score_alone(tiny_study: StudyMaker) -> None:
    """A study whose default was not measured has nothing to train worse than."""
    study = tiny_study(([0.78, 1.0], [0.76, 0.83]), ([0.80], [0.78]), ([0.98], [0.84]))
    study.set_user_attr("default_trial", 99)
    assert (found(study).default, found(study).sign) == (None, None)


def test_a_warning_names_a_study_as_a_shell_takes_it(tiny_study: StudyMaker) -> None:
    """A name with a blank is quoted in the command to type."""
    study = tiny_study(([0.95], [0.60]), penalty=2.0)
    other = optuna.create_study(study_name="my study", direction="maximize")
    for key, value in study.user_attrs.items():
        other.set_user_attr(key, value)
    other.add_trials(study.get_trials())
    assert "--import-from 'my study' --set" in price_words(stored(other))[1]


def near_best(tiny_study: StudyMaker, **score: Any) -> optuna.Study:
    """Two trials that validation can't tell apart; the second has the smaller loss, and the worse score."""
    made = tiny_study(**{"penalty": 0.0, "within_se": 1.0, **score})
    for i, (val, loss) in enumerate((([0.890, 0.900], [0.5, 0.4]), ([0.898, 0.899], [0.30, 0.35]))):
        curve = LearningCurve.from_scores(
            train=[0.9] * 2, val=val, train_cross_entropy=[0.2] * 2, val_cross_entropy=loss
        )
        add_trial(made, params_of(i), curve)
    return made


def test_the_smallest_loss_within_the_noise_is_told_beside_the_best_score(tiny_study: StudyMaker) -> None:
    """Trial, epoch and loss of both: one standard error of 0.9 over 5,000 examples is 0.42 points."""
    study = near_best(tiny_study)
    assert (found(study).chosen.at, found(study).plain.at) == ((1, 0), (0, 1))
    assert sentence(study) == (
        "2 trials are within 1 standard errors of the best validation accuracy; the smallest validation "
        "loss there is that of trial 1 after epoch 1 (89.80 %, cross-entropy 0.3000). The best accuracy is "
        "that of trial 0 after epoch 2 (90.00 %, cross-entropy 0.4000)."
    )
    assert scoring(stored(study)).endswith(
        "within 1 standard errors of the best, the smallest validation loss"
    )


def test_what_is_chosen_within_the_noise_is_the_best_everywhere(tiny_study: StudyMaker) -> None:
    """Its epoch, its scores and its gap are those of the choice; the trial as it was told stays beside it."""
    study = stored(near_best(tiny_study))
    best = best_trials(study)[0]
    assert (best.number, best.epoch, best.value) == (1, 0, 0.898)
    assert (best.scores["val_cross_entropy"], best.gap) == (0.30, 0.002)
    assert summary(study)[0].startswith("The best is trial 1, score 0.8980 after epoch 1")
    assert (study.told_trials[1].epoch, study.told_trials[1].value) == (1, 0.899)
    assert rescored(study, study.rule).picked == 1
    assert rescored(study, ScoreRule()).picked == 0


def test_what_may_not_be_handed_out_is_not_chosen_within_the_noise(tiny_study: StudyMaker) -> None:
    """A trial with more weights than the sweep allows neither wins nor says how near is near."""
    made = near_best(tiny_study)
    add_trial(made, params_of(2), LearningCurve.from_scores(train=[0.99], val=[0.99]), n_parameters=10**6)
    made.set_user_attr("config", {**made.user_attrs["config"], "max_model_size": 100_000})
    assert [t.number for t in best_trials(stored(made))] == [1, 0, 2]


def test_a_rule_that_can_not_act_says_nothing(tiny_study: StudyMaker) -> None:
    """Data that say themselves what validates, and not how many, give no standard error."""
    made = near_best(tiny_study)
    made.set_user_attr("data", {**made.user_attrs["data"], "form": "call", "validates": True})
    assert best_trials(stored(made))[0].number == 0
    assert sentence(made) == "The score has no penalty: nothing is given up for a smaller gap."
