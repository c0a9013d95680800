"""What a study of many stored trials costs: ``python -m benchmarks.large_study [N_TRIALS ...]``.

Makes studies of random dense configurations with 15-epoch curves in a temporary SQLite file, by default of
5,000 and of 10,000 trials. Then each command runs in a process of its own: its processor seconds, those of
its children too, and the most memory that it took are set beside what it may take. Fashion-MNIST has to be
there for the command that goes on with a finished run. At the end stand the steps of a run that asks for a
trial.
"""

from __future__ import annotations

import compileall
import json
import os
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import urlopen

ROOT = Path(__file__).parent.parent
SWEEP = ROOT / "sweeps" / "dense.toml"
SIZES: Final = (5_000, 10_000)
N_EPOCHS = 15
N_ASKS = 20

GROWTH: Final = 2.2
"""How much more twice as many trials may take."""


@dataclass(frozen=True)
class Bar:
    """What a command may take on 5,000 trials.

    Attributes:
        seconds: Of a processor.
        memory_mb: None sets no limit.
        page_mb: Of the page that it writes, likewise.
    """

    seconds: float
    memory_mb: float | None = None
    page_mb: float | None = None


BARS: Final = {
    "status": Bar(0.5),
    "trials": Bar(2.0, memory_mb=250),
    "report": Bar(6.0, memory_mb=300, page_mb=5.0),
    "dashboard, first page": Bar(5.0),
    "dashboard, a study": Bar(5.0),
    "load": Bar(20.0),
    "run, finished": Bar(3.0),
}


@dataclass(frozen=True)
class Cost:
    """What a command took, as `Bar` has it."""

    seconds: float
    memory_mb: float
    page_mb: float | None = None


def fmnist(*words: str | Path) -> list[str]:
    """Return the command line of a command of this package."""
    return [sys.executable, "-m", "fmnist_sweep", *map(str, words)]


def cost(command: Sequence[str]) -> Cost:
    """Run a command to its end, and return what it took; its children count where it waited for them."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            out.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{out.read().decode()}")
    return taken(used)


def taken(used: resource.struct_rusage, *, before: float = 0.0) -> Cost:
    """Return what the system counted of a process, less the processor seconds of its earlier steps."""
    # Linux counts memory in KiB.
    return Cost(used.ru_utime + used.ru_stime - before, used.ru_maxrss / 1024)


def dashboard_costs(url: str) -> dict[str, Cost]:
    """Return what the dashboard takes until its first page is there, and for the page of a study."""
    command = fmnist("dashboard", "--storage", url, "--port", "18080")
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        address = _address(process.stderr or ())
        for path in ("/dashboard", "/api/studies"):
            _fetch(address + path)
        first = _seconds(process.pid)
        page = _fetch(f"{address}/api/studies/1")
        whole = _seconds(process.pid)
    finally:
        process.send_signal(signal.SIGINT)
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    memory = taken(used).memory_mb
    return {
        "dashboard, first page": Cost(first, memory),
        "dashboard, a study": Cost(whole - first, memory, len(page) / 1e6),
    }


def _address(lines: Iterable[str]) -> str:
    for line in lines:
        found = re.match(r"(http://\S+)/dashboard", line)
        if found:
            return found[1]
    raise RuntimeError("the dashboard did not start")


def _fetch(address: str) -> bytes:
    with urlopen(address) as answer:  # noqa: S310 - of this machine
        page: bytes = answer.read()
        return page


def _seconds(pid: int) -> float:
    """Return the processor seconds of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _own(step: str, url: str, n_trials: int) -> str:
    """Run a step of this program in a process of its own, and return what it printed.

    Linux counts the memory of a process that starts another one as the other's too: this one stays small.
    """
    command = [sys.executable, "-m", "benchmarks.large_study", step, url, str(n_trials)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def costs(n_trials: int, folder: Path) -> dict[str, Cost]:
    """Return what each command takes on a study of so many trials."""
    url, page = f"sqlite:///{folder}/studies.db", folder / "index.html"
    _own("make", url, n_trials)
    storage = ("--storage", url)
    found = {"status": cost(fmnist("status", *storage)), "trials": cost(fmnist("trials", "dense", *storage))}
    written = cost(fmnist("report", *storage, "--output", page))
    found["report"] = Cost(written.seconds, written.memory_mb, page.stat().st_size / 1e6)
    found |= dashboard_costs(url)
    cost(fmnist("dump", "dense", *storage, "--output", folder))
    brought = f"sqlite:///{folder}/brought.db"
    found["load"] = cost(fmnist("load", folder / "dense.jsonl", "--storage", brought))
    found["run, finished"] = cost(fmnist("run", SWEEP, "--trials", str(n_trials), *storage))
    return found


def make(url: str, n_trials: int) -> None:
    """Make a storage with a study of so many trials."""
    import optuna

    from benchmarks.made_storage import make_storage
    from fmnist_sweep.config.loading import load_config
    from fmnist_sweep.data import open_data

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep = load_config(SWEEP, [f"budget.trials={n_trials}", "sampler.enqueue_default=false"])
    make_storage(url, n_trials, n_epochs=N_EPOCHS, sweep=sweep, data=open_data(say=lambda _: None))


def measure(url: str, n_trials: int) -> None:
    """Print, as JSON, the seconds until a search could start, and those of each ask."""
    from fmnist_sweep.config.loading import load_config
    from fmnist_sweep.data import open_data
    from fmnist_sweep.engines.inline import InlineEngine
    from fmnist_sweep.search.loop import Search
    from fmnist_sweep.search.opening import open_study
    from fmnist_sweep.storage.opening import open_storage
    from fmnist_sweep.training.testing import ScriptedTrainer

    found = open_data(say=lambda _: None)
    sweep = load_config(SWEEP, [f"budget.trials={n_trials + N_ASKS}", "sampler.enqueue_default=false"])
    began = time.perf_counter()
    study = open_study(sweep, found, open_storage(url, create=False))
    search = Search.of(sweep, found, study, InlineEngine(ScriptedTrainer()))
    started = time.perf_counter() - began
    asks = []
    for _ in range(N_ASKS):
        began = time.perf_counter()
        search._asker.ask()  # noqa: SLF001 - the step that is measured
        asks.append(time.perf_counter() - began)
    print(json.dumps({"start_s": started, "asks_s": asks}))


def row(name: str, by_size: Mapping[int, Cost]) -> list[str]:
    """Return a row of the table: what a command took on each size, and what it may on the first."""

    def cell(value: Callable[[Cost], float | None], digits: int) -> str:
        numbers = [value(one) for one in by_size.values()]
        return ", ".join(f"{n:.{digits}f}" for n in numbers if n is not None)

    bar = BARS[name]
    limits = [f"{bar.seconds:g} s"]
    limits += [f"{bar.memory_mb:g} MB"] if bar.memory_mb is not None else []
    limits += [f"{bar.page_mb:g} MB"] if bar.page_mb is not None else []
    return [
        name,
        cell(lambda c: c.seconds, 2),
        cell(lambda c: c.memory_mb, 0),
        cell(lambda c: c.page_mb, 1),
        ", ".join(limits),
        "" if SIZES[0] not in by_size else "holds" if holds(bar, by_size) else "missed",
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as lines, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "   ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(one, widths, strict=True))
        )
        for one in rows
    ]
    return "\n".join(lines)


def holds(bar: Bar, by_size: Mapping[int, Cost]) -> bool:
    """Return whether a command took no more than it may, on 5,000 trials and on twice as many.

    Example:
        >>> holds(Bar(2.0, memory_mb=250), {5_000: Cost(1.9, 200), 10_000: Cost(4.1, 260)})
        True
        >>> holds(Bar(2.0), {5_000: Cost(1.0, 200), 10_000: Cost(2.3, 260)})
        False
    """
    small, large = by_size[SIZES[0]], by_size.get(SIZES[1])
    pairs = [
        (small.seconds, bar.seconds),
        (small.memory_mb, bar.memory_mb),
        (small.page_mb, bar.page_mb),
        (None if large is None else large.seconds, GROWTH * small.seconds),
    ]
    return all(found <= limit for found, limit in pairs if found is not None and limit is not None)


def main() -> None:
    """Make the studies, measure each command, and print tables."""
    steps = {"make": make, "measure": measure}
    if sys.argv[1:2] and sys.argv[1] in steps:
        steps[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
        return
    sizes = [*map(int, sys.argv[1:])] or SIZES
    # As it is once installed: to translate the package is no work of a command.
    compileall.compile_dir(ROOT / "fmnist_sweep", quiet=1)
    all_costs: dict[str, dict[int, Cost]] = {name: {} for name in BARS}
    starts = [["trials", "start (s)", "ask, median (ms)", "ask, worst (ms)"]]
    for n_trials in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for name, one in costs(n_trials, Path(folder)).items():
                all_costs[name][n_trials] = one
            told = json.loads(_own("measure", f"sqlite:///{folder}/studies.db", n_trials))
            ms = [1000 * s for s in told["asks_s"]]
            starts.append(
                [f"{n_trials:,}", f"{told['start_s']:.2f}", f"{statistics.median(ms):.0f}", f"{max(ms):.0f}"]
            )
    head = ["command", "processor (s)", "memory (MB)", "page (MB)", "may take, of 5,000", ""]
    print(f"{', '.join(f'{n:,}' for n in sizes)} trials; load of the machine {os.getloadavg()[1]:.1f}")
    print(aligned([head, *(row(name, by_size) for name, by_size in all_costs.items())]))
    print(f"\n{aligned(starts)}", flush=True)


if __name__ == "__main__":
    main()
