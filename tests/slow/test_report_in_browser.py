"""The report in a real browser: it draws offline, and its own arithmetic is that of score.py."""

import json
import shutil
import subprocess
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from browser import answers, needs_chromium, opened
from made_studies import add_trial, empty_study, fill_study, params_of, stored

from fmnist_sweep.analysis.rescoring import rescored
from fmnist_sweep.core.curves import METRICS, EpochScores, LearningCurve
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.reports.page import write_report

pytestmark = [pytest.mark.slow, needs_chromium]


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
        within_se=float(rng.choice([0.0, 0.25, 20.0])) if metric == "accuracy" else 0.0,
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
        cases.append(
            {"rule": {**asdict(rule), "n_val": stored(study).n_val}, "trials": trials, "allowed": allowed}
        )
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
    found = answers(opened(page.as_uri(), tmp_path / "profile"), "out")
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
    seen = answers(opened(page.as_uri(), tmp_path / "profile"), "out")
    own = stored(study).rule
    other = rescored(stored(study), ScoreRule(penalty=0, tolerance=own.tolerance, epoch_rule="last"))
    epoch = int(other.trials["epoch"].iloc[0])
    assert seen["errors"] == []
    assert seen["loaded"] == []
    assert seen["drawn"] == seen["figures"] > 10
    assert seen["wide"] <= 1200
    assert "picks what the study picked" in seen["said"][0]
    assert seen["said"][1].startswith(f"This rule picks trial {other.picked} at epoch {epoch};")


def probed(page: Path, profile: Path, script: str) -> Any:
    """Return what a script finds in a page a while after it was loaded; it leaves its answer in ``told``."""
    probe = f"""<script>
window.addEventListener("load", () => setTimeout(async () => {{
  const panel = document.querySelector("details.trials");
  const cells = (i) => [...panel.querySelectorAll("tbody tr")].map((row) => row.cells[i].textContent);
  const count = () => panel.querySelector("[data-out=count]").textContent;
  const filter = (words) => {{
    panel.querySelector("[name=filter]").value = words;
    panel.querySelector("[name=filter]").dispatchEvent(new Event("input"));
  }};
  const told = {{}};
  try {{ {script} }} catch (error) {{ told.error = String(error); }}
  document.body.insertAdjacentHTML("beforeend", '<pre id=told></pre>');
  document.getElementById("told").textContent = JSON.stringify(told);
}}, 1500));
</script>"""
    other = page.with_name("probed.html")
    other.write_text(page.read_text("utf-8").replace("<main>", f"{probe}<main>", 1), encoding="utf-8")
    return answers(opened(other.as_uri(), profile), "told")


SORT_AND_FILTER = """
  panel.open = true;
  await new Promise((done) => setTimeout(done, 200));
  const heads = [...panel.querySelectorAll("th button")];
  const column = (title) => heads.findIndex((head) => head.textContent === title);
  told.columns = heads.map((head) => head.textContent);
  told.first = [cells(0), count()];
  heads[column("gap")].focus();
  heads[column("gap")].click();
  told.sorted = [cells(column("gap")), heads[column("gap")].closest("th").getAttribute("aria-sort")];
  heads[column("gap")].click();
  told.up = cells(column("gap"));
  filter("complete and gap < 1.5 and depth = 3");
  told.filtered = [cells(column("gap")), cells(column("depth")), cells(column("state")), count()];
  filter("tanh");
  told.word = cells(column("activation"));
  filter("gapp < 1");
  told.wrong = [count(), panel.querySelector("[name=filter]").getAttribute("aria-invalid")];
  filter("");
  panel.querySelector("[name=first]").value = "";
  panel.querySelector("[name=first]").dispatchEvent(new Event("change"));
  told.all = cells(0).length;
"""


def test_all_trials_are_sorted_and_filtered_without_a_server(study: optuna.Study, tmp_path: Path) -> None:
    """By the buttons of the columns and a line of conditions; what is wrong with it is said."""
    page = write_report([stored(study)], tmp_path / "report.html")
    told = probed(page, tmp_path / "profile", SORT_AND_FILTER)
    assert "error" not in told
    trials = stored(study).trials
    assert told["first"][1] == f"Showing the first 25 of {len(trials)} trials."
    best = max((t for t in trials if t.score is not None), key=lambda t: t.score or 0.0)
    assert told["first"][0][0] == str(best.number)

    def numbers(texts: list[str]) -> list[float]:
        return [float(text.split()[0].replace("\u2212", "-")) for text in texts if text != "\u2013"]

    found, direction = told["sorted"]
    assert (numbers(found), direction) == (sorted(numbers(found), reverse=True), "descending")
    assert numbers(told["up"]) == sorted(numbers(told["up"]))
    gaps, depths, states, count = told["filtered"]
    wanted = [
        t
        for t in trials
        if t.state == "COMPLETE" and t.gap is not None and t.gap < 0.015 and t.hyperparameters["depth"] == 3
    ]
    assert len(gaps) == len(wanted) > 0
    assert max(numbers(gaps)) < 1.5
    assert (set(depths), set(states)) == ({"3"}, {"complete"})
    assert count == f"Showing {len(wanted)} trials that fit, of {len(trials)}."
    assert set(told["word"]) == {"tanh"}
    assert told["wrong"][0].startswith('Filter: there is no column "gapp" (there are trial, state, score, ')
    assert told["wrong"][1] == "true"
    assert told["all"] == len(trials)


def test_the_slider_answers_for_any_metric(tmp_path: Path) -> None:
    """Curves of a regression hold no accuracy."""
    study = empty_study(None, metric="mae", direction="min", tolerance=1.0)
    for i, end in enumerate((3.0, 2.0)):
        scores = [
            EpochScores(e, {"mae": end - 1 + 1 / (e + 1)}, {"mae": end + 1 / (e + 1)}) for e in range(3)
        ]
        add_trial(study, params_of(i), LearningCurve(tuple(scores)))
    page = write_report([stored(study)], tmp_path / "report.html")
    look = """
      const form = document.querySelector("form.whatif");
      told.rows = [...form.querySelectorAll("tbody tr")].map((row) => row.cells[1].textContent);
    """
    told = probed(page, tmp_path / "profile", look)
    assert told["rows"][:2] == ["1", "3 of 3"]


def test_parallel_coordinates_are_printed(tmp_path: Path) -> None:
    """Of more studies than a browser has WebGL contexts for, and as lines: paper shows nothing of WebGL."""
    studies = [empty_study(None, f"study {i}") for i in range(6)]
    for made in studies:
        fill_study(made, 8)
    page = write_report([stored(made) for made in studies], tmp_path / "report.html")
    look = """
      const wide = figures.filter(usesWebGL);
      const lines = () => wide.map((one) => one.querySelectorAll(".scatterlayer .js-line").length);
      const canvases = () => wide.map((one) => one.querySelectorAll("canvas").length);
      dispatchEvent(new Event("beforeprint"));
      await new Promise((done) => setTimeout(done, 500));
      told.printed = [lines(), canvases()];
      dispatchEvent(new Event("afterprint"));
      await new Promise((done) => setTimeout(done, 500));
      told.shown = [lines(), canvases()];
    """
    told = probed(page, tmp_path / "profile", look)
    assert told.get("error") is None
    lines, canvases = told["printed"]
    assert len(lines) == 6
    assert min(lines) > 1
    assert canvases == [0] * 6
    # On the screen, where lines can be picked, those near it are drawn by WebGL again.
    lines, canvases = told["shown"]
    assert lines == [0] * 6
    assert sum(map(bool, canvases)) <= 4


AXE = "axe-core@4.11.0"
NPM = shutil.which("npm")


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of axe-core, as npm has it."""
    if NPM is None:
        pytest.skip("no npm on this machine, which brings axe-core")
    folder = tmp_path_factory.mktemp("axe")
    command = [NPM, "install", "--no-save", "--no-audit", "--no-fund", "--prefix", str(folder), AXE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        pytest.skip(f"npm could not bring {AXE}: {done.stderr.strip().splitlines()[-1:]}")
    return (folder / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")


def test_the_report_has_no_serious_barrier(axe: str, study: optuna.Study, tmp_path: Path) -> None:
    """By axe-core, with the table of all trials open: it finds nothing at all."""
    page = write_report([stored(study)], tmp_path / "report.html")
    text = page.read_text("utf-8").replace("<main>", f"<script>{axe}</script><main>", 1)
    page.write_text(text, encoding="utf-8")
    look = """
      panel.open = true;
      await new Promise((done) => setTimeout(done, 500));
      const found = await axe.run(document, { resultTypes: ["violations"] });
      told.passes = found.passes.length;
      const where = (one) => one.nodes.map((node) => node.html);
      told.violations = found.violations.map((one) => [one.impact, one.id, where(one)]);
    """
    told = probed(page, tmp_path / "profile", look)
    assert told.get("error") is None
    assert told["passes"] > 10
    assert told["violations"] == []
