"""What a confirmation decides between its candidates and the baseline, and what is said of it."""

from __future__ import annotations

import optuna
import pytest
from made_studies import StudyMaker, add_confirmation, stored

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.verdicts import headline, verdicts

CURVE = ([0.85, 0.90], [0.84, 0.90])
BASELINE = [0.890, 0.892, 0.888, 0.891, 0.889]


def above(by: float, *wobble: float) -> list[float]:
    """Return scores above the baseline's, by so much and something that changes from repeat to repeat."""
    return [round(b + by + wobble[i % len(wobble)], 6) for i, b in enumerate(BASELINE)]


BETTER = above(0.010, 0.0, 0.002, -0.002)
PROBABLY = above(0.004, 0.006, -0.004, 0.0)
SAME = above(0.0, 0.004, -0.004)


@pytest.fixture
def swept(tiny_study: StudyMaker) -> optuna.Study:
    """A study of four trials, the default among them."""
    return tiny_study(CURVE, CURVE, CURVE, CURVE)


def read(study: optuna.Study) -> Confirmation:
    found = read_confirmation(stored(study))
    assert found is not None
    return found


def winner(study: optuna.Study) -> str | None:
    found = read(study).winner
    return None if found is None else found.label


def said(study: optuna.Study) -> str:
    return str(headline(read(study)))


def test_the_best_mean_wins_where_it_beats_the_baseline(swept: optuna.Study) -> None:
    """However large it is, and whatever else is tied with it."""
    add_confirmation(
        swept,
        {"trial 1": BETTER, "trial 2": above(0.0099, 0.0, 0.002, -0.002), "baseline": BASELINE},
        n_parameters={"trial 1": 9000, "trial 2": 10},
        decision={},
    )
    assert winner(swept) == "trial 1"
    words = verdicts(read(swept))
    assert words[0] == said(swept)
    assert words[0].startswith("Trial 1 beats your baseline by 1.04 points of accuracy (95 % +")
    assert "Trial 1 has 9,000 weights, the baseline 1,000; it trains 2 epochs, the baseline 2." in words


def test_what_is_probably_better_wins_and_is_said_not_to_be_shown(swept: optuna.Study) -> None:
    """Its chance is above 80 %, and 0 lies in its interval."""
    add_confirmation(swept, {"trial 1": PROBABLY, "baseline": BASELINE}, decision={})
    assert winner(swept) == "trial 1"
    assert said(swept).startswith("Trial 1 is probably better than your baseline (+0.4")
    assert said(swept).endswith("; not shown.")


def test_the_baseline_stays_where_nothing_is_shown(swept: optuna.Study) -> None:
    """It is the winner, and never for being small."""
    add_confirmation(swept, {"trial 1": SAME, "baseline": BASELINE}, decision={})
    assert winner(swept) == "baseline"
    assert said(swept).startswith("Nothing is shown better than your baseline: keep it; best difference ")
    assert said(swept).endswith(", that of trial 1.")


def test_another_chance_decides_otherwise(swept: optuna.Study) -> None:
    """The rule is the stored one; where the interval is above 0 all the same, that is not hidden."""
    add_confirmation(swept, {"trial 1": PROBABLY, "baseline": BASELINE}, decision={"sure": 0.99})
    assert winner(swept) == "baseline"
    optuna.delete_study(study_name="tiny-confirm", storage=swept._storage)
    add_confirmation(swept, {"trial 1": BETTER, "baseline": BASELINE}, decision={"sure": 0.999999})
    assert winner(swept) == "baseline"
    assert said(swept).startswith(
        "Nothing is better than your baseline with the chance of 99.9999 % asked for"
    )


def test_the_smallest_near_the_best_is_picked_on_demand(swept: optuna.Study) -> None:
    """And said to be that."""
    scores = {"trial 1": BETTER, "trial 2": above(0.0095, 0.0, 0.002, -0.002), "baseline": BASELINE}
    sizes = {"trial 1": 9000, "trial 2": 10}
    add_confirmation(swept, scores, n_parameters=sizes, decision={"prefer": "smallest"})
    assert winner(swept) == "trial 2"
    near = "Trial 2 is the smallest of those within 0.1 points of the best mean, that of trial 1."
    assert near in verdicts(read(swept))


def test_the_metric_of_the_study_ranks_and_not_the_score(tiny_study: StudyMaker) -> None:
    """Cross-entropies are better where they are smaller, and are told in nats."""
    swept = tiny_study(CURVE, CURVE, metric="cross_entropy", tolerance=0.1)
    # The stored cross-entropy is 1 less the score that is made up here.
    add_confirmation(swept, {"trial 1": BETTER, "baseline": BASELINE}, decision={})
    found = read(swept)
    assert [s.label for s in found.standings] == ["trial 1", "baseline"]
    assert found.standings[0].value.mean == pytest.approx(sum(BETTER) / 5 - 1)
    assert said(swept).startswith("Trial 1 beats your baseline by 0.0104 nats of cross-entropy")


def test_a_thorough_one_decides_by_fresh_repeats(swept: optuna.Study) -> None:
    """Four pick; nothing is decided before all of the duel is there, and its repeats alone decide."""
    four = {"trial 1": BETTER[:4], "trial 2": SAME[:4], "baseline": BASELINE[:4]}
    linked = add_confirmation(swept, four, n_repeats=4, decision={"thorough": True})
    found = read(swept)
    assert (found.selected, found.finished, found.pick, found.winner) == (True, False, "trial 1", None)
    assert found.duel_pairs == [(label, r) for r in range(4, 12) for label in ("trial 1", "baseline")]
    assert verdicts(found)[0] == "Not finished: 12 of 28 repeats are there, 4 of each candidate."
    optuna.delete_study(study_name=linked.study_name, storage=swept._storage)
    # In the duel it is no better.
    fresh = [0.89, 0.892, 0.888, 0.891, 0.889, 0.89, 0.893, 0.887]
    worse = [round(x + (0.002 if i % 2 else -0.0025), 6) for i, x in enumerate(fresh)]
    both = {"trial 1": four["trial 1"] + worse, "baseline": four["baseline"] + fresh}
    add_confirmation(swept, {**four, **both}, n_repeats=4, decision={"thorough": True})
    found = read(swept)
    assert (found.finished, found.duel, winner(swept)) == (True, tuple(range(4, 12)), "baseline")
    assert found.decision is not None
    assert found.decision.difference is not None
    assert found.decision.difference.interval.n == 8
    assert "It was picked on 4 repeats, and compared with the baseline on 8 others." in verdicts(found)


def test_a_duel_of_which_too_little_is_left_decides_nothing(swept: optuna.Study) -> None:
    """What failed is told; confirming again trains it again."""
    scores: dict[str, list[float | None]] = {
        "trial 1": [*BETTER[:4], *BETTER[:4], *BETTER[:4]],
        "baseline": [*BASELINE[:4], *[None] * 8],
    }
    add_confirmation(swept, scores, n_repeats=4, decision={"thorough": True})
    found = read(swept)
    assert (found.finished, found.winner, headline(found)) == (True, None, None)
    words = verdicts(found)
    assert "Nothing is decided: too few repeats of the duel are whole; confirm again." in words
    assert any(sentence.startswith("Baseline: 8 of its fresh repeats failed") for sentence in words)


def test_without_a_baseline_the_best_mean_wins_and_claims_nothing(swept: optuna.Study) -> None:
    """One that failed can't be compared with."""
    add_confirmation(swept, {"trial 1": SAME, "baseline": [*BASELINE[:4], None]}, decision={})
    assert winner(swept) == "trial 1"
    assert said(swept) == "Trial 1 has the best mean; there is no baseline to compare it with."


def test_a_confirmation_of_before_keeps_its_rule_and_its_words(swept: optuna.Study) -> None:
    """The smallest of the tied, of which the default is one."""
    add_confirmation(swept, {"trial 1": SAME, "default": BASELINE}, n_parameters={"trial 1": 9000})
    found = read(swept)
    assert (found.decision_rule, found.decision, found.pick) == (None, None, None)
    assert winner(swept) == "default"
    assert said(swept).startswith("The confirmed winner is the default (score 0.8900, ")
