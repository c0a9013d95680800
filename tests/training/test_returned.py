"""What a user's fit returns, in whatever form KerasTuner takes it."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest

from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.training.returned import returned_values, scored_return


def history(**logs: list[float]) -> Any:
    """Return what Keras's fit does."""
    found = keras.callbacks.History()
    found.history = logs
    return found


@pytest.mark.parametrize(
    ("returned", "kept"),
    [
        (None, {}),
        (3, {"returned": 3.0}),
        (np.float32(0.5), {"returned": 0.5}),
        (np.array(0.5), {"returned": 0.5}),
        ({"val_gain": 2.0, "n": 3}, {"val_gain": 2.0, "n": 3.0}),
        ([1.0, 2.0], {"returned": 1.5}),
        ([{"a": 1.0, "b": 9.0}, {"a": 3.0}], {"a": 2.0}),
        (history(mae=[1.0, 0.5], val_mae=[2.0, 1.0], val_gain=[5.0, 6.0]), {"val_gain": 6.0}),
    ],
)
def test_numbers_are_kept_by_their_names(returned: Any, kept: dict[str, float]) -> None:
    """Of a History what no epoch has measured; of a list the means."""
    assert returned_values(returned, {"train_mae": 0.5, "val_mae": 1.0}) == (kept, "")


@pytest.mark.parametrize(
    ("returned", "kept", "told"),
    [
        ("good", {}, "fit returned str, which is not kept"),
        (True, {}, "fit returned bool, which is not kept"),
        ((1.0, 2.0), {}, "fit returned tuple, which is not kept"),
        ([1.0, "good"], {}, "fit returned str"),
        (math.nan, {}, "returned (nan) is not kept: no finite number"),
        ({"a": 1.0, "best": "adam"}, {"a": 1.0}, "of what fit returned best (str) is not kept"),
    ],
)
def test_what_is_of_no_use_is_told(returned: Any, kept: dict[str, float], told: str) -> None:
    """With what would be kept."""
    found, said = returned_values(returned, {})
    assert found == kept
    assert told in said


def test_a_value_is_scored_by_its_name() -> None:
    """With ``val_`` before it or without; one that is not there is told with those that are."""
    assert scored_return({"returned": 2.0}, "returned") == 2.0
    assert scored_return({"val_gain": 3.0}, "returned.gain") == 3.0
    with pytest.raises(TrialError, match=r"fit returned gian; did you mean 'gian'\?; let fit return a dict"):
        scored_return({"gian": 3.0}, "returned.gain")
    with pytest.raises(TrialError, match="fit returned no number; let fit return a number"):
        scored_return({}, "returned")
