"""Train one job with Keras."""

from __future__ import annotations

import inspect
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import keras
import keras_tuner
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras.src.random.seed_generator import global_seed_generator

from fmnist_sweep.core.curves import SCORE_DECIMALS, EpochScores
from fmnist_sweep.core.errors import TrialError
from fmnist_sweep.core.events import CheckpointSkipped, Noted, Returned, Started
from fmnist_sweep.core.jobs import N_PROBE
from fmnist_sweep.core.metrics import METRICS_BY_NAME
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.core.user_code import is_ours
from fmnist_sweep.data import Split, load_split, probe_indices
from fmnist_sweep.data.calls import Call, open_call
from fmnist_sweep.data.split import aligned
from fmnist_sweep.models.augmentation import begin_epoch
from fmnist_sweep.models.building import BuiltInModel
from fmnist_sweep.models.calling import has_own_fit
from fmnist_sweep.models.hyperparameters import filled, unasked
from fmnist_sweep.models.load import build_model
from fmnist_sweep.training.checkpoint import Checkpoint
from fmnist_sweep.training.delivery import deliver, learning_rate
from fmnist_sweep.training.epoch_measures import average_of_weights
from fmnist_sweep.training.fused import fused_kernels
from fmnist_sweep.training.images import images_for
from fmnist_sweep.training.measure import are_probabilities, class_scores
from fmnist_sweep.training.own_fit import require_asked, train_in_one_call
from fmnist_sweep.training.resuming import checkpoint_file, keep_weights, restored_weights, resume, variables
from fmnist_sweep.training.runtime import (
    N_AT_ONCE,
    failing_as,
    load_hypermodel,
    n_weights,
    predictor,
    replaced,
    set_up_tensorflow,
    shared_tensor,
)
from fmnist_sweep.training.seeds import seeds_kept, seeds_note

Order: TypeAlias = npt.NDArray[np.int32]
TrainEpoch: TypeAlias = Callable[[Order], None]
Measure: TypeAlias = Callable[[], tuple[dict[str, float], dict[str, float]]]

_PLAIN_FITS: Final = (keras_tuner.HyperModel.fit, BuiltInModel.fit)
"""Methods that only hand their arguments to ``model.fit``, with a batch size that the job knows as well."""


class KerasTrainer:
    """Builds the job's HyperModel, trains it with its own optimizer and loss, and measures every epoch.

    The model takes images ``(n, *input_shape)`` and gives probabilities or logits ``(n, n_classes)``; its
    compiled loss takes integer labels. A HyperModel's or a model's own ``fit`` is called, for one epoch at
    a time; where there is none, an epoch runs as one compiled function that takes the steps of Keras's
    ``fit`` in less time: with the same result, bit for bit, for a job of ``exact_steps``, and but for
    rounding for any other. Where the HyperModel has a method ``learning_rate(hp, epoch)``, it
    gives the learning rate of each epoch, from 0, as `keras.callbacks.LearningRateScheduler` would set it.

    Nothing of an epoch depends on how the process came to it but the values of ``model.variables`` and
    ``optimizer.variables``: the order of the images comes from the seed and the epoch alone, and so do the
    global generators of Python and NumPy. With these values in its checkpoint, a job that was killed goes on
    to the very curve that it would have had. Random operations of TensorFlow itself, ``tf.random``, have a
    state that no checkpoint can hold; those of Keras are exact.
    """

    def fit(self, job: PlacedJob) -> Iterator[Started | CheckpointSkipped | Noted | Returned | EpochScores]:
        """Train a job as `fmnist_sweep.core.trainer.Trainer` says."""
        set_up_tensorflow()
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(job.seed)
        hyperparameters = filled(job.hyperparameters)
        hypermodel, model, notes = _built(job, hyperparameters)
        yield from notes
        if not _takes_plain_steps(job, hypermodel, model):
            yield from _trained_in_one_call(job, hypermodel, hyperparameters, model)
            return
        yield from _trained_step_by_step(job, hypermodel, hyperparameters, model)


def _takes_plain_steps(job: PlacedJob, hypermodel: keras_tuner.HyperModel, model: keras.Model) -> bool:
    """Return whether nothing but the steps of Keras's ``fit`` over our own images is asked for."""
    # A model that is not compiled has no optimizer.
    averages = getattr(getattr(model, "optimizer", None), "use_ema", False)
    # Of a user's own it stays Keras's loop that decides when they are put in.
    averages = averages and not is_ours(type(hypermodel).__module__)
    own_fit = type(hypermodel).fit not in _PLAIN_FITS or type(model).fit is not keras.Model.fit
    eager = model.compiled and model.run_eagerly
    # What the steps don't measure themselves is measured as Keras's fit would.
    measured = job.metric in METRICS_BY_NAME
    return job.data.form == "images" and measured and not (own_fit or eager or averages)


def _trained_in_one_call(
    job: PlacedJob, hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters, model: keras.Model
) -> Iterator[Started | Noted | Returned | EpochScores]:
    """Call the fit once, with the data as they were given or with our own images."""
    with failing_as("loading the data"):
        call = _call_of(job, model)
    schedule = _schedule(hypermodel, hp)
    if schedule is not None:
        callbacks = [*(call.kwargs.get("callbacks") or ()), schedule]
        call = replace(call, kwargs={**call.kwargs, "callbacks": callbacks})
    yield from train_in_one_call(job, hypermodel, hp, model, call)
    if job.delivery_folder is None or job.data.form == "call":
        return
    with failing_as("saving the model"):
        images = images_for(model, job)
        split = load_split(images, job.split)
        from_logits = _check_model(model, split.x_val[:N_AT_ONCE], job.data.n_classes)
        deliver(model, job, images, from_logits=from_logits, learning_rates=[])


def _call_of(job: PlacedJob, model: keras.Model) -> Call:
    """Return what the fit is called with."""
    if job.data.form == "call":
        return open_call(Path(job.data_ref.directory), tf.data.Dataset.load)
    split = load_split(images_for(model, job), job.split)
    return Call((split.x_train, split.y_train), {"validation_data": (split.x_val, split.y_val)})


def _schedule(
    hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters
) -> keras.callbacks.Callback | None:
    """Return the callback that sets each epoch's learning rate, where the HyperModel knows one."""
    rate = getattr(hypermodel, "learning_rate", None)
    if not inspect.ismethod(rate):
        return None
    return keras.callbacks.LearningRateScheduler(lambda epoch, _: float(rate(hp, epoch)))


def _trained_step_by_step(
    job: PlacedJob,
    hypermodel: keras_tuner.HyperModel,
    hyperparameters: keras_tuner.HyperParameters,
    model: keras.Model,
) -> Iterator[Started | CheckpointSkipped | Noted | EpochScores]:
    """Train on our own images, an epoch in one compiled function; goes on from a checkpoint."""
    images = images_for(model, job)
    with failing_as("loading the data"):
        split = load_split(images, job.split)
    probe = probe_indices(len(split.y_train), N_PROBE if job.n_probe is None else job.n_probe)
    with failing_as("the model's first prediction"):
        from_logits = _check_model(model, split.x_val[:N_AT_ONCE], job.data.n_classes)
    measured = _measurer(model, split, probe, from_logits=from_logits)
    set_learning_rate = _scheduler(hypermodel, hyperparameters, model)
    train_epoch = _epoch_trainer(hyperparameters, model, split, job)
    n_train = len(split.y_train)
    # What trains and measures holds tensors by now: a second copy would double the process's memory.
    del split
    # Keras would make the generator of unseeded operations when one first runs, from a seed that depends
    # on what ran before.
    global_seed_generator()
    unused = tuple(sorted(unasked(hyperparameters) & set(job.sometimes)))
    if job.restores:
        yield from _restored(job, model, measured, unused)
        if job.delivery_folder is not None:
            rates = _rates_of(range(job.epochs), model, set_learning_rate)
            with failing_as("saving the model"):
                deliver(model, job, images, from_logits=from_logits, learning_rates=rates)
        return
    file = checkpoint_file(job, hypermodel, images)
    done = [] if file is None else resume(model, file)
    yield Started(job.trial, n_weights(model), min(len(done), job.epochs), unused)
    yield from done[: job.epochs]

    rates = _rates_of(range(len(done)), model, set_learning_rate)
    for epoch in range(len(done), job.epochs):
        began = time.perf_counter()
        order = np.random.default_rng((job.seed, epoch)).permutation(n_train).astype(np.int32)
        _seed_generators(job.seed, epoch)
        with failing_as("training of the model"):
            set_learning_rate(epoch)
            begin_epoch(model, epoch)
            train_epoch(order)
            rates.append(learning_rate(model))
            with average_of_weights(model):
                train, val = measured()
        running = {"accuracy": _running_accuracy(model)} if job.running_metrics else {}
        seconds = round(time.perf_counter() - began, 3)
        scores = EpochScores(epoch, train, val, seconds, running)
        scores.require_finite()
        done.append(scores)
        # Before the checkpoint: what goes on from that one never trains this epoch again.
        yield from keep_weights(job, done, partial(_measured_weights, model), n_epochs=job.epochs)
        if file is not None:
            # Before anyone hears of the epoch: what a study was told is never trained again.
            arrays = tuple(v.numpy() for v in variables(model))
            if (problem := file.save(Checkpoint(tuple(done), arrays))) is not None:
                yield CheckpointSkipped(job.trial, problem)
        yield scores
    if job.delivery_folder is not None:
        with failing_as("saving the model"), average_of_weights(model):
            deliver(model, job, images, from_logits=from_logits, learning_rates=rates)


def _measured_weights(model: keras.Model) -> list[npt.NDArray[Any]]:
    with average_of_weights(model):
        weights: list[npt.NDArray[Any]] = model.get_weights()
    return weights


def _restored(
    job: PlacedJob, model: keras.Model, measured: Measure, unused: tuple[str, ...]
) -> Iterator[Started | EpochScores]:
    """Give the model the weights that were kept, in place of a training, and tell its scores."""
    with failing_as("loading the kept weights"):
        model.set_weights(restored_weights(job))
        scores = EpochScores(job.epochs - 1, *measured())
    yield Started(job.trial, n_weights(model), unused=unused)
    yield scores


def _measurer(model: keras.Model, split: Split, probe: npt.NDArray[Any], *, from_logits: bool) -> Measure:
    """Return a function that gives the scores of the probe and of the validation images."""
    n_probe, y_probe, y_val = len(probe), split.y_train[probe], split.y_val
    images = aligned((n_probe + len(y_val), *split.x_val.shape[1:]))
    predict = predictor(model, np.concatenate([split.x_train[probe], split.x_val], out=images))

    def measured() -> tuple[dict[str, float], dict[str, float]]:
        outputs = predict()
        train = class_scores(outputs[:n_probe], y_probe, from_logits=from_logits)
        return train, class_scores(outputs[n_probe:], y_val, from_logits=from_logits)

    return measured


def _built(
    job: PlacedJob, hp: keras_tuner.HyperParameters
) -> tuple[keras_tuner.HyperModel, keras.Model, list[Noted]]:
    """Import the job's HyperModel, let it build, and return both with what there is to note."""
    with seeds_kept() as tried:
        with failing_as("import of the model"):
            hypermodel = load_hypermodel(job)
        if job.data.form == "call" or has_own_fit(hypermodel):
            # What asks for it gets the number that is trained.
            hp.values["epochs"] = job.fit_epochs or job.epochs
        with failing_as("build of the model"):
            model = build_model(hypermodel, hp)
    return hypermodel, model, [Noted(job.trial, seeds_note(line)) for line in tried]


def _rates_of(epochs: range, model: keras.Model, set_learning_rate: Callable[[int], None]) -> list[float]:
    """Return the learning rates of epochs that another process trained: a schedule knows them."""
    rates = []
    for epoch in epochs:
        set_learning_rate(epoch)
        rates.append(learning_rate(model))
    return rates


def _seed_generators(seed: int, epoch: int) -> None:
    """Seed the global generators, which a user's own ``fit`` may draw from, for one epoch."""
    for_python, for_numpy = (int(n) for n in np.random.SeedSequence((seed, epoch)).generate_state(2))
    random.seed(for_python)
    np.random.seed(for_numpy)  # noqa: NPY002 - the user's code may use the old interface


def _check_model(model: keras.Model, images: npt.NDArray[np.float32], n_classes: int) -> bool:
    """Build the model where that is left to the first call, and return whether it gives logits.

    Raises:
        TrialError: It is no compiled classifier of these images.
    """
    if not model.compiled or model.optimizer is None:
        raise TrialError(
            "build must return a compiled model: call model.compile(optimizer, loss) before returning it"
        )
    output = model(images[:16], training=False)
    shape = tuple(getattr(output, "shape", ()))
    if shape != (len(images[:16]), n_classes):
        given = shape[1:] if shape else type(output).__name__
        raise TrialError(f"the model must give one value for each of {n_classes} classes; it gives {given}")
    from_logits = getattr(model.loss, "from_logits", None)
    return not are_probabilities(np.asarray(output)) if from_logits is None else bool(from_logits)


def _scheduler(
    hypermodel: keras_tuner.HyperModel, hyperparameters: keras_tuner.HyperParameters, model: keras.Model
) -> Callable[[int], None]:
    """Return the function that sets an epoch's learning rate, as far as the HyperModel knows one."""
    learning_rate = getattr(hypermodel, "learning_rate", None)

    def set_learning_rate(epoch: int) -> None:
        # An attribute of that name may as well be a number, or a Keras schedule, that build reads.
        if inspect.ismethod(learning_rate):
            model.optimizer.learning_rate = float(learning_rate(hyperparameters, epoch))

    return set_learning_rate


def _epoch_trainer(
    hyperparameters: keras_tuner.HyperParameters,
    model: keras.Model,
    split: Split,
    job: PlacedJob,
) -> TrainEpoch:
    """Return the function that trains the model for one epoch, over images in a given order."""
    batch_size = int(job.hyperparameters.get("batch_size", job.batch_size))
    if batch_size < 1:
        raise TrialError(f"batch_size must be at least 1; got {batch_size}")
    exact = job.exact_steps
    train = _compiled_epoch(model, split, batch_size, running_metrics=job.running_metrics, exact_steps=exact)

    def train_epoch(order: Order) -> None:
        train(order)
        # Asked now: what only the learning rate of an epoch looks up has been looked up.
        require_asked(hyperparameters, used=("batch_size", *job.sometimes))

    return train_epoch


def _compiled_epoch(
    model: keras.Model,
    split: Split,
    batch_size: int,
    *,
    running_metrics: bool = False,
    exact_steps: bool = False,
) -> TrainEpoch:
    """Run the model's ``train_step`` over a whole epoch inside one TensorFlow function.

    Keras's ``fit`` takes the same steps, but hands over every batch from Python or from an iterator, and
    keeps up running metrics, which this function leaves out unless they are asked for.
    """
    x, y = shared_tensor(split.x_train), tf.constant(split.y_train)
    n_steps = -(-len(split.y_train) // batch_size)
    model.optimizer.build(model.trainable_variables)
    if running_metrics:
        # Makes their variables, which a traced step could not; each epoch begins by resetting them.
        model.compute_metrics(x[:1], y[:1], model(x[:1], training=False))

    # XLA would make small convolutions several times slower on a CPU, whatever the model was compiled with.
    @tf.function(jit_compile=False, autograph=False)  # type: ignore[untyped-decorator]
    def train(order: tf.Tensor) -> None:
        def step(i: tf.Tensor) -> tuple[tf.Tensor]:
            # A slice ends where the images do: the last batch may be smaller.
            batch = order[i * batch_size : (i + 1) * batch_size]
            with (
                nullcontext() if running_metrics else _without_metrics(model),
                nullcontext() if exact_steps else fused_kernels(model),
            ):
                model.train_step((tf.gather(x, batch), tf.gather(y, batch)))
            return (i + 1,)

        tf.while_loop(lambda i: i < n_steps, step, (tf.constant(0),), parallel_iterations=1)

    def train_epoch(order: Order) -> None:
        model.reset_metrics()
        train(tf.constant(order))

    return train_epoch


@contextmanager
def _without_metrics(model: keras.Model) -> Iterator[None]:
    """Trace a step without the running metrics: nobody reads them, and they cost time in every step."""
    if type(model).compute_metrics is not keras.Model.compute_metrics:
        # What a user's own method does beside is not known.
        yield
        return
    with ExitStack() as stack:
        stack.enter_context(replaced(model, "compute_metrics", lambda *_, **__: {}))
        if type(model).train_step is keras.Model.train_step:
            # The mean loss is a running metric as well; what a user's own step does with it is not known.
            stack.enter_context(replaced(model._loss_tracker, "update_state", lambda *_, **__: None))  # noqa: SLF001
        yield


def _running_accuracy(model: keras.Model) -> float:
    """Return the mean accuracy that the model's own metric has run up over the epoch.

    Raises:
        TrialError: The model keeps none.
    """
    found = model.get_metrics_result().get("accuracy")
    if found is None:
        raise TrialError(
            'training.running_metrics needs a model that keeps one: compile it with metrics=["accuracy"]'
        )
    return round(float(found), SCORE_DECIMALS)
