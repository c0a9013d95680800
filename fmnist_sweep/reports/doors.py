"""Who may ask the dashboard for what: optuna-dashboard itself knows no passwords and no read-only studies."""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import re
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

import optuna
from optuna.storages import BaseStorage

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.storage.stored import StoredStudy

StartResponse: TypeAlias = Callable[..., Any]
App: TypeAlias = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

PASSWORD_VARIABLE: Final = "FMNIST_SWEEP_DASHBOARD_PASSWORD"  # noqa: S105 - the name of one

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")

_SHORTEST_PASSWORD: Final = 8
_READS: Final = ("GET", "HEAD", "OPTIONS")
_OF_STUDY: Final = re.compile(r"/api/(?:studies|artifacts)/(\d{1,18})(?:/.*)?")
_OF_TRIAL: Final = re.compile(r"/api/trials/(\d{1,18})/.*")
_ENDS_STUDY: Final = re.compile(r"/api/studies/\d+(?:/rename)?")


def require_password(host: str, password: str | None) -> None:
    """Raise `SweepError` if others could reach the dashboard without a password, or guess it.

    Args:
        host: Address to listen on.
        password: What is to be asked for; None for nothing.
    """
    if password is not None and len(password) < _SHORTEST_PASSWORD:
        raise SweepError(
            f"--password: has {len(password)} characters; give at least {_SHORTEST_PASSWORD}, best by the "
            f"environment variable {PASSWORD_VARIABLE}"
        )
    if password is None and host not in LOOPBACK:
        raise SweepError(
            f"--host {host}: whoever reaches this address could read, change and delete studies. Set a "
            f"password, best by the environment variable {PASSWORD_VARIABLE}; or leave --host out and come "
            "by ssh -L 8080:localhost:8080 to this machine"
        )


def guarded(app: App, storage: BaseStorage, *, host: str, password: str | None = None) -> App:
    """Return the dashboard's app behind its doors.

    It answers only under names of this machine, since a page on the web can point its own name at it. It asks
    for the password, under any user's name. It takes changes from its own pages alone, and neither changes a
    study that is read-only nor ends one that is running.

    Args:
        app: The dashboard.
        storage: What it shows.
        host: Address that it listens on.
        password: What it asks for; None for nothing.
    """
    names = {*LOOPBACK} if host in LOOPBACK else {*LOOPBACK, host, *_own_names()}

    def at_the_door(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        asked = _host_of(environ.get("HTTP_HOST", ""))
        if asked not in names and (host in LOOPBACK or not _is_address(asked)):
            where = "localhost" if host in LOOPBACK else "the address or the name of its machine"
            return _refused(start_response, "403 Forbidden", f"This dashboard answers to {where} only.")
        if password is not None and not _knows(environ.get("HTTP_AUTHORIZATION", ""), password):
            headers = [("WWW-Authenticate", 'Basic realm="fmnist-sweep", charset="UTF-8"')]
            return _refused(
                start_response, "401 Unauthorized", "This dashboard asks for a password.", headers
            )
        if environ["REQUEST_METHOD"] not in _READS:
            origin = environ.get("HTTP_ORIGIN")
            if origin is not None and _parts(origin).netloc != environ.get("HTTP_HOST"):
                return _refused(start_response, "403 Forbidden", "This change comes from another page.")
            problem = _change_problem(storage, environ.get("PATH_INFO", ""))
            if problem is not None:
                return _refused(start_response, "403 Forbidden", problem)
        return app(environ, start_response)

    return at_the_door


def _refused(
    start_response: StartResponse, status: str, reason: str, headers: Iterable[tuple[str, str]] = ()
) -> list[bytes]:
    # As the dashboard words its own refusals: its pages show the reason.
    start_response(status, [("Content-Type", "application/json"), *headers])
    return [json.dumps({"reason": reason}).encode()]


def _host_of(header: str) -> str:
    return (_parts(f"//{header}").hostname or "") if header.count("@") == 0 else ""


def _parts(address: str) -> SplitResult:
    """Return the parts of an address, all empty where it is none: who asks may send anything."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def _is_address(name: str) -> bool:
    """Return whether a name is a number: nobody can point a number somewhere else."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> set[str]:
    own = socket.gethostname().lower()
    return {own, own.partition(".")[0], socket.getfqdn().lower()}


def _knows(header: str, password: str) -> bool:
    kind, _, coded = header.partition(" ")
    try:
        given = base64.b64decode(coded, validate=True).decode().partition(":")[2]
    except ValueError:
        # No base64, or no text.
        return False
    return kind.lower() == "basic" and hmac.compare_digest(given.encode(), password.encode())


def _change_problem(storage: BaseStorage, path: str) -> str | None:
    """Return why what a path stands for may not be changed; None where it may."""
    study_id = _study_of(storage, path)
    if study_id is None:
        return None
    try:
        name = storage.get_study_name_from_id(study_id)
    except KeyError:
        # The dashboard says so itself.
        return None
    study = StoredStudy.of(optuna.load_study(study_name=name, storage=storage))
    if study.read_only is not None:
        return f"Study {name!r} is read-only ({study.read_only}): no command changes it."
    if study.owner and not study.is_interrupted and _ENDS_STUDY.fullmatch(path):
        return f"Study {name!r} is being run: stop the run first."
    return None


def _study_of(storage: BaseStorage, path: str) -> int | None:
    found = _OF_STUDY.fullmatch(path)
    if found is not None:
        return int(found[1])
    trial = _OF_TRIAL.fullmatch(path)
    for study in storage.get_all_studies() if trial is not None else ():
        trials = storage.get_all_trials(study._study_id, deepcopy=False)  # noqa: SLF001 - as the path has it
        if trial is not None and any(t._trial_id == int(trial[1]) for t in trials):  # noqa: SLF001
            return study._study_id  # noqa: SLF001
    return None
