"""A sweep from a script or a notebook, with the arguments that KerasTuner's users know."""

from __future__ import annotations

import importlib
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fmnist_sweep.api.options import RunOptions
from fmnist_sweep.api.reading import StudyReader
from fmnist_sweep.api.runs import run
from fmnist_sweep.api.studies import open_studies
from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.errors import ConfigError, SweepError
from fmnist_sweep.core.events import Failed, Finished
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.metrics import Direction
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.places import Places
from fmnist_sweep.core.progress import require_results
from fmnist_sweep.core.user_code import code_folders
from fmnist_sweep.data.calls import SOURCE_PREFIX, Call, keep_call, open_call
from fmnist_sweep.engines.opening import open_engine
from fmnist_sweep.storage import DEFAULT_STORAGE
from fmnist_sweep.storage.opening import side_folder
from fmnist_sweep.storage.stored import StoredTrial

_DELIVERY: Final = "model"


@dataclass(frozen=True)
class Objective:
    """What is searched for, as in KerasTuner.

    Attributes:
        name: As Keras logs it: ``"val_accuracy"``, ``"val_loss"``, ``"val_auc"``.
        direction: Whether more or less of it is better; None takes what the name tells.

    Example:
        >>> Objective("val_gain", direction="max")
        Objective(name='val_gain', direction='max')
    """

    name: str
    direction: Direction | None = None


class Tuner(StudyReader):
    """Searches the hyperparameters of a Keras model, and keeps every trial in a study.

    Each trial trains in a process of its own; after every epoch, training and validation metric are measured
    in the same way, with dropout off. The search goes on where it stopped when it is started again, in
    another process too.

    Args:
        hypermodel: A `keras_tuner.HyperModel` or a class of one, a function ``build(hp)`` that returns a
            compiled model, or the import path of either; it may be defined in a notebook.
        objective: The metric that is scored, as Keras logs it. ``"val_"`` may be left out: what is scored is
            always measured on what validates. An object with ``name`` and ``direction``, such as
            KerasTuner's, gives the direction of a metric whose name does not tell it.
        max_trials: Finished trials that the study is to hold in the end, earlier ones included.
        penalty: Score lost for each unit of gap beyond the tolerance; None takes the default, see
            docs/score.md.
        tolerance: Gap that costs nothing, in the metric's unit; None takes the default.
        sampler: ``"tpe"``, ``"random"``, ``"grid"`` and others, as in a sweep file.
        pruner: ``"median"``, ``"none"`` and others, as in a sweep file.
        workers: Trials that train side by side; None takes one for each core.
        seed: Decides initial weights, dropout and the order of the rows, and what the sampler draws.
        study: Name of the study; None takes ``project_name``, or the name of the model.
        storage: Where the study is, or is made: ``"sqlite:///studies.db"``, or a PostgreSQL server's address.
        directory: As in KerasTuner: a folder for the storage. Only without ``storage``.
        project_name: As in KerasTuner: a name for the study.
        overwrite: Whether to begin a new study in place of one of the same name. That one is never removed:
            the new one gets the next free name, which ``study_name`` tells.
        max_model_size: Most weights that a model may have; a larger one is not trained.
        say: Takes a line of what happens; `print` unless another function is given.

    Raises:
        SweepError: A setting can't be used; all problems at once.

    Example:
        >>> tuner = Tuner(build, objective="val_accuracy", max_trials=20)  # doctest: +SKIP
        >>> tuner.search(x, y, validation_split=0.2, epochs=10)  # doctest: +SKIP
        >>> tuner.get_best_hyperparameters()[0].values  # doctest: +SKIP
    """

    def __init__(
        self,
        hypermodel: Any,
        objective: str | Objective | Any = "val_accuracy",
        max_trials: int = 30,
        *,
        penalty: float | None = None,
        tolerance: float | None = None,
        sampler: str = "tpe",
        pruner: str = "median",
        workers: int | None = None,
        seed: int = 0,
        study: str | None = None,
        storage: str | None = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        max_model_size: int | None = None,
        say: Callable[[str], None] = print,
    ) -> None:
        if storage is not None and directory is not None:
            raise ConfigError(
                "Tuner", ["storage and directory both say where the study is; give one of them"]
            )
        name = _study_name(study or project_name, hypermodel)
        super().__init__(name, storage or _storage_in(directory))
        self._hypermodel = hypermodel
        self._metric, self._direction = _objective(objective)
        self._overwrite = overwrite
        self._settings: dict[str, Any] = {
            "study": self.study_name,
            "sampler": {"name": sampler, "seed": seed},
            "pruner": {"name": pruner},
            "budget": {"trials": max_trials},
            "training": {"seed": seed},
            "score": {
                "metric": self._metric,
                **({} if self._direction is None else {"direction": self._direction}),
                **({} if penalty is None else {"penalty": penalty}),
                **({} if tolerance is None else {"tolerance": tolerance}),
            },
            **({} if max_model_size is None else {"max_model_size": max_model_size}),
        }
        self._options = RunOptions(n_workers=workers)
        self._options.check()
        self._say = say
        self._config: SweepConfig | None = None
        self._data: DataRef | None = None

    # --- searching -----------------------------------------------------------------------------------------

    def search(
        self,
        *args: Any,
        epochs: int | None = None,
        observers: Iterable[Observer] = (),
        **kwargs: Any,
    ) -> None:
        """Search, or go on with the search, until the study holds ``max_trials`` finished trials.

        Args:
            args: As for ``model.fit``: ``x`` and ``y``, or a `tf.data.Dataset` or `keras.utils.PyDataset`.
            epochs: Most epochs of a trial, 1 if left out, as in Keras; its best epoch is scored.
            observers: Told what happens; see `fmnist_sweep.core.observer.Observer`.
            kwargs: As for ``model.fit``: ``validation_data``, ``validation_split``, ``batch_size``,
                ``callbacks``, ``class_weight``, ``sample_weight`` and so on. Where nothing says what
                validates, a fifth of the rows does.

        Raises:
            SweepError: The model, the data or the study can't be used; nothing stored is changed.
            NothingTrainedError: Every trial failed.
        """
        self._data = keep_call(Call(args, kwargs), name=f"data of {self.study_name}")
        self._config = self._configured(self._data, epochs)
        if not Call(args, kwargs).has_validation:
            self._say("Note: nothing says what validates: a fifth of the rows does, the same in every trial.")
        told = _Teller(self._say)
        end = run(
            self._config,
            storage=self.storage,
            options=self._options,
            say=self._say,
            observers=[told, *observers],
        )
        require_results(self.study_name, end.stop, end.progress)

    def _configured(self, data: DataRef, epochs: int | None) -> SweepConfig:
        if self._overwrite:
            self.study_name = _free_name(self.study_name, self.storage)
        model, folders = self._hypermodel, code_folders()
        if not isinstance(model, str):
            folder = side_folder(self.storage, self.study_name, kind="models")
            carrying = importlib.import_module("fmnist_sweep.models.carrying")
            model = carrying.keep_model(self._hypermodel, folder, name=self.study_name)
            folders = (folder, *folders)
        most = 1 if epochs is None else epochs
        settings = {
            **self._settings,
            "study": self.study_name,
            "model": model,
            "data": f"{SOURCE_PREFIX}{data.digest}",
            "space": {"epochs": {"type": "int", "low": 1, "high": most} if most != 1 else 1},
        }
        return parse_config(settings, where=f"Tuner {self.study_name!r}", folders=folders, say=self._say)

    # --- models --------------------------------------------------------------------------------------------

    def get_best_models(self, num_models: int = 1) -> list[Any]:
        """Return the trained `keras.Model` of each of the best trials, best first.

        Each is trained anew, with the trial's seed, up to the epoch that was scored.

        Args:
            num_models: At most so many.

        Raises:
            SweepError: A training failed, or nothing was searched yet by this tuner.
        """
        return [self._trained(trial) for trial in self.best(num_models)]

    def search_space_summary(self) -> None:
        """Print the parameters that are searched, with their ranges; known once a search has begun."""
        if self._config is None:
            raise SweepError("the space is known once search was called: it is found by building the model")
        space = self._config.sampled_space
        lines = [f"Search space: {len(space.searched)} parameters"]
        for name in space.searched:
            told = space[name].model_dump(exclude_defaults=True)
            lines.append(f"  {name}: {', '.join(f'{key} {value}' for key, value in told.items())}")
        print("\n".join(lines))  # noqa: T201 - as in KerasTuner

    def _trained(self, trial: StoredTrial) -> Any:
        """Train a trial's configuration once more, in a process of its own, and return the model here."""
        if self._config is None or self._data is None:
            raise SweepError("the data are known once search was called; call it with the same data first")
        config, data = self._config, self._data
        carrying = importlib.import_module("fmnist_sweep.models.carrying")
        with tempfile.TemporaryDirectory(prefix="fmnist-sweep-") as work:
            job = TrialJob(
                trial=trial.number,
                model=config.model_space.path,
                hyperparameters=trial.hyperparameters,
                epochs=trial.scored_after,
                seed=trial.seed if trial.seed is not None else 0,
                data=data.key,
                split=config.split,
                n_probe=config.file.training.n_probe,
                batch_size=config.file.training.batch_size,
                deliver_to=_DELIVERY,
                metric=config.file.score.metric,
            )
            places = Places.of(data, deliveries=Path(work), code=config.folders)
            self._to_its_end(job, places)
            hypermodel = _loaded(config) if isinstance(self._hypermodel, str) else self._hypermodel
            call = open_call(Path(data.directory), _load_dataset)
            model = carrying.build_on(hypermodel, trial.hyperparameters, call)
            carrying.set_weights(model, Path(work, _DELIVERY))
        return model

    def _to_its_end(self, job: TrialJob, places: Places) -> None:
        with open_engine("local", 1, places=places) as engine:
            engine.submit(job)
            while engine.running:
                for event in engine.events(1.0):
                    if isinstance(event, Failed):
                        raise SweepError(f"training trial {job.trial} once more failed: {event.reason}")
                    if isinstance(event, Finished):
                        return


class _Teller(Observer):
    """Tells of each trial as it ends."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: object = None

    def on_progress(self, progress: Any) -> None:
        ended = progress.ended
        if ended is None or ended is self._told:
            return
        self._told = ended
        value = "" if ended.value is None else f", score {ended.value:.4f}"
        reason = "" if not ended.reason else f": {ended.reason}"
        best, so_far = progress.best, ""
        if best is not None:
            so_far = f"; best {best.score:.4f} (trial {best.number})"
        count = f"[{progress.n_done}/{progress.n_trials}]"
        self._say(f"{count} trial {ended.number} {ended.state.lower()}{value}{reason}{so_far}")


def _objective(objective: Any) -> tuple[str, Direction | None]:
    """Return the metric of an objective, without ``val_``, and its direction if that is given."""
    if isinstance(objective, list | tuple):
        told = "several objectives can't be searched at once; take the one that decides, and read the others"
        raise ConfigError("objective", [f"{told} in trials_dataframe()"])
    name, direction = getattr(objective, "name", objective), getattr(objective, "direction", None)
    if not isinstance(name, str) or not name:
        told = f"{objective!r} is no objective; give a name that Keras logs, such as 'val_accuracy'"
        raise ConfigError("objective", [told])
    return name.removeprefix("val_"), direction


def _storage_in(directory: str | Path | None) -> str:
    if directory is None:
        return DEFAULT_STORAGE
    folder = Path(directory).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'studies.db'}"


def _study_name(given: str | None, hypermodel: Any) -> str:
    if given:
        return given
    if isinstance(hypermodel, str):
        return hypermodel.rpartition(":")[2]
    name = getattr(hypermodel, "__name__", None) or type(hypermodel).__name__
    return re.sub(r"\W+", "", str(name)) or "model"


def _free_name(name: str, storage: str) -> str:
    try:
        taken = {study.study_name for study in open_studies(storage=storage)}
    except SweepError:
        return name
    if name not in taken:
        return name
    return next(f"{name}-{i}" for i in range(2, len(taken) + 3) if f"{name}-{i}" not in taken)


def _loaded(config: SweepConfig) -> Any:
    load = importlib.import_module("fmnist_sweep.models.load")
    shape, n_classes = config.images
    return load.load_model(
        config.model_space.path, input_shape=shape, n_classes=n_classes, folders=config.folders
    )


def _load_dataset(path: str) -> Any:
    return importlib.import_module("tensorflow").data.Dataset.load(path)
