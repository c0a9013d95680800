"""The page on the paper: every claim, its numbers and its picture, whole or with what is missing said."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_paper import SWEEPS
from made_studies import add_confirmation, empty_study, fill_study, stored
from typing_extensions import override

from fmnist_sweep.storage.attributes import EXPORT
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.text_form import PREFIX, load
from original_study.__main__ import _read
from original_study.blocks import Block, Bullets, Code, Heading, Picture, Table, Text, as_html, as_markdown
from original_study.claims import CLAIMS
from original_study.experiments import FULL
from original_study.page import Paper
from original_study.results import Results, read_results
from original_study.searched import entrants
from original_study.writing import Places, write_paper

CLASSES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Boot"]


@pytest.fixture
def paper(results: Results, memory: optuna.storages.BaseStorage) -> Paper:
    """The paper of made-up studies, its final models exported."""
    exported = {}
    for name, looked_at in results.studies.items():
        study = optuna.load_study(study_name=looked_at.name, storage=memory)
        study.set_user_attr("data", {**study.user_attrs["data"], "class_names": CLASSES})
        if name.endswith("-final"):
            counts = (np.eye(10, dtype=int) * 90 + 1).tolist()
            curve = study.trials[0].user_attrs["curve"]
            kept: dict[str, Any] = {
                "confusion": {"train": counts, "val": counts, "test": counts},
                "curve": curve,
            }
            kept |= {"name": name, "trial": 0, "confirmed": False, "model": {}, "mean": {}, "epochs": 15}
            kept |= {"seeds": [10_000], "written": "2001-02-03T04:05:06+00:00", "class_names": CLASSES}
            study.set_user_attr(EXPORT, kept)
        exported[name] = stored(study)
    return Paper(Results(exported), {}, command="python -m original_study", date="2001-02-03")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Where the test's page goes."""
    return Places(tmp_path / "html", tmp_path / "docs" / "paper.md")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made and not turned into pixels, which takes most of the time."""
    save = "original_study.writing.save"
    monkeypatch.setattr(save, lambda _, *paths: [path.write_bytes(b"png") for path in paths])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_every_claim_has_its_verdict_numbers_and_picture(paper: Paper, places: Places) -> None:
    """In Markdown and in HTML, in order, and every picture that is named is there."""
    html, markdown = (path.read_text("utf-8") for path in write_paper(paper, places))
    for claim, judged in zip(CLAIMS, paper.judged, strict=True):
        assert f"### {claim.number}. {claim.words}" in markdown
        assert f"| {claim.number} | {claim.words} | **{judged.verdict.value}** |" in markdown
        assert all(part.words in markdown for part in claim.parts)
        assert f"<h3>{claim.number}. " in html
    named = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", markdown)
    assert len(named) == len(CLAIMS) + 1 + 4
    assert all((places.markdown.parent / name).is_file() for name in named)
    assert html.count("data:image/png;base64,") == len(named)
    assert "http" not in html
    assert sorted(path.name for path in places.folder.iterdir()) == [
        "cnn-final-conf_mat.pdf",
        "dense-final-conf_mat.pdf",
        "index.html",
    ]


@pytest.mark.slow
def test_equal_studies_give_equal_pages(
    paper: Paper, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the time of writing is in a file, pictures and tables included."""
    monkeypatch.setattr("original_study.page.CLAIMS", [CLAIMS[2], CLAIMS[7]])
    write_paper(paper, places)
    files = [path for path in places.folder.parent.rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in files}
    write_paper(replace(paper), places)
    assert {path: path.read_bytes() for path in files} == before


def test_the_quick_form_says_so_first(paper: Paper) -> None:
    """Nobody takes its verdicts for the paper's."""
    page = as_markdown(replace(paper, quick=True).blocks(), pictures="x")
    assert page.index("quick form") < page.index("## Verdicts")
    assert "quick form" not in as_markdown(paper.blocks(), pictures="x")


def test_the_page_says_on_how_much_it_rests(paper: Paper) -> None:
    """Seeds, images, machine, versions, date and command."""
    page = " ".join(as_markdown(paper.blocks(), pictures="x").split())
    assert "3 seeds for each configuration, all 55,000 training images" in page
    assert "Written 2001-02-03 by `python -m original_study`. Machine: " in page
    assert "optuna" in page


@pytest.mark.slow
def test_the_committed_page_is_that_of_the_reference_studies(tmp_path: Path) -> None:
    """Anyone can make its numbers from what is committed beside it."""
    root, url = SWEEPS.parent.parent, f"sqlite:///{tmp_path / 'studies.db'}"
    storage = open_storage(url, create=True)
    for path in sorted((root / "reference").glob("*.jsonl")):
        load(path, storage)
    page = (root / "docs" / "paper.md").read_text("utf-8")
    written = re.search(r"Written (\S+) by `([^`]+)`", " ".join(page.split()))
    assert written is not None
    told = replace(_read(url, f"{PREFIX}{FULL.prefix}", written[2], quick=False), date=written[1])
    assert as_markdown(told.blocks(), pictures="paper") == page


@pytest.mark.usefixtures("undrawn")
def test_an_unfinished_paper_is_a_page_all_the_same(results: Results, places: Places) -> None:
    """What was not run is not measured, and the test set was not read."""
    some = Results({"dense-depth": results.studies["dense-depth"]})
    markdown = write_paper(Paper(some, {}, command="x", date="y"), places)[1].read_text("utf-8")
    assert markdown.count("| **not measured yet** |") >= 13
    assert "have not met the test set yet" in markdown


@pytest.mark.slow
def test_searches_stand_beside_the_hand_only_once_confirmed(results: Results) -> None:
    """A winner that its own validation images picked would look better than it is."""
    study = empty_study("sqlite://", "dense")
    fill_study(study)
    assert entrants(results, {"dense": stored(study)})[1] == [
        "dense",
        "dense-regularised",
        "cnn",
        "cnn-regularised",
    ]
    add_confirmation(study, {"trial 1": [0.91, 0.92, 0.93], "default": [0.89, 0.899, 0.91]})
    found, missing = entrants(results, {"dense": stored(study)})
    assert [e.name for e in found] == ["dense, by hand", "CNN, by hand", "dense, by search"]
    assert missing == ["dense-regularised", "cnn", "cnn-regularised"]
    assert found[2].val_accuracy.mean == pytest.approx(0.92)
    assert found[2].seconds is not None
    assert [e.winner for e in found] == [None, None, "trial 1"]


@pytest.mark.slow
@pytest.mark.parametrize(("best", "is_said"), [([0.85, 0.86, 0.85], True), ([0.95, 0.96, 0.95], False)])
def test_a_search_that_finds_nothing_better_says_so(
    results: Results, best: list[float], is_said: bool
) -> None:
    """Its winner is the default, and a reader is told what that means."""
    study = empty_study("sqlite://", "dense")
    fill_study(study)
    add_confirmation(study, {"trial 1": best, "default": [0.91, 0.9, 0.92]})
    page = Paper(results, {"dense": stored(study)}, command="x", date="y")
    told = as_markdown(page.blocks(), pictures="x")
    assert ("Where the winner is the default" in told) == is_said
    assert ("| default |" in told) == is_said


def test_results_are_read_by_their_prefix(results: Results) -> None:
    """Of two papers in a storage each reads its own studies."""
    studies = {f"a-{name}": study for name, study in results.studies.items()}
    assert read_results(studies, prefix="a-").studies == results.studies
    assert read_results(studies, prefix="b-").studies == {}


class Words(HTMLParser):
    """Collects what a reader of a page sees, and refuses tags that the page does not make."""

    ALLOWED = frozenset(
        [
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "main",
            "h1",
            "h2",
            "h3",
            "p",
            "pre",
            "ul",
            "li",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "div",
            "strong",
            "code",
            "img",
        ]
    )

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    @override
    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert tag in self.ALLOWED

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


words = st.text(alphabet="ab<>&\"'| ", min_size=1).filter(str.strip)
blocks: st.SearchStrategy[Block] = st.one_of(
    st.builds(Heading, st.integers(1, 3), words),
    st.builds(Text, words),
    st.builds(Code, st.tuples(words, words)),
    st.builds(Bullets, st.tuples(words)),
    st.builds(Table, st.tuples(words, words), st.tuples(st.tuples(words, words))),
    st.builds(Picture, st.just("a.png"), words),
)


@given(st.lists(blocks, max_size=4))
def test_what_a_page_says_is_shown_and_never_run(page: list[Block]) -> None:
    """Whatever stands in names and words, the HTML has no tag but its own."""
    Words().feed(as_html(page, pictures={"a.png": b"png"}))
    assert as_markdown(page, pictures="x").endswith("\n")
