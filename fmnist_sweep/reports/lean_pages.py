"""What optuna-dashboard's pages ask for, changed on its way.

The page of a study is made from a lean storage and given the notes of its trials back; the list of studies is
put in order; long attributes are broken into lines.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, runtime_checkable

from optuna.storages import BaseStorage

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.reports.doors import App, StartResponse
from fmnist_sweep.storage.json_text import parsed
from fmnist_sweep.storage.lean import lacks_curve
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study

_LIST: Final = "/api/studies"
_PAGE: Final = re.compile(r"/api/studies/(\d+)/?")
_NOTE: Final = re.compile(r"dashboard:(\d+):note_(?:ver|str:(\d+))")
_HTML: Final = re.compile(r"/dashboard(?:/|$)")
_HEAD_END: Final = b"</head>"
_STYLE: Final = (
    b"<style>main, main div { min-width: 0 } main p { white-space: normal; overflow-wrap: anywhere }</style>"
)
"""A trial's page is else as wide as its longest attribute, the curve: thousands of pixels."""


@runtime_checkable
class _Closable(Protocol):
    def close(self) -> None: ...


def with_lean_pages(
    dashboard: App, pages: App, storage: BaseStorage, picture: Callable[[int, int], str]
) -> App:
    """Return the dashboard's app, which lets another one answer what a page of a study asks for.

    Args:
        dashboard: Answers all else.
        pages: The same, on a `LeanStorage`.
        storage: What both show.
        picture: Returns the Markdown of a trial's picture, by the study's id and the trial's number.
    """

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match = _PAGE.fullmatch(environ.get("PATH_INFO", ""))
        if match is None or environ["REQUEST_METHOD"] != "GET":
            return dashboard(environ, start_response)
        study_id = int(match[1])
        return changed(pages, lambda body: _noted(body, study_id, storage, picture))(environ, start_response)

    return app


def with_own_studies_first(dashboard: App, storage: BaseStorage) -> App:
    """Return the dashboard's app, whose list of studies shows the user's own above those that came along.

    The page shows what it is answered from the last to the first, so that the newest stands on top.
    """
    lists = changed(dashboard, lambda body: _ordered(body, storage))

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        is_list = environ["REQUEST_METHOD"] == "GET" and environ.get("PATH_INFO", "").rstrip("/") == _LIST
        return (lists if is_list else dashboard)(environ, start_response)

    return app


def with_narrow_pages(dashboard: App) -> App:
    """Return the dashboard's app, whose pages are as wide as the window."""
    pages = changed(dashboard, lambda body: body.replace(_HEAD_END, _STYLE + _HEAD_END, 1))

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        is_page = environ["REQUEST_METHOD"] == "GET" and _HTML.match(environ.get("PATH_INFO", ""))
        return (pages if is_page else dashboard)(environ, start_response)

    return app


def changed(app: App, change: Callable[[bytes], bytes]) -> App:
    """Return an app that changes the body of what another one answers, unless that is an error."""

    def answer(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def keep(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            answered.append((status, headers))

        given = app(environ, keep)
        body = b"".join(given)
        if isinstance(given, _Closable):
            # A page is an open file.
            given.close()
        (status, headers) = answered[-1]
        if status.startswith("200"):
            body = change(body)
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return [body]

    return answer


def _ordered(body: bytes, storage: BaseStorage) -> bytes:
    answer = parsed(body.decode())
    answer["study_summaries"].sort(key=lambda study: not _came_along(storage, study["study_name"]))
    return json.dumps(answer, separators=(",", ":")).encode()


def _came_along(storage: BaseStorage, name: str) -> bool:
    try:
        return StoredStudy.of(load_study(storage, name, with_trials=False)).read_only is not None
    except SweepError:
        # Deleted meanwhile, or damaged: it is shown where it was.
        return False


def _noted(body: bytes, study_id: int, storage: BaseStorage, picture: Callable[[int, int], str]) -> bytes:
    """Return a page with the notes of its trials, or else the picture of a curve that is left out."""
    page = parsed(body.decode())
    notes = _notes(storage.get_study_system_attrs(study_id))
    for trial in (*page["trials"], *page["best_trials"]):
        note = notes.get(trial["trial_id"])
        if note is None and lacks_curve(trial):
            note = {"version": 0, "body": picture(study_id, trial["number"])}
        trial["note"] = note or trial["note"]
    return json.dumps(page, separators=(",", ":")).encode()


def _notes(attributes: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the notes of trials, by their ids, as the dashboard puts them together."""
    versions: dict[int, int] = {}
    pieces: dict[int, dict[int, str]] = defaultdict(dict)
    for key, value in attributes.items():
        match = _NOTE.fullmatch(key)
        if match and match[2] is None:
            versions[int(match[1])] = int(value)
        elif match:
            pieces[int(match[1])][int(match[2])] = value
    return {
        trial: {"version": version, "body": "".join(pieces[trial][i] for i in sorted(pieces[trial]))}
        for trial, version in versions.items()
    }
