"""Searches in notebooks: the examples as they stand, and kernels that are stopped and restarted."""

from __future__ import annotations

import base64
import json
import queue
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from programs import ROOT

import fmnist_sweep as fs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

EXAMPLES = sorted((ROOT / "examples").glob("*.ipynb"))
MAX_BYTES = 200_000
"""Of a notebook with its outputs: it is kept in git."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let kernels find these sources, and keep what they carry in an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def read(path: Path) -> Any:
    """Return a notebook."""
    import nbformat

    return nbformat.read(path, as_version=4)


def outputs(notebook: Any) -> list[Any]:
    """Return the outputs of all cells, in their order."""
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_shows_pictures(path: Path, tmp_path: Path) -> None:
    """As JupyterLab, VS Code and nbconvert run it: from an empty folder, with one table for the search."""
    from nbclient import NotebookClient

    notebook = read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    require_good(notebook)
    assert (tmp_path / "studies.db").exists()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_kept_with_its_outputs(path: Path) -> None:
    """What a reader sees before running it: small, with a picture, and without an error."""
    assert path.stat().st_size < MAX_BYTES
    require_good(read(path))


def require_good(notebook: Any) -> None:
    """Fail for an error, for more than one table of a search, and without a picture."""
    shown = outputs(notebook)
    assert all(output.output_type != "error" for output in shown)
    pages = ["".join(output["data"].get("text/html", "")) for output in shown if "data" in output]
    assert sum(page.count('<div class="fmnist-sweep">') for page in pages) == 1
    (picture,) = [page.partition("base64,")[2].partition('"')[0] for page in pages if "base64," in page]
    assert base64.b64decode(picture).startswith(b"\x89PNG")
    printed = "".join(output.get("text", "") for output in shown if output.output_type == "stream")
    # No flood: what a search says fits on a screen.
    assert printed.count("\n") < 30, printed
    assert len(json.dumps(notebook)) < MAX_BYTES


def test_the_types_of_the_examples_hold(tmp_path: Path) -> None:
    """Whoever checks types in code that uses the package finds ours, and finds them right."""
    files = []
    for path in EXAMPLES:
        cells = (cell.source for cell in read(path).cells if cell.cell_type == "code")
        files.append(tmp_path / f"{path.stem}.py")
        files[-1].write_text("\n\n".join(cells) + "\n")
    check = [sys.executable, "-m", "mypy", "--strict", "--config-file", "pyproject.toml", *map(str, files)]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@contextmanager
def kernel(folder: Path) -> Iterator[tuple[Any, Any]]:
    """Start a kernel in a folder, give its manager and its client, and end it."""
    from jupyter_client.manager import KernelManager

    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=120)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


SEARCH = textwrap.dedent("""
    import time
    import keras, numpy as np
    import fmnist_sweep as fs

    x = np.random.default_rng(0).normal(size=(64, 4)).astype("float32")

    class Waits(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            time.sleep(0.4)

    def build(hp):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(hp.Int("units", 2, 30))])
        model.add(keras.layers.Dense(1))
        model.compile("adam", "mse")
        return model

    tuner = fs.Tuner(build, objective="val_loss", max_trials={n}, workers=1, study="line", pruner="none")
    tuner.search(x, x[:, :1], validation_split=0.25, epochs=8, callbacks=[Waits()])
""")


def run_cell(client: Any, code: str, timeout: float = 300) -> dict[str, Any]:
    """Run a cell to its end and return what the kernel replied."""
    return dict(client.execute_interactive(code, timeout=timeout, output_hook=lambda _: None)["content"])


def wait_for(client: Any, message: str, timeout: float = 300) -> dict[str, Any]:
    """Return the reply to a message that was sent before."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        try:
            reply = client.get_shell_msg(timeout=5)
        except queue.Empty:
            continue
        if reply["parent_header"].get("msg_id") == message:
            return dict(reply["content"])
    raise TimeoutError(message)


def states(url: str) -> list[str]:
    """Return the states of the study's trials; none before it is made."""
    try:
        return list(fs.load_study("line", url).trials_dataframe()["state"])
    except fs.SweepError:
        return []


def test_a_stopped_cell_puts_trials_back_and_goes_on(tmp_path: Path) -> None:
    """A real SIGINT to a real kernel; another kernel reads meanwhile; a restarted one goes on."""
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    with kernel(tmp_path) as (manager, client):
        sent = client.execute(SEARCH.format(n=20))
        until = time.monotonic() + 240
        while states(url).count("COMPLETE") < 1 and time.monotonic() < until:
            time.sleep(0.5)
        with kernel(tmp_path) as (_, beside):
            read = (
                "import fmnist_sweep as fs; n = len(fs.load_study('line').trials_dataframe()); assert n >= 1"
            )
            assert run_cell(beside, read)["status"] == "ok"
        assert "RUNNING" in states(url)
        manager.interrupt_kernel()
        reply = wait_for(client, sent)
        assert (reply["status"], reply["ename"]) == ("error", "SearchInterrupted")
        assert reply["traceback"] == ["KeyboardInterrupt: everything is kept; call search again to go on"]
        after = states(url)
        assert "RUNNING" not in after
        assert after.count("WAITING") == 1
        done = after.count("COMPLETE")

        # The same kernel goes on.
        assert run_cell(client, SEARCH.format(n=done + 1))["status"] == "ok"
        assert states(url).count("COMPLETE") == done + 1

        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=120)
        assert run_cell(client, SEARCH.format(n=done + 2))["status"] == "ok"
        assert states(url) == ["COMPLETE"] * (done + 2)

        # A mistake is its message, in one line and without a frame.
        refused = run_cell(client, "fs.Tuner(build, penalty=-1).search(x, x[:, :1])")
        assert refused["ename"] == "ConfigError"
        assert len(refused["traceback"]) == 1
        assert "penalty" in refused["traceback"][0]
        assert "File" not in refused["traceback"][0]
