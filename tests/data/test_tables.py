"""Tables in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.data import Reading, open_data
from fmnist_sweep.data.calls import Call, open_call
from fmnist_sweep.data.tables import prepare_table, target_problems

TABLE = pd.DataFrame(
    {
        "rooms": [1, 2, 3, 4],
        "area": [20.5, 40.0, 61.0, 80.0],
        "price": [1.5, 2.5, 3.5, 4.5],
        "sold": [0, 1, 1, 0],
    }
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is made here out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def kept(folder: Path, *target: str) -> Call:
    """Return what is kept of the table, as a training gets it."""
    TABLE.to_csv(folder / "houses.csv", index=False)
    data = open_data(str(folder / "houses.csv"), reading=Reading(target=target))
    assert (data.form, data.n_train) == ("call", 4)

    def no_dataset(path: str) -> object:
        raise AssertionError(path)

    return open_call(Path(data.directory), no_dataset)


def test_a_column_is_predicted_from_the_others(tmp_path: Path) -> None:
    """In their order, as floats; whole numbers as targets stay whole, and tell classes."""
    price, sold = kept(tmp_path, "price"), kept(tmp_path, "sold")
    assert price.x.tolist() == [[1, 20.5, 0], [2, 40, 1], [3, 61, 1], [4, 80, 0]]
    assert (price.x.dtype, price.y.dtype, price.y.tolist()) == (np.float32, np.float32, [1.5, 2.5, 3.5, 4.5])
    assert (sold.y.dtype, sold.y.tolist()) == (np.int64, [0, 1, 1, 0])


def test_several_columns_may_be_predicted(tmp_path: Path) -> None:
    """One beside the other, and other targets are other data."""
    both = kept(tmp_path, "price", "area")
    assert both.y.tolist() == [[1.5, 20.5], [2.5, 40], [3.5, 61], [4.5, 80]]
    assert both.x.shape == (4, 2)


def test_parquet_is_read_as_csv_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow it is said what to install."""
    path = tmp_path / "houses.parquet"
    path.write_bytes(b"PAR1")
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda _: None)
        with pytest.raises(DataError, match=r"pip install 'fmnist-sweep\[tables\]'"):
            prepare_table(path, ["price"], name="houses.parquet")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    monkeypatch.setattr(pd, "read_parquet", lambda _: TABLE.copy())
    TABLE.to_csv(tmp_path / "houses.csv", index=False)
    found = prepare_table(path, ["price"], name="houses.parquet")
    assert found.digest == prepare_table(tmp_path / "houses.csv", ["price"], name="houses.csv").digest


@pytest.mark.parametrize(
    ("text", "target", "told"),
    [
        ("a,b\n1,2\n3,4\n", "bb", r"there is no column 'bb'; did you mean 'b'\? \(it has 'a', 'b'\)"),
        ("a,b\nx,2\ny,4\n", "b", "columns that hold no numbers: 'a'.*get_dummies"),
        ("a,b\n1,x\n3,y\n", "b", "target: 'b' holds no numbers; give classes by number.*factorize"),
        ("a,b\n1,2\n,4\n", "b", r"column 'a' has 1 missing or infinite values \(rows 1, from 0\); fill them"),
        ("a,b\n1,2\n", "b", "has 1 rows below the names"),
        ("b\n1\n2\n", "b", "no column is left to predict from"),
        ("", "b", "can't be read as a table"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path: Path, text: str, target: str, told: str) -> None:
    """With what to do."""
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=told):
        prepare_table(tmp_path / "t.csv", [target], name="t.csv")


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("a.csv", [], "target: missing; say which column"),
        ("a.npz", ["b"], "target: is for tables"),
        ("a.parquet", ["b", "b"], "target: 'b' is named twice"),
        ("a.csv", ["b"], None),
        ("a.npz", [], None),
    ],
)
def test_a_target_belongs_to_a_table(source: str, target: list[str], told: str | None) -> None:
    """It is neither missing nor ignored."""
    problems = target_problems(source, target)
    assert problems == [] if told is None else problems[0].startswith(told)
