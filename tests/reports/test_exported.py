from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_exports import Exports, draw_nothing
from made_studies import stored
from pages import unpacked
from wsgi import get

from fmnist_sweep.reports import artifacts, dashboard, exported, gathered
from fmnist_sweep.reports.confirmed import CONFIRMED_WORDS
from fmnist_sweep.reports.page import render_report
from fmnist_sweep.storage.attributes import BUNDLES


@pytest.fixture
def bundle(study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of the study, with placeholders for pictures."""
    draw_nothing(monkeypatch)
    Exports(study, tmp_path).run()
    return tmp_path / "exports" / "dense"


def notes(study: optuna.Study) -> dict[int, str]:
    """Return the note of each trial as the dashboard serves it."""
    _, body = get(dashboard.make_app(study._storage), f"/api/studies/{study._study_id}")
    return {trial["number"]: trial["note"]["body"] for trial in json.loads(body)["trials"]}


def test_the_report_shows_an_export(study: optuna.Study, bundle: Path) -> None:
    """Numbers of both gaps with their intervals, the readings, a curve, and a matrix for each part."""
    page = render_report([stored(study)], storage="studies.db", when=datetime(2026, 11, 22, tzinfo=UTC))
    facts = json.loads((bundle / "metrics.json").read_text())
    assert "unconfirmed" in page
    assert "The test set was read once." in page
    assert f"{100 * facts['mean']['test_accuracy']['mean']:.2f} %" in page
    assert "gap to test" in page
    data = json.loads(unpacked(page, "data"))
    drawn = {name for name in data["figures"] if "confusion" in name or "export" in name}
    parts = ("", "-train", "-val")
    assert drawn == {"study-0-export-curve", *(f"study-0-confusion{part}" for part in parts)}


@pytest.mark.slow
def test_the_report_lists_every_bundle(study: optuna.Study, bundle: Path, tmp_path: Path) -> None:
    """The last one first, each once however often it was written; one alone needs no list."""
    when = datetime(2026, 11, 22, tzinfo=UTC)
    assert "All bundles" not in render_report([stored(study)], storage="studies.db", when=when)
    Exports(study, tmp_path).run(trial=0, again=True)
    Exports(study, tmp_path).run(trial=0, again=True)
    kept: Any = stored(study).export
    rows = exported.bundle_rows(stored(study), kept)
    assert [row[0] for row in rows] == [f"{bundle}-trial-0", str(bundle)]
    assert rows[0][1] == "trial 0, unconfirmed"
    page = render_report([stored(study)], storage="studies.db", when=when)
    assert "All bundles" in page
    assert all(f">{cell}</td>" in page for row in rows for cell in row)


def test_a_bundle_of_an_earlier_version_is_listed_alone(study: optuna.Study, bundle: Path) -> None:
    """Of those before it nothing was kept."""
    study.set_user_attr(BUNDLES, None)
    kept: Any = stored(study).export
    assert [row[0] for row in exported.bundle_rows(stored(study), kept)] == [bundle.name]


def test_a_study_that_was_not_exported_has_no_such_section(study: optuna.Study) -> None:
    """There is nothing to show."""
    page = render_report([stored(study)], storage="studies.db", when=datetime(2026, 11, 22, tzinfo=UTC))
    assert "The export" not in page


def test_the_matrix_has_actual_classes_in_rows(study: optuna.Study, bundle: Path) -> None:
    """Its cells are those of the predictions, its first row on top."""
    assert bundle.exists()
    kept: Any = stored(study).export
    figure = exported.confusion_figure(kept, "test")
    (cells,) = figure.data
    first = kept["confusion"]["test"][0]
    assert cells.text[0][0].startswith(f"{first[0]:,}<br>")
    assert cells.text[0][1].startswith(f"{first[1]:,}<br>")
    assert cells.text[1][0] == ""
    assert figure.layout.yaxis.autorange == "reversed"


def test_the_dashboard_shows_the_files_of_the_last_bundle(
    study: optuna.Study, bundle: Path, tmp_path: Path
) -> None:
    """Pictures and model belong to the study and are served; attaching again replaces them."""
    folder = tmp_path / "artifacts"
    artifacts.attach_export(study, bundle, folder)
    artifacts.attach_export(study, bundle, folder)
    identities = {name: identity for identity, name in artifacts.attached(study).items()}
    assert sorted(identities) == sorted(artifacts.ARTIFACTS)
    assert {path.name for path in folder.iterdir()} == set(identities.values())
    assert (folder / identities["model.keras"]).read_bytes() == (bundle / "model.keras").read_bytes()
    app = dashboard.make_app(study._storage, artifacts=folder)
    where = f"/artifacts/{study._study_id}/{identities['learning_curve.png']}"
    assert get(app, where) == (200, (bundle / "learning_curve.png").read_bytes())


def test_the_winning_trial_gets_a_note(study: optuna.Study, bundle: Path, tmp_path: Path) -> None:
    """It tells of the export and keeps the learning curve; no other trial's note does."""
    dashboard.attach_figures(study)
    artifacts.attach_export(study, bundle, tmp_path / "artifacts")
    kept: Any = stored(study).export
    told = notes(study)
    assert "**Exported as dense.**" in told[kept["trial"]]
    assert f"/learning-curves/{study._study_id}/{kept['trial']}.svg" in told[kept["trial"]]
    assert sum("Exported" in note for note in told.values()) == 1


def test_an_export_leaves_the_rest_of_a_note(study: optuna.Study, bundle: Path, tmp_path: Path) -> None:
    """What the user wrote, and what a confirmation says; exporting again replaces its own words alone."""
    kept: Any = stored(study).export
    trial = study.trials[kept["trial"]]
    confirmed = f"{CONFIRMED_WORDS}: the winner**"
    gathered.save_note(study, f"{confirmed}\n\nMine.\n\nAnd mine.", trial=trial)
    for _ in range(2):
        artifacts.attach_export(study, bundle, tmp_path / "artifacts")
    first, *rest = notes(study)[trial.number].split("\n\n")
    assert first.startswith("**Exported as dense.** ")
    assert rest == [confirmed, "Mine.", "And mine."]


def test_a_dashboard_makes_no_folder_for_files(study: optuna.Study, tmp_path: Path) -> None:
    """Before anything was exported there is none, and the dashboard shows none."""
    dashboard.make_app(study._storage, artifacts=tmp_path / "none")
    assert not list(tmp_path.iterdir())
