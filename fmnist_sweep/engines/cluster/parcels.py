"""Folders that travel to other machines: known by their content, cut in pieces, checked where they arrive."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fmnist_sweep.core.errors import EngineError

PIECE_BYTES: Final = 64 * 2**20
"""Size of a piece: what a machine holds of a parcel at a time, beside the files."""

_CODE_ENDINGS: Final = (".py", ".json", ".toml", ".yaml", ".yml", ".txt", ".cfg", ".ini")
_CARRIED: Final = "model_of_*.pkl"
"""Models of scripts and notebooks, as `fmnist_sweep.models.carrying` keeps them."""

_NO_CODE: Final = frozenset({"__pycache__", "site-packages", "node_modules", "build", "dist"})
_LARGEST_TEXT_BYTES: Final = 2**20
_MAX_FILES: Final = 5000
_MAX_CODE_BYTES: Final = 100 * 2**20
_MAX_VISITED: Final = 200_000


class DamagedParcelError(EngineError):
    """What arrived is not what was sent."""


@dataclass(frozen=True, slots=True)
class ParcelFile:
    """A file of a parcel: its path in the folder, with slashes, its size in bytes and its SHA-256."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a folder holds.

    Attributes:
        key: Tells it from other parcels; a data set's digest, or the digest of the files.
        origin: The folder on the machine that sends it: where a file system is shared, nothing need travel.
        files: In their order, which is that of the pieces.
    """

    key: str
    origin: str
    files: tuple[ParcelFile, ...]


def parcel_of(folder: Path, *, key: str | None = None, files: Iterable[Path] | None = None) -> Parcel:
    """Return what a folder holds, every file read.

    Args:
        folder: The folder.
        key: As in `Parcel`; None takes a digest over the files.
        files: Those that travel; None takes all.
    """
    found = sorted(folder.rglob("*")) if files is None else sorted(files)
    listed = tuple(_facts(path, folder) for path in found if path.is_file())
    told = hashlib.sha256(repr([(f.path, f.digest) for f in listed]).encode()).hexdigest()
    return Parcel(told if key is None else key, str(folder), listed)


def code_files(folder: Path) -> list[Path]:
    """Return the files of a folder that a user's own model may need: modules, and small texts beside them.

    Raises:
        EngineError: There are too many: the folder is no project's.

    Example:
        >>> code_files(Path("/nowhere"))
        []
    """
    found: list[Path] = []
    size, visited = 0, 0
    waiting = [folder] if folder.is_dir() else []
    while waiting:
        inside = waiting.pop()
        for path in sorted(inside.iterdir()):
            visited += 1
            if path.name.startswith(".") or path.is_symlink():
                continue
            if path.is_dir():
                if path.name not in _NO_CODE and not (path / "pyvenv.cfg").exists():
                    waiting.append(path)
                continue
            if _is_code(path):
                found.append(path)
                size += path.stat().st_size
        if len(found) > _MAX_FILES or size > _MAX_CODE_BYTES or visited > _MAX_VISITED:
            raise EngineError(
                f"{folder} holds more than a project: over {_MAX_FILES:,} modules, or "
                f"{_MAX_CODE_BYTES >> 20} MB of them; start the sweep in a folder of its own, so that its "
                "code can go to the nodes"
            )
    return found


def pieces(parcel: Parcel) -> Iterator[bytes]:
    """Yield a parcel's content: its files one after another, cut in pieces."""
    piece = bytearray()
    for file in parcel.files:
        with Path(parcel.origin, file.path).open("rb") as stream:
            while part := stream.read(PIECE_BYTES - len(piece)):
                piece += part
                if len(piece) == PIECE_BYTES:
                    yield bytes(piece)
                    piece.clear()
    if piece:
        yield bytes(piece)


def is_there(parcel: Parcel, folder: Path) -> bool:
    """Return whether a folder holds all files of a parcel, each with its digest."""
    try:
        return all(_facts(folder / file.path, folder) == file for file in parcel.files)
    except OSError:
        return False


def unpack(parcel: Parcel, content: Iterable[bytes], folder: Path) -> None:
    """Write what arrived to a folder, which appears whole or not at all.

    Args:
        parcel: What was sent.
        content: Its pieces.
        folder: Where it goes; its parent is made.

    Raises:
        DamagedParcelError: A file is not what was sent.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as work:
        new = Path(work, "parcel")
        _write(parcel, iter(content), new)
        if not is_there(parcel, new):
            raise DamagedParcelError(f"{parcel.key[:12]} arrived damaged: a file has another digest")
        if folder.exists():
            # Of an earlier attempt, or damaged since.
            shutil.rmtree(folder, ignore_errors=True)
        try:
            new.rename(folder)
        except OSError:
            # Another agent of this machine was faster.
            if not is_there(parcel, folder):
                raise


def _write(parcel: Parcel, content: Iterator[bytes], folder: Path) -> None:
    folder.mkdir()
    rest = memoryview(b"")
    for file in parcel.files:
        path = folder / file.path
        if not path.resolve().is_relative_to(folder.resolve()):
            raise DamagedParcelError(f"{parcel.key[:12]}: {file.path} would lie outside its folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        left = file.size
        with path.open("wb") as stream:
            while left:
                if not rest:
                    piece = next(content, None)
                    if piece is None:
                        raise DamagedParcelError(f"{parcel.key[:12]} arrived cut off, in {file.path}")
                    rest = memoryview(piece)
                stream.write(rest[:left])
                taken = min(left, len(rest))
                rest, left = rest[taken:], left - taken


def _facts(path: Path, folder: Path) -> ParcelFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ParcelFile(path.relative_to(folder).as_posix(), path.stat().st_size, digest)


def _is_code(path: Path) -> bool:
    if not path.is_file():
        return False
    if path.suffix == ".py" or path.match(_CARRIED):
        return True
    return path.suffix in _CODE_ENDINGS and path.stat().st_size <= _LARGEST_TEXT_BYTES
