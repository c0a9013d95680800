"""The site of the docs: every page is in it. `make docs` builds it; a link to nowhere is an error."""

from __future__ import annotations

import re

from programs import ROOT


def test_every_page_is_in_the_sites_list() -> None:
    """The list of pages names each file of docs/ once, and those that docs/hooks.py adds."""
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    added = re.findall(r'": "(\S+\.md)"', (ROOT / "docs" / "hooks.py").read_text())
    pages = [path.name for path in (ROOT / "docs").glob("*.md")]
    assert sorted(listed) == sorted([*pages, *added])


def test_the_changes_that_gate_a_release_build_the_site() -> None:
    """Where all is checked, the site is built as well."""
    assert "make docs" in (ROOT / ".ci" / "run").read_text().splitlines()
