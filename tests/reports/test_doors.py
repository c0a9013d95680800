"""What the dashboard is asked for by others than its user, and what it may not change."""

from __future__ import annotations

import base64
import socket

import optuna
import pytest
from made_studies import add_trial, empty_study, params_of, scripted_curve
from optuna.storages import BaseStorage
from wsgi import get

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.reports import dashboard
from fmnist_sweep.reports.doors import App, guarded, require_password
from fmnist_sweep.storage.lease.ownership import ownership

PASSWORD = "correct horse"  # noqa: S105 - of this test


@pytest.fixture
def study() -> optuna.Study:
    """A study of two trials."""
    study = empty_study(None, "dense")
    for i, final in enumerate((0.8, 0.9)):
        add_trial(study, params_of(i), scripted_curve(final, 0.02))
    return study


def door(study: optuna.Study, host: str = "127.0.0.1", password: str | None = None) -> App:
    """Return the guarded dashboard of a study's storage."""
    storage: BaseStorage = study._storage
    return guarded(dashboard.make_app(storage), storage, host=host, password=password)


def authorization(password: str, user: str = "me", kind: str = "Basic") -> str:
    """Return the header of a browser that was told a password."""
    return f"{kind} {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "evil.example:8080", 403),
        ("127.0.0.1", "192.0.2.7:8080", 403),
        ("127.0.0.1", "", 403),
        ("127.0.0.1", "localhost@evil.example", 403),
        ("127.0.0.1", "[::1", 403),
        ("127.0.0.1", "localhost:8080", 200),
        ("::1", "[::1]:8080", 200),
        ("0.0.0.0", "evil.example", 403),  # noqa: S104 - every address is what is meant
        ("0.0.0.0", "192.0.2.7:8080", 200),  # noqa: S104
        ("0.0.0.0", "[2001:db8::7]:8080", 200),  # noqa: S104
        ("0.0.0.0", socket.gethostname(), 200),  # noqa: S104
        ("desk.example", "desk.example:8080", 200),
    ],
)
def test_a_dashboard_answers_under_names_of_its_machine(
    study: optuna.Study, host: str, asked: str, status: int
) -> None:
    """A web page that points its own host name at this machine can't read or delete studies."""
    assert get(door(study, host), "/api/studies", host=asked)[0] == status


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("", 401),
        (authorization("wrong horse"), 401),
        (authorization(PASSWORD, kind="Bearer"), 401),
        ("Basic ###", 401),
        ("Basic \xff", 401),
        ("Basic /////w==", 401),
        (authorization(""), 401),
        (authorization(PASSWORD), 200),
        (authorization(PASSWORD, user=""), 200),
    ],
)
def test_a_password_opens_every_page(study: optuna.Study, header: str, status: int) -> None:
    """Under any user's name, pages, pictures and what a script asks for."""
    app = door(study, password=PASSWORD)
    for path in ("/api/studies", f"/learning-curves/{study._study_id}/0.svg"):
        assert get(app, path, HTTP_AUTHORIZATION=header)[0] == status


def test_beyond_this_machine_there_is_a_password() -> None:
    """Without one it does not listen there; one that is guessed at once is none."""
    require_password("127.0.0.1", None)
    require_password("0.0.0.0", PASSWORD)  # noqa: S104
    with pytest.raises(
        SweepError, match=r"--host 0\.0\.0\.0: whoever reaches .* FMNIST_SWEEP_DASHBOARD_PASSWORD"
    ):
        require_password("0.0.0.0", None)  # noqa: S104
    for host in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
        with pytest.raises(SweepError, match="--password: has 3 characters; give at least 8"):
            require_password(host, "abc")


def test_a_dashboard_without_its_password_is_not_served() -> None:
    """Nothing is opened before."""
    with pytest.raises(SweepError, match="Set a password"):
        dashboard.serve("sqlite:///none.db", host="0.0.0.0")  # noqa: S104


@pytest.mark.parametrize(
    ("origin", "status"), [("http://evil.example", 403), ("http://[", 403), ("http://127.0.0.1:8080", 204)]
)
def test_changes_come_from_its_own_pages(study: optuna.Study, origin: str, status: int) -> None:
    """A page on the web can send a request to this machine, though it can't read the answer."""
    path = f"/api/studies/{study._study_id}"
    assert get(door(study), path, method="DELETE", HTTP_ORIGIN=origin)[0] == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/studies/{study}"),
        ("POST", "/api/studies/{study}/rename"),
        ("PUT", "/api/studies/{study}/note"),
        ("PUT", "/api/studies/{study}/{trial}/note"),
        ("POST", "/api/studies/{study}/{trial}/skip"),
        ("POST", "/api/trials/{trial}/tell"),
        ("POST", "/api/trials/{trial}/user-attrs"),
        ("POST", "/api/artifacts/{study}"),
        ("DELETE", "/api/artifacts/{study}/{trial}/ab"),
    ],
)
def test_a_read_only_study_is_not_changed(study: optuna.Study, method: str, path: str) -> None:
    """It came with the repository; the reason is what the page shows."""
    study.set_user_attr("read_only", "from reference/dense.jsonl")
    where = path.format(study=study._study_id, trial=study.trials[1]._trial_id)
    status, body = get(door(study), where, method=method)
    assert status == 403
    assert b"read-only (from reference/dense.jsonl)" in body
    assert len(optuna.load_study(study_name="dense", storage=study._storage).trials) == 2
    assert get(door(study), f"/api/studies/{study._study_id}")[0] == 200


def test_a_running_study_is_not_deleted(study: optuna.Study) -> None:
    """Its run would train on into nothing."""
    with ownership(study):
        status, body = get(door(study), f"/api/studies/{study._study_id}", method="DELETE")
        assert (status, b"is being run" in body) == (403, True)
    assert get(door(study), f"/api/studies/{study._study_id}", method="DELETE")[0] == 204


def test_a_study_that_is_gone_is_the_dashboards_to_tell(study: optuna.Study) -> None:
    """It knows how."""
    assert get(door(study), "/api/studies/99", method="DELETE")[0] == 404


@pytest.mark.parametrize("path", ["/learning-curves/1/{}.svg", "/learning-curves/{}/1.svg"])
def test_a_number_that_no_table_holds_is_no_page(study: optuna.Study, path: str) -> None:
    """Whoever asks may send anything."""
    assert get(door(study), path.format("9" * 30))[0] == 404
