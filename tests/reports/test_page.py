import base64
import gzip
import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import optuna
import pytest
from made_studies import StudyMaker, add_trial, empty_study, fill_study, params_of, scripted_curve, stored
from optuna.trial import TrialState
from pages import unpacked

from fmnist_sweep.analysis.price import SMALLER
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.reports.page import packed, render_report, write_report
from fmnist_sweep.storage.attributes import MACHINE, READ_ONLY

EVIL = "<script>alert(1)</script>"
PROVENANCE = r'<tr><th class="left">([^<]*)</th><td class="wrap">([^<]*)</td></tr>'
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
    return render_report(
        [stored(full), stored(empty_study(None, EVIL)), stored(hostile)],
        storage=EVIL,
        when=WHEN,
    )


def test_the_page_tells_the_price_of_a_penalty_and_marks_a_warning(tiny_study: StudyMaker) -> None:
    """The sentence stands in a paragraph of its own; a warning is marked as one."""
    study = tiny_study(([0.78, 1.0], [0.76, 0.83]), ([0.80], [0.78]), ([0.98], [0.84]))
    told = render_report([stored(study)], storage="studies.db", when=WHEN)
    assert "<p>The penalty chose trial 1 after epoch 1 (" in told
    assert '<p class="warning">Warning: the penalty may be too strong' in told


def test_the_slider_reaches_a_penalty_that_a_warning_names(tiny_study: StudyMaker) -> None:
    """Half, a quarter and a tenth of the default penalty are steps of it."""
    told = render_report([stored(tiny_study(([0.9], [0.9])))], storage="studies.db", when=WHEN)
    step = float(re.findall(r'name="penalty"[^>]* step="([^"]+)"', told)[0])
    assert all((share / step) % 1 == pytest.approx(0) for share in SMALLER)


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
    """Plotly's script is the bulk of the page and stands in it once, compressed."""
    assert "plotly.js v" in unpacked(page, "plotly")
    assert page.count('id="plotly"') == 1
    assert len(page.encode()) < 2_500_000


def test_stored_strings_never_become_markup(page: str) -> None:
    """A study, a failure, a value or a storage named like a script is shown as text."""
    assert EVIL not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert EVIL in unpacked(page, "data")


def test_what_is_packed_reads_back_and_cannot_close_its_element() -> None:
    """What is packed is the same text, in letters that HTML does not read, and the same every time."""
    text = "</script><!-- & \u2028"
    assert gzip.decompress(base64.b64decode(packed(text))).decode() == text
    assert re.fullmatch("[A-Za-z0-9+/=]+", packed(text))
    assert packed(text) == packed(text)


def test_every_figure_of_the_page_is_embedded(page: str) -> None:
    """Each place for a figure has its data, and each choice of a curve too."""
    data = json.loads(unpacked(page, "data"))
    asked = re.findall(r'data-figure="([^"]+)"', page) + re.findall(r'<option value="(study[^"]+)"', page)
    assert asked
    assert set(asked) <= set(data["figures"])


def test_failures_are_shown_with_their_reasons(page: str) -> None:
    """A failed trial's reason stands in the page."""
    assert "the training diverged" in without_scripts(page)


def test_a_study_says_where_it_comes_from() -> None:
    """Model, data, both digests, versions, machine, and why it is read-only, each where it is known."""
    full, bare = empty_study(None), empty_study(None, "bare")
    full.set_user_attr(MACHINE, {"cpu": "A <fast> CPU", "n_cores": 16})
    full.set_user_attr(READ_ONLY, "kept in a file")
    bare.set_user_attr("data", {})
    page = render_report([stored(full), stored(bare)], storage="studies.db", when=WHEN)
    of_full, of_bare = (
        [(html.unescape(name), html.unescape(value)) for name, value in re.findall(PROVENANCE, part)]
        for part in page.split("Where this comes from")[1:]
    )
    assert of_full == [
        ("model", "fmnist_sweep.models:DenseModel"),
        ("data", "fashion-mnist, 60000 training images"),
        ("data digest", "da7a" * 16),
        ("configuration digest", "c0ffee" * 8),
        ("versions", "tensorflow 2.21.0, optuna 5.0.0"),
        ("machine", "A <fast> CPU, 16 cores"),
        ("read-only", "kept in a file"),
    ]
    assert [name for name, _ in of_bare] == ["model", "data digest", "configuration digest", "versions"]


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
