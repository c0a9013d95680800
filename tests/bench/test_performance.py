import json
import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.performance import bars_of, render
from benchmarks.stats import Bar

ROOT = Path(__file__).parent.parent.parent
BARS = [
    Bar("throughput dense", "trials an hour over a script", 3.25, 3.0, ">=", spread="3.1 to 3.4, n = 4"),
    Bar("scaling", "two over one", 1.5, 1.9, ">="),
    Bar("time to score", "over Ray", None, 3.0, ">=", note="no Ray here"),
]
RATIO = {"median": 3.25, "low": 3.1, "high": 3.4, "n": 4}
RACE = {
    "reached": 1, "n": 2, "quartiles_s": [10.0, None], "n_trials": 3.0, "n_epochs": 40.0,
}  # fmt: skip
RESULTS: dict[str, Any] = {
    "date": "2026-11-24",
    "quick": False,
    "machine": {"cpu": "A CPU", "n_cores": 2, "memory_gb": 23.6, "system": "Linux 6", "python": "3.11.7"},
    "versions": {"keras": "3.15.1"},
    "bars": [bar.to_dict() for bar in BARS],
    "skipped": {"time to score, cnn": "no table is recorded"},
    "throughput": [
        {
            "model": "dense", "n_trials": 20, "n_blocks": 4, "epochs": 3, "train_size": None,
            "rows": [
                {"name": "ours", "title": "ours", "trials_an_hour": 400.0, "start_s": RATIO},
                {
                    "name": "script", "title": "the script", "trials_an_hour": 120.0, "start_s": RATIO,
                    "ratio": RATIO, "ratio_without_start": RATIO,
                    "accuracy_difference": 0.002, "accuracy_bias": -0.001,
                },
            ],
        }
    ],
    "breakdown": [{"model": "dense", "epochs": 3, "trial_s": 8.0, "parts": {"start": 2.0, "train": 6.0}}],
    "races": [
        {
            "model": "dense", "n_configurations": 240, "epochs": 20, "target": 0.8912, "quantile": 0.9,
            "limit_trials": 100, "seeds": 2,
            "fidelity": {"spearman": 0.9, "r2": 0.95}, "slowness": {"optuna": 1.6},
            "rows": [
                {"name": "ours", **RACE, "median_s": 10.0, "ratio": 1.0, "at_least": False},
                {"name": "hand grid", **RACE, "median_s": None, "ratio": 7.0, "at_least": True},
            ],
            "rows_at_own_speed": [
                {"name": "optuna", **RACE, "median_s": 30.0, "ratio": 3.0, "at_least": False},
            ],
        }
    ],
    "harder_races": [
        {
            "model": "dense", "target": 0.9, "quantile": 0.99, "seeds": 2,
            "skipped": {"slow one": "too slow"},
            "rows": [{"name": "random", **RACE, "median_s": 50.0, "ratio": 5.0, "at_least": False}],
        }
    ],
    "alternatives": [
        {
            "model": "dense", "target": 0.9, "quantile": 0.99,
            "rows": [{"name": "qmc / none", **RACE, "median_s": 20.0, "ratio": 2.0, "at_least": False}],
        }
    ],
    "whole_sweeps": [
        {
            "model": "dense",
            "rows": [
                {
                    "name": "none", "score": 0.9, "score_error": 0.001,
                    "seconds": 90.2, "epochs": 400.0, "n": 24,
                },
            ],
        }
    ],
    "free_epochs": {"grid": [13, 15, 17], "asked": 62, "trained": 17, "saved": 45, "equal": True},
    "parent": [{"n_workers": 4, "ms_an_event": 3.0, "ms_in_storage": 2.5, "saturates_at": 800.0}],
    "scripts": {"What a checkpoint takes": "net  size\n"},
}  # fmt: skip


def test_the_page_tells_every_bar_and_its_outcome() -> None:
    """Met, missed or not measured, each with spread and reason."""
    page = render(RESULTS)
    assert "| 3.25 x (3.1 to 3.4, n = 4) | at least 3 x | met |" in page
    assert "| 1.5 x | at least 1.9 x | **missed** |" in page
    assert "| - | at least 3 x | not measured | no Ray here |" in page
    assert "Machine: A CPU, 2 cores, 24 GB, Linux 6, Python 3.11.7." in page.replace("\n", " ")
    assert "- time to score, cnn: no table is recorded" in page


def test_the_page_tells_why_a_bar_is_missed() -> None:
    """Bars with one reason stand together; one that nobody has looked into says so."""
    missed = [
        Bar("scaling", "2 workers over one", 1.5, 1.9, ">="),
        Bar("scaling", "simulated workers", 100, 256, ">="),
        Bar("interactive", "--help", 1.0, 0.3, "<="),
        Bar("throughput cnn", "trials an hour over a script", 2.0, 2.5, ">="),
        Bar("throughput cnn", "trials an hour over Ray", 1.0, 1.3, ">="),
    ]
    page = render({**RESULTS, "bars": [bar.to_dict() for bar in missed]}).replace("\n", " ")
    assert "*scaling: 2 workers over one*: Two cores share a cache" in page
    assert "*interactive: --help*: Not looked into." in page
    both = "throughput cnn: trials an hour over a script; throughput cnn: trials an hour over Ray"
    assert f"*{both}*: A CNN's seconds" in page
    assert "What is missed" not in render({**RESULTS, "bars": [BARS[0].to_dict()]})


def test_the_page_tells_what_lies_behind_the_bars() -> None:
    """Ratios with their range, races with their censored ends, parts of a trial with their shares."""
    page = render(RESULTS)
    assert "| the script | 120 | 3.2 | 3.25 (3.10 to 3.40) | 3.25 (3.10 to 3.40) | 0.0020 (-0.0010) |" in page
    assert "| hand grid | never | 10 to never | 1 of 2 | 3 | 40 | at least 7.0 |" in page
    assert "reaches 0.8912, which one in 10 random" in page.replace("\n", " ")
    assert (
        "to 0.9000, which one in 100 random configurations reaches; 2 seeds. Left out: slow one, too slow."
        in (page.replace("\n", " "))
    )
    assert "| random | 50 | 10 to never | 1 of 2 | 3 | 40 | 5.0 |" in page
    assert "| none | 0.9000 ± 0.0010 | 90 | 400 |" in page
    assert "| train | 6.00 (75.0%) |" in page
    assert "62 epochs asked for, 17 trained, 45 saved by reuse" in page.replace("\n", " ")
    assert "    net  size" in page
    assert "| qmc / none | 20 | 10 to never | 1 of 2 | 3 | 40 | 2.0 |" in page


def test_equal_results_give_equal_pages_and_missing_ones_leave_gaps() -> None:
    """The page is a function of the file: what was not run has no section."""
    assert render(RESULTS) == render(json.loads(json.dumps(RESULTS)))
    bare = {key: RESULTS[key] for key in ("date", "quick", "machine", "versions", "bars")}
    assert "## Throughput" not in render(bare)
    assert bars_of(bare) == BARS


def test_the_plots_are_drawn_from_the_same_results(tmp_path: Path) -> None:
    """One for each comparison that was measured, the same every time."""
    pytest.importorskip("matplotlib", reason="the plots need the extra bench")
    from benchmarks.plots import draw

    races = [{"reached_s": 5.0}, {"reached_s": None}]
    results = {**RESULTS, "races": [{**RESULTS["races"][0], "races": {"ours": races, "random": races}}]}
    drawn = draw(results, tmp_path)
    assert [path.name for path in drawn] == ["performance-throughput.svg", "performance-races.svg"]
    before = [path.read_bytes() for path in drawn]
    assert [path.read_bytes() for path in draw(results, tmp_path)] == before


def test_the_committed_page_is_that_of_the_committed_results() -> None:
    """Nobody edits the numbers by hand."""
    results = ROOT / "benchmarks" / "results.json"
    page = ROOT / "docs" / "performance.md"
    assert results.exists() == page.exists()
    if page.exists():
        assert page.read_text("utf-8") == render(json.loads(results.read_text("utf-8")))


@pytest.mark.parametrize(("model", "noun"), [("dense", "dense nets an hour"), ("cnn", "as many CNNs")])
def test_the_readmes_ratios_are_those_of_the_committed_results(model: str, noun: str) -> None:
    """From the slowest to the fastest of those that we are compared with."""
    stored = json.loads((ROOT / "benchmarks" / "results.json").read_text("utf-8"))
    (told,) = [told for told in stored["throughput"] if told["model"] == model]
    ratios = [row["ratio"]["median"] for row in told["rows"] if "ratio" in row]
    words = (ROOT / "README.md").read_text("utf-8").replace("\n ", "").split(noun)[0]
    low, high = re.findall(r"([\d.]+) to ([\d.]+) times", words)[-1]
    assert (low, high) == (f"{min(ratios):.1f}", f"{max(ratios):.1f}")


def test_the_page_tells_which_areas_are_newer_than_the_others() -> None:
    """They were measured on another day; of all at once the date above says it."""
    seconds = {"scaling": 1.0, "throughput_cnn": 1.0}
    newer = {**RESULTS, "seconds": seconds, "measured": {"throughput_cnn": "2026-11-28"}}
    assert "Measured 2026-11-28: throughput cnn." in " ".join(render(newer).split())
    at_once = {**RESULTS, "seconds": seconds, "measured": dict.fromkeys(seconds, "2026-11-28")}
    assert "Measured 2026" not in render(at_once)
