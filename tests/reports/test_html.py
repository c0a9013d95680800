import json
import re
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest
from made_studies import add_trial, empty_study, fill_study, params_of, scripted_curve
from optuna.trial import TrialState

from fmnist_sweep.errors import StorageError
from fmnist_sweep.reports.html import embedded_json, render_report, write_report

EVIL = "<script>alert(1)</script>"
WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def page() -> str:
    """A report of a full study, an empty one with a hostile name, and one with hostile values."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    full = empty_study(None)
    fill_study(full, 12)
    hostile = empty_study(None, "hostile")
    add_trial(hostile, params_of(0), None, state=TrialState.FAIL, fail_reason=EVIL)
    add_trial(hostile, params_of(1), scripted_curve(0.88, 0.02), hyperparameters={"layer": EVIL})
    return render_report([full, empty_study(None, EVIL), hostile], storage=EVIL, when=WHEN)


def without_scripts(page: str) -> str:
    return re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL)


def test_the_page_loads_nothing_from_anywhere(page: str) -> None:
    """No element of the page names an address outside it."""
    markup = without_scripts(page)
    assert not re.findall(r"""(?:src|href|action|data)\s*=\s*["']?(?:https?:)?//""", markup)
    assert "@import" not in markup
    assert "url(" not in markup
    assert not re.findall(r"<script[^>]*\ssrc=", page)


def test_the_page_holds_plotly_once_and_stays_small(page: str) -> None:
    """Plotly's script is the bulk of the page and stands in it once."""
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 6_000_000


def test_stored_strings_never_become_markup(page: str) -> None:
    """A study, a failure, a value or a storage named like a script is shown as text."""
    assert EVIL not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "\\u003cscript\\u003ealert(1)" in page


def test_embedded_json_reads_back_and_cannot_close_its_element() -> None:
    """What is embedded is the same data, without a character that HTML reads."""
    data = {"a": "</script><!-- & \u2028", "b": [1.5, None]}
    written = embedded_json(data)
    assert json.loads(written) == data
    assert not set("<>&\u2028") & set(written)


def test_every_figure_of_the_page_is_embedded(page: str) -> None:
    """Each place for a figure has its data, and each choice of a curve too."""
    data = json.loads(re.findall(r'id="data">(.*?)</script>', page)[0])
    asked = re.findall(r'data-figure="([^"]+)"', page) + re.findall(r'<option value="(study[^"]+)"', page)
    assert asked
    assert set(asked) <= set(data["figures"])


def test_failures_are_shown_with_their_reasons(page: str) -> None:
    """A failed trial's reason stands in the page."""
    assert "the training diverged" in without_scripts(page)


def test_a_report_of_no_studies_says_so(tmp_path: Path) -> None:
    """An empty storage has a page too."""
    path = write_report([], tmp_path / "new" / "report.html", storage="studies.db", when=WHEN)
    assert "no studies yet" in path.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old page stays as it was and no half of a new one is left."""
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(StorageError, match="No space left"):
        write_report([], path, when=WHEN)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
