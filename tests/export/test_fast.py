from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from made_exports import DATA, FinalTrainer, draw_nothing
from made_studies import stored

from fmnist_sweep.api import exports as api_exports
from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.kept import NotKeptError, write_kept
from fmnist_sweep.core.places import PlacedJob, Places
from fmnist_sweep.engines.base import OpenEngine
from fmnist_sweep.engines.inline import InlineEngine
from fmnist_sweep.export.choice import chosen
from fmnist_sweep.export.fast import KeptFinal, plan_fast_export, run_fast_plan
from fmnist_sweep.export.kept import find_kept, weights_folder
from fmnist_sweep.export.plan import ExportPlan
from fmnist_sweep.storage.stored import StoredTrial


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing."""
    draw_nothing(monkeypatch)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of a storage that weights are kept beside."""
    return f"sqlite:///{tmp_path}/studies.db"


def best(study: optuna.Study) -> StoredTrial:
    """Return the trial that an export takes."""
    held = stored(study)
    return next(trial for trial in held.trials if trial.number == chosen(held).trial)


def scored(trial: StoredTrial, epoch: int | None = None) -> EpochScores:
    """Return what a trial scored after an epoch, the scored one unless another is named."""
    assert trial.curve is not None
    return trial.curve.epochs[trial.scored_after - 1 if epoch is None else epoch]


def keep(study: optuna.Study, url: str, trial: int, scores: EpochScores) -> Path:
    """Write weights of a trial."""
    file = weights_folder(url, study.study_name).file(trial)
    assert write_kept(file, [np.zeros(3)], scores) is None
    return file


class Restorer(FinalTrainer):
    """Hands over a made model that scores as it is told."""

    def __init__(self, scores: EpochScores) -> None:
        super().__init__()
        self._scores = scores

    def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
        """Write the folder, and tell the one epoch."""
        assert job.restores
        assert job.weights_file is not None
        assert job.weights_file.exists()
        for _ in super().fit(job):
            pass
        yield Started(job.trial, 7850)
        yield replace(self._scores, epoch=job.epochs - 1)


def run(plan: ExportPlan, scores: EpochScores, work: Path) -> dict[str, Any]:
    """Write the bundle of a fast export, and return what its ``metrics.json`` holds."""

    def engine(trainer: str | None, places: Places) -> OpenEngine:
        assert trainer is None, "nothing but the model is asked for"
        return InlineEngine(Restorer(scores), places=places)

    run_fast_plan(plan, DATA, engine, work=work)
    return dict(json.loads((plan.folder / "metrics.json").read_text()))


def test_a_bundle_is_written_from_kept_weights(study: optuna.Study, url: str, tmp_path: Path) -> None:
    """It says what it is, in the card, in JSON and in the last line; the study is left as it was."""
    trial, before = best(study), dict(study.user_attrs)
    keep(study, url, trial.number, scored(trial))
    plan = plan_fast_export(study, output=tmp_path / "exports", storage=url)
    assert "nothing is trained, no test set is read" in plan.outlook()[-1]
    facts = run(plan, scored(trial), tmp_path / "work")
    assert plan.folder == tmp_path / "exports" / "dense-fast"
    assert (facts["fast"], facts["confirmed"], facts["trial"]) == (True, False, trial.number)
    assert facts["seeds"] == [trial.seed]
    assert "test" not in facts["model"]
    card = (plan.folder / "README.md").read_text()
    assert "> **Fast.**" in card
    for words in ("training part alone (600 images), not on all data", "this training is not confirmed"):
        assert words in card
    assert "the test set was not read" in card
    assert "fresh seed |" not in card
    assert "has no test images" not in card
    assert study.user_attrs == before
    config = (plan.folder / "config.toml").read_text()
    assert "keep_models" not in config
    assert "exact_steps" not in config
    again = plan_fast_export(study, output=tmp_path / "exports", storage=url)
    assert again.is_there
    said = " ".join(api_exports.words(again))
    assert f"Trial {trial.number} with the weights that it had after epoch {trial.scored_after}" in said
    assert said.endswith("Nothing was trained or confirmed, and the test set was not read.")
    assert not plan_fast_export(study, output=tmp_path / "exports", storage=url, force=True).is_there


def test_without_weights_it_says_how_to_keep_them(study: optuna.Study, url: str, tmp_path: Path) -> None:
    """Nothing is written."""
    with pytest.raises(SweepError, match=r"its weights were not kept; .*keep_models = 3 .*without --fast"):
        plan_fast_export(study, output=tmp_path / "exports", storage=url)
    assert not (tmp_path / "exports").exists()


def test_weights_of_another_epoch_are_not_the_trial_s(study: optuna.Study, url: str, tmp_path: Path) -> None:
    """Whoever picks another epoch than the best is told which one was kept."""
    trial = best(study)
    other = 0 if trial.epoch else 1
    keep(study, url, trial.number, scored(trial, other))
    told = rf"the weights of epoch {other + 1} were kept, and not of epoch {trial.scored_after}"
    with pytest.raises(SweepError, match=told):
        plan_fast_export(study, output=tmp_path, storage=url)


def test_weights_of_an_earlier_study_of_the_name_are_not_taken(study: optuna.Study, url: str) -> None:
    """Their scores are none of the trial's curve."""
    trial = best(study)
    scores = scored(trial)
    keep(study, url, trial.number, replace(scores, val={**scores.val, "accuracy": 0.123}))
    with pytest.raises(NotKeptError, match="of another training"):
        find_kept(stored(study), trial, trial.scored_after, weights_folder(url, study.study_name))


def test_a_mean_over_mirror_images_is_no_kept_model() -> None:
    """It hands out what was trained: the option is refused, and not ignored."""
    study = optuna.create_study(study_name="s")
    with pytest.raises(SweepError, match="a fast export hands the model out as it was trained: leave out"):
        api_exports.plan(study, output=Path(), fast=True, flip_average=True)


def test_a_model_that_scores_otherwise_is_not_handed_out(
    study: optuna.Study, url: str, tmp_path: Path
) -> None:
    """Both numbers are told, and no bundle is written."""
    trial = best(study)
    keep(study, url, trial.number, scored(trial))
    plan = plan_fast_export(study, output=tmp_path / "exports", storage=url)
    scores = scored(trial)
    with pytest.raises(SweepError, match=r"with its kept weights val_accuracy is 0\.5, and was"):
        run(plan, replace(scores, val={**scores.val, "accuracy": 0.5}), tmp_path / "work")
    assert not plan.folder.exists()


def test_final_trainings_have_another_key(study: optuna.Study, url: str, tmp_path: Path) -> None:
    """A fast bundle is never taken for one of them, nor written in its place."""
    trial = best(study)
    keep(study, url, trial.number, scored(trial))
    plan = plan_fast_export(study, output=tmp_path, storage=url, trial=trial.number)
    assert isinstance(plan.final, KeptFinal)
    assert plan.final.key.startswith(f"fast-{trial.number}-")
    assert plan.folder.name == f"dense-trial-{trial.number}-fast"


def test_what_has_no_meaning_beside_fast_is_refused(study: optuna.Study, url: str, tmp_path: Path) -> None:
    """Nothing is trained or read that could be done several times or again."""
    for choice in ({"again": True}, {"n_repeats": 3}):
        with pytest.raises(SweepError, match="leave out repeats and again"):
            api_exports.plan(study, output=tmp_path, storage=url, fast=True, **choice)
