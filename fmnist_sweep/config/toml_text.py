"""The text of sweep files and of ``--set``, as people's editors write it, into plain values."""

from __future__ import annotations

import codecs
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.config.shipped import no_such_file

_MAX_BYTES: Final = 16 * 2**20
_MAX_DEPTH: Final = 10
_MAX_BITS: Final = 4096
_TOO_LONG: Final = "not TOML: it holds a number of a thousand digits or more"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class TomlTextError(ValueError):
    """A text is no TOML that can be used; the message says why and how to mend it."""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file.

    Raises:
        TomlTextError: The file can't be read, or not as TOML.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        raise TomlTextError(no_such_file(path)) from None
    except IsADirectoryError:
        raise TomlTextError("is a folder; name a sweep file in it") from None
    except OSError as error:
        raise TomlTextError(f"can't be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TomlTextError(f"can't be the name of a file: {error}") from None
    if len(content) > _MAX_BYTES:
        raise TomlTextError(f"is longer than {_MAX_BYTES // 2**20} MB: it is no sweep file")
    if content.startswith(_UTF_16):
        raise TomlTextError("is text in UTF-16; save it as UTF-8, as TOML is written")
    try:
        # Editors of Windows begin a text with a byte order mark.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        what = f"byte 0x{content[error.start]:02x} in line {line}"
        raise TomlTextError(f"can't be read as text: {what} is not UTF-8; save the file as UTF-8") from None
    return parse_toml(text)


def parse_toml(text: str) -> dict[str, Any]:
    """Return the values of a text.

    Raises:
        TomlTextError: It is no TOML, or holds what no setting can be.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlTextError(f"not TOML: {error}") from None
    except RecursionError:
        raise TomlTextError(_too_deep()) from None
    except ValueError:
        # Python reads no decimal number of more than a few thousand digits.
        raise TomlTextError(_TOO_LONG) from None
    require_usable(values)
    return values


def require_usable(values: Mapping[str, Any]) -> None:
    """Raise `TomlTextError` if values are nested deeper, or have more digits, than any setting."""
    level: list[Any] = [values]
    for _ in range(_MAX_DEPTH):
        inner = [list(v.values()) if isinstance(v, Mapping) else v for v in level]
        # Read from hexadecimal digits, it could not even be written out in a message.
        if any(isinstance(v, int) and v.bit_length() > _MAX_BITS for held in inner for v in held):
            raise TomlTextError(_TOO_LONG)
        level = [v for held in inner for v in held if isinstance(v, (Mapping, list, tuple))]
        if not level:
            return
    raise TomlTextError(_too_deep())


def _too_deep() -> str:
    return f"lists and tables are nested too deeply; no setting needs more than {_MAX_DEPTH} levels"
