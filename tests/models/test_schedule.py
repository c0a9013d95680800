"""Learning rates by epoch."""

from __future__ import annotations

import pytest

from fmnist_sweep.core.jobs import Scalar
from fmnist_sweep.models.schedule import scheduled_learning_rate


def rates(schedule: str, *, schedule_epochs: int, n: int) -> list[float]:
    values: dict[str, Scalar] = {
        "learning_rate": 0.1,
        "schedule": schedule,
        "schedule_epochs": schedule_epochs,
    }
    return [scheduled_learning_rate(values, epoch) for epoch in range(n)]


def test_without_a_schedule_the_rate_is_constant() -> None:
    """A configuration that names none, as those of older studies do, gets its rate to the last bit."""
    assert [scheduled_learning_rate({"learning_rate": 3e-4}, epoch) for epoch in (0, 7, 1000)] == [3e-4] * 3
    assert rates("constant", schedule_epochs=2, n=4) == [0.1] * 4


def test_cosine_falls_from_the_rate_to_nearly_nothing_and_stays() -> None:
    """Half a cosine wave over the horizon: full at first, half in the middle, its last value for ever."""
    found = rates("cosine", schedule_epochs=10, n=13)

    assert found[0] == 0.1
    assert found[5] == pytest.approx(0.05)
    assert found[9] == pytest.approx(0.1 * 0.02447, rel=1e-3)
    assert found == sorted(found, reverse=True)
    assert found[10:] == [found[9]] * 3


def test_step_divides_by_ten_at_half_and_at_three_quarters() -> None:
    """Of 8 epochs the fifth is the first with a tenth, the seventh with a hundredth; then it stays."""
    assert rates("step", schedule_epochs=8, n=10) == pytest.approx([0.1] * 4 + [0.01] * 2 + [0.001] * 4)


@pytest.mark.parametrize("schedule", ["cosine", "step"])
def test_a_horizon_of_one_epoch_never_falls(schedule: str) -> None:
    """The shortest horizon ends where it begins."""
    assert rates(schedule, schedule_epochs=1, n=3) == [0.1] * 3
