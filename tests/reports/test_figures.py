import warnings
from collections.abc import Callable

import optuna
import plotly.graph_objects as go
import pytest
from made_studies import (
    DISTRIBUTIONS,
    StudyMaker,
    add_trial,
    empty_study,
    fill_study,
    params_of,
    scripted_curve,
    stored,
)
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import TrialState

from fmnist_sweep.analysis import ranking
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.reports import figures, search_figures
from fmnist_sweep.reports.style import hover
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial

OF_STUDIES = [
    figures.best_curves,
    figures.accuracy_against_gap,
    search_figures.score_history,
    search_figures.importance,
    search_figures.parallel_coordinates,
]


def with_trials(n: int, *, state: TrialState = TrialState.COMPLETE) -> optuna.Study:
    study = empty_study(None)
    for i in range(n):
        add_trial(study, params_of(i), scripted_curve(0.86 + 0.01 * i, 0.03), state=state, fail_reason="oom")
    return study


def one_parameter(n: int) -> optuna.Study:
    study = empty_study(None)
    for i in range(n):
        curve = scripted_curve(0.86 + 0.005 * i, 0.03)
        rates: dict[str, BaseDistribution] = {"learning_rate": FloatDistribution(1e-4, 1e-2)}
        add_trial(study, {"learning_rate": 0.001 * (i + 1)}, curve, distributions=rates)
    return study


def same_score(n: int) -> optuna.Study:
    study = empty_study(None)
    for i in range(n):
        add_trial(study, params_of(i), scripted_curve(0.88, 0.03))
    return study


@pytest.mark.parametrize("make", OF_STUDIES, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "study",
    [
        pytest.param(lambda: with_trials(0), id="no trial"),
        pytest.param(lambda: with_trials(1), id="one"),
        pytest.param(lambda: with_trials(2), id="two"),
        pytest.param(lambda: with_trials(4, state=TrialState.FAIL), id="all failed"),
        pytest.param(lambda: with_trials(4, state=TrialState.PRUNED), id="all pruned"),
        pytest.param(lambda: one_parameter(8), id="one parameter"),
        pytest.param(lambda: same_score(8), id="equal scores"),
    ],
)
def test_every_study_has_every_figure(
    make: Callable[[StoredStudy], go.Figure], study: Callable[[], optuna.Study]
) -> None:
    """Whatever a study holds, each figure is drawn or says in words why not."""
    figure = make(stored(study()))
    assert figure.layout.title.text
    assert figure.data or figure.layout.annotations[0].text.endswith(".")
    figure.to_json()


def test_importances_tell_their_uncertainty() -> None:
    """Around each lies what redrawn sets of trials give, the same each time, and never below nothing."""
    study = empty_study(None)
    fill_study(study, 24)
    bars = [search_figures.importance(stored(study)).data[0] for _ in range(2)]
    assert bars[0] == bars[1]
    assert max(bars[0].error_x.array) > 0
    for value, below in zip(bars[0].x, bars[0].error_x.arrayminus, strict=True):
        assert 0 <= below <= value + 1e-4


def test_one_score_has_an_axis_of_readable_steps() -> None:
    """Of a single trial plotly would count millionths."""
    study = empty_study(None)
    add_trial(study, params_of(0), scripted_curve(0.88, 0.05))
    low, high = search_figures.score_history(stored(study)).layout.yaxis.range
    assert high - low == pytest.approx(0.02)


@pytest.mark.parametrize("metric", ["accuracy", "cross_entropy"])
def test_learning_curves_show_both_scores_and_the_scored_epoch(metric: str) -> None:
    """Train and validation are drawn in the metric's unit, and the scored epoch is named from 1."""
    study = empty_study(None, metric=metric)
    add_trial(study, params_of(0), scripted_curve(0.88, 0.05))
    trial = best_trials(stored(study), 1)[0]
    figure = figures.learning_curves(trial, stored(study).rule)
    lines = {trace.name: trace for trace in figure.data}
    factor = UNITS[metric].factor
    curve = trial.attributes["curve"]
    for name, part in (("training", "train"), ("validation", "val")):
        shown = [factor * value for value in curve[f"{part}_{metric}"]]
        assert list(lines[name].y) == pytest.approx(shown, abs=1e-5)
    assert f"scored epoch {trial.scored_after}<br>" in figure.layout.annotations[0].text


def test_the_shaded_gap_is_parted_at_the_tolerance(tiny_study: StudyMaker) -> None:
    """The free part ends at the tolerance, the costly part at the training score."""
    study = tiny_study(([0.90, 0.95], [0.90, 0.90]))
    figure = figures.learning_curves(best_trials(stored(study), 1)[0], stored(study).rule)
    free, costly = (trace for trace in figure.data if trace.fill == "tonexty")
    assert list(free.y) == pytest.approx([90.0, 91.0])
    assert list(costly.y) == pytest.approx([90.0, 95.0])


def test_a_trial_without_an_epoch_is_told_in_words() -> None:
    """A trial that failed before its first epoch has a placeholder for its curve."""
    study = empty_study(None)
    add_trial(study, params_of(0), None, state=TrialState.FAIL, fail_reason="oom")
    figure = figures.learning_curves(StoredTrial.of(study.get_trials()[0]), stored(study).rule)
    assert "trained no epoch" in figure.layout.annotations[0].text


def test_the_front_holds_the_trials_that_none_beats_in_both(tiny_study: StudyMaker) -> None:
    """More gap must pay with more validation accuracy."""
    points = [([0.86], [0.86]), ([0.91], [0.89]), ([0.91], [0.88]), ([0.96], [0.90]), ([0.99], [0.87])]
    study = tiny_study(*points)
    front = ranking.non_dominated(stored(study).trials, stored(study).rule)
    assert [t.number for t in front] == [0, 1, 3]


def traces(study: optuna.Study) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figures.accuracy_against_gap(stored(study)).data}


# Scores by the rule: 0.86, 0.89, 0.87, 0.885, 0.76; all but the last lie on the front.
FRONT = [([0.86], [0.86]), ([0.90], [0.89]), ([0.87], [0.87]), ([0.93], [0.90]), ([0.99], [0.87])]


def test_the_choice_stands_on_the_front_between_its_ringed_neighbours(tiny_study: StudyMaker) -> None:
    """The next smaller and the next larger gap on the front; the choice itself has the star."""
    drawn = traces(tiny_study(*FRONT, epoch_rule="last"))
    assert list(drawn["best (trial 1)"].x) == pytest.approx([1.0])
    assert list(drawn["neighbours (2, 3)"].y) == pytest.approx([87.0, 90.0])


def test_an_end_of_the_front_has_one_neighbour(tiny_study: StudyMaker) -> None:
    """A single point of a front has none."""
    assert "neighbour (0)" in traces(tiny_study(([0.86], [0.86]), ([0.90], [0.89])))
    assert not any("neighbour" in name for name in traces(tiny_study(([0.86], [0.86]))))


@pytest.mark.parametrize(("metric", "factor"), [("accuracy", 100), ("cross_entropy", 1)])
def test_a_line_leads_to_what_would_be_chosen_without_the_penalty(
    tiny_study: StudyMaker, metric: str, factor: float
) -> None:
    """It ends at the plain epoch, which no trial's own point need show, and all of it can be seen."""
    study = tiny_study(([0.86], [0.86]), ([0.89, 0.99], [0.88, 0.93]), metric=metric)
    shown = figures.accuracy_against_gap(stored(study))
    (way,) = (trace for trace in shown.data if trace.name == "no penalty (trial 1)")
    ends = [0.88, 0.93] if metric == "accuracy" else [0.12, 0.07]
    assert list(way.y) == pytest.approx([factor * end for end in ends])
    assert list(way.x) == pytest.approx([factor * 0.01, factor * 0.06])
    assert "epoch 2" in way.text[1]
    low, high = shown.layout.yaxis.range
    assert low < min(way.y) < max(way.y) < high


def test_a_penalty_that_changes_nothing_draws_no_line(tiny_study: StudyMaker) -> None:
    """Nor does a rule without one."""
    for study in (tiny_study(*FRONT[:3]), tiny_study(*FRONT, penalty=0.0)):
        assert not any("no penalty" in name for name in traces(study))


def test_the_choice_within_a_lowered_limit_is_marked_beside_the_best(tiny_study: StudyMaker) -> None:
    """The best trial keeps its star though it is never handed out; the one that is has a hollow one."""
    study = tiny_study(*FRONT)
    config, first = study.user_attrs["config"], study.get_trials()[0]
    study.set_user_attr("config", {**config, "max_model_size": first.user_attrs["n_parameters"]})
    assert {"best (trial 1)", "within limit (trial 0)"} <= set(traces(study))


def test_slices_draw_each_searched_parameter_where_it_exists(study: optuna.Study) -> None:
    """A conditional parameter has points for its own trials only; fixed ones have no slice."""
    drawn = search_figures.slices(stored(study))
    best = best_trials(stored(study))
    assert set(drawn) == set(DISTRIBUTIONS)
    assert len(drawn["units_3"].data[0].x) == sum("units_3" in t.params for t in best)
    assert drawn["learning_rate"].layout.xaxis.type == "log"
    assert drawn["activation"].layout.xaxis.type == "category"


def test_parallel_coordinates_keep_trials_without_a_conditional_parameter(study: optuna.Study) -> None:
    """Every complete trial is one line; a missing value stands at a dash below the axis."""
    dimensions = {d.label: d for d in search_figures.parallel_coordinates(stored(study)).data[0].dimensions}
    assert len(dimensions["units_3"].values) == len(best_trials(stored(study)))
    assert dimensions["units_3"].ticktext[0] == "\N{EN DASH}"
    assert dimensions["learning_rate"].ticktext[0] != "\N{EN DASH}"


def test_bare_study_keeps_numbers_and_drops_attributes(study: optuna.Study) -> None:
    """Optuna's functions see the same complete trials under the same numbers."""
    copy = search_figures.bare_study(stored(study))
    complete = copy.get_trials(states=(TrialState.COMPLETE,))
    assert {t.number: t.value for t in complete} == {t.number: t.value for t in best_trials(stored(study))}
    assert not any(t.user_attrs for t in complete)


def test_hover_text_escapes_what_users_wrote() -> None:
    """Hover texts are HTML to plotly: a stored string can't become markup."""
    study = empty_study(None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choices: dict[str, BaseDistribution] = {
            "layer": optuna.distributions.CategoricalDistribution(("<b>x</b>", "y"))
        }
        add_trial(study, {"layer": "<b>x</b>"}, scripted_curve(0.88, 0.02), distributions=choices)
    text = hover(StoredTrial.of(study.get_trials()[0]), UNITS["accuracy"], "val_accuracy")
    assert "<b>x" not in text
    assert "&lt;b&gt;x" in text
