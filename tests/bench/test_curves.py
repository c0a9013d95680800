from pathlib import Path
from typing import Any

import pytest

from benchmarks.curves import Row, append_row, begin_table, read_table
from fmnist_sweep.core.curves import EpochScores, LearningCurve

HEADER: dict[str, Any] = {
    "model": "dense",
    "epochs": 2,
    "seed": 0,
    "train_size": None,
    "space_digest": "5bace",
    "data_digest": "da7a",
    "versions": {"keras": "3"},
}


def row(index: int, *, epochs: int = 2) -> Row:
    scores = tuple(EpochScores.of_classes(e, 0.9123, 0.3456, 0.8866, 0.4567, 2.25) for e in range(epochs))
    return Row(index, {"units": 64, "l2": 1e-4, "activation": "relu"}, 0.5, 1234, LearningCurve(scores))


def test_a_table_reads_back_what_was_recorded(tmp_path: Path) -> None:
    """In the order of the list, whatever order they finished in; failed ones are counted and left out."""
    path = tmp_path / "new" / "dense.jsonl"
    assert begin_table(path, HEADER) == set()
    for made in (row(1), row(0), row(2, epochs=1)):
        append_row(path, made)
    table = read_table(path)
    assert (table.header, table.rows, table.n_failed) == (HEADER, (row(0), row(1)), 1)


def test_a_recording_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    """A line that was cut short is recorded again; what is whole stays."""
    path = tmp_path / "dense.jsonl"
    begin_table(path, HEADER)
    append_row(path, row(0))
    with path.open("a") as file:
        file.write(row(1).to_line()[:40])
    assert begin_table(path, {**HEADER, "versions": {"keras": "4"}}) == {0}
    append_row(path, row(1))
    assert [found.index for found in read_table(path).rows] == [0, 1]


def test_a_table_of_something_else_is_not_gone_on_with(tmp_path: Path) -> None:
    """Another space, data set or length would be mixed into it."""
    path = tmp_path / "dense.jsonl"
    begin_table(path, HEADER)
    with pytest.raises(ValueError, match="epochs, data_digest differ"):
        begin_table(path, {**HEADER, "epochs": 3, "data_digest": "other"})
    path.write_text('{"rows": 3}\n')
    with pytest.raises(ValueError, match="no table"):
        read_table(path)


def test_equal_tables_alone_have_equal_digests(tmp_path: Path) -> None:
    """So that times to a score are compared on one problem."""
    digests = set()
    for i in range(3):
        path = tmp_path / f"{i}.jsonl"
        begin_table(path, HEADER)
        append_row(path, row(0 if i < 2 else 1))
        digests.add(read_table(path).digest)
    assert len(digests) == 2
