"""Call ``fit`` once, as KerasTuner does, and measure each epoch of what it trains on.

``model.fit`` is tapped on the one model: whatever arguments reach it, prepared as they may be, decide what is
measured. After each epoch the metrics that the model was compiled with are evaluated, with dropout off, on a
fixed part of what trains and on what validates.
"""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import keras
import keras_tuner

from fmnist_sweep.core.curves import SCORE_DECIMALS, EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import Noted, Returned, Started
from fmnist_sweep.core.kept import Weights
from fmnist_sweep.core.metrics import is_returned, measured_metric
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.data.calls import Call
from fmnist_sweep.models.calling import NO_FIT, by_name, call_fit, listed, tapped_fits
from fmnist_sweep.models.hyperparameters import unasked
from fmnist_sweep.training.call_delivery import SEVERAL_MODELS, Trained, deliver_call
from fmnist_sweep.training.delivery import deliver_weights
from fmnist_sweep.training.epoch_measures import EpochMeasures, average_of_weights
from fmnist_sweep.training.measured_parts import Generated, Part, has_rows, parts_of, take_batches
from fmnist_sweep.training.resuming import keep_weights, restored_weights
from fmnist_sweep.training.returned import returned_values, scored_return
from fmnist_sweep.training.runtime import failing_as, n_weights

Event: TypeAlias = Started | Noted | Returned | EpochScores


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
    untold = list[EpochScores]()

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
        if isinstance(event, EpochScores) and is_returned(job.metric) and not job.restores:
            # What is scored is known once fit returns.
            untold.append(event)
            continue
        yield event
    yield from tap.with_return(untold)
    if job.delivery_folder is not None and job.data.form == "call":
        deliver_weights(tap.weights, job)
        if job.hand_out and tap.trained is not None:
            with failing_as("saving the model"):
                deliver_call(tap.trained, job, hypermodel, hp)


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


class _Restored(BaseException):
    """The model that was to be trained has its kept weights and was measured: its fit has nothing left to do.

    No error, which a fit may catch.
    """


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
        self.asked = job.fit_epochs or job.epochs
        """Number of epochs that the fit is called for."""

        self._history: Any = None
        self.n_calls = 0
        self._is_started = False
        self.offered = Call()
        self.weights: Weights = []
        self.trained: Trained | None = None
        self.trains: keras.Model | None = None
        self.epochs: list[EpochScores] = []
        self.returned: dict[str, float] = {}

    def run(self, hypermodel: keras_tuner.HyperModel, call: Call) -> None:
        """Call the fit as KerasTuner's ``search`` does."""
        try:
            with tapped_fits(self.model, self._tapped):
                returned = call_fit(
                    hypermodel,
                    self.hp,
                    self.model,
                    call,
                    epochs=self.asked,
                    split=self.job.split,
                    offered=self._offer,
                )
        except _Restored:
            return
        if not self.n_calls:
            raise TrialError(NO_FIT)
        require_asked(self.hp, used=self.job.sometimes)
        self.returned, note = returned_values(returned, self.epochs[-1].by_name() if self.epochs else {})
        if note:
            self.tell(Noted(self.job.trial, note))
        if self.returned:
            self.tell(Returned(self.job.trial, self.returned))

    def with_return(self, epochs: Sequence[EpochScores]) -> Iterator[EpochScores]:
        """Yield epochs with what the fit returned as what is scored: one value stands for all of them.

        Raises:
            TrialError: It returned no such value.
        """
        if epochs:
            value = {self.job.metric: round(scored_return(self.returned, self.job.metric), SCORE_DECIMALS)}
            yield from (
                replace(one, train={**one.train, **value}, val={**one.val, **value}) for one in epochs
            )

    @property
    def n_epochs(self) -> int:
        """Number of epochs that are trained."""
        return len(self.epochs)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are trained that are wanted, whatever the fit goes on to do."""
        return self.job.fit_epochs is not None and self.n_epochs >= self.job.epochs

    def _offer(self, call: Call) -> None:
        self.offered = call

    def started(self, model: keras.Model) -> None:
        """Tell, once, that the model is built."""
        if not self._is_started:
            self._is_started = True
            unused = tuple(sorted(unasked(self.hp) & set(self.job.sometimes)))
            self.tell(Started(self.job.trial, n_weights(model), unused=unused))

    def _tapped(self, fit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Stand in for ``model.fit``."""
        if self.is_done and self._history is not None:
            # What the fit trains behind the epoch that was scored is no part of what is wanted.
            return self._history
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
        offered = self.offered
        nothing = given.get("validation_data") is None and not given.get("validation_split")
        # A fit that keeps what validates to itself, and hands its arrays on as it got them.
        unprepared = given.get("x") is offered.x and given.get("y") is offered.y
        held = offered.kwargs.get("validation_data") if nothing and unprepared else None
        known = given if held is None else {**given, "validation_data": held}
        train, val = parts_of(known, n_probe=self.job.n_probe)
        if isinstance(given.get("x"), Generated):
            given["x"] = given["x"].all
        measuring = _Measuring(self, train, val)
        if self.job.restores:
            # Of another model than the one that was built it is the class's own.
            bound = fit.args[:1] if isinstance(fit, functools.partial) else ()
            measuring.set_model(next((one for one in bound if isinstance(one, keras.Model)), self.model))
            with failing_as("loading the kept weights"):
                measuring.restore(restored_weights(self.job))
            raise _Restored
        given["callbacks"] = [*listed(given.get("callbacks")), measuring]
        self._history = fit(**given)
        return self._history


class _Measuring(keras.callbacks.Callback):  # type: ignore[misc]  # Keras carries no types
    """Measures each epoch and tells its scores."""

    def __init__(self, tap: _Tap, train: Part, val: Part) -> None:
        super().__init__()
        self._tap = tap
        of_classes = tap.job.data.form == "images"
        folders = tap.job.places.code
        self._measures = EpochMeasures(
            measured_metric(tap.job.metric), train, val, of_classes=of_classes, folders=folders
        )
        self._train, self._val = train, val
        self._began = 0.0
        self._n_here = 0

    def _trained(self, val: Mapping[str, float]) -> Trained:
        tap, before = self._tap, self._tap.trained
        others = before is not None and (before.several or before.model is not self.model)
        return Trained(
            self.model,
            tap.weights,
            self._train,
            self._val,
            val[measured_metric(tap.job.metric)],
            tap.offered,
            several=others,
        )

    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        if self.model.built:
            self._tap.started(self.model)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        asked = self._tap.asked
        if self._n_here == asked:
            raise TrialError(
                f"fit trains more than the {asked} {'epoch' if asked == 1 else 'epochs'} that it was asked "
                "for: it must hand the argument `epochs` on to model.fit, or the sweep must allow as many "
                "epochs as it trains"
            )
        self._began = time.perf_counter()

    def restore(self, weights: Weights) -> None:
        """Give the model weights that were kept, in place of a training, and tell its scores."""
        tap, model = self._tap, self.model
        number = tap.job.epochs
        if len(model.weights) != len(weights):
            # Without an input layer it has none before Keras shows it data.
            self._measures.scores(model, {}, number=number)
        model.set_weights(weights)
        train, val = self._measures.scores(model, {}, number=number)
        if tap.job.delivery_folder is not None:
            tap.weights = weights
            tap.trained = self._trained(val)
        tap.started(model)
        tap.tell(EpochScores(number - 1, train, val))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch
        tap, number = self._tap, self._tap.n_epochs
        with average_of_weights(self.model):
            train, val = self._measures.scores(self.model, logs or {}, number=number + 1)
            seconds = round(time.perf_counter() - self._began, 3)
            scores = EpochScores(number, train, val, seconds)
            tap.epochs.append(scores)
            if tap.job.delivery_folder is not None:
                # What was measured: a callback may put other weights back in the end.
                tap.weights = self.model.get_weights()
                tap.trained = self._trained(val)
            if tap.job.keep is not None:
                self._keep()
        # A model without an input layer has its weights from the first batch on.
        tap.started(self.model)
        self._n_here += 1
        if tap.is_done:
            self.model.stop_training = True
        tap.tell(scores)

    def _keep(self) -> None:
        tap = self._tap
        tap.trains = tap.trains or self.model
        if tap.trains is not self.model:
            # One for each fold, say: which of them is the trial's is not known.
            if tap.job.weights_file is not None:
                tap.job.weights_file.unlink(missing_ok=True)
            tap.tell(Noted(tap.job.trial, f"no weights are kept: {SEVERAL_MODELS}"))
            return
        for note in keep_weights(tap.job, tap.epochs, self.model.get_weights):
            tap.tell(note)
