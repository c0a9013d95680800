from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.data import source_problems
from fmnist_sweep.data.npz import read_npz

Arrays = dict[str, npt.NDArray[Any]]


def arrays() -> Arrays:
    rng = np.random.default_rng(0)
    return {"x_train": rng.integers(0, 256, (12, 5, 4), dtype=np.uint8), "y_train": np.arange(12) % 3}


def member(array: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def claiming(shape: str) -> bytes:
    """Return a member whose header claims a shape that its bytes do not have."""
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(10)


def write(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as stored:
        for name, content in members.items():
            stored.writestr(name.replace("__", "."), content)
    return path


def problems_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(DataError) as caught:
        read_npz(path)
    return caught.value.problems


def lay_text(path: Path) -> None:
    path.write_text("x_train, y_train")


def lay_single_array(path: Path) -> None:
    path.write_bytes(member(np.zeros(3)))


def lay_cut_off(path: Path) -> None:
    np.savez_compressed(path, **arrays())  # type: ignore[arg-type]
    path.write_bytes(path.read_bytes()[:150])


def lay_damaged(path: Path) -> None:
    np.savez_compressed(path, **arrays())  # type: ignore[arg-type]
    content = bytearray(path.read_bytes())
    content[200:220] = bytes(20)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("lay", "told"),
    [
        (lambda _: None, "does not exist; give an .npz file"),
        (Path.mkdir, "is a folder; give an .npz file"),
        (Path.touch, "is empty; numpy.savez"),
        (lay_text, "is no .npz file; numpy.savez"),
        (lay_single_array, "is no .npz file but a single array (.npy)"),
        (lay_cut_off, "is cut off: its end is missing"),
        (lay_damaged, "x_train: is damaged ("),
    ],
)
def test_files_that_are_no_npz_are_told(lay: Callable[[Path], None], told: str, tmp_path: Path) -> None:
    """Whatever else lies under the given name is an error, not a traceback."""
    lay(tmp_path / "mine.npz")
    (problem,) = problems_of(tmp_path / "mine.npz")
    assert problem.startswith(told)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("x_train", member(np.zeros((12, 5, 4), np.uint8))[:3], "x_train: holds no array of NumPy's"),
        ("x_train", b"just some text", "x_train: holds no array of NumPy's"),
        ("x_train__npy", b"", "x_train: holds no array of NumPy's"),
        ("x_train__npy", b"\x93NUMPY\x03\x00", "x_train: is an array with named fields"),
        ("x_train__npy", b"\x93NUMPY\x01\x00\xff\xff", "x_train: is damaged ("),
        ("x_train__npy", claiming("(2**48, 5, 4)"), "x_train: is damaged ("),
        ("x_train__npy", claiming("(8000000000000, 8, 4)"), "x_train: is damaged: by its header"),
        ("x_train__npy", claiming("(-12, 5, 4)"), "x_train: is damaged: by its header"),
        ("x_train__npy", claiming("[" * 300), "x_train: is damaged ("),
        ("x_train__npy", member(np.array([None])), "x_train: is an array of Python objects"),
        ("x_train__npy", member(np.array(["a", "b"])), "y: there are 12 rows for 2 of x"),
        ("x_train__npy", member(np.zeros(12, [("a", "u1")])), "x: has dtype"),
        ("x_train__npy", member(np.zeros((12, 5, 4), "M8[s]")), "x: has dtype"),
        ("x_train__npy", member(np.zeros((12, 5, 4), complex)), "x: has dtype"),
    ],
)
def test_members_that_are_no_images_are_told(name: str, content: bytes, told: str, tmp_path: Path) -> None:
    """Neither the ending nor the header of a member is believed; no memory is asked for on its word."""
    path = write(tmp_path / "mine.npz", **{name: content}, y_train__npy=member(np.arange(12) % 3))
    assert any(problem.startswith(told) for problem in problems_of(path))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 2000), content=st.binary(min_size=1, max_size=40), cut=st.booleans())
def test_no_damage_gives_a_traceback(where: int, content: bytes, cut: bool, tmp_path: Path) -> None:
    """Bytes that are changed or missing anywhere are told, or do no harm."""
    path = tmp_path / "mine.npz"
    np.savez(path, **arrays())  # type: ignore[arg-type]
    whole = bytearray(path.read_bytes())
    where %= len(whole)
    whole[where : where + len(content)] = b"" if cut else content
    path.write_bytes(whole)
    with contextlib.suppress(DataError):
        read_npz(path)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("{folder}/mine.npz", "is a folder; give an .npz file"),
        ("{folder}/other.npz", "there is no file"),
        ("a" * 5000 + ".npz", "can't be the path of a file: File name too long"),
        ("~nobody-of-that-name/a.npz", "can't be the path of a file: Could not determine home directory"),
    ],
)
def test_what_is_no_file_is_seen_before_it_is_opened(source: str, told: str, tmp_path: Path) -> None:
    """A sweep file is refused at once, with all else that is wrong in it."""
    (tmp_path / "mine.npz").mkdir()
    (problem,) = source_problems(source.format(folder=tmp_path))
    assert told in problem
