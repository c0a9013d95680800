"""Files to start from: a commented sweep file and, where it needs one, the module that it names."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import SweepError, did_you_mean


@dataclass(frozen=True)
class Start:
    """What one kind of start writes.

    Attributes:
        sweep: Name of the sweep file.
        files: What each file holds, by its name.
    """

    sweep: str
    files: Mapping[str, str]


STARTS: Final[Mapping[str, Start]] = {
    "keras-tuner": Start(
        "digits.toml",
        {
            "digits.toml": "a sweep of a KerasTuner model of your own",
            "digits.py": "the model, and images of handwritten digits",
        },
    ),
    "own-data": Start(
        "diabetes.toml",
        {
            "diabetes.toml": "a sweep on data of your own, here a regression",
            "diabetes.py": "the function that returns the data, and the model",
        },
    ),
    "cnn": Start("my-cnn.toml", {"my-cnn.toml": "a small sweep of the convolutional nets that come along"}),
}
"""The kinds of start by name; the first is what most people want."""


def write_start(kind: str, folder: Path) -> Start:
    """Write the files of a kind of start: all of them or none, and over no file that is there.

    Args:
        kind: One of `STARTS`.
        folder: An existing folder.

    Raises:
        SweepError: There is no such kind, a file is there already, or the folder can't be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(write_start("cnn", Path(folder)).sweep)
        my-cnn.toml
    """
    start = STARTS.get(kind)
    if start is None:
        hint = did_you_mean(kind, STARTS)
        raise SweepError(f"init: unknown kind {kind!r}{hint} (allowed: {', '.join(STARTS)})")
    taken = [name for name in start.files if (folder / name).exists()]
    if taken:
        raise _taken(taken)
    written: list[Path] = []
    try:
        for name in start.files:
            # "x" opens no file that somebody else has just made.
            with (folder / name).open("x", encoding="utf-8") as file:
                written.append(folder / name)
                file.write(_template(name))
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        if isinstance(error, FileExistsError):
            raise _taken([Path(error.filename).name]) from None
        told = f"{error.filename or folder} can't be written: {error.strerror}"
        raise SweepError(f"{told}; run init in another folder") from None
    return start


def _taken(names: list[str]) -> SweepError:
    there = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} there already"
    return SweepError(f"{there}, and nothing was written; move what is there, or run init in another folder")


def _template(name: str) -> str:
    """Return a file's text. Modules are kept under another name: they are no modules of this package."""
    kept = f"{name}.txt" if name.endswith(".py") else name
    return (resources.files("fmnist_sweep.api") / "assets" / kept).read_text("utf-8")
