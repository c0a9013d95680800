"""optuna-dashboard's page of a study, made from a lean storage and given the notes of its trials back."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from optuna.storages import BaseStorage

from fmnist_sweep.reports.doors import App, StartResponse
from fmnist_sweep.storage.json_text import parsed
from fmnist_sweep.storage.lean import lacks_curve

_PAGE: Final = re.compile(r"/api/studies/(\d+)/?")
_NOTE: Final = re.compile(r"dashboard:(\d+):note_(?:ver|str:(\d+))")


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
        answered: list[tuple[str, list[tuple[str, str]]]] = []

        def answer(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            answered.append((status, headers))

        body = b"".join(pages(environ, answer))
        (status, headers) = answered[-1]
        if status.startswith("200"):
            body = _noted(body, int(match[1]), storage, picture)
            headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return [body]

    return app


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
