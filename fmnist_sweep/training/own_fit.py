"""Call ``fit`` once, as KerasTuner does, and measure each epoch of what it trains on.

``model.fit`` is tapped on the one model: whatever arguments reach it, prepared as they may be, decide what is
measured. After each epoch the metrics that the model was compiled with are evaluated, with dropout off, on a
fixed part of what trains and on what validates.
"""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import keras
import keras_tuner
import numpy as np

from fmnist_sweep.core.curves import SCORE_DECIMALS, EpochScores
from fmnist_sweep.core.errors import TrialError, did_you_mean
from fmnist_sweep.core.events import Noted, Started
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.calls import Call
from fmnist_sweep.data.trees import class_labels
from fmnist_sweep.models.calling import NO_FIT, by_name, call_fit, listed, tapped_fits
from fmnist_sweep.models.hyperparameters import unasked
from fmnist_sweep.training.delivery import deliver_weights
from fmnist_sweep.training.measure import are_probabilities, class_scores
from fmnist_sweep.training.measured_parts import Generated, Part, has_rows, parts_of, take_batches
from fmnist_sweep.training.of_outputs import METRICS_OF_OUTPUTS, metric_of_outputs
from fmnist_sweep.training.runtime import failing_as

Event: TypeAlias = Started | Noted | EpochScores

_OF_CLASSES: Final = ("accuracy", "cross_entropy")
_N_AT_ONCE: Final = 256


def train_in_one_call(
    job: PlacedJob,
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    model: keras.Model,
    call: Call,
) -> Iterator[Event]:
    """Call ``hypermodel.fit`` with all epochs and yield what each of them gave.

    The call runs in a thread of its own, which the next epoch does not wait for whoever hears of one.

    Args:
        job: The job.
        hypermodel: Its HyperModel.
        hp: Its hyperparameters, of `filled`.
        model: The model that it built.
        call: What a tuner's ``search`` would hand on.

    Raises:
        TrialError: The fit fails, trains more epochs than it was asked for, calls no ``model.fit``, or what
            is scored can't be measured.
    """
    heard: queue.SimpleQueue[Event | BaseException | None] = queue.SimpleQueue()
    tap = _Tap(job, model, hp, heard.put)

    def work() -> None:
        try:
            tap.run(hypermodel, call)
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that tells it
            heard.put(error)
        else:
            heard.put(None)

    threading.Thread(target=work, name="fit", daemon=True).start()
    while (event := heard.get()) is not None:
        if isinstance(event, BaseException):
            with failing_as("training of the model"):
                raise event
        yield event
    if job.delivery_folder is not None and job.data.form == "call":
        deliver_weights(tap.weights, job)


def require_asked(hp: keras_tuner.HyperParameters, *, used: Collection[str] = ()) -> None:
    """Raise `TrialError` if the model has not asked for a hyperparameter: its values would change nothing.

    Args:
        hp: What the model was given, from `filled`.
        used: Names that the trainer itself reads.
    """
    names = sorted(unasked(hp) - set(used))
    if names:
        raise TrialError(
            f"the model never asks for {', '.join(names)}, so that no value of it changes anything: ask for "
            "it in build or fit, or take it out of [space]"
        )


class _Tap:
    """One call of a ``fit``, listened to."""

    def __init__(
        self,
        job: PlacedJob,
        model: keras.Model,
        hp: keras_tuner.HyperParameters,
        tell: Callable[[Event], None],
    ) -> None:
        self.job = job
        self.model = model
        self.hp = hp
        self.tell = tell
        self.n_epochs = 0
        self.n_calls = 0
        self._is_started = False
        self._offered = Call()
        self.weights: list[Any] = []

    def run(self, hypermodel: keras_tuner.HyperModel, call: Call) -> None:
        """Call the fit as KerasTuner's ``search`` does."""
        with tapped_fits(self.model, self._tapped):
            call_fit(
                hypermodel,
                self.hp,
                self.model,
                call,
                epochs=self.job.epochs,
                split=self.job.split,
                offered=self._offer,
            )
        if not self.n_calls:
            raise TrialError(NO_FIT)
        require_asked(self.hp, used=self.job.sometimes)

    def _offer(self, call: Call) -> None:
        self._offered = call

    def started(self, model: keras.Model) -> None:
        """Tell, once, that the model is built."""
        if not self._is_started:
            self._is_started = True
            unused = tuple(sorted(unasked(self.hp) & set(self.job.sometimes)))
            self.tell(Started(self.job.trial, int(model.count_params()), unused=unused))

    def _tapped(self, fit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Stand in for ``model.fit``."""
        given = by_name(fit, args, kwargs)
        self.n_calls += 1
        if "batch_size" in self.job.hyperparameters and "batch_size" in unasked(self.hp):
            # From a sweep file: the model says nothing of batches.
            size = self.hp.values["batch_size"]
            if given.get("batch_size") is None and has_rows(given.get("x")):
                given["batch_size"] = int(size)
        elif given.get("batch_size") is None and has_rows(given.get("x")):
            given["batch_size"] = self.job.batch_size
        given["verbose"] = 0
        take_batches(given, self.job.n_probe)
        offered = self._offered
        nothing = given.get("validation_data") is None and not given.get("validation_split")
        # A fit that keeps what validates to itself, and hands its arrays on as it got them.
        unprepared = given.get("x") is offered.x and given.get("y") is offered.y
        held = offered.kwargs.get("validation_data") if nothing and unprepared else None
        known = given if held is None else {**given, "validation_data": held}
        train, val = parts_of(known, n_probe=self.job.n_probe)
        if isinstance(given.get("x"), Generated):
            given["x"] = given["x"].all
        measuring = _Measuring(self, train, val)
        given["callbacks"] = [*listed(given.get("callbacks")), measuring]
        return fit(**given)


class _Measuring(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
    """Measures each epoch and tells its scores."""

    def __init__(self, tap: _Tap, train: Part, val: Part) -> None:
        super().__init__()
        self._tap = tap
        self._train, self._val = train, val
        self._began = 0.0
        self._n_here = 0
        self._from_logits: bool | None = None

    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        if self.model.built:
            self._tap.started(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        asked = self._tap.job.epochs
        if self._n_here == asked:
            raise TrialError(
                f"fit trains more than the {asked} {'epoch' if asked == 1 else 'epochs'} that it was asked "
                "for: it must hand the argument `epochs` on to model.fit, or the sweep must allow as many "
                "epochs as it trains"
            )
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch
        with _average_of_weights(self.model):
            train, val = self._scores(dict(logs or {}))
            if self._tap.job.delivery_folder is not None:
                # What was measured: a callback may put other weights back in the end.
                self._tap.weights = self.model.get_weights()
        # A model without an input layer has its weights from the first batch on.
        self._tap.started(self.model)
        seconds = round(time.perf_counter() - self._began, 3)
        scores = EpochScores(self._tap.n_epochs, train, val, seconds)
        self._tap.n_epochs += 1
        self._n_here += 1
        self._tap.tell(scores)

    def _scores(self, logs: dict[str, Any]) -> tuple[dict[str, float], dict[str, float]]:
        wanted = self._tap.job.metric
        train = self._evaluated(self._train)
        # Keras has evaluated what validates, unless the weights have since been replaced by their average.
        logged = {name: logs.get(f"val_{name}") for name in train}
        fresh = None in logged.values() or getattr(self.model.optimizer, "use_ema", False)
        val = self._evaluated(self._val) if fresh else _plain(logged)
        penalty = _regularization(self.model)
        for part in (train, val):
            part["loss"] -= penalty
        of_classes = [
            name for name in _OF_CLASSES if name not in train and self._tap.job.data.form == "images"
        ]
        if wanted not in train or of_classes:
            self._add_of_outputs(train, val, wanted)
        kept = [name for name in train if name in val]
        finite = [n for n in kept if n == wanted or (np.isfinite(train[n]) and np.isfinite(val[n]))]
        for part, name in ((train, "train"), (val, "val")):
            if not np.isfinite(part[wanted]):
                number = self._tap.n_epochs + 1
                raise TrialError(
                    f"{name}_{wanted} is {part[wanted]} after epoch {number}: the training diverged"
                )
        return (
            {name: round(train[name], SCORE_DECIMALS) for name in finite},
            {name: round(val[name], SCORE_DECIMALS) for name in finite},
        )

    def _evaluated(self, part: Part) -> dict[str, float]:
        how: dict[str, Any] = {"batch_size": _N_AT_ONCE} if part.is_arrays else {"steps": part.steps}
        told = self.model.evaluate(
            part.x, part.y, sample_weight=part.sample_weight, verbose=0, return_dict=True, **how
        )
        return _plain(told)

    def _add_of_outputs(self, train: dict[str, float], val: dict[str, float], wanted: str) -> None:
        """Add what the model was not compiled with, from its outputs; the wanted metric must come of it."""
        alike = next((name for name in train if _plain_name(name) == _plain_name(wanted)), None)
        if alike is not None and wanted not in train:
            # Older code asks for val_auc where Keras logs val_AUC.
            train[wanted], val[wanted] = train.pop(alike), val.pop(alike)
        if wanted in train and self._tap.job.data.form != "images":
            return
        parts = (self._train, self._val)
        if all(part.is_arrays and not isinstance(part.y, Mapping | list | tuple) for part in parts):
            train |= self._of_outputs(self._train, wanted)
            val |= self._of_outputs(self._val, wanted)
        if wanted not in train or wanted not in val:
            near = did_you_mean(wanted, train)
            raise TrialError(
                f"score.metric is {wanted!r}, which the model does not have{near} (it has "
                f"{', '.join(train)}); compile it with that metric, or score another"
            )

    def _of_outputs(self, part: Part, wanted: str) -> dict[str, float]:
        outputs = np.asarray(self.model.predict(part.x, batch_size=_N_AT_ONCE, verbose=0))
        labels = class_labels(part.y)
        scores: dict[str, float] = {}
        if labels is not None and outputs.ndim == 2 and outputs.shape[1] > max(1, int(labels.max())):
            scores = class_scores(outputs, labels, from_logits=self._are_logits(outputs))
        if wanted in METRICS_OF_OUTPUTS and wanted not in scores:
            scores[wanted] = metric_of_outputs(wanted, np.asarray(part.y), outputs)
        return scores

    def _are_logits(self, outputs: Any) -> bool:
        if self._from_logits is None:
            told = getattr(self.model.loss, "from_logits", None)
            self._from_logits = not are_probabilities(outputs) if told is None else bool(told)
        return self._from_logits


def _plain_name(name: str) -> str:
    """Return a metric's name without its case and without the number that Keras gives to a second one."""
    return re.sub(r"_\d+$", "", name.lower())


def _plain(told: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in told.items() if np.ndim(value) == 0}


def _regularization(model: keras.Model) -> float:
    """Return what the weights' regularizers add to the loss, in whichever part it is measured."""
    terms = [
        v.regularizer(v) for v in model.trainable_variables if getattr(v, "regularizer", None) is not None
    ]
    return float(sum(map(float, terms)))


@contextmanager
def _average_of_weights(model: keras.Model) -> Iterator[None]:
    """Measure the average of the weights where that is what ``fit`` leaves in the model in the end.

    The optimizer's own end-of-training step puts it in; the training goes on from the weights as they were.
    """
    optimizer = model.optimizer
    if optimizer is None or not optimizer.use_ema:
        yield
        return
    raw = [variable.numpy() for variable in model.trainable_variables]
    optimizer.finalize_variable_values(model.trainable_variables)
    try:
        yield
    finally:
        for variable, value in zip(model.trainable_variables, raw, strict=True):
            variable.assign(value)
