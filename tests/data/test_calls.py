"""What `model.fit` is given comes back as it was, in another process too."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.data.calls import Call, call_problems, holds_bytes, keep_call, open_call, open_kept
from fmnist_sweep.data.test_set import load_test_call
from fmnist_sweep.data.trees import class_labels, leaves

X = np.arange(4000, dtype=np.float32).reshape(1000, 4)
Y = np.arange(1000) % 3


def no_dataset(path: str) -> Any:
    raise AssertionError(f"{path} was not to be opened")


def opened(call: Call) -> Call:
    """Return a call as a training process gets it."""
    return open_call(Path(keep_call(call, name="mine").directory), no_dataset)


class Batches:
    """Stands for a `keras.utils.PyDataset`, of a class that no other process could import."""

    def __init__(self, x: Any, y: Any, size: int = 10) -> None:
        self.x, self.y, self.size = x, y, size

    def __getitem__(self, i: int) -> Any:
        rows = slice(i * self.size, (i + 1) * self.size)
        return self.x[rows], self.y[rows]


def test_nested_inputs_come_back_with_their_names() -> None:
    """Large arrays are mapped, small ones are there, and everything else is what it was."""
    given = Call(
        ({"a": X, "b": [X[:, :2], np.arange(1000)]}, {"out": Y}),
        {"validation_data": ((X[:5],), Y[:5]), "class_weight": {0: 1.0, 1: 2.0}, "batch_size": 16},
    )
    got = opened(given)
    np.testing.assert_array_equal(got.x["a"], X)
    np.testing.assert_array_equal(got.x["b"][0], X[:, :2])
    np.testing.assert_array_equal(got.y["out"], Y)
    assert isinstance(got.x["a"], np.memmap)
    assert (got.kwargs["class_weight"], got.kwargs["batch_size"]) == ({0: 1.0, 1: 2.0}, 16)
    assert isinstance(got.kwargs["validation_data"][0], tuple)


def test_what_a_fit_does_to_its_arrays_stays_with_it() -> None:
    """A trial that changes its data in place changes a copy."""
    folder = Path(keep_call(Call((X, Y)), name="mine").directory)
    open_call(folder, no_dataset).x[:] = 0
    np.testing.assert_array_equal(open_call(folder, no_dataset).x, X)


def test_tables_come_back_as_tables() -> None:
    """With their columns and their index."""
    table = pd.DataFrame({"age": [1.5, 2.5], "name": ["a", "b"]}, index=[7, 9])
    got = opened(Call((table, pd.Series([1, 0], name="y"))))
    pd.testing.assert_frame_equal(got.x, table)
    assert got.y.name == "y"


def test_tables_are_known_by_their_text_and_their_columns() -> None:
    """A table that was changed is no table that was kept, and a column of class numbers tells classes."""
    table = pd.DataFrame({"age": [1.5, 2.5], "name": ["a", "b"]})
    others = [table.assign(name=["a", "c"]), table.rename(columns={"age": "years"})]
    found = [keep_call(Call((one, pd.Series([1, 0]))), name="mine") for one in (table, *others)]
    assert len({data.digest for data in found}) == 3
    assert found[0].class_names == ("0", "1")


def test_a_class_of_the_user_s_own_travels_with_its_arrays() -> None:
    """Its module need not be importable where it is opened."""
    data = keep_call(Call((Batches(X, Y, 20),)), name="mine")
    batch, labels = opened(Call((Batches(X, Y, 20),))).x[1]
    np.testing.assert_array_equal(batch, X[20:40])
    np.testing.assert_array_equal(labels, Y[20:40])
    assert sorted(path.suffix for path in Path(data.directory).iterdir()) == [".json", ".npy", ".npy", ".pkl"]


def test_the_digest_is_that_of_the_content() -> None:
    """Equal data have one, and whatever decides a training changes it."""
    digest = keep_call(Call((X, Y), {"batch_size": 16}), name="mine").digest
    assert keep_call(Call((X.copy(), Y.copy()), {"batch_size": 16}), name="other").digest == digest
    changed = [
        Call((X + 1, Y), {"batch_size": 16}),
        Call((X, 2 - Y), {"batch_size": 16}),
        Call((X, Y), {"batch_size": 32}),
        Call((X.astype(np.float64), Y), {"batch_size": 16}),
        Call((X, Y), {"batch_size": 16, "class_weight": {0: 2.0}}),
        Call((X, Y), {"batch_size": 16, "callbacks": [Batches(1, 2)]}),
        Call((X, Y), {"batch_size": 16, "callbacks": [Batches(1, 2, size=3)]}),
    ]
    digests = {keep_call(call, name="mine").digest for call in changed}
    assert len(digests) == len(changed)
    assert digest not in digests


def test_what_is_known_of_the_data() -> None:
    """Their rows, the shape of one, and the classes where the targets are classes."""
    data = keep_call(Call((X, np.eye(3)[Y])), name="mine")
    assert (data.form, data.n_train, data.input_shape, data.class_names) == (
        "call",
        1000,
        (4,),
        ("0", "1", "2"),
    )
    assert open_kept(data.digest) == data
    nested = keep_call(Call(([X, X], X[:, 0])), name="mine")
    assert (nested.n_train, nested.input_shape, nested.class_names) == (1000, (), ())


def test_data_that_are_gone_are_asked_for_again() -> None:
    """The cache may be emptied at any time."""
    with pytest.raises(DataError, match="no longer in this machine's cache; call search again"):
        open_kept("0" * 64)


def rows() -> Iterator[Any]:
    yield X, Y


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (Call((rows(),)), "x is a generator, which can be read once"),
        (Call((X, Y), {"validation_data": rows()}), "validation_data is a generator"),
        (Call((X, Y[:7])), "y: there are 7 rows for 1,000 of x; give one for each"),
        (Call(([X, X[:9]], Y)), "x: there are 9 rows for 1,000 of x"),
        (Call((X, Y), {"sample_weight": np.ones(5)}), "sample_weight: there are 5 rows"),
        (Call((np.where(X == 8, np.nan, X), Y)), r"x: holds NaN or infinite values in 1 rows \(index 2\)"),
        (Call((X, np.array([None] * 1000))), "y: is an array of Python objects"),
        (Call((X.astype(complex), Y)), "x: has dtype complex128; give numbers or text"),
        (Call((X[:1], Y[:1])), "at least 2 rows are needed"),
        (Call((X, Y), {"callbacks": [sys.stdout]}), "can't be carried to a training process"),
    ],
)
def test_what_no_training_can_use_is_refused(call: Call, told: str) -> None:
    """Before anything trains, with what to give instead; nothing is kept."""
    with pytest.raises(DataError, match=told):
        keep_call(call, name="mine")


def test_all_problems_are_told_at_once() -> None:
    """Each with its part."""
    problems = call_problems(Call((np.full((4, 2), np.inf), np.zeros(3))))
    assert [problem.partition(":")[0] for problem in problems] == ["x", "y"]


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.array([0, 2, 1]), [0, 2, 1]),
        (np.array([[0], [2]], np.uint8), [0, 2]),
        (np.eye(3), [0, 1, 2]),
        (np.array([True, False]), [1, 0]),
        (np.array([0.5, 1.0]), None),
        (np.array([-1, 1]), None),
        (np.array([[1, 1], [0, 1]]), None),
        ([0, 1], None),
        ({"a": np.array([0, 1])}, None),
    ],
)
def test_class_numbers_are_known_in_either_form(y: Any, labels: list[int] | None) -> None:
    """As numbers or as one column a class; real numbers and several targets have none."""
    found = class_labels(y)
    assert (None if found is None else found.tolist()) == labels


def test_leaves_come_in_keras_s_order() -> None:
    """Those of a mapping by their names, so that they stand beside the model's inputs."""
    assert list(leaves(({"b": 2, "a": 1}, [3, (4,)], None))) == [1, 2, 3, 4]


def test_images_that_are_handed_to_fit_are_divided_where_that_is_asked_for() -> None:
    """In what trains, validates and tests; tokens, targets and other inputs stay as they are."""
    image, tokens = np.full((4, 2, 2), 255, np.uint8), np.full((4, 3), 255)
    x = {"image": image, "tokens": tokens}
    call = Call((x, tokens), {"validation_data": (x, tokens)}, (x, tokens))
    data = keep_call(call, name="mine", scale="255")
    got = open_call(Path(data.directory), no_dataset)
    for part in (got.x, got.kwargs["validation_data"][0]):
        assert (part["image"].max(), part["tokens"].max(), part["image"].dtype) == (1, 255, np.float32)
    assert got.y.max() == 255
    assert load_test_call(data, no_dataset)[0]["image"].max() == 1
    assert data.scale == "255"
    assert not holds_bytes(data)
    assert holds_bytes(keep_call(call, name="mine"))
    with pytest.raises(DataError, match="scale: '255' finds no images"):
        keep_call(Call((tokens, tokens)), name="mine", scale="255")
