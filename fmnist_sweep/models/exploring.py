"""Find the space of a HyperModel by building it for many values and watching what it asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import keras_tuner as kt
import numpy as np

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import Hyperparameters, Scalar
from fmnist_sweep.core.space import Parameter, SearchSpace
from fmnist_sweep.models.calling import NO_FIT, Tasting
from fmnist_sweep.models.failing import failing_parts
from fmnist_sweep.models.hyperparameters import filled, to_parameter
from fmnist_sweep.models.inference import inference_model
from fmnist_sweep.models.input_scale import scaling_note
from fmnist_sweep.models.load import build_model, describe
from fmnist_sweep.models.saving import SavingError, require_savable

MAX_BUILDS: Final = 500
_N_RANDOM_POINTS: Final = 20
_FEW_VALUES: Final = 10
# A number of layers may take up to this many; whatever takes more is no number of layers.
_MANY_VALUES: Final = 32
_MAX_PARTS: Final = 5


@dataclass(frozen=True)
class Explored:
    """What the builds of a HyperModel showed.

    Attributes:
        space: Every parameter that ``build`` asks for, under the conditions it was seen under.
        defaults: KerasTuner's default of each.
        n_parameters: Fewest and most weights among the models that were built.
        notes: What else a user should know, a line each.
        metrics: What Keras logs as the model trains, where that was looked at.
        sometimes: Parameters whose conditions no list of values can say.
    """

    space: SearchSpace
    defaults: Mapping[str, Scalar]
    n_parameters: tuple[int, int]
    notes: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


def explore(
    hypermodel: kt.HyperModel,
    input_shape: tuple[int, ...],
    *,
    scaled: str | None = None,
    module: str | None = None,
    tasting: Tasting | None = None,
) -> Explored:
    """Find what a HyperModel's ``build`` searches, and its ``fit`` where that can be called.

    The model is built with its defaults, then for each value of its small parameters in turn, and on from
    there wherever new parameters show up. KerasTuner's conditional scopes are taken as they are; where
    Python decides, as in ``for i in range(hp.Int("layers", 1, 4))``, a parameter's condition is the values
    of another for which it was seen. Random points then check the result.

    Args:
        hypermodel: The HyperModel.
        input_shape: Shape of one image, for models that are not built before they see one.
        scaled: Why images lie in 0..1, ``"bytes"`` or ``"floats"``; None where they don't, or may not.
        module: Name of the HyperModel's module, to see whether an export can save the model; None leaves
            that out.
        tasting: Calls the fit; None leaves it alone.

    Raises:
        ConfigError: The default model can't be built, or a declaration has no counterpart in a sweep; all
            problems are listed.
    """
    return _Explorer(hypermodel, input_shape, scaled, module, tasting).explored()


@dataclass(frozen=True)
class _Build:
    active: frozenset[str]
    asked: frozenset[str]
    n_parameters: int | None
    problem: str | None
    of_fit: bool
    """Whether the problem is one of the fit that was tried on what was built."""

    values: Hyperparameters

    def lacks(self, name: str) -> bool:
        """Return whether the model does not ask for a parameter; a build that broke off can't tell."""
        return name not in self.asked and self.problem is None


class _Explorer:
    def __init__(
        self,
        hypermodel: kt.HyperModel,
        input_shape: tuple[int, ...],
        scaled: str | None,
        module: str | None,
        tasting: Tasting | None,
    ) -> None:
        self._tasting = tasting
        self._scaled = scaled
        self._module = module
        self._hypermodel = hypermodel
        self._input_shape = input_shape
        self._builds: dict[frozenset[tuple[str, Scalar]], _Build] = {}
        self._forms: dict[str, list[Parameter]] = {}
        self._defaults: dict[str, Scalar] = {}
        # The values under which each parameter was first seen.
        self._contexts: dict[str, dict[str, Scalar]] = {}
        self._to_vary: deque[str] = deque()
        # Parameters whose value decides which others exist.
        self._parents: set[str] = set()
        # Kept by line: many builds meet the same problem.
        self._problems: dict[str, None] = {}
        self._notes: dict[str, None] = {}
        self._scaling: str | None = None
        # Parameters whose conditions can't be said: kept by name, in the order of their discovery.
        self._sometimes: dict[str, None] = {}

    def explored(self) -> Explored:
        first = self._build({})
        if first.problem is not None:
            what = "fit" if first.of_fit else "build"
            raise ConfigError(what, [f"{what} with its default values failed: {first.problem}"])
        if self._tasting is not None and not self._tasting.called:
            raise ConfigError("fit", [NO_FIT])
        self._vary_all()
        space = self._space()
        surprises = self._surprises(space)
        if surprises:
            # Alone, no parent showed an effect; together they have one. So every parameter is suspected.
            self._parents.update(self._forms)
            self._vary_all()
            space = self._space()
            surprises = self._surprises(space)
        self._sometimes |= dict.fromkeys(surprises)
        parameters = {
            name: space[name].model_copy(update={"when": {}}) if name in self._sometimes else space[name]
            for name in space
        }
        space = SearchSpace(parameters)
        if self._sometimes:
            told = ", ".join(self._sometimes)
            verb = "exists" if len(self._sometimes) == 1 else "exist"
            self._notes[
                f"{told} {verb} under conditions that no list of values can say: drawn for every trial, and "
                "left out of the record where the model does not ask for it"
            ] = None
        sizes = [build.n_parameters for build in self._builds.values() if build.n_parameters is not None]
        sizes = sizes or [0]
        defaults = {name: self._defaults[name] for name in space}
        notes = (*self._notes, *self._failing(), *([self._scaling] if self._scaling else []))
        metrics = () if self._tasting is None else self._tasting.metrics
        ends = min(sizes), max(sizes)
        return Explored(space, defaults, ends, notes, metrics, tuple(self._sometimes))

    def _failing(self) -> list[str]:
        """Return a note on each part of the space that can't be built."""
        tried = list(self._builds.values())
        failed = [(build.values, build.problem) for build in tried if build.problem is not None]

        def fails(values: Hyperparameters) -> bool:
            # Where no more builds are allowed, nothing more is found out.
            known = len(self._builds) < MAX_BUILDS
            return known and self._build(values).problem is not None

        parts = failing_parts(
            failed, self._defaults, lambda name: self._forms[name][0].ends(), fails, most=_MAX_PARTS
        )
        told = [part.told(len(tried)) for part in parts]
        more = len(failed) - sum(part.n_failed for part in parts)
        return [*told, f"build fails for {more} more"] if more else told

    # --- building ------------------------------------------------------------------------------------------

    def _build(self, values: Hyperparameters) -> _Build:
        """Build at these values and defaults elsewhere, once; note what is seen for the first time."""
        # What equals its default needs no naming: the same point is then found again.
        point = {n: v for n, v in values.items() if n not in self._defaults or self._defaults[n] != v}
        key = frozenset(point.items())
        if key not in self._builds:
            if len(self._builds) == MAX_BUILDS:
                problem = f"its space is not known after {MAX_BUILDS} builds; give parameters fewer values"
                raise ConfigError(
                    "build", [f"{problem}, or put what depends on them into hp.conditional_scope"]
                )
            self._builds[key] = self._fresh_build(point)
        return self._builds[key]

    def _fresh_build(self, point: dict[str, Scalar]) -> _Build:
        keras.utils.clear_session(free_memory=False)
        hp = filled(point)
        n_parameters, problem, tasting = None, None, False
        try:
            model = build_model(self._hypermodel, hp)
            if self._tasting is not None:
                tasting = True
                self._tasting.taste(self._hypermodel, hp, model)
                tasting = False
            if not model.built and self._input_shape:
                model.build((None, *self._input_shape))
            n_parameters = int(model.count_params()) if model.built else None
            if not self._builds and self._module is not None:
                self._note_unsavable(model, self._module)
            if self._scaled is not None and self._scaling is None:
                self._scaling = scaling_note(model, self._input_shape, self._scaled)
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            problem = describe(error)
        for asked in hp.space:
            self._note(asked, point)
        names = frozenset(asked.name for asked in hp.space)
        active = frozenset(name for name in names if hp.is_active(name))
        # In the order in which the model asks, which a set has not.
        asked_for = [
            asked.name for asked in hp.space if asked.name in active and asked.name in self._defaults
        ]
        values = {name: point.get(name, self._defaults[name]) for name in asked_for}
        return _Build(active, names, n_parameters, problem, tasting, values)

    def _note_unsavable(self, model: keras.Model, module: str) -> None:
        """Note why the default model can't be exported: told before the sweep, it costs no trial."""
        images = np.random.default_rng(0).random((4, *self._input_shape), np.float32)
        try:
            final = inference_model(model, self._input_shape, from_logits=False)
            require_savable(final, images, module)
        except SavingError as error:
            self._notes[f"no model of this sweep can be exported as it is: {error}"] = None
        except Exception:  # noqa: BLE001 - what is wrong with its calls, its trials will tell
            return

    def _note(self, asked: Any, point: dict[str, Scalar]) -> None:
        try:
            form = to_parameter(asked)
        except ValueError as error:
            said = error.problems[0] if isinstance(error, ConfigError) else describe(error)
            self._problems[f"{asked.name}: {said}"] = None
            return
        if asked.name not in self._forms:
            self._forms[asked.name] = []
            self._defaults[asked.name] = (
                asked.default.item() if isinstance(asked.default, np.generic) else asked.default
            )
            self._contexts[asked.name] = point
            self._to_vary.append(asked.name)
        if form not in self._forms[asked.name]:
            self._forms[asked.name].append(form)

    # --- varying -------------------------------------------------------------------------------------------

    def _vary_all(self) -> None:
        while self._to_vary:
            self._vary(self._to_vary.popleft())
        if self._problems:
            raise ConfigError("build", list(self._problems))

    def _vary(self, name: str) -> None:
        """Build for the values of one parameter, which brings up the parameters that hang on it."""
        parameter, context = self._forms[name][0], self._context(name)
        ends, values = parameter.ends(), _listed(parameter)
        some = ends if values is None or len(values) > _FEW_VALUES else values
        builds = [self._build(context), *(self._build({**context, name: value}) for value in some)]
        names = frozenset().union(*(build.asked for build in builds))
        if any(build.lacks(other) for build in builds for other in names):
            self._parents.add(name)
            for value in values or ():
                self._build({**context, name: value})

    def _context(self, name: str) -> dict[str, Scalar]:
        """Return values under which a parameter is asked for and active."""
        context = dict(self._contexts[name])
        for parent, allowed in self._forms[name][0].when.items():
            if context.get(parent, self._defaults[parent]) not in allowed:
                context[parent] = allowed[0]
        return context

    # --- conditions ----------------------------------------------------------------------------------------

    def _space(self) -> SearchSpace:
        parameters: dict[str, Parameter] = {}
        for name, forms in self._forms.items():
            form = _united(forms)
            if form is None:
                # KerasTuner's rule: of several declarations of one name the first one counts.
                form = _united([_with_condition(forms[0], other) for other in forms])
                self._note_unused(name, forms)
            if form is None:
                said = " and as ".join(str(form.model_dump(exclude_defaults=True)) for form in forms[:2])
                self._problems[f"{name}: it is declared as {said}; give each its own name"] = None
                continue
            parameters[name] = form.model_copy(update={"when": self._conditions(name, form)})
        if self._problems:
            raise ConfigError("build", list(self._problems))
        return SearchSpace(_without_implied(parameters))

    def _note_unused(self, name: str, forms: Sequence[Parameter]) -> None:
        ranges = list(dict.fromkeys(_range_told(form) for form in forms))
        ways, unused = " and as ".join(ranges), " and ".join(ranges[1:])
        rule = "KerasTuner takes the first that a build declares"
        searched = f"{ranges[0]} is searched, and {unused} is not used"
        self._notes[f"{name} is declared as {ways}: {rule}, so {searched}; give each its own name"] = None

    def _conditions(self, name: str, form: Parameter) -> dict[str, tuple[Scalar, ...]]:
        when = dict(form.when)
        context = self._context(name)
        here = self._build(context)
        # A list, since these builds may bring up more parameters.
        for parent in list(self._forms):
            if parent not in self._parents & here.active or parent == name or parent in when:
                continue
            values = _listed(self._forms[parent][0])
            some = self._forms[parent][0].ends() if values is None else values
            allowed = tuple(v for v in some if not self._build({**context, parent: v}).lacks(name))
            if values is None and len(allowed) < len(some):
                self._sometimes[name] = None
            elif len(allowed) < len(some):
                when[parent] = allowed
        return when

    def _surprises(self, space: SearchSpace) -> list[str]:
        """Return the parameters that exist elsewhere than foreseen, at both ends or at random."""
        rng = np.random.default_rng(0)
        points = [
            space.fill(lambda _, parameter: parameter.ends()[0]),
            space.fill(lambda _, parameter: parameter.ends()[-1]),
            *(space.sample(rng) for _ in range(_N_RANDOM_POINTS)),
        ]
        surprises: dict[str, None] = {}
        for point in points:
            build = self._build(point)
            if build.problem is not None:
                continue
            surprises |= dict.fromkeys(
                n for n in sorted(build.active ^ point.keys()) if n not in self._sometimes
            )
        return list(surprises)


def _listed(parameter: Parameter) -> Sequence[Scalar] | None:
    values = parameter.values()
    return values if values is not None and len(values) <= _MANY_VALUES else None


def _with_condition(form: Parameter, other: Parameter) -> Parameter:
    return form.model_copy(update={"when": other.when})


def _range_told(form: Parameter) -> str:
    ends = form.ends()
    if form.type not in ("int", "float"):
        return f"{form.type} {', '.join(map(str, ends))}"
    step = getattr(form, "step", None)
    return f"{form.type} {ends[0]} to {ends[-1]}" + (f" step {step}" if step not in (None, 1) else "")


def _united(forms: Sequence[Parameter]) -> Parameter | None:
    """Return one parameter for several declarations that differ only in the values of one parent."""
    first = forms[0]
    parents = {parent for form in forms for parent in form.when if form.when != first.when}
    differing = [p for p in parents if len({form.when.get(p) for form in forms}) > 1]
    same = all(form.model_copy(update={"when": first.when}) == first for form in forms)
    if not same or len(differing) > 1 or any(p not in form.when for p in differing for form in forms):
        return None
    united = {p: tuple(dict.fromkeys(v for form in forms for v in form.when[p])) for p in differing}
    return first.model_copy(update={"when": {**first.when, **united}})


def _without_implied(parameters: Mapping[str, Parameter]) -> dict[str, Parameter]:
    """Drop each condition that another parent of the same parameter already has."""
    lean = {}
    for name, parameter in parameters.items():
        when = {
            parent: allowed
            for parent, allowed in parameter.when.items()
            if not any(
                parent in parameters[other].when and set(parameters[other].when[parent]) <= set(allowed)
                for other in parameter.when
            )
        }
        lean[name] = parameter.model_copy(update={"when": when})
    return lean
