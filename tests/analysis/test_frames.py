from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from made_studies import StudyMaker, stored, tell_from_elsewhere

from fmnist_sweep.analysis import frames, ranking, rescoring
from fmnist_sweep.core.score import ScoreRule

# At penalty 1 and tolerance 0.01 the scores are 0.86, 0.87 (0.88 at a gap of 0.02) and 0.865.
MODEST = ([0.80, 0.86], [0.80, 0.86])
BALANCED = ([0.82, 0.90], [0.81, 0.88])
OVERFIT = ([0.87, 0.99], [0.865, 0.90])


def test_best_trials_ranks_by_score_then_gap_then_size(tiny_study: StudyMaker) -> None:
    """Equal scores go to the smaller gap."""
    study = tiny_study(MODEST, BALANCED, OVERFIT, ([0.87], [0.87]))
    assert [t.number for t in ranking.best_trials(stored(study))] == [3, 1, 2, 0]
    assert [t.number for t in ranking.best_trials(stored(study), 1)] == [3]


def test_a_study_is_not_read_anew_for_each_of_its_trials(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leaving out what is too large takes as many questions to the storage for many trials as for one."""
    asked: list[int] = []
    reading = vars(optuna.Study)["user_attrs"].fget

    def counted(self: optuna.Study) -> Any:
        asked.append(1)
        return reading(self)

    monkeypatch.setattr(optuna.Study, "user_attrs", property(counted))
    assert len(ranking.measured_trials(stored(study))) > 4
    for ask in (ranking.candidates, ranking.left_out_notes):
        asked.clear()
        ask(stored(study))
        assert len(asked) < 5


def test_best_trials_never_ranks_pruned_ones(study: optuna.Study) -> None:
    """Only COMPLETE trials are ranked, best first."""
    best = ranking.best_trials(stored(study))
    assert {t.state for t in best} == {"COMPLETE"}
    assert [t.value for t in best] == sorted((t.value or 0.0 for t in best), reverse=True)


def test_studies_frame_tells_best_baseline_and_counts(tiny_study: StudyMaker) -> None:
    """A study's row holds its best trial and the difference from the default configuration."""
    row = frames.studies_frame([stored(tiny_study(MODEST, BALANCED, OVERFIT))]).iloc[0]
    assert row["best_trial"] == 1
    assert row["score"] == pytest.approx(0.87)
    assert row["gap"] == pytest.approx(0.02)
    assert row["default_score"] == pytest.approx(0.86)
    assert row["difference"] == pytest.approx(0.01)
    assert (row["n_trials"], row["complete"], row["epochs"]) == (3, 3, 6)


def test_studies_frame_counts_every_state(study: optuna.Study) -> None:
    """Each trial is counted once under its state."""
    row = frames.studies_frame([stored(study)]).iloc[0]
    states = ["complete", "pruned", "failed", "running", "interrupted", "waiting"]
    assert row["n_trials"] == sum(row[s] for s in states)
    assert all(row[s] > 0 for s in states if s != "interrupted")


def test_an_empty_study_has_a_row_without_numbers(tiny_study: StudyMaker) -> None:
    """Where nothing is complete, the best trial's numbers are missing."""
    row = frames.studies_frame([stored(tiny_study())]).iloc[0]
    assert row["n_trials"] == 0
    assert pd.isna(row["score"])
    assert pd.isna(row["best_trial"])


def test_trials_frame_keeps_scores_and_pruned_values_apart(study: optuna.Study) -> None:
    """A score belongs to COMPLETE trials, a pruned trial's last report stands in its own column."""
    frame = frames.trials_frame(stored(study))
    assert len(frame) == len(study.get_trials(deepcopy=False))
    assert (frame["score"].notna() == (frame["state"] == "COMPLETE")).all()
    assert (frame["pruned_score"].notna() == (frame["state"] == "PRUNED")).all()
    assert frame.loc[frame["state"] == "FAIL", "fail_reason"].str.contains("diverged").all()


def test_trials_frame_holds_fixed_and_conditional_hyperparameters(study: optuna.Study) -> None:
    """Fixed values have a column too, and a parameter that a trial does not have is missing, not 0."""
    frame = frames.trials_frame(stored(study)).set_index("number")
    assert frame.loc[0, "params_batch_size"] == 32
    assert frame["params_units_2"].isna()[0]
    assert frame.loc[1, "params_units_2"] == study.get_trials(deepcopy=False)[1].params["units_2"]
    assert "300.0" not in frame[["params_units_1", "n_parameters"]].to_csv()


def test_empty_frames_have_their_columns(tiny_study: StudyMaker) -> None:
    """Scripts may read columns of a study without trials."""
    assert "score" in frames.trials_frame(stored(tiny_study()))
    assert "val_accuracy" in frames.curves_frame(stored(tiny_study()))


def test_curves_frame_has_a_row_for_each_epoch_and_one_scored(tiny_study: StudyMaker) -> None:
    """The long form repeats the stored curve and marks the scored epoch."""
    frame = frames.curves_frame(stored(tiny_study(MODEST, OVERFIT)))
    assert len(frame) == 4
    assert frame.loc[frame["scored"], "epoch"].tolist() == [2, 1]
    assert frame.loc[frame["number"] == 1, "gap"].tolist() == pytest.approx([0.005, 0.09])


def test_rescored_answers_what_another_rule_would_have_picked(tiny_study: StudyMaker) -> None:
    """Without a penalty the plain validation accuracy picks, and the study's own pick is told."""
    found = rescoring.rescored(stored(tiny_study(MODEST, BALANCED, OVERFIT)), ScoreRule(penalty=0))
    assert (found.picked, found.own_pick) == (2, 1)
    assert found.trials["score"].tolist() == pytest.approx([0.90, 0.88, 0.86])
    assert found.trials["epoch"].tolist() == [2, 2, 2]
    assert "3 complete trials" in found.note


def test_rescored_by_the_own_rule_is_the_studys_own_ranking(study: optuna.Study) -> None:
    """The stored rule reproduces the stored scores, epochs and order."""
    found = rescoring.rescored(stored(study), stored(study).rule)
    assert found.trials["number"].tolist() == [t.number for t in ranking.best_trials(stored(study))]
    assert found.trials["score"].tolist() == pytest.approx(found.trials["own_score"].tolist())
    assert found.trials["epoch"].tolist() == found.trials["own_epoch"].tolist()


def test_rescored_takes_only_epochs_that_the_space_allows(tiny_study: StudyMaker) -> None:
    """An epoch outside the space is never picked, however good."""
    study = tiny_study(([0.90, 0.90, 0.95], [0.90, 0.80, 0.81]))
    study.set_user_attr("allowed_epochs", [1, 2])
    assert rescoring.rescored(stored(study), ScoreRule(penalty=0)).trials["epoch"].tolist() == [3]


def test_rescored_without_trials_picks_none(tiny_study: StudyMaker) -> None:
    """A study without a complete trial has no pick."""
    found = rescoring.rescored(stored(tiny_study()), ScoreRule())
    assert found.picked is None
    assert found.own_pick is None
    assert found.trials.empty


def test_frames_read_what_sqlite_stores(sqlite_study: optuna.Study, tmp_path: Path) -> None:
    """A study read back from a file gives the same frames as the study that was written."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    again = optuna.load_study(study_name=sqlite_study.study_name, storage=url)
    pd.testing.assert_frame_equal(
        frames.trials_frame(stored(again)), frames.trials_frame(stored(sqlite_study))
    )
    pd.testing.assert_frame_equal(
        frames.curves_frame(stored(again)), frames.curves_frame(stored(sqlite_study))
    )


def test_what_another_tool_told_is_listed_and_not_ranked(study: optuna.Study) -> None:
    """It has a row and a score, is counted apart, and is neither the best nor the baseline."""
    before = frames.studies_frame([stored(study)]).iloc[0]
    number = tell_from_elsewhere(study, 0.999)
    row = frames.studies_frame([stored(study)]).iloc[0]
    assert (row["complete"], row["unmeasured"]) == (before["complete"] + 1, 1)
    assert (row["best_trial"], row["score"]) == (before["best_trial"], before["score"])
    assert frames.trials_frame(stored(study)).set_index("number").loc[number, "score"] == 0.999
    study.set_user_attr("default_trial", number)
    assert ranking.default_trial(stored(study)) is None


def test_a_study_of_another_tool_is_ranked_as_it_is() -> None:
    """Nothing was measured there, so nothing is left out."""
    other = optuna.create_study(direction="maximize")
    for value in (0.1, 0.3, 0.2):
        tell_from_elsewhere(other, value)
    assert [t.number for t in ranking.best_trials(stored(other))] == [1, 2, 0]
    assert ranking.n_unmeasured(stored(other)) == 0
