"""Record draws: ``python -m benchmarks.evidence.record dense-500 digits --draws 20``.

Each draw is a file ``benchmarks/evidence/curves/PROBLEM/NNN.jsonl``, and comes to be when it is whole. The
same command goes on where it was. ``--in-turn`` takes the first draw of every problem, then the second.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from benchmarks.evidence.curves import CURVES, FIRST_SEED, draw_file
from benchmarks.evidence.problems import PROBLEMS, Problem, arrays_of
from fmnist_sweep.core.files import new_file

_PACKAGES: Final = ("tensorflow", "keras", "numpy")


def record(name: str, number: int, folder: Path, n_threads: int) -> None:
    """Train one draw from start to end, in this process, and write its file."""
    problem = PROBLEMS[name]
    train = _trainer(problem, n_threads)
    arrays = arrays_of(problem, number)
    header = {
        "problem": name,
        "draw": number,
        "metric": problem.metric,
        "n_train": problem.n_train,
        "n_val": problem.n_val,
        "n_probe": problem.n_probe,
        "n_test": len(arrays.test[1]),
        "epochs": problem.epochs,
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
    }
    lines: list[dict[str, Any]] = [header]
    for i, point in enumerate(problem.configurations(number)):
        n_weights, curve = train(problem, point, arrays, seed=FIRST_SEED + number)
        kept = {name: float(f"{v:.6g}") if isinstance(v, float) else v for name, v in point.items()}
        lines.append({"i": i, "n_weights": n_weights, "point": kept, "curve": curve})
    path = draw_file(folder, name, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    with new_file(path) as file:
        file.write("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines).encode())


def _trainer(problem: Problem, n_threads: int) -> Callable[..., tuple[int, dict[str, list[float]]]]:
    if problem.is_small:
        from benchmarks.evidence.plain import train_plainly

        return train_plainly
    from benchmarks.evidence.training import set_up, train

    set_up(n_threads)
    return train


def main() -> None:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("problems", nargs="+", choices=list(PROBLEMS), metavar="PROBLEM")
    parser.add_argument("--draws", type=int, default=20, help="draws of each in all")
    parser.add_argument("--in-turn", action="store_true", help="one draw of each at a time")
    parser.add_argument("--threads", type=int, default=1, help="of TensorFlow")
    parser.add_argument("--folder", type=Path, default=CURVES)
    options = parser.parse_args()
    wanted = [(name, number) for name in options.problems for number in range(options.draws)]
    if options.in_turn:
        wanted.sort(key=lambda draw: draw[1])
    for name, number in wanted:
        if draw_file(options.folder, name, number).exists():
            continue
        began = time.monotonic()
        # A process for each: TensorFlow's memory grows from model to model.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(record, name, number, options.folder, options.threads).result()
        print(f"{name} {number}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
