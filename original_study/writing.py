"""Write the page on the paper: as Markdown beside its pictures, and as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.files import write_atomically
from fmnist_sweep.reports.pictures import save
from original_study.blocks import as_html, as_markdown
from original_study.page import Paper


@dataclass(frozen=True, slots=True)
class Places:
    """Where the page is written.

    Attributes:
        folder: Gets ``index.html``, which holds everything, and the report's tables as PDF.
        markdown: The page as Markdown; its pictures are in the folder beside it that has its name.
    """

    folder: Path
    markdown: Path


def write_paper(paper: Paper, places: Places) -> list[Path]:
    """Write the page, its pictures first.

    Args:
        paper: What it shows.
        places: Where.

    Returns:
        The page as HTML and as Markdown.

    Raises:
        StorageError: A file can't be written.
    """
    pictures = places.markdown.with_suffix("")
    drawn: dict[str, bytes] = {}
    try:
        for folder in (pictures, places.folder):
            folder.mkdir(parents=True, exist_ok=True)
        for name, figure in paper.figures.items():
            save(figure, pictures / name)
            drawn[name] = (pictures / name).read_bytes()
        for name, figure in paper.tables.items():
            save(figure, places.folder / name)
    except OSError as error:
        raise StorageError(f"{error.filename} can't be written: {error.strerror}") from None
    blocks, page = paper.blocks(), places.folder / "index.html"
    write_atomically(page, as_html(blocks, pictures=drawn))
    write_atomically(places.markdown, as_markdown(blocks, pictures=pictures.name))
    return [page, places.markdown]
