"""The paper's experiments: sweep files whose every point is trained with many seeds, in a study for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.distributions import IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from typing_extensions import override

from fmnist_sweep.config.loading import load_config
from fmnist_sweep.config.schema import BudgetSection, RandomSection
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.plan import repeat_seeds
from fmnist_sweep.core.errors import StudyMismatchError
from fmnist_sweep.core.jobs import DataRef, Scalar, SplitSpec
from fmnist_sweep.engines.machine import machine
from fmnist_sweep.search import samplers
from fmnist_sweep.search.history import configuration_key, without_epochs
from fmnist_sweep.search.import_trials import require_importable, translated
from fmnist_sweep.search.opening import open_study
from fmnist_sweep.search.plan import GivenPlan, TrialDraw, left_of
from fmnist_sweep.storage.stored import StoredStudy, StoredTrial
from fmnist_sweep.storage.studies import load_study, study_names
from fmnist_sweep.storage.writing import repeat_attributes, write_machine, write_n_repeats, write_repeat

KIND: Final = "paper"
SWEEPS: Final = Path(__file__).parent / "sweeps"

NAMES: Final = (
    "dense-rate-and-l2",
    "dense-depth",
    "dense-width",
    "dense-activation",
    "dense-three-layers",
    "dense-final",
    "cnn-kernels",
    "cnn-filters",
    "cnn-padding",
    "cnn-pooling",
    "cnn-l2",
    "cnn-final",
)
"""In the order in which they run: what others share is trained by the one with the most epochs."""

FINALS: Final = ("dense-final", "cnn-final")
"""The report's final models, which also meet the test set."""

ON_OWN_SPLIT: Final = ("dense-three-layers", *FINALS)
"""Those of which the report states accuracies: seeds vary on its own split, the first images validating. In
all others each seed comes with a reshuffled split, as in a confirmation."""

REPEAT: Final = "repeat"
"""Parameter of a trial beside those of its point: the number of its seed, from 0."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the paper is.

    Attributes:
        prefix: What the names of its studies begin with.
        n_repeats: Seeds of each point.
        most_images: Training images of each split; None takes all that do not validate.
        overrides: Settings that replace those of all sweep files, as for `load_config`.
    """

    prefix: str
    n_repeats: int
    most_images: int | None = None
    overrides: tuple[str, ...] = ()


FULL: Final = Scale("paper-", 5)
QUICK: Final = Scale("paper-quick-", 3, most_images=8_000)


@dataclass
class Experiment:
    """One sweep file with its seeds. Make them with `experiments`.

    Attributes:
        name: Name of the file.
        swept: The file's settings, those of the scale in place.
        scale: How many seeds, and how the study is called.
    """

    name: str
    swept: SweepConfig
    scale: Scale
    _data: DataRef | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def study_name(self) -> str:
        """Name of its study."""
        return f"{self.scale.prefix}{self.name}"

    @property
    def n_repeats(self) -> int:
        """Seeds of each point."""
        return self.scale.n_repeats

    @property
    def reshuffled(self) -> bool:
        """Whether each seed comes with another split."""
        return self.name not in ON_OWN_SPLIT

    @cached_property
    def points(self) -> list[dict[str, Scalar]]:
        """The parameters of each point that the space leaves open."""
        searched = self.swept.sampled_space.searched
        return [{n: v for n, v in point.items() if n in searched} for point in self.swept.points]

    @cached_property
    def wanted(self) -> list[dict[str, Scalar]]:
        """The parameters of all trials, seed by seed: cut short anywhere, the points stay paired."""
        return [{REPEAT: r, **point} for r in range(self.n_repeats) for point in self.points]

    @cached_property
    def config(self) -> SweepConfig:
        """The study's settings: the file's, with as many trials as are wanted."""
        file = self.swept.file
        settings = {
            "study": self.study_name,
            "sampler": RandomSection(enqueue_default=False),
            "budget": BudgetSection(trials=len(self.wanted), max_retries=file.budget.max_retries),
        }
        return replace(self.swept, file=file.model_copy(update=settings))

    def seeds(self, repeat: int) -> tuple[int, SplitSpec]:
        """Return the seed and the split of a repeat, the same in every experiment of its kind."""
        seed, split_seed = repeat_seeds(self.swept, repeat)
        return seed, replace(self.swept.split, seed=split_seed) if self.reshuffled else self.swept.split

    @property
    def split(self) -> SplitSpec:
        """The split of the first repeat."""
        return self.seeds(0)[1]

    def open(self, data: DataRef, storage: BaseStorage) -> optuna.Study:
        """Make the study, or go on with it."""
        self._data = data
        return open_study(self.config, data, storage, kind=KIND)

    def plan(self, study: optuna.Study) -> PaperPlan:
        """Bring over what other experiments' studies hold, and return what is left to train."""
        if self._data is not None:
            self._bring_over(study, self._data)
        write_n_repeats(study, self.n_repeats)
        write_machine(study, machine())
        return PaperPlan(self, study)

    def left(self, study: optuna.Study | None) -> list[Mapping[str, Scalar]]:
        """Return the parameters of the trials that a study does not hold yet."""
        return left_of(self.wanted, [] if study is None else StoredStudy.of(study).trials)

    def identity(self, wanted: Mapping[str, Scalar]) -> tuple[str, int | None]:
        """Return what a wanted trial has in common with every equal one of another experiment."""
        point = self.swept.sampled_space.fill(lambda name, _: wanted[name])
        seed, split = self.seeds(int(wanted[REPEAT]))
        return configuration_key(without_epochs(point), seed, split.seed), split.train_size

    def _bring_over(self, study: optuna.Study, data: DataRef) -> None:
        """Take from the other experiments' studies what this one would train again."""
        storage = study._storage  # noqa: SLF001 - a study does not tell its storage otherwise
        left = {self.identity(wanted)[0]: wanted for wanted in self.left(study)}
        others = {f"{self.scale.prefix}{name}" for name in NAMES} - {self.study_name}
        for name in sorted(others & set(study_names(storage))):
            for trial, made in self._shared(load_study(storage, name), data):
                split_seed = trial.split_seed if trial.has_own_split else self.swept.split.seed
                key = configuration_key(trial.hyperparameters, trial.seed, split_seed)
                if key in left:
                    study.add_trial(self._repeat_of(made, trial, left.pop(key)))

    def _shared(self, other: optuna.Study, data: DataRef) -> Iterator[tuple[StoredTrial, FrozenTrial]]:
        """Yield the trials of another study that this one could hold, and what they are here."""
        try:
            require_importable(other, self.config, data)
        except StudyMismatchError:
            # Another model, or on other images.
            return
        stored = StoredStudy.of(other)
        for trial in stored.trials:
            made = translated(trial, stored, self.config)
            if made is not None and made.state is TrialState.COMPLETE:
                yield trial, made

    def _repeat_of(self, made: FrozenTrial, trial: StoredTrial, wanted: Mapping[str, Scalar]) -> FrozenTrial:
        repeat = int(wanted[REPEAT])
        made.params = {REPEAT: repeat, **made.params}
        made.distributions = {REPEAT: _repeats(self.n_repeats), **made.distributions}
        write_repeat(made, repeat, trial)
        return made


class PaperPlan(GivenPlan):
    """Every point of an experiment with every seed, as far as its study does not hold them yet.

    Args:
        experiment: The experiment.
        study: Its study, held with `ownership.ownership`.
    """

    def __init__(self, experiment: Experiment, study: optuna.Study) -> None:
        self._experiment = experiment
        super().__init__(study, experiment.wanted)

    @override
    def whole_point(self, params: Mapping[str, Any]) -> Mapping[str, Any]:
        drawn = {name: value for name, value in params.items() if name != REPEAT}
        point = next(p for p in self._experiment.points if drawn.items() <= p.items())
        return {REPEAT: self._experiment.n_repeats, **point, **params}

    def draw(self, trial: optuna.Trial) -> TrialDraw:
        """Return a point with the seed and the split of a repeat."""
        experiment, before = self._experiment, trial.params.get(REPEAT)
        # A trial that was put back has its repeat; in the meantime there may be fewer.
        most = max(experiment.n_repeats, int(self._taken[trial.number][REPEAT]) + 1)
        repeat = trial.suggest_int(REPEAT, 0, most - 1) if before is None else int(before)
        point = samplers.draw(trial, experiment.swept.sampled_space)
        seed, split = experiment.seeds(repeat)
        epochs = int(point["epochs"])
        return TrialDraw(without_epochs(point), epochs, seed, split, attributes=repeat_attributes(repeat))


def _repeats(n: int) -> IntDistribution:
    return IntDistribution(0, n - 1)


def experiments(scale: Scale, *, folder: Path = SWEEPS) -> list[Experiment]:
    """Return all experiments, in the order in which they run.

    Args:
        scale: How large the paper is.
        folder: Where the sweep files are.

    Raises:
        ConfigError: One is missing or has problems.
    """
    images = () if scale.most_images is None else (f"training.train_size={scale.most_images}",)
    overrides = [*images, *scale.overrides]
    return [Experiment(name, load_config(folder / f"{name}.toml", overrides), scale) for name in NAMES]
