"""How a HyperModel's ``fit`` is called, and a first call on two batches that shows what it asks for."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import keras
import keras_tuner
import numpy as np

from fmnist_sweep.core.errors import TrialError, did_you_mean
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data.calls import Call
from fmnist_sweep.data.hold_out import rows, with_hold_out
from fmnist_sweep.data.trees import is_dataset

NO_FIT: Final = (
    "its fit never calls model.fit, so that there is nothing to measure: no training score, and no gap; call "
    "model.fit, with a step of your own in the train_step of the model's class, or leave fit out"
)
_N_TASTED: Final = 64
"""Rows, two batches of Keras's usual size, that a first call trains on."""


def fit_arguments(
    call: Call, hypermodel: keras_tuner.HyperModel, *, epochs: int, split: SplitSpec
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what ``hypermodel.fit`` is called with: the data, what validates, epochs, callbacks.

    Args:
        call: The data as they were given.
        hypermodel: Takes what it names; what only hands its arguments on takes everything.
        epochs: How many.
        split: Which rows validate, where the data do not say.

    Raises:
        TrialError: There is nothing to validate on.
    """
    args, kwargs = call.args, dict(call.kwargs)
    if not call.has_validation:
        args, kwargs = with_hold_out(call, split)
    kwargs["epochs"] = epochs
    kwargs["callbacks"] = listed(kwargs.get("callbacks"))
    named = inspect.signature(hypermodel.fit).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in named.values()):
        return args, kwargs
    offered = ("epochs", "callbacks", "verbose", *([] if call.has_validation else ["validation_data"]))
    return args, {name: value for name, value in kwargs.items() if name in named or name not in offered}


def by_name(fit: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments by their names.

    Raises:
        TrialError: The fit has no argument of a name, or too many are given.
    """
    signature = inspect.signature(fit)
    try:
        given = dict(signature.bind(*args, **kwargs).arguments)
    except TypeError as error:
        unknown = sorted(kwargs.keys() - signature.parameters.keys())
        near = did_you_mean(unknown[0], signature.parameters) if unknown else ""
        raise TrialError(f"model.fit {error}{near}") from error
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given |= given.pop(name, {})
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            # A fit of the model's own that hands all on to Keras's.
            names = [n for n in inspect.signature(keras.Model.fit).parameters if n != "self"]
            given |= dict(zip(names, given.pop(name, ()), strict=False))
    return given


def listed(callbacks: Any) -> list[Any]:
    """Return callbacks as a list, however they were given."""
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def has_own_fit(hypermodel: keras_tuner.HyperModel) -> bool:
    """Return whether a HyperModel's ``fit`` is one of its author's."""
    return type(hypermodel).fit is not keras_tuner.HyperModel.fit


def call_fit(
    hypermodel: keras_tuner.HyperModel,
    hp: keras_tuner.HyperParameters,
    model: keras.Model,
    call: Call,
    *,
    epochs: int,
    split: SplitSpec,
    offered: Callable[[Call], None] = lambda _: None,
) -> Any:
    """Call ``hypermodel.fit`` as KerasTuner's ``search`` does, and return what it returns.

    A fit that asks for a number of epochs itself, and hands on what it is given besides, can't be given that
    number as well: what nobody but this program has added is left out where Python says that it is there
    twice.

    Args:
        hypermodel: The HyperModel.
        hp: The hyperparameters.
        model: The model that it built.
        call: The data as they were given.
        epochs: As for `fit_arguments`.
        split: As for `fit_arguments`.
        offered: Is told what the fit is called with.
    """
    args, kwargs = fit_arguments(call, hypermodel, epochs=epochs, split=split)
    offered(Call(args, kwargs))
    while True:
        try:
            return hypermodel.fit(hp, model, *args, **kwargs)
        except TypeError as error:
            found = _TWICE.search(str(error))
            name = "" if found is None else found[1]
            if name not in kwargs or name in call.kwargs or name not in _ADDED:
                raise
            del kwargs[name]


_ADDED: Final = ("epochs", "callbacks", "verbose")
_TWICE: Final = re.compile(r"got multiple values for keyword argument '(\w+)'")


@contextmanager
def tapped_fits(model: keras.Model, tap: Callable[..., Any]) -> Iterator[None]:
    """Let every ``fit`` of a model go through a function, and those of other models that are made meanwhile.

    A HyperModel's fit may build models of its own, one for each fold of a cross-validation, say.

    Args:
        model: The model that was built; a ``fit`` of its own class is tapped where it is called.
        tap: Takes the way to the fit, then its arguments, and returns what it returns.
    """
    own, keras_s = model.fit, keras.Model.fit
    had_one = "fit" in vars(keras.Model)

    def of_another(self: keras.Model, *args: Any, **kwargs: Any) -> Any:
        fit = functools.partial(keras_s, self)
        return fit(*args, **kwargs) if self is model else tap(fit, *args, **kwargs)

    model.fit = functools.partial(tap, own)
    keras.Model.fit = of_another
    try:
        yield
    finally:
        del model.fit
        if had_one:
            keras.Model.fit = keras_s
        else:
            del keras.Model.fit


class Tasting:
    """Calls of a ``fit`` that train on two batches at most, to see what it asks for and what Keras logs.

    Args:
        call: The data.
        split: Which rows validate, where the data do not say.
        made_up: Whether the data are only like those of the sweep: a fit that fails on them may yet do.
    """

    def __init__(self, call: Call, split: SplitSpec, *, made_up: bool = False) -> None:
        self._made_up = made_up
        self._call = call
        self._split = split
        self._history: Any = None
        self.metrics: tuple[str, ...] = ()
        """What Keras logs of what trains; known after the first call that reached ``model.fit``."""

        self.called = False
        """Whether a call has reached ``model.fit``."""

        self.models: list[keras.Model] = []
        """The models that were trained: one, unless a fit makes more."""

        self.given: dict[str, Any] = {}
        """What the first call of ``model.fit`` was given, less all rows but a few; of the last taste."""

    def taste(
        self, hypermodel: keras_tuner.HyperModel, hp: keras_tuner.HyperParameters, model: keras.Model
    ) -> None:
        """Call the fit; only the first call trains, later ones are answered with what it gave.

        Raises:
            TrialError: Nothing validates. What the user's code raises comes through.
        """

        def tasted(fit: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            self.called = True
            model = fit.__self__ if inspect.ismethod(fit) else fit.args[0]  # type: ignore[attr-defined]
            if all(model is not other for other in self.models):
                self.models.append(model)
            if self._history is None:
                self.given = _little(by_name(fit, args, kwargs))
                self._history = fit(**self.given)
                self.metrics = tuple(n for n in self._history.history if not n.startswith("val_"))
            return self._history

        try:
            with tapped_fits(model, tasted):
                call_fit(hypermodel, hp, model, self._call, epochs=1, split=self._split)
        except Exception as error:
            # Of what was made up nothing follows: the trials will tell.
            self.called = self.called or self._made_up
            if not self._made_up and self._call.y is None and "None values not supported" in str(error):
                raise TrialError("the model's loss needs targets, and there is no y; give x and y") from error
            if not self._made_up:
                raise


def made_up_images(input_shape: tuple[int, ...], n_classes: int) -> Call:
    """Return a few images of noise with class numbers, for a fit that takes images."""
    n = max(_N_TASTED, 2 * n_classes)
    images = np.random.default_rng(0).random((n, *input_shape), np.float32)
    labels = np.arange(n, dtype=np.int32) % n_classes
    return Call((images, labels), {"validation_data": (images[: n // 2], labels[: n // 2])})


def _little(given: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a ``model.fit`` for one epoch of two batches, without anybody's callbacks.

    What trains validates as well, where anything does: a fit may look for ``val_loss`` in what it gets back.
    """
    little = {**given, "epochs": 1, "initial_epoch": 0, "verbose": 0, "callbacks": None}
    validates = given.get("validation_data") is not None or bool(given.get("validation_split"))
    if given.get("y") is None:
        again = validates and (is_dataset(given["x"]) or isinstance(given["x"], keras.utils.PyDataset))
        validation = {"validation_data": given["x"], "validation_steps": 1} if again else {}
        return {
            **little,
            "steps_per_epoch": 2,
            "validation_data": None,
            "validation_steps": None,
        } | validation
    few = slice(0, _N_TASTED)
    for name in ("x", "y", "sample_weight"):
        if name in given:
            little[name] = rows(given[name], few)
    little |= {"validation_data": None, "validation_split": 0.0, "steps_per_epoch": None}
    if validates:
        little |= {"validation_data": (little["x"], little["y"]), "validation_steps": None}
    return little
