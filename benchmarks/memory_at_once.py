"""Memory of a run while its trials train: ``python -m benchmarks.memory_at_once [N_AT_ONCE ...]``.

Trains that many dense nets side by side, one epoch of all 55,000 images of Fashion-MNIST each, and prints
what the parent, the fork server and the trials hold where all of them together hold the most. A shared page
is counted by the proportional set size (PSS): divided among those that share it, so that the sum is what
the machine needs.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from dataclasses import dataclass
from typing import Final

import optuna
import psutil

from benchmarks.memory import run_smoke

N_AT_ONCE: Final = (2, 8, 64)
_EVERY_S: Final = 0.5
_SETTINGS: Final = ("training.train_size=55000", "training.n_probe=10000", "space.epochs=1")


@dataclass(frozen=True)
class Memory:
    """What a run holds at a time, in MB.

    Attributes:
        parent: The PSS of the search's process.
        server: That of the fork server.
        trials: Those of the trials' processes.
        private: What each trial's process shares with no other.
    """

    parent: float = 0.0
    server: float = 0.0
    trials: tuple[float, ...] = ()
    private: tuple[float, ...] = ()

    @property
    def total(self) -> float:
        """What the machine needs."""
        return self.parent + self.server + sum(self.trials)


def now() -> Memory:
    """Return what this process, its fork server and the server's children hold."""
    parent = psutil.Process()
    servers = [p for p in parent.children() if "multiprocessing.forkserver" in " ".join(p.cmdline())]
    sizes = []
    for child in [child for server in servers for child in server.children()]:
        try:
            sizes.append(child.memory_full_info())
        except psutil.NoSuchProcess:
            # It ended meanwhile.
            continue
    return Memory(
        parent.memory_full_info().pss / 2**20,
        sum(server.memory_full_info().pss for server in servers) / 2**20,
        tuple(size.pss / 2**20 for size in sizes),
        tuple(size.uss / 2**20 for size in sizes),
    )


def most(n_at_once: int) -> Memory:
    """Return what a run of so many trials side by side held at its fullest."""
    fullest, over = Memory(), threading.Event()

    def watch() -> None:
        nonlocal fullest
        while not over.wait(_EVERY_S):
            fullest = max(fullest, now(), key=lambda memory: memory.total)

    watcher = threading.Thread(target=watch)
    with tempfile.TemporaryDirectory() as folder:
        watcher.start()
        try:
            run_smoke(folder, [*_SETTINGS, f"budget.trials={n_at_once}"], n_at_once)
        finally:
            over.set()
            watcher.join()
    return fullest


def main() -> None:
    """Measure each number of trials, and print a line for each."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print("MB while trials train side by side: PSS; private is what a trial shares with no other")
    print("trials    parent    server   a trial   private   in all")
    for n_at_once in [max(1, int(number)) for number in sys.argv[1:]] or N_AT_ONCE:
        memory = most(n_at_once)
        n = len(memory.trials) or 1
        a_trial, private = sum(memory.trials) / n, sum(memory.private) / n
        print(
            f"{len(memory.trials):>6}{memory.parent:>10.0f}{memory.server:>10.0f}{a_trial:>10.0f}{private:>10.0f}"
            f"{memory.total:>9.0f}"
        )


if __name__ == "__main__":
    main()
