"""A page in blocks, written out as Markdown and as one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final, TypeAlias

_WIDTH: Final = 116


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the page's title."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph, however its lines are broken; ``**bold**`` and ```code``` are understood."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines as they are typed."""

    lines: tuple[str, ...]


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table; all rows have as many cells as there are titles."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A picture: the name of a PNG file, and what it shows for those who can't see it."""

    name: str
    alt: str


Block: TypeAlias = Heading | Text | Code | Bullets | Table | Picture


def as_markdown(blocks: Sequence[Block], *, pictures: str) -> str:
    """Return the page as Markdown.

    Args:
        blocks: The page.
        pictures: Folder of the pictures, as seen from the page.

    Example:
        >>> print(as_markdown([Heading(2, "Ends"), Bullets(("one", "two"))], pictures="."))
        ## Ends
        <BLANKLINE>
        - one
        - two
        <BLANKLINE>
    """
    return "\n\n".join(_markdown(block, pictures) for block in blocks) + "\n"


def _markdown(block: Block, pictures: str) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"{'#' * level} {text}"
        case Text(text=text):
            return _filled(text)
        case Code(lines=lines):
            return "\n".join(f"    {line}" for line in lines)
        case Bullets(items=items):
            return "\n".join(_filled(item, first="- ") for item in items)
        case Table(titles=titles, rows=rows):
            table = (titles, ("---",) * len(titles), *rows)
            return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in table)
        case Picture(name=name, alt=alt):
            return f"![{alt}]({pictures}/{name})"


def _filled(text: str, *, first: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cell(cell: str) -> str:
    return cell.replace("|", "\\|")


def as_html(blocks: Sequence[Block], *, pictures: Mapping[str, bytes]) -> str:
    """Return the page as one HTML file, its pictures and styles inside.

    Args:
        blocks: The page.
        pictures: The PNG files by name.
    """
    title = next((block.text for block in blocks if isinstance(block, Heading)), "")
    css = (resources.files("fmnist_sweep.reports") / "assets" / "report.css").read_text("utf-8")
    body = "\n".join(_html(block, pictures) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{css}{_CSS}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


_CSS: Final = """\
h2 { margin-top: 44px; border-top: 2px solid var(--ink); padding-top: 12px; }
h3 { font-size: 1.05rem; margin: 34px 0 8px; max-width: 90ch; }
td { white-space: normal; text-align: left; }
th { text-align: left; }
li { max-width: 90ch; margin-bottom: 6px; }
img { max-width: 100%; background: #fff; border-radius: 8px; margin-top: 14px; }
"""


def _html(block: Block, pictures: Mapping[str, bytes]) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"<h{level}>{_inline(text)}</h{level}>"
        case Text(text=text):
            return f"<p>{_inline(text)}</p>"
        case Code(lines=lines):
            return f"<pre>{html.escape(chr(10).join(lines))}</pre>"
        case Bullets(items=items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Table(titles=titles, rows=rows):
            head = "".join(f"<th>{_inline(title)}</th>" for title in titles)
            body = "".join(f"<tr>{''.join(f'<td>{_inline(c)}</td>' for c in row)}</tr>" for row in rows)
            return (
                f'<div class="card scroll"><table><thead><tr>{head}</tr></thead>'
                f"<tbody>{body}</tbody></table></div>"
            )
        case Picture(name=name, alt=alt):
            data = base64.b64encode(pictures[name]).decode()
            return f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}">'


def _inline(text: str) -> str:
    """Return a text as HTML: what it holds is shown as it is, bold and code aside."""
    escaped = html.escape(text, quote=False)
    bold = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escaped)
    return re.sub(r"`(.+?)`", r"<code>\1</code>", bold)
