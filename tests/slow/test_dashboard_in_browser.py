"""The dashboard as it is served, in a real browser: what it shows, and what it doesn't let be done."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import optuna
import pytest
from browser import needs_chromium, opened
from made_studies import empty_study, fill_study
from programs import free_port

from fmnist_sweep.storage.opening import open_storage

pytestmark = [pytest.mark.slow, needs_chromium]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A storage with a study that came with the repository, and one of the user's own."""
    url = f"sqlite:///{tmp_path_factory.mktemp('dashboard') / 'studies.db'}"
    opened_once = open_storage(url, create=True)
    given = empty_study(opened_once, "given")
    fill_study(given, 3)
    given.set_user_attr("read_only", "from reference/given.jsonl")
    fill_study(empty_study(opened_once, "mine"), 3)
    return url


@pytest.fixture(scope="module")
def served(storage: str) -> Iterator[str]:
    """The address of the dashboard, as the command serves it."""
    port = free_port()
    command = [sys.executable, "-m", "fmnist_sweep", "dashboard", "--storage", storage, "--port", str(port)]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            try:
                urlopen(f"{address}/api/studies").close()  # noqa: S310 - of this machine
                break
            except (URLError, ConnectionError):
                assert process.poll() is None
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_the_page_shows_all_studies(served: str, tmp_path: Path) -> None:
    """Drawn by its scripts from what this server answers, with nothing from elsewhere."""
    page = opened(f"{served}/dashboard", tmp_path / "profile")
    assert {"mine", "given"} <= set(re.findall(r"\d\. (\w+)", page))


def test_own_studies_stand_first(served: str, tmp_path: Path) -> None:
    """On the page, as it is opened; the study that came along is older than the user's own."""
    page = opened(f"{served}/dashboard", tmp_path / "profile")
    assert re.findall(r"\d\. (\w+)", page)[:2] == ["mine", "given"]


def test_a_study_that_came_along_is_not_deleted(served: str, storage: str) -> None:
    """The server that people use refuses it; the studies are all there."""
    with urlopen(f"{served}/api/studies") as answer:  # noqa: S310 - of this machine
        studies = {one["study_name"]: one["study_id"] for one in json.load(answer)["study_summaries"]}
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(f"{served}/api/studies/{studies['given']}", method="DELETE"))  # noqa: S310
    assert refused.value.code == 403
    assert b"read-only (from reference/given.jsonl)" in refused.value.read()
    assert set(optuna.get_all_study_names(storage)) == {"given", "mine"}
