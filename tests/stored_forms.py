"""What each command tells of studies that an earlier release stored, as one text.

``studies.sql`` was written by release 0.1.0: sweeps that were run, confirmed and exported by scripted
trainings, with trials that failed, were pruned, stopped early and were retried; a study whose run was
interrupted and whose limit on weights was lowered; one of another tool; a reference study. ``more.sql`` is
of the same release: trials answered from equal ones, brought over, waiting, too large or told by another
tool, running means, a score by cross-entropy, a repeat that failed, a killed run of this machine, studies
of the paper, a study without a trial. The texts beside them are what that release told of them. ``python
tests/stored_forms.py`` writes them anew: do that where a change is meant, and read the difference.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import runpy
import shutil
import socket
import sqlite3
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import optuna
from typing_extensions import override

from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.export.choice import chosen
from fmnist_sweep.storage.stored import StoredStudy

ROOT: Final = Path(__file__).parent.parent
STORED: Final = ROOT / "tests" / "data" / "stored"

MADE: Final = ("tiny", "tiny-confirm", "last", "short", "reference-dense-regularised", "made", "theirs")

COMMANDS: Final = (
    ("status",),
    ("status", "--json"),
    *(("trials", name) for name in MADE),
    *(("trials", name, "--json") for name in MADE),
    ("trials", "tiny", "--csv"),
    ("compare", "tiny", "short"),
    ("compare", "tiny", "short", "--json"),
    ("compare", "tiny", "last", "made", "--json"),
    ("compare", "tiny", "theirs"),
    ("confirm", "tiny", "--top", "2", "--repeats", "3"),
    ("confirm", "tiny", "--top", "2", "--repeats", "3", "--json"),
    ("confirm", "theirs"),
    ("export", "tiny", "--repeats", "2", "--trial", "99"),
    ("export", "made", "--trial", "7"),
    ("export", "reference-dense-regularised"),
    ("report",),
)
MORE: Final = (
    "mixed",
    "strict",
    "entropy",
    "entropy-confirm",
    "paper-dense-three-layers",
    "paper-dense-final",
    "begun",
)

OF_MORE: Final = (
    ("status",),
    ("status", "--json"),
    *(("trials", name) for name in MORE),
    *(("trials", name, "--json") for name in MORE),
    *(("trials", name, "--csv") for name in MORE),
    ("compare", "mixed", "strict"),
    ("compare", "mixed", "entropy", "--json"),
    ("compare", "paper-dense-three-layers", "paper-dense-final", "--json"),
    ("compare", "mixed", "begun"),
    ("confirm", "entropy-confirm"),
    ("confirm", "begun"),
    ("export", "mixed", "--trial", "2"),
    ("export", "mixed", "--trial", "12"),
    ("export", "begun"),
    ("report",),
)
KEPT: Final = (
    ("dump", "entropy", "paper-dense-final", "mixed", "--output", "kept"),
    (
        "load",
        *(f"kept/{name}.jsonl" for name in ("entropy", "entropy-confirm", "paper-dense-final", "mixed")),
    ),
    ("status", "--json"),
)
OF_REFERENCES: Final = (
    ("status", "--json"),
    ("compare", "reference-dense", "reference-cnn", "reference-dense-regularised", "--json"),
    *(
        ("trials", f"reference-{name}", "--json")
        for name in ("dense", "dense-confirm", "cnn", "cnn-confirm", "dense-regularised", "paper-cnn-final")
    ),
    ("report",),
)


class _Words(HTMLParser):
    """Collects what a page shows, less its scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        if tag in ("tr", "p", "h1", "h2", "h3", "li", "section", "table"):
            self.words.append("\n")

    @override
    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    @override
    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.words.append(" ".join(data.split()))


_SAY_MORE_NOW = ("status", "compare", "backup", "dump")
"""Commands that name the next one since the texts were written."""


def page_words(page: str) -> str:
    """Return what a report shows, a line for each row and paragraph, less its time of writing."""
    parser = _Words()
    parser.feed(page)
    text = re.sub(r" *\n[ \n]*", "\n", " | ".join(parser.words).replace("| \n |", "\n"))
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d [A-Z+\d:]+", "NOW", text)


@contextlib.contextmanager
def _in_folder(folder: Path) -> Iterator[None]:
    before, columns = Path.cwd(), os.environ.get("COLUMNS")
    os.chdir(folder)
    os.environ["COLUMNS"] = "160"
    try:
        yield
    finally:
        os.chdir(before)
        if columns is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = columns


def command(*arguments: str) -> str:
    """Run a command in this process; return its exit code and what it printed."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["fmnist-sweep", *arguments]
    code: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            runpy.run_module("fmnist_sweep", run_name="__main__")
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.argv = argv
    printed = out.getvalue()
    if arguments == ("report",) and code == 0:
        printed = page_words(Path("report/index.html").read_text("utf-8"))
    told = err.getvalue()
    if arguments[0] in _SAY_MORE_NOW:
        told = "".join(line for line in told.splitlines(keepends=True) if not line.startswith("Next: "))
    return f"exit code {code}\n{printed}{told}"


def made_storage(folder: Path, text: str = "studies.sql") -> None:
    """Make ``studies.db`` of a text; a run of ``this-machine`` in it is one of the machine that this is."""
    script = (STORED / text).read_text("utf-8").replace("this-machine", socket.gethostname())
    with contextlib.closing(sqlite3.connect(folder / "studies.db")) as database:
        database.executescript(script)


def winners() -> str:
    """Return what is handed out of each study of the storage, and how it was chosen."""
    lines = ["### winners\n"]
    for name in optuna.get_all_study_names("sqlite:///studies.db"):
        try:
            choice = chosen(
                StoredStudy.of(optuna.load_study(study_name=name, storage="sqlite:///studies.db"))
            )
        except SweepError as error:
            lines.append(f"{name}: {type(error).__name__}: {error}\n")
            continue
        values = json.dumps(dict(choice.hyperparameters), sort_keys=True)
        confirmed = "confirmed" if choice.confirmed else "unconfirmed"
        lines.append(f"{name}: trial {choice.trial}, {choice.epochs} epochs, {confirmed}, {values}\n")
        lines.append(f"    {choice.words}\n")
    return "".join([*lines, "\n"])


def notes() -> str:
    """Return the notes that the dashboard shows with studies and trials."""
    query = (
        "SELECT study_name, key, value_json FROM study_system_attributes JOIN studies USING (study_id) "
        "WHERE key LIKE 'dashboard:%note_str%' ORDER BY study_id, key"
    )
    lines = ["### notes\n"]
    with contextlib.closing(sqlite3.connect("studies.db")) as database:
        for study, key, value in database.execute(query):
            lines.append(f"{study} {key}\n{json.loads(value)}\n")
    return "".join([*lines, "\n"])


def told_of_made(folder: Path) -> str:
    """Return what the commands tell of the made studies, in a folder that is empty."""
    made_storage(folder)
    with _in_folder(folder):
        return _told(COMMANDS)


def told_of_more(folder: Path) -> str:
    """Return what the commands tell of the further studies, dumped and loaded too, in an empty folder."""
    made_storage(folder, "more.sql")
    with _in_folder(folder):
        return "".join([_told(OF_MORE), winners(), _told(KEPT), notes()])


def told_of_references(folder: Path) -> str:
    """Return what the commands tell of all reference studies, in a folder that is empty."""
    shutil.copytree(ROOT / "reference", folder / "reference")
    with _in_folder(folder):
        told = [_told((("load",), *OF_REFERENCES)), winners(), notes()]
        again = _told((("dump", *(f"reference-{name}" for name in ("dense", "cnn", "dense-regularised"))),))
        return "".join(
            [*told, again, *map(_kept_as_it_was, sorted(Path("reference").glob("reference-*.jsonl")))]
        )


def _kept_as_it_was(path: Path) -> str:
    before = path.with_name(path.name.removeprefix("reference-")).read_text("utf-8").splitlines()
    same = path.read_text("utf-8").splitlines()[1:] == before[1:]
    return f"{path.name}: {len(before) - 1} trials, {'as they were' if same else 'OTHERS'}\n"


def _told(commands: tuple[tuple[str, ...], ...]) -> str:
    return "".join(f"### {' '.join(words)}\n{command(*words)}\n" for words in commands)


PARTS: Final = {"made.txt": told_of_made, "more.txt": told_of_more, "references.txt": told_of_references}


def main() -> None:
    """Write the texts anew."""
    for name, told in PARTS.items():
        with tempfile.TemporaryDirectory() as folder:
            (STORED / name).write_text(told(Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
