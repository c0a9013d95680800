"""A study, read from a script or a notebook."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from made_studies import empty_study, fill_study

import fmnist_sweep as fs
from fmnist_sweep.api.runs import repeats_within
from fmnist_sweep.core.errors import ConfigError, StudyNotFoundError, SweepError
from fmnist_sweep.reports.inline import png_of, study_picture
from fmnist_sweep.storage.opening import open_storage


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a storage with a study of a dozen trials and one of none."""
    made = f"sqlite:///{tmp_path_factory.mktemp('storage') / 'studies.db'}"
    open_storage(made, create=True)
    fill_study(empty_study(made), 12)
    empty_study(made, "other")
    return made


@pytest.fixture
def reader(url: str) -> fs.StudyReader:
    """Return the study of a dozen trials."""
    return fs.load_study("dense", url)


def test_a_notebook_gets_words_a_table_and_a_small_picture(reader: fs.StudyReader) -> None:
    """All in one page that needs no script, and no more room than git likes."""
    page = reader._repr_html_()
    assert page.count("<tr") == 11
    assert "The best is trial" in page
    assert "peak_memory_mb" not in page
    (picture,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", page)
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    assert len(page) < 150_000
    assert repr(reader).startswith("StudyReader('dense', storage='sqlite:///")


def test_a_study_without_trials_is_drawn_too(url: str, reader: fs.StudyReader) -> None:
    """Its figures say that there is nothing yet; before there is a study its reader says that."""
    other = fs.load_study("other", url)
    assert png_of(study_picture(other.stored)).startswith(b"\x89PNG")
    assert "No trial is complete yet" in other._repr_html_()
    nothing = fs.StudyReader("none", url)
    assert "none" in nothing._repr_html_()
    assert "<table" not in nothing._repr_html_()
    with pytest.raises(StudyNotFoundError):
        fs.load_study("none", url)
    with pytest.raises(SweepError, match="draws in a notebook"):
        reader.show()


def test_the_report_is_of_this_study_alone(reader: fs.StudyReader, tmp_path: Path) -> None:
    """And a folder in its place is told of, as at the command line."""
    page = reader.report(tmp_path / "new" / "page.html").read_text()
    assert ">dense<" in page
    assert ">other<" not in page
    with pytest.raises(SweepError, match="is a directory"):
        reader.report(tmp_path)


def test_a_budget_of_trainings_is_shared_out() -> None:
    """Among the candidates and the baseline; too few are refused with how many it takes."""
    assert repeats_within(25, top=None, repeats=None) == 5
    assert repeats_within(11, top=2, repeats=None) == 3
    with pytest.raises(ConfigError, match="at least 10"):
        repeats_within(9, top=None, repeats=None)
    with pytest.raises(ConfigError, match="give one of them"):
        repeats_within(20, top=None, repeats=5)
