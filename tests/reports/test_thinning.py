"""Figures of a large study draw a share of its trials, and the page says so."""

import base64
import gzip
import json
import re
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import optuna
import pytest
from made_studies import stored

from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.reports import page, search_figures, thinning
from fmnist_sweep.reports.figures import accuracy_against_gap


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a study of ten trials be a large one."""
    monkeypatch.setattr(thinning, "MAX_WHOLE", 10)
    monkeypatch.setattr(thinning, "N_WHOLE", 4)


def written(study: optuna.Study) -> tuple[str, dict[str, Any]]:
    """Return a study's page, and what is packed into it."""
    text = page.render_report([stored(study)], storage="studies.db", when=datetime.now(UTC))
    (packed,) = re.findall(r'id="data">([^<]*)<', text)
    return text, json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.mark.usefixtures("large")
def test_a_large_studys_figures_draw_the_best_and_an_even_share(study: optuna.Study) -> None:
    """The four best are all there; of the others some of every rank, and the note has the numbers."""
    found = stored(study)
    ranked = best_trials(found)
    drawn = thinning.drawn_best(found)
    assert len(ranked) > len(drawn) == 10
    assert drawn[:4] == ranked[:4]
    ranks = [ranked.index(t) for t in drawn[4:]]
    assert ranks == sorted(set(ranks))
    assert max(b - a for a, b in pairwise(ranks)) <= len(ranked) // 6 + 1
    for figure in (*search_figures.slices(found).values(), search_figures.parallel_coordinates(found)):
        assert (
            len(figure.data[0].y if "y" in figure.data[0] else figure.data[0].dimensions[0]["values"]) <= 10
        )
    (complete,) = [trace for trace in accuracy_against_gap(found).data if trace.name == "complete"]
    assert len(complete.x) == 10
    note = f"10 of the {len(ranked)} complete trials: the 4 best"
    text, _ = written(study)
    assert note in (thinning.thinned_note(found) or "")
    assert note in text


def test_a_small_studys_figures_draw_all(study: optuna.Study) -> None:
    """Nothing is left out, and nothing is said."""
    found = stored(study)
    assert thinning.drawn_best(found) == best_trials(found)
    assert thinning.thinned_note(found) is None
    assert "Figures draw" not in written(study)[0]


@pytest.mark.usefixtures("large")
def test_the_best_so_far_is_of_all_trials(study: optuna.Study) -> None:
    """The line takes each step where any trial was better than those before, drawn or not."""
    found = stored(study)
    line = search_figures.score_history(found).data[1]
    best, steps = -1.0, []
    for trial in sorted(best_trials(found), key=lambda t: t.number):
        if trial.value is not None and trial.value > best:
            best = trial.value
            steps.append((trial.number, round(best, 5)))
    assert set(zip(line.x, line.y, strict=True)) >= set(steps)
    assert len(line.x) <= len(steps) + 2


def test_what_a_trial_shows_stands_in_the_page_once(study: optuna.Study) -> None:
    """A dozen figures show the same of it; what the page's arithmetic does not read is not there."""
    _, data = written(study)
    assert len(data["texts"]) == len(set(data["texts"]))
    places = [
        place for f in data["figures"].values() for trace in f["data"] for place in trace.get("texts", ())
    ]
    assert len(places) > 5 * len(data["texts"])
    assert max(places) < len(data["texts"])
    assert not any(isinstance(t.get("text"), list) for f in data["figures"].values() for t in f["data"])
    (whatif,) = data["whatif"].values()
    assert [set(trial["curve"]) for trial in whatif["trials"]] == [{"train_accuracy", "val_accuracy"}] * len(
        best_trials(stored(study))
    )


def test_no_trial_is_copied_to_see_what_mattered(
    study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna's importance is asked of the trials as they are: adding each to a study copies it."""
    expected = search_figures.importance(stored(study)).data[0].x
    monkeypatch.setattr(optuna.Study, "add_trial", lambda *_: pytest.fail("a trial was added"))
    assert search_figures.importance(stored(study)).data[0].x == expected
