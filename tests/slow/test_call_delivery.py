"""What a training hands over of a model of any task, and how the test part is read for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fits
import keras
import numpy as np
import pytest

from fmnist_sweep.core.curves import EpochScores, LearningCurve
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob
from fmnist_sweep.core.places import PlacedJob, Places, placed
from fmnist_sweep.data.call_import import as_call
from fmnist_sweep.data.calls import Call, keep_call
from fmnist_sweep.export.delivered import Delivery
from fmnist_sweep.export.outputs import outputs_of
from fmnist_sweep.training.saving_checks import SavingCheck
from fmnist_sweep.training.test_reading import TestReader
from fmnist_sweep.training.trainer import KerasTrainer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*shuffle=True:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is made here out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def final(model: str, given: Any, folder: Path, *, metric: str) -> PlacedJob:
    """Return a final training on data as a function would return them."""
    call = as_call(given)
    assert call is not None
    if call.test is None:
        tested = (call.x, call.y) if call.y is not None else (call.kwargs["validation_data"],)
        call = Call(call.args, call.kwargs, tested)
    data: DataRef = keep_call(call, name="mine")
    job = TrialJob(
        0,
        f"fits:{model}",
        {},
        epochs=2,
        seed=3,
        data=data.key,
        split=SplitSpec(n_val=48),
        metric=metric,
        n_probe=64,
        deliver_to="seed-3",
        hand_out=True,
    )
    return placed(job, Places.of(data, deliveries=folder, code=(Path(fits.__file__).parent,)))


def delivered(job: PlacedJob) -> Delivery:
    scores = [one for one in KerasTrainer().fit(job) if isinstance(one, EpochScores)]
    assert job.delivery_folder is not None
    found = Delivery(job.delivery_folder, 3)
    found.keep_curve(LearningCurve(tuple(scores)))
    return found


@pytest.mark.parametrize(
    ("model", "given", "metric", "kind"),
    [
        ("regression", fits.table, "mae", "regression"),
        ("regression", fits.pipeline, "mae", "regression"),
        ("regression", fits.generators, "mae", "regression"),
        ("sigmoid", fits.binary, "auc", "binary"),
        ("joined", fits.two_inputs, "accuracy", "binary"),
    ],
)
def test_a_model_of_each_task_is_handed_over_and_meets_the_test_part(
    model: str, given: Any, metric: str, kind: str, tmp_path: Path
) -> None:
    """The saved model gives what was measured; where the test rows are those that validate, so do they."""
    value = given()
    call = as_call(value)
    assert call is not None
    job = final(model, value, tmp_path / "out", metric=metric)
    found = delivered(job)
    assert found.source["prepared"] == ""
    (output,) = outputs_of(found.arrays, from_logits=False)
    assert (output.kind, set(output.parts)) == (kind, {"train", "val"})
    assert "test" not in found.measured
    assert len(next(iter(found.example_outputs.values()))) == 8

    list(TestReader().fit(job))
    again = Delivery(found.folder, 3)
    assert again.is_tested
    if call.y is None:
        assert again.measured["test"][metric] == pytest.approx(again.measured["val"][metric], abs=1e-5)
    assert set(outputs_of(again.arrays, from_logits=False)[0].parts) == {"train", "val", "test"}


def test_data_that_a_fit_prepares_have_no_test_part_to_measure(tmp_path: Path) -> None:
    """Its rows are as they were given, and the model takes twice the numbers; that is told."""
    found = delivered(final("OwnFit", fits.table(), tmp_path / "out", metric="mae"))
    assert found.source["prepared"].startswith("val_mae is ")
    assert found.source["prepared"].endswith("fit prepares them, or compiles the model anew")


def test_a_fit_that_trains_several_models_hands_none_out(tmp_path: Path) -> None:
    """It is told before the final training, and by it."""
    job = final("Folds", fits.table(), tmp_path / "out", metric="mae")
    for trainer in (SavingCheck(), KerasTrainer()):
        with pytest.raises(TrialError, match="its fit trains several models"):
            list(trainer.fit(job))


def test_a_class_that_cannot_be_saved_is_told_before_the_training(tmp_path: Path) -> None:
    """With what would mend it; what can be saved passes."""
    with pytest.raises(TrialError, match=r"class Stubborn can't be made from its get_config"):
        list(SavingCheck().fit(final("stubborn", fits.table(), tmp_path / "out", metric="mae")))
    (started,) = SavingCheck().fit(final("regression", fits.table(), tmp_path / "out", metric="mae"))
    assert getattr(started, "n_parameters", 0) > 0


def test_what_is_kept_of_an_example_is_nested_as_the_model_takes_it(tmp_path: Path) -> None:
    """So that a script can hand it over."""
    found = delivered(final("joined", fits.two_inputs(), tmp_path / "out", metric="accuracy"))
    assert found.source["inputs"] == {"left": "x/left", "right": "x/right"}
    model = keras.models.load_model(found.model)
    with np.load(found.example) as stored:
        outputs = model.predict({"left": stored["x/left"], "right": stored["x/right"]}, verbose=0)
        np.testing.assert_allclose(outputs, stored["outputs"], atol=1e-5)
    assert json.loads((found.folder / "source.json").read_text())["n_parameters"] == model.count_params()
