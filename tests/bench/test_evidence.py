"""The study of the penalty: rules, effects and the decision, on curves made by hand."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.evidence import problems, rules
from benchmarks.evidence.curves import Draw, draw_file, read_draws
from benchmarks.evidence.decision import decided, penalty_stays, verdicts
from benchmarks.evidence.effects import differences, effect, holm, sign_flips, t_test
from benchmarks.evidence.power import draws_wanted, seen
from benchmarks.evidence.problems import PROBLEMS, arrays_of
from benchmarks.evidence.replay import replay, sweeps_of
from benchmarks.evidence.report import (
    figure,
    filled,
    outcomes,
    primary,
    recorded,
    rules_table,
    searches,
    stored_table,
)
from benchmarks.evidence.rules import CROSS_ENTROPY, PENALTY_1, PLAIN, RULES
from benchmarks.evidence.stored import stored_draws
from fmnist_sweep.core.curves import METRICS, LearningCurve
from fmnist_sweep.core.score import ScoreRule

ALL = np.array([[0, 1, 2]])


def made(
    val: Any, train: Any, *, loss: Any = None, weights: Any = (3, 2, 1), number: int = 0, n_val: int = 100
) -> Draw:
    """Return a draw whose test results are its validation results, a point lower."""
    val, train = np.array(val, dtype=float), np.array(train, dtype=float)
    loss = 1 - val if loss is None else np.array(loss, dtype=float)
    measured = {
        "train_accuracy": train,
        "train_cross_entropy": 1 - train,
        "val_accuracy": val,
        "val_cross_entropy": loss,
        "test_accuracy": val - 0.01,
        "test_cross_entropy": loss,
        "test_ece": loss / 10,
    }
    header = {"problem": "dense-500", "draw": number, "metric": "accuracy", "n_val": n_val, "n_probe": 500}
    header |= {"n_train": 500, "n_test": 10_000, "epochs": val.shape[1]}
    default = {name: values[0] for name, values in measured.items()}
    return Draw(header, np.array(weights), measured, default)


THREE = made(
    val=[[0.80, 0.90], [0.85, 0.88], [0.70, 0.89]],
    train=[[0.80, 1.00], [0.85, 0.90], [0.70, 0.95]],
    loss=[[0.5, 0.6], [0.45, 0.40], [0.9, 0.5]],
)
RNG = np.random.default_rng(0)


def chosen(rule: str, draw: Draw = THREE) -> tuple[int, int]:
    configuration, epoch = RULES[rule](draw, ALL, RNG)
    return int(configuration[0]), int(epoch[0])


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (PLAIN, (0, 1)),
        (PENALTY_1, (1, 1)),  # 0.81 for (0, 1), 0.87 for (1, 1), 0.84 for (2, 1)
        ("penalty 2, tolerance 0.1", (0, 1)),
        (CROSS_ENTROPY, (1, 1)),
        ("smallest gap within 0.25 errors", (0, 1)),  # an error is 0.03
        ("smallest gap within 0.5 errors", (2, 1)),
        ("smallest gap within 1 errors", (1, 1)),
        ("smallest weights within 0.5 errors", (2, 1)),
        ("smallest cross-entropy within 0.5 errors", (2, 1)),
        ("penalty 1, the default's gap", (0, 1)),  # the default is the first configuration
    ],
)
def test_each_rule_takes_what_it_says(rule: str, expected: tuple[int, int]) -> None:
    """Of three configurations at two epochs each rule chooses the one that its name promises."""
    assert chosen(rule) == expected


def test_the_hinge_is_the_products_score() -> None:
    """The replayed score is `ScoreRule`'s, for every penalty."""
    for i, penalty in enumerate((0.0, 0.5, 2.0)):
        curve = LearningCurve.from_scores(
            train=THREE.measured["train_accuracy"][i].tolist(), val=THREE.measured["val_accuracy"][i].tolist()
        )
        expected = ScoreRule(penalty=penalty, tolerance=0.01).scores(curve)
        assert rules.hinge(THREE, penalty, 0.01)[i] == pytest.approx(expected)


def test_early_stopping_sees_nothing_after_its_patience() -> None:
    """After five epochs without a better score nothing counts, however good it would have been."""
    score = np.array([[0.5, *[0.4] * 5, 0.9], [0.5, *[0.4] * 4, 0.6, 0.9]])
    assert rules.stopped(score).max(axis=1).tolist() == [0.5, 0.9]


def test_thresholdout_answers_with_the_train_metric_where_the_two_agree() -> None:
    """Where train and validation differ by less than any noise reaches, the best train metric is taken."""
    draw = made(val=[[0.80], [0.81], [0.5]], train=[[0.801], [0.80], [0.5]])
    picks = rules.thresholdout(draw, np.repeat(ALL, 400, axis=0), np.random.default_rng(1))[0]
    assert (picks == 0).mean() > 0.5
    assert rules.best(draw.value("val"), ALL)[0] == [1]


def test_a_replayed_sweep_has_each_configuration_once() -> None:
    """Sweeps are drawn without replacement, and are the same for every rule and run."""
    draw = made(np.zeros((60, 2)), np.zeros((60, 2)), weights=range(60))
    sweeps = sweeps_of(draw)
    assert sweeps.shape == (2000, 30)
    assert all(len(set(row)) == 30 for row in sweeps[:50].tolist())
    assert (sweeps == sweeps_of(draw)).all()


def test_replay_tells_the_mean_outcomes() -> None:
    """With as many trials as configurations, a rule's outcomes are those of its one choice."""
    told = replay(THREE)
    assert told[PLAIN]["test"] == pytest.approx(0.89)
    assert told[PENALTY_1] == pytest.approx(
        {"test": 0.87, "log_loss": 0.4, "gap": 0.03, "train": 0.9, "weights": 2, "epoch": 2, "ece": 0.04}
    )


def test_mae_is_better_where_it_is_less() -> None:
    """A regression is chosen by its smallest mae, and its gap is positive where validation is worse."""
    curves = {"mae": np.array([[0.5, 0.4]]), "mse": np.array([[0.4, 0.3]])}
    measured = {
        f"{part}_{name}": v + 0.1 * k
        for k, part in enumerate(("train", "val", "test"))
        for name, v in curves.items()
    }
    header = {"problem": "diabetes", "draw": 0, "metric": "mae", "n_val": 100, "n_probe": 100}
    draw = Draw(header, np.array([1]), measured, {name: v[0] for name, v in measured.items()})
    assert RULES[PLAIN](draw, np.array([[0]]), RNG)[1] == [1]
    assert draw.gap.tolist() == [[pytest.approx(0.1)] * 2]
    assert draw.standard_error("val")[0, 1] == pytest.approx(np.sqrt((0.4 - 0.5**2) / 100))
    assert "ece" not in draw.outcomes()


def test_draws_are_read_back(tmp_path: Path) -> None:
    """What is recorded is read, the default apart from the pool."""
    curve = {name: values[0].tolist() for name, values in THREE.measured.items()}
    lines = [THREE.header, *({"i": i, "n_weights": 10 + i, "point": {}, "curve": curve} for i in range(3))]
    path = draw_file(tmp_path, "dense-500", 7)
    path.parent.mkdir()
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (draw,) = read_draws(tmp_path)["dense-500"]
    assert draw.n_weights.tolist() == [11, 12]
    assert draw.gap == pytest.approx(THREE.gap[[0, 0]])
    assert draw.default_gap == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["cancer", "diabetes"])
def test_parts_of_a_draw_are_apart_and_fresh(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, validation and test of a table share no row, and another draw has another split."""
    problem, table = PROBLEMS[name], np.random.default_rng(0).normal(size=(569, 3))
    monkeypatch.setattr(problems, "_table", lambda _: (table, (table[:, 0] > 0).astype(np.int32)))
    arrays, other = arrays_of(problem, 0), arrays_of(problem, 1)
    rows = [row.tobytes() for part in (arrays.train, arrays.val, arrays.test) for row in part[0]]
    assert len(rows) == len(set(rows)) == 569
    assert len(arrays.train[1]) == problem.n_train
    assert len(arrays.val[1]) == problem.n_val
    assert not np.array_equal(arrays.train[1], other.train[1])


def test_each_draw_has_its_own_configurations() -> None:
    """The default comes first; the others differ from draw to draw and from problem to problem."""
    first, second = PROBLEMS["digits"].configurations(0), PROBLEMS["digits"].configurations(1)
    assert first[0] == second[0] == {"batch_size": 32}
    assert len(first) == 61
    assert first[1] != second[1]
    assert first[1] != PROBLEMS["cancer"].configurations(0)[1]


def test_sign_flips_count_all_signs() -> None:
    """Three equal differences: two of eight sign patterns are as far from 0."""
    assert sign_flips(np.array([1.0, 1.0, 1.0])) == 2 / 8
    assert sign_flips(np.array([1.0, -1.0])) == 1
    assert sign_flips(np.repeat([0.5, 0.6], 10)) < 0.001


def test_p_values_of_too_few_draws_are_unknown() -> None:
    """One draw tells no p, and counts for none in the correction."""
    assert np.isnan(t_test(np.array([0.3])))
    assert t_test(np.zeros(3)) == 1
    corrected = holm({"a": 0.02, "b": float("nan"), "c": 0.01})
    assert (corrected["a"], corrected["c"]) == (0.02, 0.02)
    assert np.isnan(corrected["b"])


def test_power_grows_with_draws() -> None:
    """More draws see less, and what is wanted is seen."""
    assert draws_wanted(0.01, 0.01) == 10
    assert all(a > b for a, b in pairwise(seen(0.01, n) for n in (3, 6, 12, 24)))
    assert seen(0.01, 10) == pytest.approx(0.01, rel=0.05)


def replayed(cost: float, gain: float, *, n: int = 6) -> dict[str, list[dict[str, dict[str, float]]]]:
    """Return outcomes where one rule costs and gains so much, and all others do as plain does."""
    told = []
    for i in range(n):
        plain = {"test": 0.8 + i / 100, "log_loss": 0.6, "ece": 0.1, "gap": 0.1, "weights": 1.0, "epoch": 9.0}
        changed = plain | {"test": plain["test"] - cost, "log_loss": 0.6 - gain}
        told.append({rule: changed if rule == PENALTY_1 else plain for rule in RULES})
    return {"dense-500": told}


@pytest.mark.parametrize(
    ("cost", "gain", "passes", "stays"),
    [
        (0.0, 0.05, True, True),
        (0.002, 0.05, False, True),
        (0.004, 0.05, False, False),
        (0.0, 0.005, False, True),
        (0.0, 0.0, False, False),
    ],
)
def test_the_decision_is_the_plans(cost: float, gain: float, passes: bool, stays: bool) -> None:
    """A rule passes that costs 0.1 points at most and gains; a penalty stays only where it surely gains."""
    found = verdicts(replayed(cost, gain))
    assert next(v for v in found if v.rule == PENALTY_1).passes is passes
    assert penalty_stays(found) is stays


def test_few_draws_let_no_cheap_rule_pass_that_they_contradict() -> None:
    """A problem of few draws counts by its mean: half a point there is too much."""
    few = {**replayed(0.0, 0.05), "dense-55000": replayed(0.005, 0.05, n=2)["dense-500"]}
    verdict = next(v for v in verdicts(few) if v.rule == PENALTY_1)
    assert not verdict.passes
    assert decided([verdict]) != decided([])


def test_effects_are_paired() -> None:
    """The differences of draws count, not their spread."""
    told = replayed(0.01, 0.0)["dense-500"]
    assert differences(told, PENALTY_1, "test") == pytest.approx([-0.01] * 6)
    found = effect(told, PENALTY_1, "test")
    assert [found.low, found.high] == pytest.approx([-0.01, -0.01])


def test_the_page_is_filled_between_its_marks() -> None:
    """What stands outside the marks stays, and a page without them is refused."""
    page = "words <!-- a --> old <!-- end of a --> more"
    assert filled(page, {"a": "new"}) == "words <!-- a -->\n\nnew\n\n<!-- end of a --> more"
    with pytest.raises(ValueError, match="has no <!-- b -->"):
        filled(page, {"b": "new"})


def test_tables_and_figure_tell_of_every_problem() -> None:
    """The tables have a row or column for each problem, with its number of draws."""
    told = replayed(0.01, 0.02)
    assert "| dense-500 | 500 / 100 / 10,000 | 6 |" in recorded({"dense-500": [THREE] * 6}, told)
    assert "| dense-500 | 6 | -1.00 (-1.00 to -1.00) |" in primary(told)
    assert f"| {PENALTY_1} | -1.00 ±0.00 |" in rules_table(told, "test", 100)
    assert f"| dense-500 | {PLAIN} | 82.5 % | 0.600 |" in outcomes(told)
    assert "6 draws" in figure(told).axes[1].get_xticklabels()[0].get_text()


def test_stored_studies_are_judged_by_their_other_repeats(tmp_path: Path) -> None:
    """What is chosen in one repeat is judged by the others' validation, run by run of the whole length."""
    lines: list[dict[str, Any]] = [{"format": 1}]
    for width in (10, 20):
        for repeat in range(3):
            value = [0.8 + 0.01 * repeat + 0.001 * width] * 10
            curve = dict.fromkeys(METRICS, value)
            told = {"curve": curve, "repeat": repeat, "split_seed": 1, "n_parameters": width}
            lines.append({"state": "COMPLETE", "user_attrs": {**told, "hyperparameters": {"units": width}}})
    short = {"hyperparameters": {"units": 9}, "curve": {"val_accuracy": [1]}}
    lines.append({"state": "COMPLETE", "user_attrs": {**told, **short}})
    lines.append({"state": "FAIL", "user_attrs": {}})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "paper-cnn-some.jsonl").write_text(text, encoding="utf-8")
    draws = stored_draws("cnn", tmp_path)
    assert [draw.gap.shape for draw in draws] == [(2, 10)] * 3
    assert draws[0].value("test")[:, 0] == pytest.approx([0.825, 0.835])
    assert draws[2].value("test")[:, 0] == pytest.approx([0.815, 0.825])
    assert "| penalty 1, tolerance 0.01 | +0.00 (+0.00 to +0.00) | +0.000 (" in stored_table({"cnn": draws})


def test_searches_are_told_in_pairs() -> None:
    """A seed counts once both of its searches are there."""
    one = {"test_cross_entropy": 0.5, "test_ece": 0.1, "gap": 0.1, "n_weights": 5, "epoch": 3, "n_pruned": 2}
    found = [
        {**one, "seed": seed, "penalty": penalty, "test_accuracy": 0.8 - penalty / 100}
        for seed, penalty in ((0, 0.0), (0, 1.0), (1, 0.0), (1, 1.0), (2, 0.0))
    ]
    table = searches(found)
    assert "2 seeds, means" in table
    assert "| test accuracy, points | 80.00 | 79.00 | -1.00 (-1.00 to -1.00) |" in table
