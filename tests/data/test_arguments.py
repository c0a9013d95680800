"""Arguments of a fit that no training could use."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data.calls import Call, keep_call
from fmnist_sweep.data.hold_out import with_hold_out

X, Y = np.zeros((6, 2), np.float32), np.arange(6.0)


class Stopping:
    """Stands for a callback."""


@pytest.mark.parametrize(
    ("args", "kwargs", "told"),
    [
        ((), {"validation_split": 0.2}, "there are no data: give x and y"),
        ((X.tolist(), Y), {}, r"x: is a list of single values, not of arrays; give np.asarray\(x\)"),
        ((X, Y.tolist()), {}, r"y: is a list of single values, not of arrays; give np.asarray\(y\)"),
        ((X, Y), {"validation_split": 20}, "from 0 to below 1; got 20"),
        ((X, Y), {"callbacks": [Stopping]}, r"Stopping is a class; give Stopping\(...\)"),
        ((X, Y), {"callbacks": Stopping}, r"Stopping is a class; give Stopping\(...\)"),
    ],
)
def test_what_no_training_could_use_is_told_first(
    args: Any, kwargs: dict[str, Any], told: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a model is built, where Keras would fail in each trial with a word of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(DataError, match=told):
        keep_call(Call(args, kwargs), name="data")


def test_a_fit_of_one_s_own_may_take_its_data_by_any_name(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KerasTuner hands on whatever it is given."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert keep_call(Call((), {"folds": [X, Y]}), name="data").form == "call"


def test_rows_without_targets_can_be_held_out() -> None:
    """Of a model that trains on x alone, such as an autoencoder with a step of its own."""
    x = np.arange(12.0).reshape(6, 2)
    (train,), kwargs = with_hold_out(Call((x,)), SplitSpec(n_val=2))
    val, nothing = kwargs["validation_data"]
    assert nothing is None
    assert sorted([*train[:, 0], *val[:, 0]]) == list(x[:, 0])
    assert len(val) == 2
