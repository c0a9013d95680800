"""What the site holds beside docs/: the README as its front page, and what else pages link to."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).parent.parent
BESIDE: Final = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "AGENTS.md": "agents.md",
    "benchmarks/evidence/plan.md": "evidence-plan.md",
}
"""Files of the repository, and the pages that they become."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside of docs/, with links as they are from there."""
    for name, page in BESIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=_linked(text, "")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links from docs/ to files outside of it lead to their pages."""
    del page, config, files
    return _linked(markdown, "../")


def _linked(text: str, before: str) -> str:
    for name, page in BESIDE.items():
        text = re.sub(rf"\]\({re.escape(before + name)}(#[^)]*)?\)", rf"]({page}\1)", text)
    return text
