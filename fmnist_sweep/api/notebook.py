"""What a search shows: in a notebook one table, updated in place; anywhere else a line for each trial."""

from __future__ import annotations

import html
import importlib
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import EndedTrial, Progress, Stop

_N_ENDED: Final = 5
"""Trials that have ended and still stand in the table."""

_EVERY_S: Final = 0.5


def in_notebook() -> bool:
    """Return whether this runs in a notebook's kernel: JupyterLab, VS Code, Colab, nbconvert."""
    # Not imported for this: where it was not, there is none.
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def show(shown: Mapping[str, Any], *, key: str | None = None, update: bool = False) -> None:
    """Show something in the notebook's cell.

    Args:
        shown: By its kind, such as ``text/html``; ``text/plain`` is for what can't show another.
        key: By which it is updated.
        update: Whether it takes the place of what is shown under the key.
    """
    display = importlib.import_module("IPython.display").display
    options = {} if key is None else {"display_id": key, "update": update}
    display(dict(shown), raw=True, **options)


def require_notebook() -> None:
    """Raise `SweepError` outside a notebook."""
    if not in_notebook():
        raise SweepError("show() draws in a notebook, and this is none; report() writes a page with figures")


class Lines(Observer):
    """Tells of each trial in a line as it ends.

    Args:
        say: Takes a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: list[EndedTrial | None] = [None, None]

    def on_progress(self, progress: Progress) -> None:
        """Tell of a trial that has ended, or paused, since."""
        before, self._told = self._told, [progress.ended, progress.paused]
        for ended in self._told:
            if ended is not None and not any(ended is one for one in before):
                self._tell(progress, ended)

    def _tell(self, progress: Progress, ended: EndedTrial) -> None:
        value = "" if ended.value is None else f", score {ended.value:.4f}"
        reason = "" if not ended.reason else f": {ended.reason}"
        so_far = f"; {_best(progress)}" if progress.best is not None else ""
        count = f"[{progress.n_begun}/{progress.n_trials}]"
        self._say(f"{count} trial {ended.number} {ended.state.lower()}{value}{reason}{so_far}")


class Table(Observer):
    """One table in the cell's output, updated in place.

    Args:
        show: As `show`; another one in tests.
    """

    def __init__(self, show: Callable[..., None] = show) -> None:
        self._show = show
        self._key = uuid.uuid4().hex
        self._study = ""
        self._last: Progress | None = None
        self._ended: deque[EndedTrial] = deque(maxlen=_N_ENDED)
        self._shown_at: float | None = None

    def on_start(self, study: str, settings: Mapping[str, Any]) -> None:
        """Take the study's name."""
        del settings
        self._study = study

    def on_progress(self, progress: Progress) -> None:
        """Show it, not more often than eyes follow."""
        for ended in (progress.ended, progress.paused):
            if ended is not None and ended not in self._ended:
                self._ended.append(ended)
        self._last = progress
        now = time.monotonic()
        if self._shown_at is None or now - self._shown_at >= _EVERY_S:
            self._draw("")
            self._shown_at = now

    def on_end(self, stop: Stop | None) -> None:
        """Show what it came to."""
        if self._last is not None:
            self._draw("ended by an error" if stop is None else stop.value)

    def _draw(self, end: str) -> None:
        progress = self._last
        if progress is None:
            return
        told = {"text/html": self._html(progress, end), "text/plain": self._text(progress, end)}
        self._show(told, key=self._key, update=self._shown_at is not None)

    def _text(self, progress: Progress, end: str) -> str:
        return f"{self._study}: {_counts(progress)}; {_best(progress)}" + (f"; {end}" if end else "")

    def _html(self, progress: Progress, end: str) -> str:
        passed = timedelta(seconds=round(progress.seconds))
        rows = []
        for ended in self._ended:
            told = _number(ended.value) if not ended.reason else ended.reason
            rows.append((f"trial {ended.number}", ended.state.lower(), told))
        # Those that were put back stand nowhere.
        running = () if end else progress.running
        rows += [
            (f"trial {t.number}", f"epoch {t.n_epochs} of {t.max_epochs}", _number(t.score)) for t in running
        ]
        cells = "".join(f"<tr>{''.join(f'<td>{html.escape(c)}</td>' for c in row)}</tr>" for row in rows)
        name = f"<b>{html.escape(self._study)}</b>"
        head = f"{name}: {_counts(progress)}; {passed} passed{f'; {html.escape(end)}' if end else ''}"
        titles = "<tr><th>trial</th><th>state</th><th>score</th></tr>"
        table = f"<table>{titles}{cells}</table>" if rows else ""
        return f'<div class="fmnist-sweep"><p>{head}<br>{html.escape(_best(progress))}</p>{table}</div>'


def _counts(progress: Progress) -> str:
    return f"{progress.n_begun} of {progress.n_trials} trials ({progress.states})"


def _best(progress: Progress) -> str:
    best = progress.best
    return "no complete trial yet" if best is None else f"best {best.score:.4f} (trial {best.number})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
