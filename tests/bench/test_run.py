"""One area measured by itself, beside what the file holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="the benchmarks need the extra bench")
from benchmarks.run import AREAS, begin, joined
from benchmarks.stats import Bar


def test_areas_that_are_not_measured_keep_what_was_measured(tmp_path: Path) -> None:
    """Of the same machine, versions and form."""
    path = tmp_path / "results.json"
    fresh = begin(path, quick=False, areas=["races"])
    path.write_text(json.dumps({**fresh, "scaling": [1], "date": "2020-01-01"}), "utf-8")
    assert begin(path, quick=False, areas=["races"])["scaling"] == [1]
    assert begin(path, quick=False, areas=["races"])["date"] == fresh["date"]
    assert "scaling" not in begin(path, quick=False, areas=list(AREAS))


def test_areas_of_two_machines_are_not_mixed(tmp_path: Path) -> None:
    """Nor those of the quick form with those of the full one."""
    path = tmp_path / "results.json"
    fresh = begin(path, quick=False, areas=["races"])
    path.write_text(json.dumps({**fresh, "machine": {"cpu": "another"}}), "utf-8")
    with pytest.raises(ValueError, match=r"quick, machine differ.*--output"):
        begin(path, quick=True, areas=["races"])


def test_another_kernel_of_the_same_kind_of_machine_adds_to_what_is_there(tmp_path: Path) -> None:
    """Each ratio is of one area, and each area of one run."""
    path = tmp_path / "results.json"
    fresh = begin(path, quick=False, areas=["races"])
    booted = {**fresh["machine"], "system": "Linux 0", "memory_gb": fresh["machine"]["memory_gb"] + 1e-5}
    path.write_text(json.dumps({**fresh, "scaling": [1], "machine": booted}), "utf-8")
    added = begin(path, quick=False, areas=["races"])
    assert (added["scaling"], added["machine"]) == ([1], fresh["machine"])


def test_bars_measured_anew_take_their_area_s_place() -> None:
    """Also those that are called otherwise now; the order of areas stays."""
    kept = [Bar(area, what, 1.0, 1.0, ">=") for area, what in (("a", "x"), ("b", "worst: x"), ("c", "x"))]
    found = [Bar(area, what, 2.0, 1.0, ">=") for area, what in (("d", "x"), ("b", "worst: y"))]
    assert [(bar.area, bar.what) for bar in joined(kept, found)] == [
        ("a", "x"),
        ("b", "worst: y"),
        ("c", "x"),
        ("d", "x"),
    ]
