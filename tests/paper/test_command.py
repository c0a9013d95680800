"""``python -m original_study`` from end to end, on scripted trainings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_exports import FinalTrainer, Reader
from made_paper import made_curve

from fmnist_sweep import data as package_data
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.places import Places
from fmnist_sweep.data.fashion_mnist import CLASS_NAMES
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.export import run as exporting
from fmnist_sweep.export.finals import TEST_READER
from fmnist_sweep.search import run as runner
from fmnist_sweep.training.testing import FakeTrainer
from original_study.__main__ import main
from original_study.experiments import FINALS, NAMES

Paper = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trained(data: DataRef, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[TrialJob]:
    """Every job that was trained, final trainings aside, in an empty folder that has the sweep files."""
    jobs: list[TrialJob] = []
    found = replace(data, class_names=CLASS_NAMES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(package_data, "open_data", lambda *_args, **_kwargs: found)
    monkeypatch.setattr(package_data, "check_split", lambda *_args: [])

    def curve(job: TrialJob) -> LearningCurve:
        jobs.append(job)
        return made_curve(job)

    monkeypatch.setattr(
        runner, "open_engine", lambda *_, places, **__: InlineEngine(FakeTrainer(curve), places=places)
    )
    return jobs


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Reader:
    """What reads the test set after the final trainings, and nothing is drawn."""
    made, finals = Reader(), FinalTrainer()

    def engine(*_: Any, places: Places, trainer: str = "", **__: Any) -> InlineEngine:
        return InlineEngine(made if trainer == TEST_READER else finals, places=places)

    monkeypatch.setattr(exporting, "open_engine", engine)
    for module in ("fmnist_sweep.reports.pictures", "original_study.writing"):
        monkeypatch.setattr(
            f"{module}.save", lambda _, *paths: [path.write_bytes(b"drawn") for path in paths]
        )
    monkeypatch.setattr("original_study.page.claim_figure", lambda *_: None)
    monkeypatch.setattr("original_study.running.attach_figures", lambda _: None)
    return made


@pytest.fixture
def paper(
    command: Paper,
    trained: list[TrialJob],  # noqa: ARG001 - nothing trains in earnest
    reader: Reader,  # noqa: ARG001 - nor reads
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Paper:
    """Run ``python -m original_study``, or a command; returns exit code, stdout and stderr."""

    def run(name: str, *arguments: str) -> tuple[int, str, str]:
        if name != "original_study":
            return command(name, *arguments)
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), *capsys.readouterr()

    return run


FEW = ("dense-rate-and-l2", "dense-activation", *FINALS)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the experiments, where one is as good as another."""
    for module in ("experiments", "results"):
        monkeypatch.setattr(f"original_study.{module}.NAMES", FEW)


@pytest.mark.slow
def test_the_paper_is_written_and_goes_on_with_more_seeds(
    paper: Paper, trained: list[TrialJob], reader: Reader, tmp_path: Path
) -> None:
    """All of it at first, nothing the second time, the new seeds alone the third; the test set once."""
    code, out, err = paper("original_study", "--seeds", "2")
    assert (code, out.split()) == (0, ["report/paper/index.html", "docs/paper.md"]), err
    assert reader.n_readings == len(FINALS)
    markdown = (tmp_path / "docs" / "paper.md").read_text("utf-8")
    assert "2 seeds for each configuration" in markdown
    assert "quick form" not in markdown
    assert "Of 1,000 images each, on average over 2 seeds" in markdown
    n = len(trained)
    assert paper("original_study", "--seeds", "2")[0] == 0
    assert (len(trained), reader.n_readings) == (n, len(FINALS))
    assert paper("original_study", "--seeds", "3")[0] == 0
    assert (n < len(trained) < 2 * n, reader.n_readings) == (True, len(FINALS))


@pytest.mark.slow
def test_the_quick_form_keeps_off_the_committed_page(
    paper: Paper, trained: list[TrialJob], tmp_path: Path
) -> None:
    """It has studies and a folder of its own, and fewer images in each training."""
    code, out, _ = paper("original_study", "--quick", "--seeds", "2")
    assert (code, out.split()) == (0, ["report/paper-quick/index.html", "report/paper-quick/paper.md"])
    assert not (tmp_path / "docs").exists()
    assert {job.split.train_size for job in trained} == {8_000}
    assert "quick form" in (tmp_path / "report/paper-quick/index.html").read_text("utf-8")


def test_a_dry_run_counts_and_trains_nothing(paper: Paper, trained: list[TrialJob], tmp_path: Path) -> None:
    """It prints each experiment and the total, and makes no database."""
    code, out, _ = paper("original_study", "--dry-run")
    assert code == 0
    assert all(name in out for name in NAMES)
    assert "epochs are left." in out
    assert not trained
    assert not (tmp_path / "studies.db").exists()


def test_a_page_needs_studies(paper: Paper) -> None:
    """Without any, the command says what to do."""
    code, _, err = paper("original_study", "--page-only")
    assert code == 2
    assert "python -m original_study" in err


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_the_paper_comes_back_from_its_text(paper: Paper, trained: list[TrialJob], tmp_path: Path) -> None:
    """Dumped, and loaded into an empty storage, its studies give the same verdicts and numbers."""
    paper("original_study", "--seeds", "2")
    n = len(trained)
    first = (tmp_path / "docs" / "paper.md").read_text("utf-8")
    code, out, _ = paper("dump")
    assert code == 0
    assert len(out.splitlines()) == len(FEW)
    new = ("--storage", "sqlite:///new.db")
    assert paper("load", *new)[0] == 0
    code, _, err = paper("original_study", "--reference", *new)
    assert code == 0, err
    again = (tmp_path / "docs" / "paper.md").read_text("utf-8")
    assert "by `python -m original_study --reference --storage sqlite:///new.db`" in " ".join(again.split())
    assert [line for line in again.splitlines() if line.startswith("|")] == [
        line for line in first.splitlines() if line.startswith("|")
    ]
    assert len(trained) == n
    assert "is there already" in paper("load", *new)[1]
    assert paper("dump", *new)[1] == ""


def test_nothing_to_load_is_said(paper: Paper) -> None:
    """A clone without reference studies gets no traceback."""
    code, _, err = paper("load")
    assert code == 2
    assert "fmnist-sweep dump" in err


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_export_leaves_the_paper_and_its_references_alone(paper: Paper, reader: Reader) -> None:
    """Exporting everything exports the sweeps of one's own."""
    paper("original_study", "--seeds", "2")
    paper("dump", "paper-dense-final")
    paper("load")
    before = reader.n_readings
    assert paper("export")[0] == 0
    assert reader.n_readings == before
    assert "read-only" in paper("export", "reference-paper-dense-final")[2]
