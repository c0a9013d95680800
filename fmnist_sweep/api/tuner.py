"""A sweep from a script or a notebook, with the arguments that KerasTuner's users know."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fmnist_sweep.api import exports
from fmnist_sweep.api.arguments import by_argument, metric_and_direction, number_of_epochs
from fmnist_sweep.api.naming import free_name, storage_in, study_name
from fmnist_sweep.api.notebook import Lines, Table, in_notebook
from fmnist_sweep.api.of_kerastuner import NamesOfKerasTuner, require_usable
from fmnist_sweep.api.options import RunOptions
from fmnist_sweep.api.reading import StudyReader
from fmnist_sweep.api.runs import ConfirmationEnd, confirm, repeats_within, run
from fmnist_sweep.api.studies import quiet_optuna
from fmnist_sweep.api.trained import models_of
from fmnist_sweep.config.loading import parse_config
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.engine_names import LOCAL
from fmnist_sweep.core.errors import ConfigError, SearchInterrupted, SweepError
from fmnist_sweep.core.jobs import DataRef
from fmnist_sweep.core.metrics import Direction
from fmnist_sweep.core.observer import Observer
from fmnist_sweep.core.progress import Stop, require_results
from fmnist_sweep.core.user_code import code_folders
from fmnist_sweep.data.calls import SOURCE_PREFIX, Call, keep_call, with_groups
from fmnist_sweep.storage.opening import side_folder
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial


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


class Metric(Objective):
    """An `Objective` by the word of sweep files, where the metric of a score is ``score.metric``.

    Example:
        >>> Metric("gain", direction="max").name
        'gain'
    """


class Tuner(NamesOfKerasTuner, StudyReader):
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
        within_se: Among all epochs of all trials within so many standard errors of the best accuracy, that
            with the smallest validation loss is chosen. None takes the default, 0.25 where an accuracy is
            scored without a penalty; 0 takes the best score. A study that there is keeps what it has.
        sampler: ``"tpe"``, ``"random"``, ``"grid"`` and others, as in a sweep file.
        pruner: ``"median"``, ``"none"`` and others, as in a sweep file.
        workers: Trials that train side by side; None takes one for each core, of the cluster with the engine
            ``"ray"``.
        engine: Where trials run: ``"local"``, processes of this machine, or ``"ray"``, the nodes of a
            cluster; those of `confirm` and the final trainings of `export` as well.
        address: Of the cluster: ``"auto"``, ``"HOST:PORT"`` or ``"ray://HOST:PORT"``; None is ``"auto"``.
        checkpoint_storage: Folder in which its nodes keep checkpoints, such as ``"file:///shared"`` or
            ``"s3://bucket/folder"``; None brings them to this machine. For the engine ``"ray"``.
        trials_per_gpu: Trials that share a GPU of one of its nodes; None gives each one of its own, 0
            trains on CPUs alone.
        seed: Decides initial weights, dropout and the order of the rows, and what the sampler draws;
            None, KerasTuner's default, is 0.
        study: Name of the study; None takes ``project_name``, or the name of the model.
        storage: Where the study is, or is made: ``"sqlite:///studies.db"``, or a PostgreSQL server's address.
        directory: As in KerasTuner: a folder for the storage. Only without ``storage``.
        project_name: As in KerasTuner: a name for the study.
        overwrite: Whether to begin a new study in place of one of the same name. That one is never removed:
            the new one gets the next free name, which ``study_name`` tells.
        max_model_size: Most weights that a model may have; a larger one is not trained.
        keep_models: Of how many of the best trials the trained weights are kept, for `get_best_models` and
            ``export(fast=True)``; 0 keeps none.
        say: Takes a line of what happens. None prints it; in a notebook one table is updated in place of a
            line for each trial.
        of_kerastuner: Other arguments of KerasTuner's tuners. Their defaults are taken; for any other value
            the error says what to do in its place.

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
        within_se: float | None = None,
        sampler: str = "tpe",
        pruner: str = "median",
        workers: int | None = None,
        engine: str = LOCAL,
        address: str | None = None,
        checkpoint_storage: str | None = None,
        trials_per_gpu: int | None = None,
        seed: int | None = 0,
        study: str | None = None,
        storage: str | None = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        max_model_size: int | None = None,
        keep_models: int = 0,
        say: Callable[[str], None] | None = None,
        **of_kerastuner: Any,
    ) -> None:
        require_usable(of_kerastuner)
        if storage is not None and directory is not None:
            raise ConfigError(
                "Tuner", ["storage and directory both say where the study is; give one of them"]
            )
        name = study_name(study or project_name, hypermodel)
        super().__init__(name, storage or storage_in(directory))
        self._hypermodel = hypermodel
        self._metric, self._direction = metric_and_direction(objective)
        self._overwrite = overwrite
        self._settings: dict[str, Any] = {
            "study": self.study_name,
            "sampler": {"name": sampler, "seed": seed or 0},
            "pruner": {"name": pruner},
            "budget": {"trials": max_trials},
            "training": {"seed": seed or 0},
            "score": {
                "metric": self._metric,
                **({} if self._direction is None else {"direction": self._direction}),
                **({} if penalty is None else {"penalty": penalty}),
                **({} if tolerance is None else {"tolerance": tolerance}),
                **({} if within_se is None else {"within_se": within_se}),
            },
            "keep_models": keep_models,
            **({} if max_model_size is None else {"max_model_size": max_model_size}),
        }
        self._options = RunOptions(
            n_workers=workers,
            engine=engine,
            address=address,
            checkpoint_storage=checkpoint_storage,
            trials_per_gpu=trials_per_gpu,
        )
        self._options.check()
        self._say: Callable[[str], None] = print if say is None else say
        self._shows_table = say is None and in_notebook()
        self._config: SweepConfig | None = None
        self._data: DataRef | None = None

    # --- searching -----------------------------------------------------------------------------------------

    def search(
        self,
        *args: Any,
        epochs: int | None = None,
        groups: Any = None,
        observers: Iterable[Observer] = (),
        **kwargs: Any,
    ) -> None:
        """Search, or go on with the search, until the study holds ``max_trials`` finished trials.

        Args:
            args: As for ``model.fit``: ``x`` and ``y``, or a `tf.data.Dataset` or `keras.utils.PyDataset`.
            epochs: Most epochs of a trial, 1 if left out, as in Keras; its best epoch is scored. A model that
                asks for ``epochs`` itself, in ``build`` or ``fit``, decides it.
            groups: Rows that belong together, such as those of one patient: a number or text for each row, or
                the name of a column of ``x``, which no model is fed with. No group is in both parts.
            observers: Told what happens; see `fmnist_sweep.core.observer.Observer`.
            kwargs: As for ``model.fit``: ``validation_data``, ``validation_split``, ``batch_size``,
                ``callbacks``, ``class_weight``, ``sample_weight`` and so on. Where nothing says what
                validates, a fifth of the rows does.

        Raises:
            SweepError: The model, the data or the study can't be used; nothing stored is changed.
            NothingTrainedError: Every trial failed.
            KeyboardInterrupt: It was interrupted, as by a notebook's stop button: running trials are put
                back, and calling it again goes on.
        """
        where = f"data of {self.study_name}"
        epochs = number_of_epochs(epochs)
        by_name = isinstance(groups, str)
        call = Call(args, kwargs, groups=None if by_name else groups)
        call = with_groups(call, groups if by_name else None, where=where)
        self._data = keep_call(call, name=where, epochs=epochs or 1)
        self._config = self._configured(self._data, epochs)
        if not call.has_validation:
            fifth = "a fifth of the rows" if groups is None else "about a fifth of the rows, in whole groups,"
            self._say(f"Note: nothing says what validates: {fifth} does, the same in every trial.")
        told = Table() if self._shows_table else Lines(self._say)
        with quiet_optuna():
            end = run(
                self._config,
                storage=self.storage,
                options=self._options,
                say=self._say,
                observers=[told, *observers],
            )
        if end.stop is Stop.INTERRUPTED:
            raise SearchInterrupted("everything is kept; call search again to go on")
        require_results(self.study_name, end.stop, end.progress)

    def _configured(self, data: DataRef, epochs: int | None) -> SweepConfig:
        if self._overwrite:
            self.study_name = free_name(self.study_name, self.storage)
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
        }
        upto = {"type": "int", "low": 1, "high": most} if most != 1 else 1
        where = f"Tuner {self.study_name!r}"
        try:
            config = parse_config(settings, where=where, folders=folders, say=self._say, epochs=upto)
        except ConfigError as error:
            raise ConfigError(error.where, list(dict.fromkeys(map(by_argument, error.problems)))) from None
        if epochs is not None and list(config.epochs) != list(range(1, most + 1)):
            self._say(
                f"Note: epochs={epochs} of search is not used: the model asks for its epochs itself, "
                f"{config.epochs[0]} to {config.epochs[-1]}."
            )
        return config

    # --- after the search ----------------------------------------------------------------------------------

    def confirm(
        self,
        top: int | None = None,
        *,
        repeats: int | None = None,
        budget: int | None = None,
        sure: float | None = None,
        thorough: bool | None = None,
        prefer: Literal["best", "smallest"] | None = None,
        within: float | None = None,
    ) -> ConfirmationEnd:
        """Train the best configurations and the baseline anew, on fresh seeds and splits, and decide.

        As ``fmnist-sweep confirm``: nothing is trained twice, and more adds to what is there.

        Args:
            top: So many of the best distinct configurations; None is 4.
            repeats: Trainings of each; None is 5.
            budget: In place of ``repeats``: at most so many trainings in all, baseline included.
            sure: Keep the baseline unless its chance to be beaten is above this; None is 0.8.
            thorough: Pick on four repeats, and decide by eight fresh ones of pick and baseline.
            prefer: ``"smallest"`` picks the smallest of those near the best mean; None is ``"best"``.
            within: How near that is, in the shown unit of the metric; None is 0.1.

        Returns:
            What it came to; a notebook shows it, `print` tells it in sentences.

        Raises:
            SweepError: The study can't be confirmed, or not so; all problems at once.
            KeyboardInterrupt: It was interrupted; calling it again goes on.
        """
        if budget is not None:
            repeats = repeats_within(budget, top=top, repeats=repeats)
        told = Table() if self._shows_table else Lines(self._say)
        with quiet_optuna():
            came = confirm(
                self.study_name,
                storage=self.storage,
                top=top,
                repeats=repeats,
                sure=sure,
                thorough=thorough,
                prefer=prefer,
                within=within,
                options=self._options,
                say=self._say,
                observers=[told],
            )
        if came.end is not None:
            stop, progress = came.end
            if stop is Stop.INTERRUPTED:
                raise SearchInterrupted("everything is kept; call confirm again to go on")
            require_results(came.linked, stop, progress)
        return came

    def export(
        self,
        path: str | Path = "exports",
        *,
        trial: int | None = None,
        repeats: int = 5,
        again: bool = False,
        force: bool = False,
        flip_average: bool = False,
        fast: bool = False,
    ) -> Path:
        """Train the winner on fresh seeds, read the test part once, and write a bundle to take home.

        As ``fmnist-sweep export``.

        Args:
            path: Folder that the bundle's own folder goes into.
            trial: Number of the trial to export; None takes the winner.
            repeats: Final trainings, each with a fresh seed.
            again: Read the test part though it was read before; this is counted.
            force: Write a bundle anew though it is there.
            flip_average: Hand out the mean of what the model gives for an image and for its mirror image; for
                the built-in models.
            fast: Take the weights that the search has kept (``keep_models``), into ``NAME-fast``: nothing is
                trained, and the test part is not read.

        Returns:
            The bundle's folder.

        Raises:
            SweepError: There is nothing to export, no place for it, the test part was read before, or
                ``fast`` finds no weights.
        """
        with quiet_optuna():
            study = self.study
            choice: dict[str, Any] = {
                "trial": trial,
                "n_repeats": repeats,
                "again": again,
                "force": force,
                "flip_average": flip_average,
                "fast": fast,
            }
            planned = exports.plan(study, output=Path(path), storage=self.storage, **choice)
            if planned.is_there:
                self._say(f"{planned.folder} is there, of this very choice: nothing was trained or read.")
            else:
                exports.export(planned, storage=self.storage, options=self._options, say=self._say)
        return planned.folder

    # --- models --------------------------------------------------------------------------------------------

    @property
    def hypermodel(self) -> Any:
        """The `keras_tuner.HyperModel` that is searched: ``tuner.hypermodel.build(hp)`` makes a new model."""
        carrying = importlib.import_module("fmnist_sweep.models.carrying")
        return carrying.as_hypermodel(self._hypermodel, data=self._data)

    def _models(self, study: StoredStudy, trials: list[StoredTrial]) -> Iterator[Any]:
        hypermodel = None if isinstance(self._hypermodel, str) else self._hypermodel
        known = {"data": self._data, "hypermodel": hypermodel}
        return models_of(study, trials, storage=self.storage, say=self._say, **known)

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
