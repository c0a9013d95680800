"""A pytest plugin that ends a run with a table: a line for each test function, its cases and how they ended.

For ``make test-faults``, where a test function is a fault: ``pytest -p fault_table``.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

_SHOWN = ("passed", "failed", "error", "skipped")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, in the order of the tests."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    for outcome in _SHOWN:
        for report in terminalreporter.stats.get(outcome, []):
            counts[report.nodeid.split("[")[0]][outcome] += 1
            seconds[report.nodeid.split("[")[0]] += report.duration
    terminalreporter.section("faults")
    for test, cases in sorted(counts.items()):
        verdict = "fail" if cases["failed"] or cases["error"] else "pass" if cases["passed"] else "skip"
        shown = ", ".join(f"{cases[outcome]} {outcome}" for outcome in _SHOWN if cases[outcome])
        what = test.partition("::test_")[2].replace("_", " ")
        terminalreporter.write_line(f"{verdict}  {what:<66} {shown} in {seconds[test]:.0f} s")
