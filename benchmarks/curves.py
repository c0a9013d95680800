"""Tables of whole learning curves: random configurations of a sweep's space, each trained once for real.

A table is a text file with a JSON object a line: first what it is of, then a line for each configuration.
Accuracies keep the four decimals that so many images allow, so nothing is lost that a score could see.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.core.curves import METRICS, LearningCurve
from fmnist_sweep.core.jobs import Scalar

DECIMALS: Final = {**dict.fromkeys(METRICS, 4), "seconds": 2}


@dataclass(frozen=True)
class Row:
    """One configuration and what came of it.

    Attributes:
        index: Its number in the list of random configurations.
        point: The complete set of hyperparameters.
        start_s: Seconds before the first epoch: data, build, tracing. As all times, the processor's.
        n_parameters: Number of weights.
        curve: All epochs; empty where the training failed.
    """

    index: int
    point: dict[str, Scalar]
    start_s: float
    n_parameters: int
    curve: LearningCurve

    def to_line(self) -> str:
        """Return the row as it stands in the file."""
        stored = self.curve.to_attribute()
        curve = {name: [round(v, DECIMALS[name]) for v in values] for name, values in stored.items()}
        point = {n: float(f"{v:.6g}") if isinstance(v, float) else v for n, v in self.point.items()}
        row = {"i": self.index, "start_s": self.start_s, "n_parameters": self.n_parameters, "point": point}
        return json.dumps({**row, "curve": curve}, separators=(",", ":"))

    @classmethod
    def from_line(cls, line: str) -> Row:
        """Read what `to_line` wrote."""
        row = json.loads(line)
        curve = LearningCurve.from_attribute(row["curve"])
        return cls(row["i"], row["point"], row["start_s"], row["n_parameters"], curve)


@dataclass(frozen=True)
class Table:
    """A recorded table.

    Attributes:
        header: Model, epochs, seed, data digest, versions and machine: what it is of.
        rows: Those that trained to their end, by index.
        n_failed: Configurations whose training failed: they are in no race.
    """

    header: dict[str, Any]
    rows: tuple[Row, ...]
    n_failed: int

    @property
    def digest(self) -> str:
        """SHA-256 over everything in it: times to a score are compared on equal tables alone."""
        lines = [json.dumps(self.header, sort_keys=True), *(row.to_line() for row in self.rows)]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    @property
    def epochs(self) -> int:
        """Number of epochs of each curve."""
        return int(self.header["epochs"])


def read_table(path: Path) -> Table:
    """Read a table; a line that was cut short as its recording was killed is left out.

    Raises:
        FileNotFoundError: There is none.
        ValueError: The file is no table.
    """
    header, *rows = _lines(path)
    if "model" not in header:
        raise ValueError(f"{path} is no table of learning curves: its first line names no model")
    read = [Row.from_line(json.dumps(row)) for row in rows]
    whole = sorted((row for row in read if len(row.curve) == header["epochs"]), key=lambda row: row.index)
    return Table(header, tuple(whole), len(read) - len(whole))


def begin_table(path: Path, header: dict[str, Any]) -> set[int]:
    """Start a table, or go on with one, and return the indices that it holds.

    Raises:
        ValueError: The file holds a table of something else.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        return set()
    before, *rows = _lines(path)
    decide = ("model", "space_digest", "epochs", "seed", "train_size", "data_digest")
    differ = [key for key in decide if before.get(key) != header[key]]
    if differ:
        raise ValueError(
            f"{path} is a table of something else: {', '.join(differ)} differ; name another file"
        )
    # A line that was cut short goes, or the next one would be glued to it.
    path.write_text("".join(json.dumps(r, separators=(",", ":")) + "\n" for r in [before, *rows]), "utf-8")
    return {row["i"] for row in rows}


def append_row(path: Path, row: Row) -> None:
    """Add a row."""
    with path.open("a", encoding="utf-8") as file:
        file.write(row.to_line() + "\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            return
