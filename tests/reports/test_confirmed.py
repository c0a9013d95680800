"""Confirmations in the report and in the dashboard."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import optuna
import optuna_dashboard
import pytest
from made_studies import StudyMaker, add_confirmation, empty_study, stored

from fmnist_sweep.analysis.confirmations import read_confirmation
from fmnist_sweep.reports import dashboard, gathered
from fmnist_sweep.reports.confirmed import compared_figure, compared_sides, confirmed_figure
from fmnist_sweep.reports.page import render_report

CURVE = ([0.85, 0.90], [0.84, 0.90])
WHEN = datetime(2026, 11, 22, tzinfo=UTC)
EVIL = "<script>alert(1)</script>"


@pytest.fixture
def confirmed(tiny_study: StudyMaker) -> optuna.Study:
    """A confirmed study whose winner, the default, is none of the best five of the sweep."""
    better = ([0.86, 0.91], [0.85, 0.91])
    study = tiny_study(CURVE, *[better] * 6)
    add_confirmation(study, {"trial 1": [0.88, 0.899, 0.90], "default": [0.91, 0.92, 0.93]})
    return study


def linked_of(study: optuna.Study) -> optuna.Study:
    return optuna.load_study(study_name="tiny-confirm", storage=study._storage)


def note_of(study: optuna.Study, number: int) -> str:
    return gathered.note_of(study, study.trials[number])


def test_every_repeat_is_a_dot_and_the_best_is_on_top(confirmed: optuna.Study) -> None:
    """Each candidate has its mean, its interval, its repeats and its sweep score."""
    confirmation = read_confirmation(stored(confirmed))
    assert confirmation is not None
    figure = confirmed_figure(confirmation)
    assert list(figure.layout.yaxis.ticktext) == ["default (trial 0)", "trial 1"]
    winner, other, dots, swept = figure.data
    assert (winner.name, list(winner.x), list(other.x)) == ("confirmed winner", [0.92], [0.893])
    assert winner.error_x.array[0] == pytest.approx(confirmation.standings[0].score.high - 0.92, abs=1e-5)
    assert sorted(dots.x) == [0.88, 0.899, 0.90, 0.91, 0.92, 0.93]
    assert list(swept.x) == [0.90, 0.91]


def test_a_confirmation_without_repeats_says_so(confirmed: optuna.Study) -> None:
    """The figure of one that has just begun is words."""
    linked_of(confirmed).set_user_attr("candidates", [])
    confirmation = read_confirmation(stored(confirmed))
    assert confirmation is not None
    assert "No repeat is complete yet." in confirmed_figure(confirmation).to_json()


def test_the_report_shows_a_confirmation_with_its_sweep(confirmed: optuna.Study) -> None:
    """Not as a study of its own; the winner is marked in the best table though the sweep ranks it low."""
    page = render_report([stored(confirmed), stored(linked_of(confirmed))], storage="studies.db", when=WHEN)
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert "1 study, 7 trials" in markup
    assert "tiny-confirm" not in markup
    assert "Confirmed on fresh seeds" in markup
    assert "The confirmed winner is the default" in markup
    assert re.search(r"<td[^>]*>0, confirmed winner</td>", markup)
    assert re.search(r"<td[^>]*>default \(trial 0\), confirmed winner</td>", markup)
    # Nothing to compare with one study.
    assert "The winners side by side" not in markup


def test_a_confirmation_whose_sweep_is_gone_is_still_shown(confirmed: optuna.Study) -> None:
    """It is all that is left of it."""
    page = render_report([stored(linked_of(confirmed))], storage="studies.db", when=WHEN)
    assert "<h2>tiny-confirm</h2>" in page


def test_the_report_compares_the_winners(confirmed: optuna.Study, study: optuna.Study) -> None:
    """With at least two studies: numbers, what differs, and which are unconfirmed."""
    study.set_user_attr("config_digest", "c0ffee" * 8)
    page = render_report([stored(confirmed), stored(study)], storage="studies.db", when=WHEN)
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    assert "The winners side by side" in markup
    assert "default, confirmed" in markup
    assert "dense is unconfirmed" in markup


def test_an_experiment_has_no_winner(confirmed: optuna.Study) -> None:
    """Its configurations were given, not searched: it stands beside no sweep's winner."""
    searched, given = empty_study(None, "searched"), empty_study(None, "given")
    for one in (searched, given):
        one.add_trials(confirmed.get_trials(deepcopy=False)[:1])
    given.set_user_attr("kind", "paper")
    assert [s.study for s in compared_sides([stored(confirmed), stored(searched), stored(given)])] == [
        confirmed.study_name,
        "searched",
    ]


def test_names_of_studies_are_no_markup_in_the_comparison(
    confirmed: optuna.Study, study: optuna.Study
) -> None:
    """Plotly reads tick labels as HTML."""
    hostile = empty_study(None, EVIL)
    hostile.add_trials(study.get_trials(deepcopy=False)[:1])
    sides = compared_sides([stored(confirmed), stored(hostile)])
    assert len(sides) == 2
    assert EVIL not in json.dumps(compared_figure(sides).to_dict())
    assert EVIL not in render_report([stored(confirmed), stored(hostile)], storage="studies.db", when=WHEN)


def test_the_notes_tell_what_the_confirmation_came_to(confirmed: optuna.Study) -> None:
    """The winning trial's note begins with it, the other candidate's too; the study's holds the verdict."""
    dashboard.attach_figures(confirmed)
    score = r"mean score 0.9200 ±0.0\d{3} \(95 %\) over 3 repeats on fresh seeds and splits\."
    assert re.match(rf"\*\*Confirmation: the winner\*\*: {score}\n\nScore ", note_of(confirmed, 0))
    assert note_of(confirmed, 1).startswith("**Confirmation, not the winner**: mean score 0.8930")
    assert note_of(confirmed, 2).startswith("Score ")
    assert "The confirmed winner is the default" in optuna_dashboard.get_note(confirmed)


def test_what_else_stands_in_a_note_is_left_alone(confirmed: optuna.Study) -> None:
    """However often figures are attached, the line stands once, before what a person may have written."""
    dashboard.attach_figures(confirmed)
    mine = note_of(confirmed, 0) + "\n\nMy own words."
    gathered.save_note(confirmed, mine, trial=confirmed.trials[0])
    dashboard.attach_figures(confirmed)
    assert note_of(confirmed, 0) == mine


def test_a_linked_study_says_what_it_is(confirmed: optuna.Study) -> None:
    """Its note names the confirmed study, and its trials have the notes that all trials have."""
    linked = linked_of(confirmed)
    dashboard.attach_figures(linked)
    assert "Confirms study tiny on fresh seeds and reshuffled splits" in optuna_dashboard.get_note(linked)


def test_a_decided_confirmation_is_the_headline(tiny_study: StudyMaker) -> None:
    """One sentence, on the page and in the notes, before the sweep's own best, which is called that."""
    swept = tiny_study(CURVE, CURVE)
    scores = {"trial 1": [0.91, 0.92, 0.91], "baseline": [0.890, 0.892, 0.888]}
    add_confirmation(swept, scores, decision={})
    page = render_report([stored(swept), stored(linked_of(swept))], storage="studies.db", when=WHEN)
    markup = re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)
    said = "Trial 1 beats your baseline by "
    own = "The sweep&#39;s own best, by the images that picked it, is trial"
    assert 0 < markup.index(f"<strong>{said}") < markup.index(own)
    assert "to the baseline (points)" in markup
    dashboard.attach_figures(swept)
    assert optuna_dashboard.get_note(swept).startswith(f"**tiny**\n\n{said}")
    assert said in note_of(swept, 1)
    confirmation = read_confirmation(stored(swept))
    assert confirmation is not None
    figure = confirmed_figure(confirmation)
    assert figure.layout.xaxis.title.text == "validation accuracy (%)"
    assert figure.data[0].x[0] == pytest.approx(91.3333, abs=1e-3)
