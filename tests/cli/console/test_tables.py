"""The ending of a sweep in the terminal."""

from __future__ import annotations

import io

import optuna
from made_studies import StudyMaker, stored, tiny_study
from rich.console import Console

from fmnist_sweep.cli.console.tables import print_summary
from fmnist_sweep.core.progress import Progress, Stop

__all__ = ["tiny_study"]


def ending(study: optuna.Study) -> list[str]:
    n = len(study.get_trials(deepcopy=False))
    progress = Progress(n, n, 0, 0, 0, 1.0, n, (), None, None)
    file = io.StringIO()
    print_summary(Console(file=file, width=80), stored(study), Stop.TRIALS, progress)
    return file.getvalue().splitlines()


def test_an_ending_tells_the_price_of_the_penalty_in_one_line(tiny_study: StudyMaker) -> None:
    """After the comparison with the default; a warning is a line of its own."""
    study = tiny_study(([0.78, 1.0], [0.76, 0.83]), ([0.80], [0.78]), ([0.98], [0.84]))
    lines = ending(study)
    at = next(
        i for i, line in enumerate(lines) if line.startswith("The penalty chose trial 1 after epoch 1 (")
    )
    assert lines[at].endswith("it gave up 6.00 points and got a gap smaller by 12.00 points.")
    assert lines[at - 1].startswith("Against the model's default configuration")
    assert lines[at + 1].startswith("Warning: the penalty may be too strong")


def test_an_ending_without_a_complete_trial_tells_no_price(tiny_study: StudyMaker) -> None:
    """Nothing was chosen."""
    assert not any("penalty" in line for line in ending(tiny_study()))
