"""Confirmations and comparisons in the terminal."""

from __future__ import annotations

import io
import json

import optuna
import pytest
from made_studies import add_confirmation, confirmed, stored, study, tiny_study
from rich.console import Console

from fmnist_sweep.analysis.comparing import compared
from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.statistics import Interval
from fmnist_sweep.cli.console import winner_tables

__all__ = ["confirmed", "study", "tiny_study"]


@pytest.fixture
def confirmation(confirmed: optuna.Study) -> Confirmation:
    """What was read of it."""
    found = read_confirmation(stored(confirmed))
    assert found is not None
    return found


def printed(show: object, *arguments: object) -> list[str]:
    file = io.StringIO()
    show(Console(file=file, width=80), *arguments)  # type: ignore[operator]
    return file.getvalue().splitlines()


def test_a_confirmation_is_a_table_that_fits_a_narrow_terminal(confirmation: Confirmation) -> None:
    """A row for each candidate, the winner marked, no row broken; then the verdicts."""
    lines = printed(winner_tables.print_confirmation, confirmation)
    assert lines[1] == "Confirmation of study 'tiny': means over 3 repeats, ± 95 %."
    half = confirmation.standings[0].score.high - 0.92
    assert lines[3].startswith(f"trial 1 *  0.9200 ±{half:.4f}  0.9200 ±{half:.4f}  0.0800 ±{half:.4f}  ")
    assert [line.split()[:1] for line in lines[3:5]] == [["trial"], ["default"]]
    assert lines[7].split()[-3:] == ["0.9000", "1,000", "10.0"]
    assert lines[-4].startswith("The confirmed winner is trial 1")


def test_a_confirmation_that_has_just_begun_has_no_empty_tables(confirmed: optuna.Study) -> None:
    """No candidate has a repeat that can be compared: how many are there is all that is told."""
    add_confirmation(begun := confirmed_copy(confirmed), {"trial 1": [], "default": []}, n_repeats=2)
    found = read_confirmation(stored(begun))
    assert found is not None
    lines = printed(winner_tables.print_confirmation, found)
    assert lines[2].startswith("Not finished: 0 of 4 repeats are there")


def test_json_holds_every_repeat_and_no_nan(confirmed: optuna.Study, confirmation: Confirmation) -> None:
    """A script gets candidates, intervals, differences, repeats and verdicts; what is unknown is null."""
    facts = json.loads(json.dumps(winner_tables.facts(confirmation), allow_nan=False))
    assert (facts["winner"], facts["finished"], len(facts["repeats"])) == ("trial 1", True, 6)
    first = facts["candidates"][0]
    assert first["intervals"]["score"]["mean"] == pytest.approx(0.92)
    assert first["to_default"]["low"] == pytest.approx(confirmation.difference("trial 1", "default").low)
    add_confirmation(confirmed_twice := confirmed_copy(confirmed), {"default": [0.9]}, n_repeats=2)
    begun = read_confirmation(stored(confirmed_twice))
    assert begun is not None
    assert winner_tables.facts(begun)["candidates"][0]["intervals"]["score"]["low"] is None


def confirmed_copy(made: optuna.Study) -> optuna.Study:
    """Return the same study in another storage, unconfirmed."""
    storage = optuna.storages.InMemoryStorage()
    optuna.copy_study(from_study_name=made.study_name, from_storage=made._storage, to_storage=storage)
    return optuna.load_study(study_name=made.study_name, storage=storage)


def test_a_comparison_draws_the_intervals_and_lists_what_differs(
    confirmed: optuna.Study,
    study: optuna.Study,
) -> None:
    """Confirmed or not stands beside each, and JSON has the same."""
    sides = compared([stored(confirmed), stored(study)])
    lines = printed(winner_tables.print_comparison, sides)
    drawn = next(line for line in lines if line.startswith("tiny") and "|" in line)
    assert drawn.split()[-3:] == ["confirmed", "1,000", "10.0"]
    assert any(line.startswith("units_1") for line in lines)
    facts = json.loads(json.dumps(winner_tables.comparison_facts(sides), allow_nan=False))
    assert [s["confirmed"] for s in facts["studies"]] == [True, False]
    assert facts["studies"][1]["score"]["low"] is None
    assert facts["caveats"]


def test_bars_of_one_value_and_of_equal_values_are_drawn() -> None:
    """A scale without length is no division by zero."""
    (bar,) = winner_tables.interval_bars([Interval(0.5, 0.5, 0.5, 3)])
    assert bar.strip() == "o"
    assert winner_tables.interval_bars([]) == []
