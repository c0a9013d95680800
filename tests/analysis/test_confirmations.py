"""What is read of a confirmation, who wins it, and what is said of it."""

from __future__ import annotations

import optuna
import pytest
from made_studies import StudyMaker, add_confirmation, add_repeat, stored

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.verdicts import verdicts

CURVE = ([0.85, 0.90], [0.84, 0.90])
BEST = [0.90, 0.92, 0.91, 0.93, 0.90]
"""Scores of five repeats; a candidate that is always one point below is sure to be worse."""


def below(scores: list[float], *by: float) -> list[float]:
    """Return scores that lie below others, repeat by repeat."""
    return [round(score - by[i % len(by)], 6) for i, score in enumerate(scores)]


@pytest.fixture
def swept(tiny_study: StudyMaker) -> optuna.Study:
    """A study of four trials, the default among them."""
    return tiny_study(CURVE, CURVE, CURVE, CURVE)


def read(study: optuna.Study) -> Confirmation:
    found = read_confirmation(stored(study))
    assert found is not None
    return found


def test_a_study_that_was_never_confirmed_has_none(swept: optuna.Study) -> None:
    """Nor does a study that only has the name of a confirmation count."""
    assert read_confirmation(stored(swept)) is None
    optuna.create_study(study_name="tiny-confirm", storage=swept._storage)
    assert read_confirmation(stored(swept)) is None


def test_every_repeat_is_read_with_its_seeds(swept: optuna.Study) -> None:
    """From the study or from the linked one, by repeat and then as the candidates stand."""
    linked = add_confirmation(swept, {"trial 1": [0.9, 0.8], "default": [0.7, 0.6]})
    found = read(swept)
    assert found == read(linked)
    assert [(r.candidate, r.repeat, r.score, r.seed, r.split_seed) for r in found.repeats] == [
        ("trial 1", 0, 0.9, 100, 200),
        ("default", 0, 0.7, 100, 200),
        ("trial 1", 1, 0.8, 101, 201),
        ("default", 1, 0.6, 101, 201),
    ]
    assert (found.study, found.n_repeats, found.n_val, found.n_train) == ("tiny", 2, 5000, 55_000)
    assert (found.finished, found.paired) == (True, (0, 1))


def test_the_best_wins_where_it_beats_the_others(swept: optuna.Study) -> None:
    """However large it is; each standing knows its difference to the best other and to the default."""
    scores = {"trial 1": BEST, "default": below(BEST, 0.01, 0.012)}
    add_confirmation(swept, scores, n_parameters={"trial 1": 9000})
    found = read(swept)
    assert found.winner is not None
    winner = found.winner.candidate
    assert (winner.label, winner.trial, winner.epochs) == ("trial 1", 1, 2)
    first, second = found.standings
    assert first.to_rival == first.to_default == found.difference("trial 1", "default")
    assert first.to_rival is not None
    assert second.to_rival is not None
    assert first.to_rival.mean == pytest.approx(0.0108)
    assert (first.to_rival.sign, second.to_rival.sign, second.to_default) == (1, -1, None)


def test_of_the_tied_the_smallest_wins(swept: optuna.Study) -> None:
    """One that the best beats is not among them, be it smaller still; of about equal ones the better."""
    add_confirmation(
        swept,
        {
            "trial 1": BEST,
            "trial 2": below(BEST, 0.002, -0.001),
            "trial 3": below(BEST, 0.004, -0.001),
            "default": below(BEST, 0.02, 0.021),
        },
        n_parameters={"trial 1": 9000, "trial 2": 5500, "trial 3": 5000, "default": 10},
    )
    winner = read(swept).winner
    assert winner is not None
    assert winner.label == "trial 2"
    assert verdicts(read(swept))[0].endswith(
        ": the smallest of those that are tied with the best mean, that of trial 1."
    )


@pytest.mark.parametrize("missing", ["repeat", "candidate"])
def test_nothing_wins_before_all_is_there(swept: optuna.Study, missing: str) -> None:
    """What is there is compared as far as it is paired, and said to be unfinished."""
    scores = {"trial 1": BEST, "default": below(BEST, 0.01, 0.011)[:3]}
    if missing == "candidate":
        scores["trial 2"] = []
    add_confirmation(swept, scores)
    found = read(swept)
    assert not found.finished
    assert found.winner is None
    assert found.paired == (() if missing == "candidate" else (0, 1, 2))
    n, each = (15, 0) if missing == "candidate" else (10, 3)
    assert verdicts(found)[0] == f"Not finished: 8 of {n} repeats are there, {each} of each candidate."


def test_a_candidate_of_which_a_repeat_failed_cannot_win(swept: optuna.Study) -> None:
    """The others are compared on all repeats, and the failure is told with its reason."""
    add_confirmation(
        swept, {"trial 1": [0.99, None, 0.99], "trial 2": BEST[:3], "default": below(BEST, 0.01)[:3]}
    )
    found = read(swept)
    assert (found.finished, found.paired) == (True, (0, 1, 2))
    assert [s.label for s in found.standings] == ["trial 2", "default", "trial 1"]
    assert found.winner is found.standings[0]
    assert found.standings[2].to_rival is None
    assert verdicts(found)[-1] == (
        "Trial 1 can't win: 1 of 3 repeats failed (out of memory); confirming again trains them again."
    )


def test_a_failed_repeat_that_was_trained_again_counts(swept: optuna.Study) -> None:
    """The last word on a repeat is the one that holds."""
    linked = add_confirmation(swept, {"trial 1": [0.9, None], "default": [0.8, 0.8]})
    add_repeat(
        linked, {"candidate": 1, "repeat": 1}, 0.9, candidate="trial 1", repeat=1,
        seed=101, split_seed=201, n_parameters=1000, seconds=1.0,
    )  # fmt: skip
    found = read(swept)
    assert (found.finished, found.failures, len(found.repeats)) == (True, (), 4)


def test_repeats_beyond_those_asked_for_are_kept_and_not_counted(swept: optuna.Study) -> None:
    """All candidates are judged on the same repeats."""
    add_confirmation(swept, {"trial 1": [0.9, 0.8, 0.1], "default": [0.7, 0.6]}, n_repeats=2)
    found = read(swept)
    assert len(found.repeats) == 5
    assert found.standings[0].score.mean == pytest.approx(0.85)


def test_verdicts_say_who_beats_whom_and_what_became_of_the_sweeps_scores(swept: optuna.Study) -> None:
    """Winner, differences with their intervals, regressions, in sentences."""
    add_confirmation(swept, {"trial 1": [0.89, 0.90, 0.91], "default": [0.88, 0.888, 0.899]})
    low, high = (100 * x for x in (read(swept).difference("trial 1", "default").low, 0.0165))
    words = verdicts(read(swept))
    assert words[0].startswith("The confirmed winner is trial 1 (score 0.9000, ")
    assert words[1].startswith(f"Trial 1 beats the default (+1.10 points, 95 % interval {low:+.2f} to ")
    assert 0 < low < high
    assert words[2] == "Trial 1 kept its sweep score (0.9000 to 0.9000)."
    assert words[3] == "The default regressed by 1.10 points from its sweep score (0.9000 to 0.8890)."


@pytest.mark.parametrize(
    ("sizes", "seconds", "ends"),
    [
        ({"trial 1": 9000}, {}, "; the default is smaller: 1,000 weights against 9,000."),
        ({"trial 1": 1100}, {}, ")."),
        ({}, {"trial 1": 4.0}, "; trial 1 is cheaper: 4 s a training against 10 s."),
        ({}, {"trial 1": 9.5}, ")."),
    ],
)
def test_of_the_tied_the_smaller_or_cheaper_is_named(
    swept: optuna.Study, sizes: dict[str, int], seconds: dict[str, float], ends: str
) -> None:
    """Size before time, and a tenth of the time is no difference."""
    scores = {"trial 1": BEST, "default": below(BEST, 0.002, -0.001)}
    add_confirmation(swept, scores, n_parameters=sizes, seconds=seconds)
    (tied,) = [words for words in verdicts(read(swept)) if "and the default are tied" in words]
    assert tied.startswith("Trial 1 and the default are tied (+0.08 points, 95 % interval -")
    assert tied.endswith(ends)


def test_cross_entropies_are_told_in_nats(tiny_study: StudyMaker) -> None:
    """Their differences are no accuracy points."""
    swept = tiny_study(CURVE, CURVE, metric="cross_entropy", tolerance=0.1)
    add_confirmation(swept, {"trial 1": [-0.3, -0.31], "default": [-0.4, -0.41]})
    assert any("+0.1000 nats" in words for words in verdicts(read(swept)))
