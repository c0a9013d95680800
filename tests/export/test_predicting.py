"""Predictions of a bundle, by a script in place of its own, which needs no TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fmnist_sweep.core.errors import DataError, SweepError
from fmnist_sweep.export import predicting
from fmnist_sweep.export.predicting import predict

Script = Callable[[dict[str, Any]], dict[str, Any]]

CALL = {"form": "call", "study": "mine", "outputs": {"": "regression"}, "data": {"columns": []}}
IMAGES = {"study": "mine", "data": {"input_shape": [2, 2, 1], "class_names": ["=shirt", "boot"]}}


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make a bundle of certain facts, whose script is a function."""
    monkeypatch.chdir(tmp_path)

    def make(script: Script, **facts: Any) -> Path:
        folder = tmp_path / "bundle"
        folder.mkdir(exist_ok=True)
        (folder / "predict.py").touch()
        (folder / "metrics.json").write_text(json.dumps({"format": "fmnist-sweep bundle 1", **facts}))

        def run(_folder: Path, given: str, _save: str, made: str) -> None:
            stored = np.load(given)
            if isinstance(stored, np.ndarray):
                np.save(made, script({"x": stored})["outputs"])
            else:
                np.savez(made, **script(dict(stored)))

        monkeypatch.setattr(predicting, "run_predict", run)
        return folder

    return make


def written(bundle: Path, data: str, output: str = "out.csv") -> pd.DataFrame:
    predict(bundle, Path(data), Path(output))
    return pd.read_csv(output)


def test_columns_of_a_table_are_found_by_their_names(bundle: Callable[..., Path]) -> None:
    """In whatever order they stand, and beside others, such as the target."""
    pd.DataFrame({"age": [1, 2], "price": [0, 0], "rooms": [30, 40]}).to_csv("new.csv", index=False)
    facts = {**CALL, "inputs": {"x": [2]}, "data": {"columns": ["rooms", "age"]}}
    made = bundle(lambda x: {"outputs": x["x"][:, :1] - x["x"][:, 1:]}, **facts)
    assert written(made, "new.csv")["value"].tolist() == [29, 38]


def test_a_parquet_file_is_read_as_a_table_is(bundle: Callable[..., Path]) -> None:
    """With the same columns it gives the same predictions; whatever index it has is left alone."""
    pytest.importorskip("pyarrow")
    rows = pd.DataFrame({"age": [1, 2], "rooms": [30, 40]}, index=["a", "b"])
    rows.to_csv("new.csv", index=False)
    rows.to_parquet("new.parquet")
    facts = {**CALL, "inputs": {"x": [2]}, "data": {"columns": ["rooms", "age"]}}
    made = bundle(lambda x: {"outputs": x["x"][:, :1] - x["x"][:, 1:]}, **facts)
    assert written(made, "new.parquet", "first.csv").equals(written(made, "new.csv", "second.csv"))


def test_a_column_that_is_missing_is_named(bundle: Callable[..., Path]) -> None:
    """And nothing is written."""
    pd.DataFrame({"age": [1, 2], "room": [30, 40]}).to_csv("new.csv", index=False)
    made = bundle(lambda x: {"outputs": x["x"]}, **{**CALL, "data": {"columns": ["rooms", "age"]}})
    with pytest.raises(DataError, match=r"no column 'rooms'; did you mean 'room'\?"):
        written(made, "new.csv")
    assert not Path("out.csv").exists()


def test_columns_without_names_are_counted(bundle: Callable[..., Path]) -> None:
    """A model that was trained on arrays takes as many."""
    pd.DataFrame({"a": [1, 2], "b": [3, 4], "c": [5, 6]}).to_csv("new.csv", index=False)
    made = bundle(lambda x: {"outputs": x["x"].sum(axis=1, keepdims=True)}, **CALL, inputs={"x": [2]})
    with pytest.raises(DataError, match="has 3 columns, and the model takes 2"):
        written(made, "new.csv")
    made = bundle(lambda x: {"outputs": x["x"].sum(axis=1, keepdims=True)}, **CALL, inputs={"x": [3]})
    assert written(made, "new.csv")["value"].tolist() == [9, 12]


def test_classes_have_their_names_and_probabilities(bundle: Callable[..., Path]) -> None:
    """Of images; what a spreadsheet would run is text."""
    np.savez("images.npz", whatever=np.ones((3, 2, 2)))
    made = bundle(lambda _: {"outputs": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])}, **IMAGES)
    found = written(made, "images.npz")
    assert found["class"].tolist() == ["'=shirt", "boot", "'=shirt"]
    assert found["p_boot"].tolist() == pytest.approx([0.1, 0.8, 0.4])


def test_logits_become_probabilities_and_several_outputs_have_their_names(
    bundle: Callable[..., Path],
) -> None:
    """One of two classes, one of three, any of two, and a number, each with its columns."""
    kinds = {"sick": "binary", "kind": "classes", "tags": "labels", "size": "regression"}
    given = {
        "outputs/sick": np.array([[0.0], [2.0]]),
        "outputs/kind": np.array([[0.0, 0.0, 0.0], [0.0, 9.0, 0.0]]),
        "outputs/tags": np.array([[-9.0, 9.0], [0.1, 0.0]]),
        "outputs/size": np.array([3.5, 4.5]),
    }
    arrays: dict[str, Any] = {"x/left": np.ones((2, 1)), "x/right": np.ones((2, 1))}
    np.savez("in.npz", **arrays)
    facts = {**CALL, "outputs": kinds, "from_logits": True, "inputs": {"x/left": [1], "x/right": [1]}}
    found = written(bundle(lambda _: given, **facts), "in.npz")
    assert found["sick_p_1"].tolist() == pytest.approx([0.5, 0.8808], abs=1e-4)
    assert found["sick_class"].tolist() == [0, 1]
    assert found["kind_class"].tolist() == [0, 1]
    assert found["kind_p_2"][0] == pytest.approx(1 / 3)
    assert found["tags_label_0"].tolist() == [0, 1]
    assert found["size_value"].tolist() == [3.5, 4.5]


def test_inputs_of_one_column_each_are_columns_of_a_table(bundle: Callable[..., Path]) -> None:
    """By their names, each with the axes that it had."""
    pd.DataFrame({"right": [1, 2], "left": [10, 20]}).to_csv("new.csv", index=False)
    facts = {**CALL, "inputs": {"x/left": [1], "x/right": []}}
    made = bundle(lambda x: {"outputs": x["x/left"][:, 0] - x["x/right"]}, **facts)
    assert written(made, "new.csv")["value"].tolist() == [9, 18]


def test_what_is_no_table_is_kept_as_it_is(bundle: Callable[..., Path]) -> None:
    """A class for each pixel, such as."""
    np.save("in.npy", np.ones((2, 4)))
    made = bundle(lambda _: {"outputs": np.ones((2, 4, 3))}, **CALL, inputs={"x": [4]})
    with pytest.raises(SweepError, match=r"outputs has shape \(2, 4, 3\), which is no table; --output"):
        written(made, "in.npy")
    assert predict(made, Path("in.npy"), Path("out.npz")).columns == ("outputs",)
    assert np.load("out.npz")["outputs"].shape == (2, 4, 3)


def test_rows_of_another_shape_are_told(bundle: Callable[..., Path]) -> None:
    """Where the model fails on them; one that takes any length is let try."""

    def fails(_: dict[str, Any]) -> dict[str, Any]:
        raise SweepError("fails in a process of its own: ValueError")

    np.save("in.npy", np.ones((2, 5)))
    with pytest.raises(SweepError, match=r"x has rows of shape \(5\), those of the training \(4\)"):
        written(bundle(fails, **CALL, inputs={"x": [4]}), "in.npy")
    with pytest.raises(SweepError, match=r"predict\.py fails in a process of its own: ValueError"):
        written(bundle(fails, **CALL, inputs={"x": [5]}), "in.npy")
    assert len(written(bundle(lambda x: {"outputs": x["x"][:, 0]}, **CALL, inputs={"x": [4]}), "in.npy")) == 2


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, bundle: Callable[..., Path]) -> None:
    """No bundle, no data, no place; and a bundle without its script says why there is none."""
    with pytest.raises(SweepError) as caught:
        predict(tmp_path, tmp_path / "none.csv", tmp_path / "out.txt")
    none = "holds no bundle of fmnist-sweep (metrics.json is missing); fmnist-sweep export STUDY writes one"
    assert [line.rpartition("/")[2] for line in str(caught.value).splitlines()] == [
        f"{tmp_path.name} {none}",
        "out.txt has another ending than .csv or .npz",
        "none.csv is not there; give one of .npz, .npy, .csv or .parquet",
    ]
    np.save("in.npy", np.ones((2, 4)))
    Path("out.csv").write_text("mine")
    made = bundle(lambda x: {"outputs": x["x"]}, **CALL)
    with pytest.raises(SweepError, match=r"out\.csv is there already; choose another, or --force"):
        written(made, "in.npy")
    (made / "predict.py").unlink()
    with pytest.raises(SweepError, match="export mine --force writes it anew, without training"):
        predict(made, Path("in.npy"), Path("out.csv"), force=True)
    assert Path("out.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"a": np.ones((2, 1)), "b": np.ones((2, 1))}, "holds 'a', 'b'; the model takes 'x': 'x' is missing"),
        ({"x": np.ones((0, 4))}, "the same number of rows, 1 or more; there are: x 0"),
        ({"x": np.array([{}, 1])}, "can't be read"),
    ],
)
def test_files_that_hold_something_else_are_refused(
    arrays: dict[str, Any], told: str, bundle: Callable[..., Path]
) -> None:
    """Before anything is started; objects are never unpickled."""
    np.savez("in.npz", **arrays)
    with pytest.raises(SweepError, match=told):
        written(bundle(lambda _: pytest.fail("it was run"), **CALL, inputs={"x": [4]}), "in.npz")
