"""Rows that belong together are in one part."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fmnist_sweep.core.errors import DataError, TrialError
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data import Reading, open_data
from fmnist_sweep.data.calls import Call, keep_call, open_call, with_groups
from fmnist_sweep.data.groups import drawn_groups, group_numbers, group_problems
from fmnist_sweep.data.hold_out import held_out, with_hold_out
from fmnist_sweep.data.split import kind_problems

BY_GROUP = Reading(kind="groups")
TABLE = pd.DataFrame(
    {"town": ["Ulm", "Bonn", "Ulm", "Kiel", "Bonn"], "rooms": [1, 2, 3, 4, 5], "price": [1.5, 2, 3, 4, 5]}
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is made here out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(data: Any) -> Call:
    """Return kept data as a training gets them."""

    def no_dataset(path: str) -> object:
        raise AssertionError(path)

    return open_call(Path(data.directory), no_dataset)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=20),
    n_val=st.integers(1, 300),
    seed=st.integers(0, 99),
)
def test_no_group_is_in_both_parts(sizes: list[int], n_val: int, seed: int) -> None:
    """Nothing is lost, something is in each part, and the draw is the seed's."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    spec = SplitSpec(n_val, seed, kind="groups")
    train, val = held_out(np.zeros(len(groups)), spec, groups)
    assert not set(groups[train]) & set(groups[val])
    assert sorted([*train, *val]) == list(range(len(groups)))
    assert len(train)
    assert len(val)
    assert held_out(np.zeros(len(groups)), spec, groups)[1].tolist() == val.tolist()


def test_about_as_many_rows_validate_as_are_wanted() -> None:
    """A group of most rows is left out where others come nearer; seeds draw others."""
    groups = np.repeat(np.arange(21), [900, *[10] * 20])
    drawn = {tuple(drawn_groups(groups, 100, np.random.default_rng(seed))) for seed in range(5)}
    assert {len(val) for val in drawn} == {100}
    assert len(drawn) == 5


def test_rows_that_are_kept_are_of_groups_that_train() -> None:
    """``train_size`` takes none from the groups that validate."""
    groups = np.arange(100) // 5
    spec = SplitSpec(20, kind="groups", train_size=30)
    train, val = held_out(np.zeros(100), spec, groups)
    assert (len(train), len(val)) == (30, 20)
    assert not set(groups[train]) & set(groups[val])


def test_a_column_of_a_table_is_no_input(tmp_path: Path) -> None:
    """It may hold text; the data know how many groups there are, and a split is made by them."""
    path = tmp_path / "houses.csv"
    TABLE.to_csv(path, index=False)
    data = open_data(str(path), reading=Reading(target=("price",), groups="town"))
    call = opened(data)
    assert call.x.tolist() == [[1], [2], [3], [4], [5]]
    assert (data.n_groups, call.groups.tolist()) == (3, [0, 1, 0, 2, 1])
    args, kwargs = with_hold_out(call, SplitSpec(2, 3, kind="groups"))
    towns = dict(zip([1, 2, 3, 4, 5], TABLE["town"], strict=True))
    parts = [{towns[int(row)] for row in x.ravel()} for x in (args[0], kwargs["validation_data"][0])]
    assert not parts[0] & parts[1]
    assert "groups" not in kwargs


def test_all_that_is_wrong_with_the_columns_is_told_at_once(tmp_path: Path) -> None:
    """With what was probably meant."""
    path = tmp_path / "houses.csv"
    TABLE.to_csv(path, index=False)
    with pytest.raises(DataError) as caught:
        open_data(str(path), reading=Reading(target=("prize",), groups="twon"))
    target, groups = caught.value.problems
    assert target.startswith("target: there is no column 'prize'; did you mean 'price'?")
    assert groups.startswith("split.groups: there is no column 'twon'; did you mean 'town'?")
    with pytest.raises(DataError, match="'price' is the target"):
        open_data(str(path), reading=Reading(target=("price",), groups="price"))


def test_an_npz_names_them_by_an_array(tmp_path: Path) -> None:
    """``groups``, or as the file is said to call it; without being asked for they are left alone."""
    path = tmp_path / "mine.npz"
    x, y, groups = np.arange(12.0).reshape(6, 2), np.arange(6.0), np.array([1, 1, 2, 2, 3, 3])
    np.savez(path, x_train=x, y_train=y, groups=groups, who=groups // 2)
    plain, by_group = open_data(str(path)), open_data(str(path), reading=BY_GROUP)
    assert (plain.n_groups, by_group.n_groups) == (0, 3)
    assert plain.digest != by_group.digest
    assert open_data(str(path), reading=Reading(groups="who")).n_groups == 2
    with pytest.raises(DataError, match=r"there is no array 'whom'; the file holds x_train, y_train, groups"):
        open_data(str(path), reading=Reading(groups="whom"))


def test_images_with_groups_are_handed_to_fit_scaled(tmp_path: Path) -> None:
    """The compiled steps know no groups; their bytes are scaled as those of other images."""
    path = tmp_path / "mine.npz"
    x = np.full((6, 2, 2), 255, np.uint8)
    np.savez(path, x_train=x, y_train=np.arange(6) % 2, groups=np.arange(6) // 2)
    said: list[str] = []
    data = open_data(str(path), reading=BY_GROUP, say=said.append)
    assert (data.form, data.n_groups, opened(data).x.max()) == ("call", 3, 1.0)
    assert "images with groups" in said[0]


def test_images_may_say_what_validates(tmp_path: Path) -> None:
    """Where the settings ask for it: x_val is not used otherwise."""
    path = tmp_path / "mine.npz"
    x, y = np.full((6, 2, 2), 255, np.uint8), np.arange(6) % 2
    np.savez(path, x_train=x, y_train=y, x_val=x[:2], y_val=y[:2])
    data = open_data(str(path), reading=Reading(kind="given"))
    assert (data.form, data.validates) == ("call", True)
    assert opened(data).kwargs["validation_data"][0].max() == 1.0
    assert not open_data(str(path)).validates


def test_a_function_names_them_by_a_key_or_a_column(in_tmp_path: Path) -> None:
    """A column is taken from the test part too."""
    TABLE.to_csv(in_tmp_path / "houses.csv", index=False)
    (in_tmp_path / "users_groups.py").write_text(
        "import pandas as pd\n\n"
        "def key():\n"
        "    t = pd.read_csv('houses.csv')\n"
        "    return {'x': t[['rooms']], 'y': t['price'], 'groups': t['town']}\n\n"
        "def column():\n"
        "    t = pd.read_csv('houses.csv')\n"
        "    x = t[['town', 'rooms']]\n"
        "    return (x, t['price']), (x, t['price'])\n"
    )
    by_key = open_data("users_groups:key", say=lambda _: None)
    by_column = open_data("users_groups:column", reading=Reading(groups="town"), say=lambda _: None)
    assert by_key.n_groups == by_column.n_groups == 3
    assert list(opened(by_column).x.columns) == ["rooms"]
    with pytest.raises(DataError, match="names the column 'rooms', and the data bring groups"):
        open_data("users_groups:key", reading=Reading(groups="rooms"), say=lambda _: None)


def test_inputs_by_name_may_hold_them() -> None:
    """An array has no columns."""
    call = Call(({"a": np.ones(4), "who": np.array([1, 1, 2, 2])}, np.ones(4)))
    found = with_groups(call, "who", where="mine")
    assert list(found.x) == ["a"]
    assert found.groups.tolist() == [1, 1, 2, 2]
    with pytest.raises(DataError, match="'who' is the only column"):
        with_groups(Call(({"who": np.ones(4)}, np.ones(4))), "who", where="mine")
    with pytest.raises(DataError, match="x is ndarray and has no columns by name"):
        with_groups(Call((np.ones((4, 2)), np.ones(4))), "who", where="mine")


@pytest.mark.parametrize(
    ("groups", "n", "told"),
    [
        (np.ones(3), 4, "there are 3 for 4 rows"),
        (np.ones(4), 4, "all rows are of one group; at least 2 are needed"),
        (np.ones((4, 2)), 4, r"have shape \(4, 2\)"),
        (np.array([1.0, np.nan, 2.0]), 3, r"1 rows have none \(rows '1', from 0\)"),
        (np.array(["a", None], object), 2, "1 rows have none"),
        (np.array([1j, 2]), 2, "have dtype complex128"),
        (np.ones(4), 0, "go with arrays and tables"),
    ],
)
def test_what_can_be_no_groups_is_refused(groups: Any, n: int, told: str) -> None:
    """Each with what to give."""
    (problem,) = group_problems(groups, n)
    assert re.search(told, problem)


def test_groups_are_known_by_the_rows_that_they_join() -> None:
    """Data are known by which rows belong together."""
    x, y = np.arange(4.0), np.arange(4.0)
    digests = [
        keep_call(Call((x, y), groups=g), name="mine").digest for g in (["b", "b", "a", "a"], [7, 7, 3, 3])
    ]
    assert digests[0] == digests[1]
    assert keep_call(Call((x, y), groups=[1, 2, 1, 2]), name="mine").digest != digests[0]
    assert keep_call(Call((x, y)), name="mine").digest != digests[0]
    assert group_numbers(["b", "a", "b"]).tolist() == [0, 1, 0]


def test_a_split_by_groups_needs_some() -> None:
    """What validates by the data's word leaves nothing to a kind, and its word needs data that say it."""
    x = np.arange(8.0)
    plain, grouped = keep_call(Call((x, x)), name="a"), keep_call(Call((x, x), groups=x // 2), name="b")
    given = keep_call(Call((x, x), {"validation_data": (x, x)}), name="c")
    assert kind_problems(grouped, SplitSpec(kind="groups")) == []
    assert kind_problems(given, SplitSpec(kind="given")) == []
    assert "needs data that name them" in kind_problems(plain, SplitSpec(kind="groups"))[0]
    assert "needs data that say what validates" in kind_problems(plain, SplitSpec(kind="given"))[0]
    assert "needs data that say what validates" in kind_problems(None, SplitSpec(kind="given"))[0]
    assert "can't act" in kind_problems(given, SplitSpec(kind="groups"))[0]
    with pytest.raises(TrialError, match="the data name none"):
        held_out(x, SplitSpec(2, kind="groups"))


def test_settings_that_go_with_nothing_are_told_before_anything_is_opened() -> None:
    """Groups and another kind, and groups of what has none."""
    assert "is for kind = 'groups'" in Reading(groups="a", kind="last").problems("mine.npz")[0]
    assert "have no groups" in BY_GROUP.problems("fashion-mnist")[0]
    assert Reading(groups="a").problems("mine.npz") == []
