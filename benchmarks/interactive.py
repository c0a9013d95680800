"""What a person waits for at the terminal: ``python -m benchmarks.interactive [--repeat 5]``.

Each command runs in a process of its own, as often as asked, on a made storage of 1,000 trials with 20-epoch
curves; the dashboard until it answers its first question and, where there is a Chromium, until it shows.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import optuna

from benchmarks.made_storage import make_storage
from benchmarks.stats import Bar, Spread
from benchmarks.workload import ROOT

N_TRIALS: Final = 1000
N_EPOCHS: Final = 20
LIMITS_S: Final = {"--help": 0.3, "status": 1.0, "validate": 1.0, "report": 5.0}
MAX_PAGE_MB: Final = 5.0
MAX_DASHBOARD_S: Final = 10.0
"""Nobody named a limit for the dashboard; it has to open while a person still looks at the screen."""

CHROMIUM_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
)
"""For a page as it stands once its scripts have run, with nothing sent to anybody."""


def measure(
    *, repeat: int = 5, n_trials: int = N_TRIALS, say: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run every command and return its seconds.

    Returns:
        ``seconds``: for each command a list; ``page_mb``; ``dashboard_s``: to the first answer, a list;
        ``screenshot_s``: None where there is no Chromium.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/studies.db"
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        say(f"making a storage of {n_trials} trials")
        make_storage(url, n_trials, n_epochs=N_EPOCHS)
        page = folder / "report.html"
        commands = {
            "--help": ["--help"],
            "status": ["status", "--storage", url],
            "validate": ["validate", "sweeps/cnn.toml"],
            "report": ["report", "--storage", url, "--output", str(page)],
        }
        seconds: dict[str, list[float]] = {command: [] for command in commands}
        for _ in range(repeat):
            for command, arguments in commands.items():
                began = time.perf_counter()
                subprocess.run(_command(*arguments), check=True, capture_output=True, cwd=ROOT)
                seconds[command].append(time.perf_counter() - began)
        for command, times in seconds.items():
            say(f"{command}: {Spread.of(times)} s")
        dashboards = [_open_dashboard(url, folder) for _ in range(min(repeat, 3))]
        return {
            "n_trials": n_trials,
            "n_epochs": N_EPOCHS,
            "seconds": seconds,
            "page_mb": page.stat().st_size / 1e6,
            "dashboard_s": [answered for answered, _ in dashboards],
            "screenshot_s": dashboards[-1][1],
        }


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fmnist_sweep", *arguments]


def _open_dashboard(url: str, folder: Path) -> tuple[float, float | None]:
    """Return the seconds to the first answer, and to a picture of the study's page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen(
        _command("dashboard", "--storage", url, "--port", str(port)),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/api/studies/1?after=0", process)
        answered = time.perf_counter() - began
        return answered, _screenshot(f"http://127.0.0.1:{port}/dashboard/studies/1", folder)
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310 - our own address
                answer.read()
                return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.02)
    raise RuntimeError(f"the dashboard ended with code {process.returncode}")


def _screenshot(address: str, folder: Path) -> float | None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        return None
    picture = folder / "dashboard.png"
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as profile:
        shown = [f"--user-data-dir={profile}", "--window-size=1400,900", f"--screenshot={picture}", address]
        command = [browser, *CHROMIUM_FLAGS, *shown]
        subprocess.run(command, check=True, capture_output=True, timeout=300)
    if not picture.is_file():
        raise RuntimeError("Chromium wrote no picture of the dashboard")
    return time.perf_counter() - began


def bars(told: dict[str, Any]) -> list[Bar]:
    """Return the bars on what people wait for."""
    found = []
    for command, limit in LIMITS_S.items():
        spread = Spread.of(told["seconds"][command])
        where = "" if command in ("--help", "validate") else f" on {told['n_trials']} trials"
        found.append(_seconds(f"{command}{where}", spread, limit))
    found.append(Bar("interactive", "the report's page", told["page_mb"], MAX_PAGE_MB, "<=", unit="MB"))
    picture = told["screenshot_s"]
    note = "no Chromium here" if picture is None else f"a headless Chromium shows it {picture:.1f} s later"
    answered = Spread.of(told["dashboard_s"])
    found.append(_seconds("the dashboard, to its first answer", answered, MAX_DASHBOARD_S, note=note))
    return found


def _seconds(what: str, spread: Spread, limit: float, *, note: str = "") -> Bar:
    measured = f"{spread.low:.2f} to {spread.high:.2f}, n = {spread.n}"
    return Bar("interactive", what, spread.median, limit, "<=", unit="s", spread=measured, note=note)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=5)
    print(json.dumps(measure(repeat=parser.parse_args().repeat), indent=2))


if __name__ == "__main__":
    main()
