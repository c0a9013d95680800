"""A folder that several machines see: of a shared file system, or of an object store."""

from __future__ import annotations

import importlib.util
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote

from fmnist_sweep.core.files import new_file
from fmnist_sweep.core.foreign import one_line

_FILE: Final = "file"
_S3: Final = "s3"
_SCHEMES: Final = (_FILE, _S3, "gs", "gcs", "abfs", "abfss")
_ALLOWED: Final = "'file:///FOLDER' that every node sees, 's3://BUCKET/FOLDER', 'gs://...' or 'abfs://...'"
_AS_IT_IS: Final = "%/:@?&=+,;~$!*'()[]"

TRY: Final = ".try-"
"""Begins the name of a file by which a folder is tried."""

_S3_SAYS: Final = re.compile(r"AWS Error (\w+) during \w+ operation: *(.*?) *(?:\(Request ID: [^)]*\))?$")
_S3_ATTEMPTS: Final = 3
_KEYS: Final = (
    "S3 takes its keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, from the profile AWS_PROFILE or "
    "from the machine's role, and they must allow to write there"
)
_ENDPOINT: Final = (
    "AWS_ENDPOINT_URL=http://HOST:PORT, or ?endpoint_override=HOST:PORT&scheme=http after the address, names "
    "a store other than Amazon's"
)
_S3_HINTS: Final = {
    "NO_SUCH_BUCKET": "make the bucket, or name another",
    "NETWORK_CONNECTION": _ENDPOINT,
    "ACCESS_DENIED": _KEYS,
    "INVALID_ACCESS_KEY_ID": _KEYS,
    "SIGNATURE_DOES_NOT_MATCH": _KEYS,
}
"""What mends an error, by the name that Amazon's library gives it."""

LEFT_OUT: Final = "?***"
"""Ends the record of a folder that can't be opened by it."""

_Result = TypeVar("_Result")


def folder_problems(url: str) -> list[str]:
    """Return what is wrong with the address of a shared folder, as far as it can be told without opening it.

    Args:
        url: The address.

    Example:
        >>> folder_problems("ftp://host/checkpoints")[0].partition(";")[0]
        "'ftp://host/checkpoints' is no address of a folder that nodes share"
        >>> folder_problems("file:///shared/my checkpoints")
        []
    """
    scheme, found, place = url.partition("://")
    shown = safe_folder(url)
    if not found or scheme not in _SCHEMES:
        return [f"{shown!r} is no address of a folder that nodes share; allowed are {_ALLOWED}"]
    if scheme == _FILE and not place.startswith("/"):
        return [f"{shown!r} names no whole path; write file:///FOLDER, with three slashes"]
    if not place.strip("/"):
        return [f"{shown!r} names no folder; allowed are {_ALLOWED}"]
    if importlib.util.find_spec("pyarrow") is None:
        return ["pyarrow, which reads and writes it, is not installed; pip install 'fmnist-sweep[ray]'"]
    return []


def safe_folder(url: str) -> str:
    """Return the address of a folder without the keys that it may hold.

    Example:
        >>> safe_folder("s3://key:secret@bucket/checkpoints?endpoint_override=host:9000")
        's3://***@bucket/checkpoints'
    """
    if url.startswith(f"{_FILE}://"):
        return url
    return without_keys(url.partition("?")[0])


def without_keys(text: str) -> str:
    """Return a text with the name and the key in an address that it holds left out."""
    return re.sub(r"://[^/]*:.*@", "://***@", text)


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """Files by their names, on whatever machine; through pyarrow, whose file systems find their own keys.

    Attributes:
        url: Of the folder that the user named, free of `folder_problems`; ``%`` escapes stand for characters.
        inside: The folder in it that is meant, with slashes; made with its first file.
    """

    url: str
    inside: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, [safe_folder(self.url).rstrip("/"), self.inside]))

    @property
    def record(self) -> str:
        """Its address as studies keep it; it ends in ``?***`` where keys or settings are left out.

        Example:
            >>> SharedFolder("s3://bucket/x?region=eu-west-1", "ab/dense").record
            's3://bucket/x/ab/dense?***'
        """
        return str(self) if safe_folder(self.url) == self.url else f"{self}{LEFT_OUT}"

    def read(self, name: str) -> bytes | None:
        """Return what a file holds; None where there is none.

        Raises:
            OSError: The folder can't be read.
        """
        try:
            return self._told(lambda: self._read(name))
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            OSError: The folder can't be written.
        """
        self._told(lambda: self._write(name, content))

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no mistake.

        Raises:
            OSError: It can't be removed.
        """
        with suppress(FileNotFoundError):
            self._told(lambda: self._system.delete_file(self._path(name)))

    def rename(self, name: str, new: str) -> bool:
        """Give a file another name, in place of what has that; return whether there was such a file.

        Raises:
            OSError: The folder can't be written.
        """
        try:
            self._told(lambda: self._move(name, new))
        except FileNotFoundError:
            return False
        return True

    def sizes(self) -> dict[str, int]:
        """Return the sizes of the files in bytes by their names, those first that were written first.

        Raises:
            OSError: The folder can't be read.
        """
        found = self._told(self._list)
        files = sorted((info for info in found if info.is_file), key=lambda info: info.mtime_ns or 0)
        return {info.base_name: info.size or 0 for info in files}

    def remove_all(self) -> None:
        """Remove the folder with all that is in it; one that is not there is no mistake.

        Raises:
            OSError: It can't be removed.
        """
        with suppress(FileNotFoundError):
            self._told(lambda: self._system.delete_dir(self._path("")))

    def trouble(self) -> str:
        """Return in a line why the folder can't be written and read; empty where it can.

        A small file is written, read and removed.
        """
        name, content = f"{TRY}{uuid.uuid4().hex}", b"may this folder be written?"
        try:
            self.write(name, content)
            kept = self.read(name)
            self.remove(name)
        except OSError as error:
            return str(error)
        return "" if kept == content else "what is written there is not what is read"

    # --- pyarrow -------------------------------------------------------------------------------------------

    @property
    def _system(self) -> Any:
        return _opened(self.url)[0]

    def _path(self, name: str) -> str:
        return "/".join(filter(None, [_opened(self.url)[1], self.inside, name]))

    def _read(self, name: str) -> bytes:
        with self._system.open_input_stream(self._path(name)) as stream:
            return bytes(stream.read())

    def _write(self, name: str, content: bytes) -> None:
        path = self._path(name)
        if self.url.startswith(f"{_FILE}://"):
            file = Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            with new_file(file) as stream:
                stream.write(content)
            return
        # An object appears as it is complete.
        with self._system.open_output_stream(path) as stream:
            stream.write(content)

    def _move(self, name: str, new: str) -> None:
        from pyarrow import fs  # noqa: PLC0415 - half a second, and it need not be there

        path = self._path(name)
        # An object store says of what is not there that it could not be copied.
        if self._system.get_file_info(path).type == fs.FileType.NotFound:
            raise FileNotFoundError(path)
        self._system.move(path, self._path(new))

    def _list(self) -> Any:
        from pyarrow import fs  # noqa: PLC0415 - half a second, and it need not be there

        return self._system.get_file_info(fs.FileSelector(self._path(""), allow_not_found=True))

    def _told(self, act: Callable[[], _Result]) -> _Result:
        """Do something with the folder; what goes wrong is an `OSError` that shows no key."""
        try:
            return act()
        except FileNotFoundError:
            raise
        except (OSError, ValueError, NotImplementedError, ImportError) as error:
            said = getattr(error, "strerror", None) or _with_remedy(one_line(error))
            raise OSError(said.replace(self.url, str(self))) from error


def _with_remedy(said: str) -> str:
    """Return what pyarrow says of S3 in the store's own words, with what mends it where that is known."""
    found = _S3_SAYS.search(said)
    if found is None:
        return said
    code, words = found[1], found[2].rstrip(".")
    remedy = _S3_HINTS.get(code)
    return ": ".join(filter(None, [code, words])) + (f"; {remedy}" if remedy else "")


@cache
def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of an address, and the folder's path in it."""
    from pyarrow import fs  # noqa: PLC0415 - half a second, and it need not be there

    if url.startswith(f"{_FILE}://"):
        # No part of it means anything but a path, whatever characters it has.
        return fs.LocalFileSystem(), unquote(url.removeprefix(f"{_FILE}://")).rstrip("/")
    system, path = fs.FileSystem.from_uri(quote(url, safe=_AS_IT_IS))
    if url.startswith(f"{_S3}://"):
        # Made by its address it asks a store that keeps silent thirty times, a hundred seconds in all.
        build, (options,) = system.__reduce__()
        system = build({**options, "retry_strategy": fs.AwsStandardS3RetryStrategy(_S3_ATTEMPTS)})
    return system, path.rstrip("/")
