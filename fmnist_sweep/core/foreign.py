"""Foreign text: what this program shows or stores and did not write itself, made safe in one place.

Messages of exceptions, names of studies and parameters, values of categories, paths and all that was read
from a storage may be endless, may drive a terminal, and may hold what no file can: nothing of that comes out
of here.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

MAX_TEXT: Final = 4000
"""Characters that are kept of a text."""

MAX_LINE: Final = 1000
"""Characters that are kept of what stands in one line, such as the reason of a failure."""

_ESCAPES: Final = re.compile(
    # Colours and cursor moves; titles, links and other strings up to their end; the rest in two characters.
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]"
)
_JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of how some scripts are written."""

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_GAP: Final = "[... {} characters ...]"


def safe_text(text: str, limit: int | None = MAX_TEXT) -> str:
    r"""Return a text that can be printed and stored anywhere, its beginning and its end if it is long.

    Escape sequences go; any other character that can't be printed stands as Python writes it. The text may
    still look like markup: whoever prints markup escapes it, or says that it is none.

    Args:
        text: The text; its lines stay lines.
        limit: Characters that are kept; None keeps all.

    Example:
        >>> safe_text("\x1b[1mzero or negative\x1b[0m, got \x00")
        'zero or negative, got \\x00'
    """
    if limit is not None and len(text) > 4 * limit:
        # Before anything looks at each character of it; what is cut off may be the other half of an escape.
        text = shortened(text, 4 * limit)
    text = text.replace("\r\n", "\n")
    if "\x1b" in text or "\x9b" in text:
        text = _ESCAPES.sub("", text)
    if not (text.isascii() and text.replace("\n", "").isprintable()):
        # Each kind of character is looked at once: a page is millions of a hundred kinds.
        kinds = {ord(kind): shown for kind in {*text} if (shown := _printable(kind)) != kind}
        text = text.translate(kinds) if kinds else text
    return text if limit is None else shortened(text, limit)


def safe_line(text: str, limit: int | None = MAX_LINE) -> str:
    r"""Return `safe_text` in one line.

    Example:
        >>> safe_line("first,\n  second")
        'first, second'
    """
    if limit is not None and len(text) > 4 * limit:
        text = shortened(text, 4 * limit)
    return safe_text(" ".join(text.split()), limit)


def shortened(text: str, limit: int = MAX_TEXT) -> str:
    """Return a text of at most ``limit`` characters: its first and its last lines, and what is left out.

    Example:
        >>> shortened("a" * 600 + "z" * 600, 50)
        'aaaaaaaaaaa [... 1177 characters ...] zzzzzzzzzzzz'
    """
    if len(text) <= limit:
        return text
    around = "\n" if "\n" in text else " "
    room = max(0, limit - len(_GAP.format(len(text))) - 2 * len(around))
    head, tail = text[: room // 2], text[len(text) - (room - room // 2) :]
    # Whole lines, unless one of them is most of the text.
    if head.rfind("\n") > len(head) // 2:
        head = head[: head.rfind("\n")]
    if -1 < tail.find("\n") < len(tail) // 2:
        tail = tail[tail.find("\n") + 1 :]
    gap = _GAP.format(len(text) - len(head) - len(tail))
    return f"{head}{around}{gap}{around}{tail}"


def csv_cell(value: Any) -> Any:
    """Return a cell of a CSV file; a text that a spreadsheet would run as a formula gets an apostrophe.

    Example:
        >>> [csv_cell(value) for value in ("=1+1", "relu", -0.5)]
        ["'=1+1", 'relu', -0.5]
    """
    if not isinstance(value, str):
        return value
    told = safe_text(value)
    return f"'{told}" if value.startswith(_FORMULA) or told.startswith(_FORMULA) else told


_MARKDOWN: Final = re.compile(r"[\\`*\[\]<>#|!&~]|(?<!\w)_|_(?!\w)")


def markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is: no link, no picture, no tag, no emphasis.

    Example:
        >>> markdown("see [this](x) in <b>")
        'see \\[this\\](x) in \\<b\\>'
    """
    return _MARKDOWN.sub(r"\\\g<0>", safe_text(text))


_KERAS: Final = re.compile(r"Exception encountered when calling (?:layer )?[\"']?(\w+)")
"""How Keras begins the message of what was raised inside a layer's call."""

_KERAS_REST: Final = ("Arguments received by", "Call arguments received by")
_MAX_CAUSES: Final = 5
"""Of a group of exceptions."""

_SHORT: Final = 240
"""Characters of a message that is told whole, however many lines it has."""

_GRAPH: Final = "Graph execution error"
_DETECTED: Final = re.compile(r"Detected at node (\S+) defined at")
"""How TensorFlow begins what an operation raised in a compiled function; its place in the code follows."""

_NODE: Final = re.compile(r"\{\{node (\S+)\}\}")
_PLACES: Final = re.compile(r"\[\[[^\]]*\]\]|\{\{function_node [^}]*\}\}|\[Op:[^\]]*\](?: name: *)?")
"""What TensorFlow writes around a cause: where it is in a graph, and the name of an operation."""

_NO_CAUSE: Final = (
    *('File "', "Detected at node", _GRAPH, "Hint: ", "Traceback (", "<stack traces", "node:"),
    *("(0) ", "(1) "),
)
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]*(?:Error|Exception|Interrupt|Iteration): ")
"""How Python ends a traceback: of a generator, say, that an operation has called."""


def one_line(error: BaseException, limit: int = MAX_LINE) -> str:
    r"""Return an exception in one line: its type, and where and why as far as its message says so.

    Libraries tell the place in the first line of a message and the cause in its last ones.

    Example:
        >>> one_line(ValueError("no such layer"))
        'ValueError: no such layer'
        >>> text = "Exception encountered when calling Dense.call().\n\n\x1b[1mBad shape.\x1b[0m"
        >>> one_line(ValueError(text))
        'ValueError in Dense: Bad shape.'
        >>> one_line(ExceptionGroup("two", [ValueError("a"), KeyError("b")]))
        "ExceptionGroup: two (2 sub-exceptions): ValueError: a; KeyError: 'b'"
        >>> text = "Graph execution error:\n\nDetected at node net/tokens/Gather defined at\nindices[0] = 9"
        >>> one_line(ValueError(text))
        'ValueError in tokens: indices[0] = 9'
    """
    lines = [line.strip() for line in safe_text(_message(error)).splitlines() if line.strip()]
    name = type(error).__name__
    if not lines:
        return name
    if isinstance(error, BaseExceptionGroup):
        # Its own text says how many there are: the causes are the others'.
        causes = "; ".join(one_line(cause, limit) for cause in error.exceptions[:_MAX_CAUSES])
        return safe_line(f"{name}: {' '.join(lines)}: {causes}", limit)
    if lines[0].startswith(_GRAPH):
        return safe_line(f"{name}{_of_graph(lines)}", limit)
    lines = [line for line in map(_without_places, lines) if line] or lines
    in_layer = _KERAS.match(lines[0])
    if in_layer and len(lines) > 1:
        rest = next((i for i, line in enumerate(lines) if line.startswith(_KERAS_REST)), len(lines))
        return safe_line(f"{name} in {in_layer[1]}: {' '.join(lines[1:rest])}", limit)
    whole = " ".join(lines)
    if len(lines) > 1 and len(whole) > _SHORT:
        whole = f"{lines[0]} ... {lines[-1]}"
    return safe_line(f"{name}: {whole}", limit)


def _of_graph(lines: Sequence[str]) -> str:
    """Return where and why an operation failed while a compiled function ran."""
    nodes = [found[1] for line in lines if (found := _DETECTED.match(line))]
    where = next((_layer_of(node) for node in nodes), "")
    raised = [line for line in lines if _RAISED.match(line)]
    told = [line for line in map(_without_places, lines) if line and not line.startswith(_NO_CAUSE)]
    return f"{where}: {raised[-1] if raised else ' '.join(told) or _GRAPH.lower()}"


def _layer_of(node: str) -> str:
    """Return the layer, or the loss, that an operation of a graph belongs to."""
    parts = node.split("/")
    if parts[0].startswith("compile_loss"):
        return " in the loss"
    # Behind the model's own name; Keras numbers what is called more than once.
    return f" in {re.sub(r'_1$', '', parts[1])}" if len(parts) > 2 else ""


def _without_places(line: str) -> str:
    return " ".join(_PLACES.sub(" ", _NODE.sub(r"\1", line)).split())


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever a foreign class does instead of giving its message
        return ""


def _printable(character: str) -> str:
    if character.isprintable() or character == "\n" or character in _JOINERS:
        return character
    if character == "\t" or unicodedata.category(character) == "Zs":
        return " "
    return character.encode("unicode_escape").decode()
