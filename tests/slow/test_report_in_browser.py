"""The report in a real browser: it draws offline, and its own arithmetic is that of score.py."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from made_studies import add_trial, empty_study, fill_study, params_of, stored

from fmnist_sweep.analysis.rescoring import rescored
from fmnist_sweep.core.curves import METRICS, LearningCurve
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.reports.page import write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,6000",
    "--virtual-time-budget=20000",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium"),
]


def opened(page: Path, profile: Path) -> str:
    """Open a page and return its document as it stands after its scripts ran."""
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def answers(document: str, element: str) -> Any:
    """Return the JSON that a script left in an element."""
    return json.loads(html.unescape(re.findall(rf'<pre id="{element}">(.*?)</pre>', document, re.DOTALL)[0]))


def random_curves(rng: np.random.Generator, n: int) -> list[LearningCurve]:
    curves = []
    for _ in range(n):
        epochs = int(rng.integers(1, 12))
        four = [np.round(rng.uniform(0, 1, epochs), 3).tolist() for _ in METRICS]
        curves.append(
            LearningCurve.from_scores(
                train=four[0], train_cross_entropy=four[1], val=four[2], val_cross_entropy=four[3]
            )
        )
    return curves


def random_rule(rng: np.random.Generator) -> ScoreRule:
    metric: str = "accuracy" if rng.random() < 0.5 else "cross_entropy"
    return ScoreRule(
        metric=metric,
        penalty=float(rng.choice([0.0, 0.5, 1.0, 3.7])),
        tolerance=float(rng.choice([0.0, 0.01, 0.2])),
        epoch_rule="best" if rng.random() < 0.7 else "last",
        min_val_accuracy=0.5 if rng.random() < 0.3 else None,
    )


def test_the_pages_arithmetic_is_that_of_score_py(tmp_path: Path) -> None:
    """Over random curves and rules, browser and package rank alike, with equal epochs, gaps and scores."""
    rng = np.random.default_rng(0)
    cases, expected = [], []
    for _ in range(60):
        rule = random_rule(rng)
        curves = random_curves(rng, 6)
        allowed = [2, 4, 5] if rng.random() < 0.4 else None
        study = empty_study(None, **asdict(rule))
        study.set_user_attr("allowed_epochs", allowed)
        trials = []
        for i, curve in enumerate(curves):
            add_trial(study, params_of(i), curve, n_parameters=100 + i % 2)
            written = {name: curve.values(name).tolist() for name in METRICS}
            trials.append({"number": i, "n_parameters": 100 + i % 2, "curve": written})
        cases.append({"rule": asdict(rule), "trials": trials, "allowed": allowed})
        # The page's own arithmetic counts epochs from 0, and what it says from 1.
        frame = rescored(stored(study), rule).trials.assign(epoch=lambda told: told["epoch"] - 1)
        expected.append(frame[["number", "epoch", "gap", "score"]].to_numpy(dtype=float).tolist())
    script = (resources.files("fmnist_sweep.reports") / "assets" / "whatif.js").read_text("utf-8")
    ask = (
        "document.getElementById('out').textContent = JSON.stringify(CASES.map((c) => "
        "rescore(c.rule, c.trials, c.allowed).map((r) => [r.trial.number, r.epoch, r.gap, r.score])));"
    )
    page = tmp_path / "page.html"
    body = f"<pre id='out'></pre><script>{script}\nconst CASES = {json.dumps(cases)};\n{ask}</script>"
    page.write_text(f"<!doctype html><meta charset=utf-8>{body}", encoding="utf-8")
    found = answers(opened(page, tmp_path / "profile"), "out")
    for got, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.fixture
def study() -> optuna.Study:
    """A study of many trials of every kind."""
    made = empty_study(None)
    fill_study(made, 24)
    return made


PROBE = """
<pre id="out"></pre>
<script>
const errors = [];
window.addEventListener("error", (event) => errors.push(event.message));
window.addEventListener("load", () => setTimeout(() => {
  const panel = document.querySelector("form.whatif");
  const words = () => panel.querySelector("[data-out=words]").textContent;
  const said = [words()];
  panel.querySelector("[name=penalty]").value = "0";
  panel.querySelector("[name=epoch_rule]").value = "last";
  panel.dispatchEvent(new Event("input"));
  said.push(words());
  const figures = [...document.querySelectorAll(".figure")];
  const drawn = figures.filter((f) => f.querySelector(".main-svg"));
  const names = performance.getEntriesByType("resource").map((e) => e.name);
  const loaded = names.filter((name) => !name.startsWith("data:"));
  document.getElementById("out").textContent = JSON.stringify(
    { said, errors, loaded, figures: figures.length, drawn: drawn.length, wide: document.body.scrollWidth });
}, 4000));
</script>
"""


def test_the_report_draws_offline_and_answers_what_another_rule_picks(
    study: optuna.Study, tmp_path: Path
) -> None:
    """Every figure is drawn without an error or a request, and the control gives Python's answer."""
    page = write_report([stored(study)], tmp_path / "report.html")
    text = page.read_text(encoding="utf-8").replace("<main>", f"{PROBE}<main>", 1)
    page.write_text(text, encoding="utf-8")
    seen = answers(opened(page, tmp_path / "profile"), "out")
    own = stored(study).rule
    other = rescored(stored(study), ScoreRule(penalty=0, tolerance=own.tolerance, epoch_rule="last"))
    epoch = int(other.trials["epoch"].iloc[0])
    assert seen["errors"] == []
    assert seen["loaded"] == []
    assert seen["drawn"] == seen["figures"] > 10
    assert seen["wide"] <= 1200
    assert "picks what the study picked" in seen["said"][0]
    assert seen["said"][1].startswith(f"This rule picks trial {other.picked} at epoch {epoch};")
