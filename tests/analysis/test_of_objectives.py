"""Studies that an Optuna objective of the user's has made: they are ranked, and say what they lack."""

from __future__ import annotations

from datetime import UTC, datetime

import optuna
import pytest
from made_studies import scripted_curve, tell_from_elsewhere

from fmnist_sweep.analysis.comparing import caveats, compared
from fmnist_sweep.analysis.frames import studies_frame
from fmnist_sweep.analysis.ranking import best_trials, left_out_notes
from fmnist_sweep.analysis.summary import price_words, summary
from fmnist_sweep.api.studies import require_model
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.wording import NOT_STORED
from fmnist_sweep.reports.page import render_report
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.writing import (
    result_attributes,
    scored_attributes,
    write_result,
    write_score_rule,
)

RULE = ScoreRule(penalty=1.0)


def of_objective(name: str) -> StoredStudy:
    """Return a study with two trials that were measured and one that was not."""
    study = optuna.create_study(study_name=name, direction="maximize")
    write_score_rule(study, RULE.to_dict(), versions={"optuna": "5"})
    # The next trial asks for the same: the first one's stands.
    write_score_rule(study, ScoreRule().to_dict(), versions={})
    for level, gap in ((0.80, 0.02), (0.85, 0.10)):
        trial = study.ask()
        trial.suggest_int("width", 2, 9)
        curve = scripted_curve(level, gap)
        attributes = result_attributes(
            hyperparameters=trial.params, curve=curve, n_parameters=10, seed=None, seconds=1.0
        )
        write_result(trial, scored_attributes(RULE.scored(curve), attributes))
        study.tell(trial, float(RULE.scores(curve).max()))
    tell_from_elsewhere(study, 0.999)
    return StoredStudy.of(study)


def test_its_measured_trials_are_ranked_and_it_says_what_it_lacks() -> None:
    """What another objective told without a curve is in no ranking."""
    study = of_objective("own")
    assert study.rule == RULE
    assert not study.damaged
    assert [trial.number for trial in best_trials(study)][:1] != [2]
    assert len(best_trials(study)) == 2
    assert "1 complete trial was told by another tool" in left_out_notes(study)[0]
    assert NOT_STORED in summary(study)
    assert any("penalty" in line for line in price_words(study))
    with pytest.raises(SweepError, match="study 'own': An Optuna objective of your own made it"):
        require_model(study)


def test_it_is_compared_and_shown() -> None:
    """With the caveat that its data are not known, and no advice to confirm it."""
    sides = compared([of_objective("own"), of_objective("two")])
    told = " ".join(caveats(sides))
    assert "whether its data are those of the others is not known" in told
    assert "fmnist-sweep confirm" not in told
    page = render_report([of_objective("own")], storage="x", when=datetime(2026, 1, 1, tzinfo=UTC))
    assert NOT_STORED.replace("'", "&#39;") in page


def test_a_damaged_trial_of_it_is_told() -> None:
    """As of a study of ours."""
    study = optuna.create_study(direction="maximize")
    write_score_rule(study, RULE.to_dict(), versions={})
    trial = study.ask()
    trial.set_user_attr("curve", "none")
    study.tell(trial, 0.5)
    assert StoredStudy.of(study).damaged == ("trial 0: curve: text, not a mapping",)
    assert studies_frame([StoredStudy.of(study)])["damaged"].notna().all()
