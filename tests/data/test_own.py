from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data.calls import open_call
from fmnist_sweep.data.own import prepare_import, prepare_npz
from fmnist_sweep.data.split import kind_problems
from fmnist_sweep.data.test_set import has_test, load_test_call

Arrays = dict[str, npt.NDArray[Any]]


def arrays(*, n: int = 12, n_test: int = 6) -> Arrays:
    rng = np.random.default_rng(0)
    return {
        "x_train": rng.integers(0, 256, (n, 5, 4), dtype=np.uint8),
        "y_train": np.arange(n) % 3,
        "x_test": rng.integers(0, 256, (n_test, 5, 4), dtype=np.uint8),
        "y_test": np.arange(n_test) % 3,
    }


def save(path: Path, **stored: npt.NDArray[Any]) -> Path:
    np.savez(path, allow_pickle=True, **stored)
    return path


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        prepare_npz(path)
    return caught.value.problems


def test_an_npz_is_kept_as_mappable_files(tmp_path: Path) -> None:
    """Each array becomes a file of its own under the user's cache, images with a channel axis."""
    given = arrays()
    data = prepare_npz(save(tmp_path / "mine.npz", **given), name="mine.npz")
    folder = Path(data.directory)
    assert tmp_path / "cache" in folder.parents
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{key}.npy" for key in given)
    x_train = np.load(folder / "x_train.npy", mmap_mode="r", allow_pickle=False)
    assert x_train.dtype == np.uint8
    np.testing.assert_array_equal(x_train[..., 0], given["x_train"])
    assert (data.name, data.input_shape, data.n_train) == ("mine.npz", (5, 4, 1), 12)
    assert data.class_names == ("0", "1", "2")


def test_test_arrays_are_optional(tmp_path: Path) -> None:
    """A data set without test arrays is taken, and leaves no test file."""
    given = {key: array for key, array in arrays().items() if "train" in key}
    data = prepare_npz(save(tmp_path / "mine.npz", **given))
    assert not list(Path(data.directory).glob("*test*"))


def test_colour_images_keep_their_channels(tmp_path: Path) -> None:
    """Four-dimensional images stay as they are."""
    x = np.zeros((6, 8, 7, 3), np.uint8)
    data = prepare_npz(save(tmp_path / "mine.npz", x_train=x, y_train=np.arange(6) % 2))
    assert data.input_shape == (8, 7, 3)


def test_floats_are_kept_as_float32(tmp_path: Path) -> None:
    """Float images are stored as float32 with their own values."""
    x = np.linspace(-3, 3, 6 * 4).reshape(6, 2, 2)
    data = prepare_npz(save(tmp_path / "mine.npz", x_train=x, y_train=np.arange(6) % 2))
    stored = np.load(Path(data.directory) / "x_train.npy", allow_pickle=False)
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored[..., 0], x.astype(np.float32))


def test_a_label_column_is_flattened(tmp_path: Path) -> None:
    """Labels of shape (n, 1), as Keras gives for CIFAR-10, are taken as (n,)."""
    x = np.zeros((6, 2, 2), np.uint8)
    data = prepare_npz(save(tmp_path / "mine.npz", x_train=x, y_train=(np.arange(6) % 2)[:, None]))
    stored = np.load(Path(data.directory) / "y_train.npy", allow_pickle=False)
    assert stored.tolist() == [0, 1, 0, 1, 0, 1]


def test_the_digest_tells_contents_apart(tmp_path: Path) -> None:
    """Equal content has one digest whatever the file, one changed pixel or label gives another."""
    given = arrays()
    first = prepare_npz(save(tmp_path / "a.npz", **given))
    path = tmp_path / "b.npz"
    np.savez_compressed(path, **given)  # type: ignore[arg-type]
    assert prepare_npz(path).digest == first.digest
    seen = {first.digest}
    for key in given:
        changed = arrays()
        changed[key].flat[0] += 1
        seen.add(prepare_npz(save(tmp_path / "c.npz", **changed)).digest)
    assert len(seen) == 5


def test_a_damaged_kept_file_is_mended(tmp_path: Path) -> None:
    """Preparing the same file again replaces a kept array that was cut off."""
    path = save(tmp_path / "mine.npz", **arrays())
    kept = Path(prepare_npz(path).directory) / "x_train.npy"
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-5])
    prepare_npz(path)
    assert kept.read_bytes() == whole


def test_no_temporary_file_stays(tmp_path: Path) -> None:
    """Only the arrays are left in the data set's folder."""
    data = prepare_npz(save(tmp_path / "mine.npz", **arrays()))
    assert {path.suffix for path in Path(data.directory).iterdir()} == {".npy"}


def nan_images() -> npt.NDArray[np.float32]:
    x = np.zeros((12, 5, 4), np.float32)
    x[3, 0, 0], x[7, 1, 1] = np.nan, np.inf
    return x


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"x_train": nan_images(), "x_test": np.zeros((6, 5, 4), np.float32)},
            r"NaN.*2 images \(index 3, 7\)",
        ),
        ({"x_train": np.full((12, 5, 4), 1e300), "x_test": np.zeros((6, 5, 4))}, "too large"),
        ({"y_train": np.arange(11) % 3}, "11 labels for 12 images"),
        ({"y_test": np.arange(5) % 3}, "5 labels for 6 images"),
        ({"x_train": np.zeros((12, 5, 4, 1), np.int64)}, "dtype int64; convert to uint8"),
        ({"x_train": np.zeros((0, 5, 4), np.uint8), "y_train": np.zeros(0, int)}, "holds no image"),
        ({"y_train": np.arange(12) % 3 - 1}, r"4 labels below 0 \(index 0, 3, 6, 9\)"),
        ({"y_train": np.arange(12) % 3 * 2}, "none numbered 1"),
        ({"y_train": np.arange(12) % 3 + 1, "y_test": np.ones(6, int)}, "none numbered 0"),
        ({"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)}, "1 class; at least 2"),
        ({"y_test": np.full(6, 3)}, r"classes that y_train does not have \(3\)"),
        ({"x_test": np.zeros((6, 4, 5), np.uint8)}, r"images of shape \(4, 5\), x_train of \(5, 4\)"),
        ({"x_test": np.zeros((6, 5, 4))}, "x_test: has dtype float64, but x_train uint8"),
        ({"x_train": np.array([[[{}]]] * 12)}, "x_train: is an array of Python objects"),
    ],
)
def test_wrong_arrays_are_told(changes: Arrays, told: str, tmp_path: Path) -> None:
    """Each thing that can be wrong with an array is an error that names the array and the finding."""
    path = save(tmp_path / "mine.npz", **{**arrays(), **changes})
    with pytest.raises(DataError, match=told):
        prepare_npz(path)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("key", ["x_train", "y_train", "x_test", "y_test"])
def test_missing_arrays_are_named(key: str, tmp_path: Path) -> None:
    """A missing array is named together with those that are there."""
    given = arrays()
    del given[key]
    (problem,) = problems_of(save(tmp_path / "mine.npz", **given))
    assert problem.startswith(f"{key}: is missing; the file holds ")
    assert all(other in problem for other in given)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    """Independent problems of several arrays come in one error."""
    given: Arrays = {"x_train": nan_images(), "y_train": np.arange(12) % 3 - 1, "y_test": np.zeros(6)}
    told = problems_of(save(tmp_path / "mine.npz", **given))
    assert sorted(problem.split(":")[0] for problem in told) == ["x_test", "x_train", "y_test", "y_train"]


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    """An object array runs no code of its pickle."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "exploded",)

    bomb = np.empty(1, object)
    bomb[0] = Bomb()
    told = problems_of(save(tmp_path / "mine.npz", **{**arrays(), "y_train": bomb}))
    assert "could run code" in told[0]
    assert not (tmp_path / "exploded").exists()


MODULE = """
import numpy as np

X = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2)
Y = np.arange(6) % 2

def train_only():
    return X, Y

def flat():
    return X, Y, X[:2], Y[:2]

def nested():
    return (X, Y), (X[:2], Y[:2])

def as_lists():
    return X.astype(float).tolist(), Y.tolist()

def raises():
    raise ValueError("the disk is on the moon")

def exits():
    raise SystemExit(0)

def interrupts():
    raise KeyboardInterrupt

def leaves():
    import os
    os._exit(0)

def copies():
    import os
    os.fork()
    return X, Y

def hangs():
    import time
    time.sleep(600)

def returns_none():
    return None

def three():
    return X, Y, X

def ragged():
    return [[1], [1, 2]], Y

def objects():
    return np.array([None] * 6), Y

def negative():
    return X, Y - 1

def talks():
    print("noise" * 1000)
    return X, Y

number = 3
"""


@pytest.fixture
def module(in_tmp_path: Path) -> str:
    """Write a user's module into the current folder; return its name."""
    (in_tmp_path / "users_data.py").write_text(MODULE)
    return "users_data"


@pytest.mark.parametrize("function", ["train_only", "flat", "nested", "as_lists", "talks"])
def test_a_function_gives_the_data(function: str, module: str) -> None:
    """Each allowed form of return value is taken, and the user's module is never imported here."""
    data = prepare_import(f"{module}:{function}")
    assert (data.name, data.input_shape, data.n_train) == (f"{module}:{function}", (2, 2, 1), 6)
    assert (Path(data.directory) / "x_test.npy").exists() == (function in ("flat", "nested"))
    assert module not in sys.modules


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("no_such_module:load", "no_such_module.*can't be imported.*ModuleNotFoundError"),
        ("users_data:load", "has no 'load'; it has .*train_only"),
        ("users_data:number", "is no function but int"),
        ("users_data:raises", r"ValueError: the disk is on the moon \(.*users_data.py, line \d+\)"),
        ("users_data:exits", "the function raised SystemExit: 0"),
        ("users_data:interrupts", "the function raised KeyboardInterrupt"),
        ("users_data:leaves", "its process ended with exit code 0"),
        ("users_data:returns_none", "returned NoneType; it must return"),
        ("users_data:three", "returned tuple of length 3; it must return"),
        ("users_data:ragged", "x_train: list is no array"),
        ("users_data:objects", "x: is an array of Python objects"),
        ("users_data:negative", "y_train: 3 labels below 0"),
        ("broken_module:load", r"SyntaxError"),
        ("no import path", "give package.module:function"),
        ("users_data:", "give package.module:function"),
        ("--help:load", "give package.module:function"),
    ],
)
def test_functions_that_give_no_data_are_told(path: str, told: str, module: str, tmp_path: Path) -> None:
    """Whatever goes wrong in the user's function is one clear error that names the import path."""
    (tmp_path / "broken_module.py").write_text("def load(:\n")
    with pytest.raises(DataError, match=told) as caught:
        prepare_import(path)
    assert caught.value.where == path
    assert len(caught.value.problems) == 1
    assert module not in sys.modules


@pytest.mark.slow
def test_a_function_has_a_deadline(module: str) -> None:
    """The line that it was at is told, and the setting that gives it longer."""
    with pytest.raises(DataError) as caught:
        prepare_import(f"{module}:hangs", seconds=3)
    (problem,) = caught.value.problems
    assert problem.startswith("the function gave no data within 3 s; it was at ")
    assert "users_data.py:" in problem
    assert problem.endswith(
        ", in hangs; mend what it waits for, or give it longer with budget.prepare_seconds"
    )


def test_a_copy_of_the_function_s_process_writes_nothing(module: str) -> None:
    """One of two that go on after `os.fork` gives the arrays."""
    assert prepare_import(f"{module}:copies").digest == prepare_import(f"{module}:train_only").digest


def test_a_library_is_not_taken_from_the_current_folder(module: str, in_tmp_path: Path) -> None:
    """Nor a data function's own module for one; its name is told."""
    for name in ("random", "statistics", "numpy"):
        (in_tmp_path / f"{name}.py").write_text("raise RuntimeError('the user has one of that name')")
    assert prepare_import(f"{module}:train_only").n_train == 6
    with pytest.raises(DataError, match=r"random.py has the name of the module random of Python's standard"):
        prepare_import("random:random")


def test_modules_are_looked_for_in_the_given_folders(
    module: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The first that has one; where there is none, all of them are named."""
    other = tmp_path_factory.mktemp("other")
    (other / f"{module}.py").write_text(MODULE.replace("% 2", "% 3"))
    assert prepare_import(f"{module}:train_only", folders=[other, Path.cwd()]).n_classes == 3
    assert prepare_import(f"{module}:train_only", folders=[Path.cwd(), other]).n_classes == 2
    with pytest.raises(DataError, match=f"can't be imported from {other}, in {Path.cwd()}: "):
        prepare_import("not_there_at_all:make", folders=[other, Path.cwd()])


def test_a_test_part_of_a_table_is_kept_apart(tmp_path: Path) -> None:
    """It is no part of what a training opens, and other test rows are other data."""
    table = {"x_train": np.ones((12, 3)), "y_train": np.linspace(0, 1, 12)}
    tested = {**table, "x_test": np.ones((6, 3)), "y_test": np.ones(6)}
    plain = prepare_npz(save(tmp_path / "plain.npz", **table))
    found = prepare_npz(save(tmp_path / "tested.npz", **tested))
    assert (plain.form, has_test(plain), has_test(found)) == ("call", False, True)
    assert plain.digest != found.digest

    def no_dataset(path: str) -> object:
        raise AssertionError(path)

    assert open_call(Path(found.directory), no_dataset).test is None
    x, y = load_test_call(found, no_dataset)
    assert (x.shape, y.tolist()) == ((6, 3), [1.0] * 6)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"x_test": np.ones((6, 2))}, r"x_test: its rows have shape \(2,\), those of x_train \(3,\)"),
        ({"y_test": np.ones(5)}, "y_test: there are 5 rows for 6 of x_test; give one for each"),
        ({"x_test": np.full((6, 3), np.nan)}, "x_test: holds NaN or infinite values in 6 rows"),
    ],
)
def test_what_is_wrong_with_a_test_part_is_told(
    tmp_path: Path, changed: dict[str, np.ndarray[Any, Any]], told: str
) -> None:
    """Before a sweep has spent its time."""
    table = {"x_train": np.ones((12, 3)), "y_train": np.linspace(0, 1, 12)}
    tested = {**table, "x_test": np.ones((6, 3)), "y_test": np.ones(6), **changed}
    with pytest.raises(DataError, match=told):
        prepare_npz(save(tmp_path / "tested.npz", **tested))


def test_a_file_may_say_what_validates(tmp_path: Path) -> None:
    """Of a table; of images the split is drawn, and that is told."""
    said: list[str] = []
    table = {"x_train": np.ones((12, 3)), "y_train": np.linspace(0, 1, 12)}
    given = {**table, "x_val": np.ones((4, 3)), "y_val": np.ones(4)}
    found = prepare_npz(save(tmp_path / "given.npz", **given), say=said.append)
    assert found.validates
    assert not prepare_npz(save(tmp_path / "plain.npz", **table), say=said.append).validates
    assert said == []
    assert kind_problems(found, SplitSpec()) == []
    (problem,) = kind_problems(found, SplitSpec(kind="last"))
    assert problem.startswith("split.kind: 'last' can't act, since the data say themselves what validates")
    images = arrays()
    more = {**images, "x_val": images["x_test"], "y_val": images["y_test"]}
    plain = prepare_npz(save(tmp_path / "images.npz", **images))
    assert prepare_npz(save(tmp_path / "more.npz", **more), name="m", say=said.append).digest == plain.digest
    assert said[0].startswith("Note: m: x_val and y_val are not used")
    with pytest.raises(DataError, match="x_val and y_val belong together"):
        prepare_npz(save(tmp_path / "half.npz", **table, x_val=np.ones((4, 3))))
    with pytest.raises(DataError, match="y_val: there are 3 rows for 4 of x_val"):
        prepare_npz(save(tmp_path / "odd.npz", **table, x_val=np.ones((4, 3)), y_val=np.ones(3)))
