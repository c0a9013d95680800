"""The idx files that MNIST-like data sets come as: open, verify by digest, unpack into a folder.

An idx file is a big-endian magic number (0x0800 + the number of dimensions, for bytes), each dimension as
a 32-bit integer, then the bytes themselves.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.errors import DataError
from fmnist_sweep.core.files import new_file

ByteArray: TypeAlias = npt.NDArray[np.uint8]

_UBYTE_MAGIC: Final = 0x0800
_GZIP_MAGIC: Final = b"\x1f\x8b"
_CHUNK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class IdxFile:
    """What one idx file of a known data set holds.

    Attributes:
        name: File name without ``.gz``.
        shape: Shape of its array of bytes.
        sha256: Hexadecimal digest of the *uncompressed* file, so that any compression of it passes.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> bytes:
        """The magic number and the dimensions, as they stand in the file."""
        n_dims = len(self.shape)
        return struct.pack(f">{n_dims + 1}I", _UBYTE_MAGIC + n_dims, *self.shape)

    @property
    def n_bytes(self) -> int:
        """Size of the uncompressed file."""
        return len(self.header) + math.prod(self.shape)


def map_idx(path: Path) -> ByteArray:
    """Map an uncompressed idx file of bytes into memory, read only.

    Args:
        path: A file that was verified before; only its header is read here.

    Returns:
        An array with the shape that the header states; processes that map the same file share its pages.

    Raises:
        ValueError: It is no idx file of bytes, or shorter than its header says.
    """
    with path.open("rb") as stream:
        magic = int.from_bytes(stream.read(4), "big")
        n_dims = magic - _UBYTE_MAGIC
        if n_dims not in range(1, 5):
            raise ValueError(f"{path} is no idx file of bytes: its magic number is {magic}")
        shape = struct.unpack(f">{n_dims}I", stream.read(4 * n_dims))
    return np.memmap(path, dtype=np.uint8, mode="r", offset=4 * (n_dims + 1), shape=shape)


def locate(folder: Path, files: Sequence[IdxFile]) -> dict[IdxFile, Path]:
    """Return where the files lie in a folder, plain or as ``.gz``; those not there are left out."""
    found = {}
    for file in files:
        for path in (folder / f"{file.name}.gz", folder / file.name):
            # A folder that may not be entered holds nothing for us.
            with contextlib.suppress(PermissionError):
                if path.is_file():
                    found[file] = path
    return found


def is_mappable(file: IdxFile, path: Path) -> bool:
    """Tell whether a file can be mapped where it lies: its own name, not compressed.

    One that can't be read counts as such: `file_problem` says why it can't.
    """
    try:
        return path.name == file.name and not _is_gzipped(path)
    except OSError:
        return True


def file_problem(file: IdxFile, path: Path, *, copy_to: BinaryIO | None = None) -> str | None:
    """Compare a file's uncompressed content with what it should be.

    Args:
        file: What is expected.
        path: The file, plain or gzipped: its first bytes tell, not its name.
        copy_to: Receives the uncompressed content while it is read. Worth keeping only if None is returned.

    Returns:
        None if the content is right, else one line: the file's name, what was found, how to mend it.
    """
    digest = hashlib.sha256()
    head, n_bytes = b"", 0
    try:
        for chunk in _uncompressed(path):
            head = head or chunk[: len(file.header)]
            n_bytes += len(chunk)
            if n_bytes > file.n_bytes:
                break
            digest.update(chunk)
            if copy_to is not None:
                copy_to.write(chunk)
    except _UnreadableError as error:
        return f"{path.name}: {error}"
    found = _difference(file, head, n_bytes, digest.hexdigest())
    return None if found is None else f"{path.name}: {found}"


def unpack(located: Mapping[IdxFile, Path], folder: Path) -> None:
    """Put verified, uncompressed copies of files into a folder: all of them, or none.

    Args:
        located: What `locate` gave.
        folder: Made if need be; files of the same names in it are replaced.

    Raises:
        DataError: A file is not what it should be; every such file is named.
        OSError: The folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    # All copies get their final names when the stack unwinds, or none if it does so with an error.
    with contextlib.ExitStack() as copies:
        for file, path in located.items():
            copy = copies.enter_context(new_file(folder / file.name))
            problem = file_problem(file, path, copy_to=copy)
            if problem is not None:
                problems.append(problem)
        if problems:
            raise DataError(str(next(iter(located.values())).parent), problems)


class _UnreadableError(Exception):
    """A file's bytes can't be had; the message says why and how to mend it."""


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def _uncompressed(path: Path) -> Iterator[bytes]:
    n_bytes = 0
    try:
        with gzip.open(path) if _is_gzipped(path) else path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                n_bytes += len(chunk)
                yield chunk
    except EOFError:
        raise _UnreadableError(
            f"the gzip data break off after {n_bytes:,} uncompressed bytes, as an interrupted download"
            " or copy does; fetch the file again"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise _UnreadableError(f"the gzip data are damaged ({error}); fetch the file again") from None
    except OSError as error:
        raise _UnreadableError(f"can't be read: {error.strerror or error}") from None


def _difference(file: IdxFile, head: bytes, n_bytes: int, sha256: str) -> str | None:
    """Say in what the content differs from the file's, the most telling thing first."""
    magic, expected_magic = head[:4].hex(), file.header[:4].hex()
    if n_bytes == 0:
        found = "is empty; fetch the file again"
    elif magic != expected_magic:
        found = (
            f"starts with the magic number 0x{magic}, not 0x{expected_magic}, so it is no idx file of"
            f" {len(file.shape)}-dimensional bytes; put the right file in its place"
        )
    elif len(head) == len(file.header) and head != file.header:
        shape = struct.unpack(f">{len(file.shape)}I", head[4:])
        found = f"holds an array of shape {shape}, not {file.shape}; put the right file in its place"
    elif n_bytes < file.n_bytes:
        found = (
            f"ends after {n_bytes:,} of {file.n_bytes:,} bytes, as an interrupted download or copy does;"
            " fetch the file again"
        )
    elif n_bytes > file.n_bytes:
        found = f"is longer than its {file.n_bytes:,} bytes; fetch the file again"
    elif sha256 != file.sha256:
        found = (
            f"has the right size and shape but another content (SHA-256 {sha256[:12]}..., not"
            f" {file.sha256[:12]}...): it is a damaged copy or another data set of the same shape, such as"
            " the MNIST digits; put the right file in its place"
        )
    else:
        return None
    return found
