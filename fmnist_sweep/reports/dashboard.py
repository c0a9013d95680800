"""optuna-dashboard with what it lacks: figures on each study, a learning curve on the page of each trial.

A trial's note may be written at any time: the dashboard keeps notes with the study, so a finished trial gets
one too. The picture in the note is drawn by `serve` when the page asks for it; another dashboard on the same
storage shows the note's text instead.
"""

from __future__ import annotations

import errno
import logging
import re
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import optuna
from optuna.artifacts import FileSystemArtifactStore
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, Trial
from typing_extensions import override

from fmnist_sweep.analysis.confirmations import Confirmation, read_confirmation
from fmnist_sweep.analysis.ranking import best_trials
from fmnist_sweep.analysis.summary import price_words, scoring, summary
from fmnist_sweep.analysis.verdicts import verdicts
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import StorageError
from fmnist_sweep.core.foreign import markdown
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.core.wording import show_score, sparklines
from fmnist_sweep.reports.confirmed import CONFIRMED_WORDS, confirmed_figure, trial_words
from fmnist_sweep.reports.doors import App, StartResponse, guarded, require_password
from fmnist_sweep.reports.figures import accuracy_against_gap, best_curves
from fmnist_sweep.reports.gathered import Gathered, note_of, save_note
from fmnist_sweep.reports.lean_pages import with_lean_pages, with_narrow_pages, with_own_studies_first
from fmnist_sweep.reports.style import GREY
from fmnist_sweep.reports.svg import curve_svg
from fmnist_sweep.reports.thinning import thinned_note
from fmnist_sweep.reports.unused import without_sklearn
from fmnist_sweep.storage.damage import passed_by
from fmnist_sweep.storage.lean import MAX_WHOLE, N_WHOLE, LeanStorage
from fmnist_sweep.storage.opening import artifact_folder, open_storage, storage_lost
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.studies import load_study, study_names

with without_sklearn():
    import optuna_dashboard

_log = logging.getLogger(__name__)

FIGURES: Final = {"validation-and-gap": accuracy_against_gap, "learning-curves": best_curves}
"""Graph objects of a study in the dashboard, by id: saving again replaces them."""

_AS_SHOWN: Final = {
    # The dashboard cuts off what is higher, and has its buttons above the figure, on a bar of their own.
    "height": 420,
    "margin": {"t": 60},
    "title": {"y": 0.93},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": GREY},
}

_CURVE_URL: Final = re.compile(r"/learning-curves/(\d{1,18})/(\d{1,18})\.svg")
_PORTS_TRIED: Final = 20

_READ_AGAIN_S: Final = 10.0
"""How long pictures of a large study are drawn from what was read: as long as the dashboard keeps trials."""

_LEAN_WORDS: Final = (
    f"Of a study of more than {MAX_WHOLE:,} trials, this page holds the intermediate values and the numbers"
    f" of curves of the {N_WHOLE} best ones alone; the picture in a trial's note shows any."
)


def attach_figures(study: optuna.Study, stored: StoredStudy | None = None) -> None:
    """Save the study's figures and a summary where optuna-dashboard shows them; again replaces them.

    Also writes a note for each trial that has a curve and no note yet; in a study of thousands for the
    best of them, since any dashboard looks through all notes once for each trial.

    Args:
        study: The study.
        stored: What it holds; None reads it.
    """
    stored = StoredStudy.of(study) if stored is None else stored
    if stored.damaged:
        # It is shown as it is: nothing is worked out from what this program can't have written.
        return
    confirmation = read_confirmation(stored)
    figures = {name: make(stored) for name, make in FIGURES.items()}
    if confirmation is not None:
        figures["confirmation"] = confirmed_figure(confirmation)
    gathered = Gathered(study)
    for name, figure in figures.items():
        gathered.figure(name, figure.update_layout(_AS_SHOWN).update_yaxes(title_font_size=11))
    words = map(markdown, [*_study_words(stored, confirmation)])
    gathered.note("\n\n".join([f"**{markdown(study.study_name)}**", *words]))
    noted = _noted(stored)
    for trial in study.get_trials(deepcopy=False):
        known = noted.get(trial.number)
        if known is not None and known.curve is not None and not gathered.has_note(trial):
            picture = note_with_picture(study, trial, known.curve, stored.rule, epoch=known.epoch)
            gathered.note(picture, trial=trial)
    gathered.store()
    if confirmation is not None and not stored.is_confirmation:
        _mark_confirmed(study, confirmation)


def _noted(study: StoredStudy) -> dict[int, StoredTrial]:
    """Return the trials that get a note, by their numbers."""
    finished = [trial for trial in study.trials if trial.is_finished]
    return {t.number: t for t in (finished if len(finished) <= MAX_WHOLE else best_trials(study, N_WHOLE))}


def _study_words(study: StoredStudy, confirmation: Confirmation | None) -> list[str]:
    left_out = [note] if (note := thinned_note(study)) is not None else []
    left_out += [_LEAN_WORDS] if len(study.trials) > MAX_WHOLE else []
    if confirmation is None:
        return [" ".join(summary(study)), *price_words(study), scoring(study), *left_out]
    confirmed = " ".join(verdicts(confirmation))
    if study.is_confirmation:
        words = "on fresh seeds and reshuffled splits; each trial is one repeat of one candidate."
        return [f"Confirms study {confirmation.study} {words}", confirmed, scoring(study), *left_out]
    swept = [" ".join(summary(study)), *price_words(study)]
    told = [confirmed, *swept] if confirmation.decision is not None else [*swept, confirmed]
    return [*told, scoring(study), *left_out]


def _mark_confirmed(study: optuna.Study, confirmation: Confirmation) -> None:
    """Begin the notes of the candidates with what came of them, and leave the rest of each as it is."""
    trials = {trial.number: trial for trial in study.get_trials(deepcopy=False)}
    for standing in confirmation.standings:
        trial = None if standing.candidate.trial is None else trials.get(standing.candidate.trial)
        if trial is not None:
            begin_note(study, trial, trial_words(standing, confirmation), mark=CONFIRMED_WORDS)


def attach_to_trial(
    study: optuna.Study,
    trial: Trial | FrozenTrial,
    curve: LearningCurve,
    rule: ScoreRule,
    *,
    epoch: int | None = None,
) -> None:
    """Write a trial's note, with its learning curve; before or after ``tell``.

    Args:
        study: The trial's study.
        trial: Running or finished.
        curve: At least one epoch.
        rule: The study's score rule.
        epoch: The scored epoch, from 0; None where none was scored.
    """
    save_note(study, note_with_picture(study, trial, curve, rule, epoch=epoch), trial=trial)


def begin_note(study: optuna.Study, trial: FrozenTrial, words: str, *, mark: str) -> None:
    """Put a paragraph before what a trial's note holds, its user's own words included.

    Args:
        study: The trial's study.
        trial: A finished trial; without a note it gets the one with its learning curve too.
        words: The paragraph.
        mark: What it begins with: an earlier paragraph that begins in the same way is replaced.
    """
    before, known = note_of(study, trial), StoredTrial.of(trial)
    if not before and known.curve is not None:
        rule = StoredStudy.of(study).rule
        before = note_with_picture(study, trial, known.curve, rule, epoch=known.epoch)
    rest = [part for part in before.split("\n\n") if not part.startswith(mark)]
    save_note(study, "\n\n".join([words, *rest]), trial=trial)


def note_with_picture(
    study: optuna.Study,
    trial: Trial | FrozenTrial,
    curve: LearningCurve,
    rule: ScoreRule,
    *,
    epoch: int | None = None,
) -> str:
    """Return what `attach_to_trial` writes, and takes the same arguments."""
    picture = picture_words(study._study_id, trial.number)  # noqa: SLF001 - the dashboard's ids
    return f"{trial_note(curve, rule, epoch=epoch)}\n\n{picture}"


def picture_words(study_id: int, number: int) -> str:
    """Return the picture of a trial's learning curve in Markdown, as `make_app` draws it."""
    words = f"Learning curve of trial {number}: the picture shows in fmnist-sweep dashboard"
    return f"![{words}](/learning-curves/{study_id}/{number}.svg)"


def trial_note(curve: LearningCurve, rule: ScoreRule, *, epoch: int | None = None) -> str:
    """Return a trial's learning curve in Markdown: one line of blocks each for train, validation, gap."""
    unit = UNITS[rule.metric]
    gaps = rule.gaps(curve)
    rows = [
        ("validation", curve.values(f"val_{rule.metric}"), False),
        ("training", curve.values(f"train_{rule.metric}"), False),
        ("gap", gaps, True),
    ]
    lines = [
        f"{name:<11}{sparklines(values)[0]}  "
        f"{unit.show(float(values[0]), gap=gap)} to {unit.show(float(values[-1]), gap=gap)}"
        for name, values, gap in rows
    ]
    head = f"{len(curve)} epochs trained; none is scored."
    if epoch is not None:
        score = show_score(float(rule.scores(curve)[epoch]))
        val = unit.show(float(curve.values(f"val_{rule.metric}")[epoch]))
        gap_shown = unit.show(float(gaps[epoch]), gap=True)
        head = (
            f"Score **{score}** at epoch {epoch + 1} of {len(curve)}: validation {unit.name} {val}, "
            f"gap {gap_shown} (tolerance {unit.tolerance(rule.tolerance)}, penalty {rule.penalty:g})."
        )
    return "\n".join([head, "", "```text", *lines, "```"])


def serve(
    storage_url: str,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    password: str | None = None,
    announce: Callable[[str], None] = _log.info,
) -> None:
    """Show a storage in optuna-dashboard until interrupted.

    Args:
        storage_url: An existing storage.
        host: Address to listen on.
        port: By default 8080, or the next free one; a port that is asked for is taken or an error.
        password: What it asks for; needed on any other address than this machine's own.
        announce: Given a line on each study that is damaged, and the page's address once it can be opened.

    Raises:
        StorageError: The storage can't be opened, or no port is free.
        SweepError: There is no password where others can reach it, or a short one.
    """
    require_password(host, password)
    storage = open_storage(storage_url, create=False)
    for name in study_names(storage):
        try:
            study = load_study(storage, name)
            stored = StoredStudy.of(study)
            attach_figures(study, stored)
            if stored.damaged:
                announce(f"{passed_by(stored)}; its pages show what is stored")
        except optuna.exceptions.StorageInternalError as error:
            _log.warning("study %s: its figures can't be saved, the storage is read-only? (%s)", name, error)
    logging.getLogger("optuna_dashboard._bottle_util").addFilter(_LostStorage(storage_url))
    artifacts = artifact_folder(storage_url)
    with make_app_server(storage, host=host, port=port, password=password, artifacts=artifacts) as server:
        shown = f"[{host}]" if ":" in host else host
        announce(f"http://{shown}:{server.server_port}/dashboard")
        server.serve_forever()


class _LostStorage(logging.Filter):
    """Makes one line of what the dashboard logs of a request for which the storage could not be read.

    It goes on meanwhile: once a server is back, so are the pages.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        # The dashboard logs an error while it is being handled.
        record.msg = storage_lost(sys.exc_info()[1], self._url) or record.msg
        return True


class _Server(ThreadingMixIn, WSGIServer):
    """A browser opens several connections at once; one idle one must not block the others."""

    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
        _log.debug(format, *args)


def make_app_server(
    storage: BaseStorage,
    *,
    host: str,
    port: int | None,
    password: str | None = None,
    artifacts: Path | None = None,
) -> WSGIServer:
    """Return a server that listens, ready to serve; see `serve`."""
    kind = _Server6 if ":" in host else _Server
    app = guarded(make_app(storage, artifacts=artifacts), storage, host=host, password=password)
    for candidate in range(8080, 8080 + _PORTS_TRIED) if port is None else (port,):
        try:
            return make_server(host, candidate, app, server_class=kind, handler_class=_Handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise StorageError(
                    f"can't listen on {host} port {candidate}: {error.strerror}; "
                    "choose another --host or --port"
                ) from None
        except (TypeError, UnicodeError):
            # Python encodes a name of a host itself.
            raise StorageError(f"--host {host}: is no name of a host; choose another") from None
        except OverflowError:
            raise StorageError(f"port {candidate} does not exist; choose one from 1024 to 65535") from None
    taken = f"ports 8080 to {8079 + _PORTS_TRIED} are" if port is None else f"port {port} is"
    raise StorageError(f"{taken} taken on {host}; choose another with --port")


def make_app(storage: BaseStorage, *, artifacts: Path | None = None) -> App:
    """Return the dashboard's WSGI app, with a learning curve for every trial at the address in its note.

    Args:
        storage: What it shows.
        artifacts: Folder of the files that exports attached; one that is missing is not made.
    """
    with warnings.catch_warnings():
        # Optuna marks parts that the dashboard uses as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        files = FileSystemArtifactStore(artifacts) if artifacts and artifacts.is_dir() else None
        dashboard: App = optuna_dashboard.wsgi(storage, artifact_store=files)
        if isinstance(storage, RDBStorage):
            pages = optuna_dashboard.wsgi(LeanStorage(storage), artifact_store=files)
            dashboard = with_lean_pages(dashboard, pages, storage, picture_words)
        dashboard = with_narrow_pages(with_own_studies_first(dashboard, storage))
    studies = _Studies(storage)

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        match = _CURVE_URL.fullmatch(environ.get("PATH_INFO", ""))
        if match is None:
            return dashboard(environ, start_response)
        try:
            picture = _picture(studies.get(int(match[1])), int(match[2]))
        except optuna.exceptions.StorageInternalError:
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [b"The storage can't be read now.\n"]
        if picture is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"No such learning curve.\n"]
        start_response("200 OK", [("Content-Type", "image/svg+xml"), ("Cache-Control", "no-cache")])
        return [picture.encode()]

    return app


class _Studies:
    """The studies of which pictures are asked for; a large one is read again only after a while."""

    def __init__(self, storage: BaseStorage) -> None:
        self._storage = storage
        self._large: dict[int, tuple[float, StoredStudy]] = {}

    def get(self, study_id: int) -> StoredStudy | None:
        """Return what a study holds; None where there is none."""
        read, known = self._large.get(study_id, (0.0, None))
        if known is not None and time.monotonic() - read < _READ_AGAIN_S:
            return known
        try:
            name = self._storage.get_study_name_from_id(study_id)
            study = StoredStudy.of(optuna.load_study(study_name=name, storage=self._storage))
        except KeyError:
            self._large.pop(study_id, None)
            return None
        if len(study.trials) > MAX_WHOLE:
            self._large[study_id] = time.monotonic(), study
        return study


def _picture(stored: StoredStudy | None, number: int) -> str | None:
    if stored is None:
        return None
    trial = next((t for t in stored.trials if t.number == number), None)
    if trial is None or trial.curve is None or stored.damaged:
        return None
    best = next((t.number for t in best_trials(stored, 1)), None)
    state = "the best" if number == best else trial.state.lower()
    title = f"Trial {number} ({state})"
    epoch = trial.epoch if trial.state != "FAIL" else None
    return curve_svg(trial.curve, stored.rule, epoch=epoch, title=title)
