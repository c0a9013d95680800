"""A study's trials on the terminal: as a table of rich, without the time that one takes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import optuna
import pytest
from made_studies import empty_study, fill_study, stored
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fmnist_sweep.cli.console.cells import new_table, print_rows
from fmnist_sweep.cli.console.trial_table import _alike, print_trials

COLUMNS = ("trial", "state", "configuration")
ROWS = [
    ("0*", "complete", "activation [bold]relu[/], units 300"),
    ("11", "fail", "\u5c42 :smile: 3"),
    ("2", "-", ""),
]


def printed(width: int, rows: Sequence[Sequence[str]], *, color: bool = False) -> str:
    out = io.StringIO()
    print_rows(Console(file=out, width=width, emoji=False, force_terminal=color), COLUMNS, rows)
    return out.getvalue()


@pytest.mark.parametrize("width", [200, 46, 45, 30])
def test_rows_look_as_in_a_table_of_rich(width: int) -> None:
    """Also where texts hold markup or wide characters, and where a cell has to be broken."""
    table = new_table(*COLUMNS)
    table.columns[-1].justify = "left"
    for row in ROWS:
        table.add_row(*map(escape, row))
    out = io.StringIO()
    Console(file=out, width=width, emoji=False).print(table)
    assert printed(width, ROWS) == out.getvalue()


def test_titles_are_bold_on_a_terminal() -> None:
    """And nothing else is coloured, whatever it looks like."""
    lines = printed(200, ROWS, color=True).splitlines()
    assert lines[0].startswith("\x1b[1m")
    assert not any("\x1b" in line for line in lines[1:])


def test_no_row_takes_a_table_of_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich looks at each cell several times: thousands of rows would take seconds."""
    monkeypatch.setattr(Table, "add_row", lambda *_, **__: pytest.fail("a row of rich"))
    study, out = empty_study(None), io.StringIO()
    fill_study(study)
    print_trials(Console(file=out, width=1000, emoji=False), stored(study))
    assert len(out.getvalue().splitlines()) > len(study.trials)


def test_a_wide_table_has_a_column_for_each_parameter_that_varies() -> None:
    """Those that do not are named once, where every trial has them; some trials are told in their order."""
    study, out = optuna.create_study(direction="maximize"), io.StringIO()
    for rate, depth in ((0.1, 1), (0.2, 2), (0.3, 1)):
        params: dict[str, Any] = {"rate": rate, "kind": "a"} | ({"depth": depth} if depth > 1 else {})
        made: dict[str, Any] = {
            name: optuna.distributions.CategoricalDistribution([value]) for name, value in params.items()
        }
        study.add_trial(optuna.trial.create_trial(value=rate, params=params, distributions=made))
    some = [stored(study).trials[number] for number in (2, 0)]
    print_trials(Console(file=out, width=100, emoji=False), stored(study), trials=some, wide=True)
    head, third, first, same = out.getvalue().splitlines()
    assert head.split()[-2:] == ["epoch", "rate"]
    assert [line.split()[0] for line in (third, first)] == ["2", "0"]
    assert same == "In all of them: kind a."


@pytest.mark.parametrize(
    ("column", "shown"),
    [
        ([1, 1.0, None], [1.0, 1.0, None]),
        ([1, 2, None], [1, 2, None]),
        ([0.5, math.nan, "relu"], [0.5, None, "relu"]),
    ],
)
def test_numbers_of_two_kinds_are_one_kind(column: list[object], shown: list[object]) -> None:
    """Of a parameter that was 1 and 1.0 nothing varies; what is no number is not told."""
    assert repr(_alike(column)) == repr(shown)
