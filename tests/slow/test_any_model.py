"""Any Keras model on any data: what reaches `model.fit` is trained by it, and measured as Keras would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fits
import keras
import numpy as np
import pytest
import tensorflow as tf
from placing import placed_here

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Returned, Started
from fmnist_sweep.core.jobs import Scalar, SplitSpec, TrialJob
from fmnist_sweep.data.call_import import as_call
from fmnist_sweep.data.calls import Call, keep_call
from fmnist_sweep.data.own import prepare_npz
from fmnist_sweep.models.hyperparameters import filled
from fmnist_sweep.training.measured_parts import parts_of, probe_size
from fmnist_sweep.training.trainer import KerasTrainer

pytestmark = [
    pytest.mark.slow,
    # Keras warns of its own default, and calls NumPy in an older way.
    pytest.mark.filterwarnings("ignore:.*shuffle=True:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what is made here out of the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def job(
    model: str,
    given: Any,
    *,
    epochs: int = 3,
    metric: str = "mae",
    split: SplitSpec | None = None,
    **hyperparameters: Scalar,
) -> TrialJob:
    """Return a job on data as a function would return them."""
    call = given if isinstance(given, Call) else as_call(given)
    assert call is not None
    data = keep_call(call, name="mine").key
    split = SplitSpec(n_val=48) if split is None else split
    return TrialJob(
        0,
        f"fits:{model}",
        hyperparameters,
        epochs=epochs,
        seed=3,
        data=data,
        split=split,
        metric=metric,
        n_probe=64,
    )


def trained(wanted: TrialJob) -> list[EpochScores]:
    """Train, and return the scores without their seconds."""
    from fmnist_sweep.data.calls import open_kept

    data = open_kept(wanted.data.digest)
    first, *scores = KerasTrainer().fit(placed_here(replace(wanted, data=data)))
    assert isinstance(first, Started)
    assert first.n_parameters > 0
    assert all(isinstance(one, EpochScores | Returned) for one in scores)
    return [replace(one, seconds=0.0) for one in scores if isinstance(one, EpochScores)]


@pytest.mark.parametrize(
    ("model", "given", "metric", "more"),
    [
        ("regression", fits.table, "mae", {"loss"}),
        ("regression", fits.pipeline, "mae", {"loss"}),
        ("regression", fits.generators, "mae", {"loss"}),
        ("sigmoid", fits.binary, "accuracy", {"AUC", "loss"}),
        ("sigmoid", fits.binary, "auc", {"accuracy"}),
        ("sigmoid", fits.binary, "f1", {"accuracy", "AUC"}),
        ("joined", fits.two_inputs, "accuracy", {"loss"}),
        ("OwnFit", fits.table, "mae", {"loss"}),
    ],
)
def test_each_task_is_measured_on_what_trains_and_on_what_validates(
    model: str, given: Any, metric: str, more: set[str]
) -> None:
    """With the metric that is scored and all that the model was compiled with; and the same every time."""
    wanted = job(model, given(), metric=metric)
    scores = trained(wanted)
    assert len(scores) == 3
    assert {metric, *more} <= set(scores[0].train) == set(scores[0].val)
    assert scores[0].train != scores[1].train
    if not isinstance(given(), tuple) or given is fits.table:
        assert trained(wanted) == scores


@pytest.mark.parametrize(
    "split", [{}, {"validation_split": 0.25}, {"validation_data": (fits.table()[0][:32],)}]
)
def test_inputs_without_targets_train_and_validate(split: dict[str, Any]) -> None:
    """Of a model with a step of its own, whether rows are held out, split by Keras or given."""
    scores = trained(job("autoencoder", Call((fits.table()[0],), split), epochs=2))
    assert [set(one.train) for one in scores] == [{"loss", "mae"}] * 2
    assert scores[1].val["mae"] < scores[0].val["mae"]


def test_as_many_rows_that_train_are_measured_as_validate_where_nothing_else_is_asked() -> None:
    """At least one batch of 256; 10,000 where it is not known how many validate."""
    x, y = np.zeros((1200, 2)), np.zeros(1200)
    held = {"x": x, "y": y, "validation_data": (x[:300], y[:300])}
    batched = tf.data.Dataset.from_tensor_slices((x, y)).batch(100)
    endless = batched.repeat()
    for given, n in [
        (held, 300),
        ({**held, "validation_data": (x[:9], y[:9])}, 256),
        ({"x": x, "y": y, "validation_split": 0.25}, 300),
        ({"x": batched, "validation_data": batched.take(4)}, 400),
        ({"x": batched, "validation_data": endless, "validation_steps": 5}, 500),
        ({"x": batched, "validation_data": batched.filter(lambda *_: True)}, 10_000),
        ({"x": x, "y": y}, 10_000),
    ]:
        assert probe_size(given, None) == n
        assert probe_size(given, 7) == 7
    train, val = parts_of(held, n_probe=None)
    assert (len(train.x), len(val.x)) == (300, 300)
    wanted = job("regression", fits.table())
    assert trained(replace(wanted, n_probe=None)) == trained(replace(wanted, n_probe=256))


def test_what_a_fit_returns_is_told_and_may_be_scored() -> None:
    """Its number stands for all epochs; one that was not returned fails the trial, with what was."""
    from fmnist_sweep.data.calls import open_kept

    def events(metric: str) -> list[Any]:
        wanted = job("OwnFit", fits.table(), metric=metric)
        return list(KerasTrainer().fit(placed_here(replace(wanted, data=open_kept(wanted.data.digest)))))

    told = events("mae")
    (returned,) = [event for event in told if isinstance(event, Returned)]
    scores = [event for event in told if isinstance(event, EpochScores)]
    assert len(scores) == 3
    # With the penalty on weights, as Keras logs it.
    assert returned.values["returned"] > min(one.val["loss"] for one in scores)
    scored = [event for event in events("returned") if isinstance(event, EpochScores)]
    assert {one.val["returned"] for one in scored} == {round(returned.values["returned"], 6)}
    assert scored[0].val["mae"] == scores[0].val["mae"]
    with pytest.raises(TrialError, match=r"fit returned returned; let fit return a dict with 'gain'"):
        events("returned.gain")


def test_scores_are_keras_s_own_without_the_penalty_on_weights() -> None:
    """The loss is what the data alone make of it; the metric is that of `evaluate`."""
    x, y = fits.table()
    call = Call((x[:192], y[:192]), {"validation_data": (x[192:], y[192:])})
    (scores,) = trained(job("regression", call, epochs=1))
    keras.utils.set_random_seed(3)
    model = fits.regression(filled({}))
    history = model.fit(x[:192], y[:192], validation_data=(x[192:], y[192:]), verbose=0)
    assert scores.val["mae"] == pytest.approx(history.history["val_mae"][0], abs=1e-6)
    penalty = 0.1 * float(np.sum(np.square(model.layers[0].kernel.numpy())))
    assert scores.val["loss"] == pytest.approx(history.history["val_loss"][0] - penalty, abs=1e-5)


def test_the_end_of_a_series_validates_where_that_is_asked_for() -> None:
    """A line that has hardly learned is wrong by more where the trend ends."""
    first, last = (
        trained(job("trend", fits.series(), metric="loss", epochs=1, split=SplitSpec(20, kind=kind)))[0]
        for kind in ("first", "last")
    )
    assert last.val["loss"] > first.val["loss"]


def test_what_a_fit_asks_for_is_used() -> None:
    """A batch size of its own takes its own number of steps, and gives another curve."""
    small, large = (trained(job("OwnFit", fits.table(), epochs=1, rows=rows)) for rows in (8, 32))
    assert small != large


def test_a_batch_size_of_a_sweep_file_acts_where_the_model_names_none() -> None:
    """Under a plain fit too."""
    small, large = (trained(job("regression", fits.table(), epochs=1, batch_size=n)) for n in (8, 64))
    assert small != large


def test_several_calls_of_fit_count_their_epochs_on() -> None:
    """A warm-up comes first; what it was compiled with anew is measured after it."""
    scores = trained(job("WarmUp", fits.table(), epochs=3))
    assert [one.epoch for one in scores] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("model", ["WarmUp", "Folds"])
def test_a_fit_is_repeated_up_to_the_epoch_that_was_scored(model: str) -> None:
    """Asked for what the sweep asked for, and ended before: its epochs are the same, and nothing more."""
    wanted = job(model, fits.table(), epochs=3)
    whole = trained(wanted)
    assert trained(replace(wanted, epochs=4, fit_epochs=3)) == whole[:4]
    assert trained(replace(wanted, epochs=1, fit_epochs=3)) == whole[:1]


def test_models_that_a_fit_builds_itself_are_measured_one_after_the_other() -> None:
    """As in a cross-validation: each fold's epochs come behind those of the fold before."""
    scores = trained(job("Folds", fits.table(), epochs=2))
    assert [one.epoch for one in scores] == [0, 1, 2, 3]


def test_a_python_generator_inside_a_fit_loses_none_of_its_batches() -> None:
    """What measures the training scores is drawn from it and handed on."""
    scores = trained(job("Generated", fits.table(), epochs=2))
    assert len(scores) == 2
    assert set(scores[0].train) == {"loss", "mae"}


def test_a_number_of_epochs_that_a_fit_asks_for_is_the_sweep_s() -> None:
    """It is not handed over a second time."""
    assert len(trained(job("OwnEpochs", fits.table(), epochs=4))) == 4


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("TooManyEpochs", "fit trains more than the 3 epochs that it was asked for"),
        ("NoFit", "its fit never calls model.fit"),
    ],
)
def test_a_fit_that_cannot_be_measured_fails_with_the_reason(model: str, told: str) -> None:
    """And not with a curve that means something else."""
    with pytest.raises(TrialError, match=told):
        trained(job(model, fits.table()))


def test_a_metric_that_the_model_lacks_is_named_with_those_it_has() -> None:
    """For a sweep file that scores something else."""
    with pytest.raises(
        TrialError, match=r"score.metric is 'hinge', which the model does not have \(it has .*mae"
    ):
        trained(job("regression", fits.table(), metric="hinge"))


def test_the_average_of_the_weights_is_measured_where_fit_leaves_it() -> None:
    """The training goes on from the weights as they were."""
    plain, averaged = (trained(job("Averaging", fits.table(), average=on)) for on in (False, True))
    assert plain != averaged


def test_a_function_of_one_s_own_is_a_metric() -> None:
    """It gets the targets and the outputs of each part; one that gives no number is told."""
    scores = trained(job("regression", fits.table(), metric="fits:largest_error", epochs=2))
    assert {"fits:largest_error", "mae"} <= set(scores[0].val)
    assert scores[0].val["fits:largest_error"] > scores[0].val["mae"]
    with pytest.raises(TrialError, match=r"fits:each_error returned an array of shape \(64,\)"):
        trained(job("regression", fits.table(), metric="fits:each_error"))
    with pytest.raises(TrialError, match=r"score.metric fits:lost can't be imported: .*lost"):
        trained(job("regression", fits.table(), metric="fits:lost"))
    with pytest.raises(TrialError, match="takes one array of targets and one of outputs"):
        trained(job("regression", fits.pipeline(), metric="fits:largest_error"))


def test_images_are_scored_by_any_metric_too(tmp_path: Path) -> None:
    """One that the compiled steps don't measure is measured beside accuracy and cross-entropy."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (90, 4, 4), dtype=np.uint8), np.arange(90) % 3
    np.savez(tmp_path / "p.npz", x_train=images, y_train=labels)
    data = prepare_npz(tmp_path / "p.npz")
    wanted = TrialJob(0, "fits:pictures", {}, 2, 3, data, SplitSpec(30, 1), metric="f1")
    _, *scores = KerasTrainer().fit(placed_here(wanted))
    assert len(scores) == 2
    assert isinstance(scores[0], EpochScores)
    assert {"f1", "accuracy", "cross_entropy"} <= set(scores[0].val) == set(scores[0].train)
