from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import optuna
import pytest
from made_studies import (
    add_trial,
    empty_study,
    fill_study,
    params_of,
    scripted_curve,
    stored,
    tell_from_elsewhere,
)
from rich.console import Console

from fmnist_sweep.analysis.frames import studies_frame
from fmnist_sweep.cli.console.frame_table import records
from fmnist_sweep.cli.console.status import print_studies
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.storage.lease.process import Owner
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.overview import read_overview
from fmnist_sweep.storage.studies import load_study, study_names
from fmnist_sweep.storage.writing import write_score_rule


def by_optuna(url: str) -> list[dict[str, object]]:
    storage = open_storage(url, create=False)
    return records(studies_frame([stored(load_study(storage, name)) for name in study_names(storage)]))


@pytest.mark.slow
def test_the_overview_is_what_optuna_reads(storage_url: str) -> None:
    """Counts, best trials, baselines, sums and times agree with the frame, for studies of every kind."""
    open_storage(storage_url, create=True)
    fill_study(full := empty_study(storage_url))
    tell_from_elsewhere(full, 0.999)
    empty_study(storage_url, "empty")
    strict = empty_study(storage_url, "strict", penalty=3.0)
    add_trial(strict, params_of(0), None, state=optuna.trial.TrialState.FAIL)
    # Equal scores: the smaller gap wins, then fewer weights, then the earlier trial.
    for i, n_parameters in enumerate((500, 300, 300)):
        add_trial(strict, params_of(i), scripted_curve(0.88, 0.02), n_parameters=n_parameters)
    near = empty_study(storage_url, "near", penalty=0.0, within_se=1.0)
    for i, val in enumerate((0.900, 0.899, 0.890)):
        curve = LearningCurve.from_scores(
            train=[0.9] * 3,
            val=[val - 0.001, 0.8, val],
            train_cross_entropy=[0.3] * 3,
            val_cross_entropy=[0.4 - 0.1 * i, 0.5, 0.5],
        )
        add_trial(near, params_of(i), curve)
    near.set_user_attr("allowed_epochs", [0, 1, 2])
    killed = empty_study(storage_url, "killed")
    killed.set_user_attr("owner", asdict(replace(Owner.this_process(), started=-100)))
    killed.ask()
    other = optuna.create_study(storage=storage_url, study_name="of another tool")
    tell_from_elsewhere(other, 0.5)
    own = optuna.create_study(storage=storage_url, study_name="of an objective", direction="maximize")
    write_score_rule(own, ScoreRule(metric="mae").to_dict(), versions={})
    tell_from_elsewhere(own, 0.5)
    found = read_overview(storage_url)
    assert found is not None
    others = ["of another tool", "of an objective"]
    assert [row["name"] for row in found] == ["dense", "empty", "strict", "near", "killed", *others]
    assert [row["unmeasured"] for row in found] == [1, 0, 0, 0, 0, 0, 1]
    assert [row["best_trial"] for row in found[2:]] == [2, 1, None, 0, None]
    assert found[-1]["metric"] == "mae"
    assert (found[3]["epoch"], found[3]["score"]) == (1, 0.898)
    in_training = [(row["running"], row["interrupted"]) for row in found]
    assert in_training == [(1, 0), (0, 0), (0, 0), (0, 0), (0, 1), (0, 0), (0, 0)]
    for got, want in zip(found, by_optuna(storage_url), strict=True):
        assert got == {**want, "seconds": pytest.approx(want["seconds"])}


@pytest.mark.slow
@pytest.mark.parametrize("width", [80, 200])
def test_the_table_of_studies_folds_no_word(storage_url: str, width: int) -> None:
    """Eighty columns hold it too, in two tables; what waits and what was interrupted has its column."""
    study = empty_study(storage_url, "dense-regularised")
    fill_study(study, 6)
    study.set_user_attr("owner", asdict(replace(Owner.this_process(), started=-100)))
    rows, told = read_overview(storage_url), io.StringIO()
    assert rows is not None
    print_studies(Console(file=told, width=width), rows)
    lines = [line for line in told.getvalue().splitlines() if line.strip()]
    assert len(lines) == (4 if width == 80 else 2)
    titles = lines[0].split()
    assert titles[:7] == ["study", "done", "pruned", "failed", "running", "interrupted", "waiting"]
    cells = lines[1].split()
    assert cells[0] == "dense-regularised"
    assert cells[4:7] == ["0", "1", "1"]
    assert "vs default" in told.getvalue()


def test_trials_of_several_objectives_are_in_no_ranking(storage_url: str) -> None:
    """Another program may keep such a study in the same storage: no trial of it is the best."""
    study = optuna.create_study(study_name="two", directions=["maximize", "minimize"], storage=storage_url)
    study.add_trial(optuna.create_trial(values=[0.5, 3.0]))
    rows = read_overview(storage_url)
    assert rows == by_optuna(storage_url)
    assert rows is not None
    (row,) = rows
    assert (row["complete"], row["unmeasured"], row["best_trial"], row["score"]) == (1, 1, None, None)


def test_the_overview_leaves_to_optuna_what_it_does_not_know(storage_url: str, tmp_path: Path) -> None:
    """No file, no database, other tables, another version or another kind of storage are not read here."""
    path = tmp_path / "studies.db"
    assert read_overview(storage_url) is None
    assert read_overview("postgresql+psycopg://host/studies") is None
    path.write_text("no database", encoding="utf-8")
    assert read_overview(storage_url) is None
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    assert read_overview(storage_url) is None
    path.unlink()
    empty_study(storage_url)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE version_info SET schema_version = 13")
    database.close()
    assert read_overview(storage_url) is None
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM version_info")
    database.close()
    assert read_overview(storage_url) is None


def test_the_overview_knows_the_tables_of_the_installed_optuna(storage_url: str) -> None:
    """A new Optuna that changes its tables is noticed here, before status quietly becomes slow."""
    empty_study(storage_url)
    assert read_overview(storage_url) is not None


def test_a_name_that_is_no_text_is_told(storage_url: str, tmp_path: Path) -> None:
    """SQLite keeps bytes in any column; nothing would find that study by its name."""
    optuna.create_study(storage=storage_url, study_name="dense")
    with closing(sqlite3.connect(tmp_path / "studies.db")) as database:
        database.execute("UPDATE studies SET study_name = CAST(study_name AS BLOB)")
        database.commit()
    told = r"name of a study, b'dense', is stored as bytes .* CAST\(study_name AS TEXT\)"
    with pytest.raises(StorageError, match=told):
        read_overview(storage_url)
    with pytest.raises(StorageError, match=told):
        load_study(open_storage(storage_url, create=False), "dense")
