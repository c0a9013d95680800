import json
import logging
import socket
from pathlib import Path
from typing import Any

import optuna
import optuna_dashboard
import pytest
import sqlalchemy.exc
from made_studies import StudyMaker, empty_study, fill_study, scripted_curve
from optuna.storages import BaseStorage
from statements import counted
from wsgi import get

from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.reports import dashboard, gathered, thinning
from fmnist_sweep.storage import lean
from fmnist_sweep.storage.bulk_writes import add_trials
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.studies import tables_of


@pytest.fixture
def storage(study: optuna.Study) -> BaseStorage:
    return study._storage


def served(storage: BaseStorage, study: optuna.Study) -> Any:
    with_api = dashboard.make_app(storage)
    status, body = get(with_api, f"/api/studies/{study._study_id}")
    assert status == 200
    return json.loads(body)


def test_attached_figures_are_served_once_however_often_they_are_attached(
    study: optuna.Study, storage: BaseStorage
) -> None:
    """Attaching again replaces the figures and the summary."""
    dashboard.attach_figures(study)
    dashboard.attach_figures(study)
    shown = served(storage, study)
    assert sorted(g["id"] for g in shown["plotly_graph_objects"]) == sorted(dashboard.FIGURES)
    assert all(json.loads(g["graph_object"])["data"] for g in shown["plotly_graph_objects"])
    assert "The best is trial" in shown["note"]["body"]


def test_pages_are_as_wide_as_the_window(storage: BaseStorage, study: optuna.Study) -> None:
    """A curve among a trial's attributes is broken into lines; what is no page stays as it is."""
    app = dashboard.make_app(storage)
    for path in ("/dashboard", f"/dashboard/studies/{study._study_id}/trials"):
        status, body = get(app, path)
        assert status == 200
        assert b"overflow-wrap: anywhere }</style></head>" in body
    assert b"overflow-wrap" not in get(app, "/api/studies")[1]


def test_a_studys_note_tells_the_price_of_its_penalty(tiny_study: StudyMaker) -> None:
    """In a paragraph of its own; a warning, where there is one, in the next."""
    study = tiny_study(([0.78, 1.0], [0.76, 0.83]), ([0.80], [0.78]), ([0.98], [0.84]))
    dashboard.attach_figures(study)
    _, _, told, warning, _ = optuna_dashboard.get_note(study).split("\n\n")
    assert told.startswith("The penalty chose trial 1 after epoch 1")
    assert warning.startswith("Warning: the penalty may be too strong")


def test_first_notes_are_written_without_reading_the_others(
    study: optuna.Study, storage: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a thousand trials would take minutes: reading does not grow with the notes that are written."""
    n_read = 0
    read = storage.get_study_system_attrs

    def counted(study_id: int) -> dict[str, Any]:
        nonlocal n_read
        n_read += 1
        return read(study_id)

    monkeypatch.setattr(storage, "get_study_system_attrs", counted)
    dashboard.attach_figures(study)
    written = sum(key.endswith(":note_ver") for key in read(study._study_id))
    assert written > 15
    first, n_read = n_read, 0
    dashboard.attach_figures(study)
    assert n_read == first < 10


def test_every_finished_trial_with_a_curve_gets_a_note(study: optuna.Study, storage: BaseStorage) -> None:
    """Trials that finished before get a note too; those that trained no epoch have none."""
    dashboard.attach_figures(study)
    notes = {t["number"]: t["note"]["body"] for t in served(storage, study)["trials"]}
    for trial in study.get_trials(deepcopy=False):
        drawn = "curve" in trial.user_attrs
        assert (f"/learning-curves/{study._study_id}/{trial.number}.svg" in notes[trial.number]) == drawn


def test_a_note_written_before_tell_is_kept(study: optuna.Study) -> None:
    """The search can attach a curve to the trial it is about to finish, and it is not written again."""
    trial = study.ask({})
    dashboard.attach_to_trial(study, trial, scripted_curve(0.88, 0.02), ScoreRule(), epoch=4)
    study.tell(trial, 0.5)
    dashboard.attach_figures(study)
    attributes = study._storage.get_study_system_attrs(study._study_id)
    assert attributes[f"dashboard:{trial._trial_id}:note_ver"] == 1
    assert "epoch 5 of 20" in optuna_dashboard.get_note(trial)


def test_a_trials_picture_is_served_and_unknown_ones_are_not_found(
    study: optuna.Study, storage: BaseStorage
) -> None:
    """The address in a note gives the curve as SVG; a trial without one is not found."""
    app = dashboard.make_app(storage)
    status, body = get(app, f"/learning-curves/{study._study_id}/0.svg")
    assert status == 200
    assert body.startswith(b"<svg")
    waiting = len(study.get_trials(deepcopy=False)) - 2
    for path in (f"{study._study_id}/{waiting}", f"{study._study_id}/999", "999/0"):
        assert get(app, f"/learning-curves/{path}.svg")[0] == 404


def test_pages_that_can_not_be_read_are_told_in_one_line(
    study: optuna.Study,
    storage: BaseStorage,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """While a server is away the dashboard stays; what goes wrong in another way keeps its stack."""
    url = "postgresql+psycopg://me:secret@host/db"
    error: Exception = sqlalchemy.exc.OperationalError("SELECT 1", {}, OSError(f"no route to {url}"))

    def gone(*_: Any, **__: Any) -> Any:
        try:
            raise error
        except sqlalchemy.exc.SQLAlchemyError as cause:
            raise optuna.exceptions.StorageInternalError("commit failed") from cause

    app = dashboard.make_app(storage)
    log = logging.getLogger("optuna_dashboard._bottle_util")
    told = dashboard._LostStorage(url)
    log.addFilter(told)
    try:
        with monkeypatch.context() as patch:
            for name in ("get_all_studies", "get_study_name_from_id"):
                patch.setattr(storage, name, gone)
            assert get(app, f"/learning-curves/{study._study_id}/0.svg")[0] == 503
            assert get(app, "/api/studies")[0] == 500
            where = "postgresql+psycopg://me:***@host/db"
            assert caplog.messages == [
                f"{where} can no longer be used: (builtins.OSError) no route to {where}"
            ]
            error = ZeroDivisionError("a bug")
            assert get(app, "/api/studies")[0] == 500
            assert "Exception: a bug\n" in caplog.messages[-1]
    finally:
        log.removeFilter(told)
    assert get(app, "/api/studies")[0] == 200


def test_the_note_tells_score_gap_and_curve_in_words() -> None:
    """A note can be read without the picture."""
    note = dashboard.trial_note(scripted_curve(0.88, 0.05), ScoreRule(penalty=1.0), epoch=7)
    assert "at epoch 8 of 20" in note
    assert "tolerance 1 point, penalty 1" in note
    assert note.count("\N{FULL BLOCK}") >= 3


def test_a_port_that_was_asked_for_is_taken_or_an_error(storage: BaseStorage) -> None:
    """A busy port is an error when it was asked for, and passed over when it was not."""
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        with pytest.raises(StorageError, match=f"port {port} is taken"):
            dashboard.make_app_server(storage, host="127.0.0.1", port=port)
    here: dict[str, Any] = {"host": "127.0.0.1", "port": None}
    with (
        dashboard.make_app_server(storage, **here) as first,
        dashboard.make_app_server(storage, **here) as second,
    ):
        assert first.server_port != second.server_port


def test_a_host_that_is_not_this_machines_is_an_error(storage: BaseStorage) -> None:
    """An address that can't be listened on says so."""
    with pytest.raises(StorageError, match="can't listen"):
        dashboard.make_app_server(storage, host="192.0.2.1", port=8080)


def test_a_missing_storage_is_not_created(tmp_path: Path) -> None:
    """The dashboard shows what is there and makes no file."""
    with pytest.raises(StorageError, match="does not exist"):
        dashboard.serve(f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())


def test_a_study_in_memory_can_be_shown(tiny_study: StudyMaker) -> None:
    """Notes and figures need no database."""
    study = tiny_study()
    fill_study(study, 3)
    dashboard.attach_figures(study)
    assert optuna_dashboard.get_note(study).startswith("**tiny**")


def behind(study: optuna.Study) -> BaseStorage:
    """Return the storage of a study, as the dashboard opens it."""
    storage: BaseStorage = study._storage._backend  # type: ignore[attr-defined]
    return storage


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a study of ten trials be a large one."""
    for module in (lean, thinning, dashboard):
        monkeypatch.setattr(module, "MAX_WHOLE", 10)
        monkeypatch.setattr(module, "N_WHOLE", 4)


@pytest.mark.usefixtures("large")
def test_a_large_studys_page_has_the_curves_of_the_best_and_every_note(sqlite_study: optuna.Study) -> None:
    """What is left out is told with the trial and with the study; a note that somebody wrote is there."""
    fill_study(sqlite_study, 14)
    last = sqlite_study.get_trials(deepcopy=False)[8]
    gathered.save_note(sqlite_study, "Mine.", trial=last)
    dashboard.attach_figures(sqlite_study)
    storage = behind(sqlite_study)
    shown = served(storage, sqlite_study)
    drawn = {t["number"] for t in shown["trials"] if t["intermediate_values"]}
    left_out = {t["number"] for t in shown["trials"] if lean.LEFT_OUT in str(t)}
    assert len(drawn) == 4
    assert left_out
    assert not drawn & left_out
    notes = {t["number"]: t["note"] for t in shown["trials"]}
    assert notes[8] == {"version": 1, "body": "Mine."}
    for number in drawn | left_out - {8}:
        assert f"/learning-curves/{sqlite_study._study_id}/{number}.svg" in notes[number]["body"]
    assert sum(note["version"] for note in notes.values()) == 5
    assert "Figures draw 10 of the" in shown["note"]["body"]
    assert "intermediate values" in shown["note"]["body"]
    figures = {g["id"]: json.loads(g["graph_object"]) for g in shown["plotly_graph_objects"]}
    assert all(figure["data"] for figure in figures.values())


def test_a_studys_page_is_as_optuna_dashboard_makes_it(sqlite_study: optuna.Study) -> None:
    """What a small study's page says is the same, whether it was made from a lean storage or not."""
    fill_study(sqlite_study, 6)
    dashboard.attach_figures(sqlite_study)
    storage = behind(sqlite_study)
    plain = json.loads(get(optuna_dashboard.wsgi(storage), f"/api/studies/{sqlite_study._study_id}")[1])
    lean_page = served(storage, sqlite_study)
    for page in (plain, lean_page):
        # They come from a set, in another order each time.
        page["plotly_graph_objects"].sort(key=lambda figure: figure["id"])
    assert lean_page == plain


def test_what_is_kept_beside_a_study_is_stored_in_one_statement(sqlite_study: optuna.Study) -> None:
    """However many trials get a note; and attaching again, where nothing changed, stores nothing."""
    asked = []
    for n in (3, 9):
        study = optuna.create_study(study_name=f"of-{n}", storage=sqlite_study._storage, direction="maximize")
        made = empty_study(None)
        fill_study(made, n)
        for name, value in made.user_attrs.items():
            study.set_user_attr(name, value)
        add_trials(study, [t for t in made.get_trials() if t.state.is_finished()])
        for _ in range(2):
            with counted(tables_of(study)) as statements:
                dashboard.attach_figures(study)
            asked.append([s for s in statements if not s.startswith("SELECT")])
    assert list(map(len, asked)) == [1, 0, 1, 0]


def test_trials_are_looked_at_once_as_the_dashboard_starts(
    sqlite_study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figures and the line on a damaged study are made from one look at its trials."""
    fill_study(sqlite_study, 6)
    looked: list[int] = []
    look = StoredTrial.of

    def counting(trial: optuna.trial.FrozenTrial) -> StoredTrial:
        looked.append(trial.number)
        return look(trial)

    monkeypatch.setattr(StoredTrial, "of", counting)
    study = StoredStudy.of(sqlite_study)
    dashboard.attach_figures(sqlite_study, study)
    assert not study.damaged
    finished = [t.number for t in study.trials if t.is_finished]
    assert [number for number in looked if number in finished] == finished


def test_a_name_that_is_none_is_told(storage: BaseStorage) -> None:
    """Python encodes it before the system is asked."""
    with pytest.raises(StorageError, match="is no name of a host; choose another"):
        dashboard.make_app_server(storage, host="ü" * 70, port=8080)


def test_a_users_own_studies_are_listed_above_those_that_came_along(storage: BaseStorage) -> None:
    """The page turns the list around: the newest of the user's own is on top, reference studies are below."""
    for name, origin in (("reference-cnn", "with the repository"), ("mine", None)):
        made = optuna.create_study(storage=storage, study_name=name)
        if origin is not None:
            made.set_user_attr("read_only", origin)
    before = [one.study_name for one in optuna.get_all_study_summaries(storage)]
    for path in ("/api/studies", "/api/studies/"):
        status, body = get(dashboard.make_app(storage), path)
        told = [one["study_name"] for one in json.loads(body)["study_summaries"]]
        assert (status, told) == (200, ["reference-cnn", *(n for n in before if n != "reference-cnn")])
