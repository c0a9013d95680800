"""The sections of a sweep file, each setting with its default and its limits."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field, StrictBool, StrictInt

from fmnist_sweep.config.score_section import ScoreSection
from fmnist_sweep.config.section import LARGEST_COUNT, Count, NonNegative, Positive, PositiveInt, Section
from fmnist_sweep.core.engine_names import LOCAL, MOST_PER_GPU
from fmnist_sweep.core.files import STUDY_NAME
from fmnist_sweep.core.jobs import LARGEST_SEED, MAX_FINAL_TRAININGS, SEEDS_OF_FINALS_BEGIN, Scale, SplitKind
from fmnist_sweep.core.programs import PREPARE_S
from fmnist_sweep.core.progress import MAX_RETRIES, RECONNECT_S
from fmnist_sweep.core.registry import Registry
from fmnist_sweep.core.space import FiniteFloat, ParameterField, StrictScalar
from fmnist_sweep.data.reading import Reading
from fmnist_sweep.data.sources import FASHION_MNIST

MAX_POINTS: Final = 10_000
MAX_PARAMETERS: Final = 1000

# Keras takes 32 bits, and an export trains on seeds that follow the sweep's.
TrainingSeed: TypeAlias = Annotated[
    StrictInt, Field(ge=0, le=LARGEST_SEED - SEEDS_OF_FINALS_BEGIN - MAX_FINAL_TRAININGS)
]
# NumPy mixes any number into its generators; TOML and JSON hand on 64 bits.
MixedSeed: TypeAlias = Annotated[StrictInt, Field(ge=0, le=2**63 - 1)]


class SplitSection(Section):
    """``[split]``: which rows validate, of data that are handed to ``fit`` as they are.

    Attributes:
        kind: ``"stratified"`` by class, at ``"random"``, the ``"first"`` rows, or the ``"last"``, as of a
            series, whole ``"groups"`` at random, or what the data say themselves (``"given"``). Left out,
            classes are stratified and anything else is drawn at random; groups are kept together.
        groups: Name of the column of a table, or of the array of an ``.npz`` file, that says which rows
            belong together; no model is fed with it.
    """

    kind: SplitKind | None = None
    groups: Annotated[str, Field(min_length=1, max_length=512)] | None = None


class TrainingSection(Section):
    """``[training]``: what every trial shares.

    Attributes:
        seed: Decides initial weights, dropout and the order of the images, in every trial alike.
        batch_size: Images in a step, where the space has no ``batch_size``.
        n_val: Number of validation images.
        split_seed: Reshuffles train and validation, stratified; left out, the first ``n_val`` validate.
        train_size: Number of training images to keep; left out, all of them.
        n_probe: Number of training rows that measure the train scores; left out, see `SweepConfig.n_probe`.
        patience: Epochs without a better score after which a trial stops early; left out, never.
        running_metrics: Also keep Keras's running mean of the training accuracy. No score uses it: it is for
            comparing with what others report, and costs some time in every step.
        exact_steps: Train by the operations of Keras's ``fit``, bit for bit, rather than by faster kernels
            that round otherwise. A bundle's ``config.toml`` sets it.
        fit_epochs: Number of epochs that a ``fit`` of one's own is asked for where its training is to end
            after ``space.epochs`` of those that it trains, warm-ups among them; left out, it is asked for
            ``space.epochs`` and trained to its end. A bundle's ``config.toml`` sets it.
    """

    seed: TrainingSeed = 0
    batch_size: PositiveInt = 32
    n_val: PositiveInt = 5000
    split_seed: MixedSeed | None = None
    train_size: PositiveInt | None = None
    n_probe: PositiveInt | None = None
    patience: PositiveInt | None = None
    running_metrics: StrictBool = False
    exact_steps: StrictBool = False
    fit_epochs: PositiveInt | None = None


class _Sampler(Section):
    seed: MixedSeed = 0
    enqueue_default: StrictBool = True


class TPESection(_Sampler):
    """Tree-structured Parzen estimator (`optuna.samplers.TPESampler`), every setting written down.

    Attributes:
        max_observations: Finished trials that a draw looks at: the best ones and an even selection of the
            others, so that a draw takes no longer in a study of thousands.
    """

    name: Literal["tpe"] = "tpe"
    n_startup_trials: Count = 10
    n_ei_candidates: PositiveInt = 24
    multivariate: StrictBool = True
    group: StrictBool = True
    constant_liar: StrictBool = True
    max_observations: Annotated[StrictInt, Field(ge=50, le=LARGEST_COUNT)] = 400


class RandomSection(_Sampler):
    """`optuna.samplers.RandomSampler`."""

    name: Literal["random"] = "random"


class GPSection(_Sampler):
    """Gaussian process (`optuna.samplers.GPSampler`); needs the extra ``gp``."""

    name: Literal["gp"] = "gp"
    n_startup_trials: Count = 10


class CmaEsSection(_Sampler):
    """`optuna.samplers.CmaEsSampler`; choices and conditional parameters are drawn at random."""

    name: Literal["cmaes"] = "cmaes"
    n_startup_trials: PositiveInt = 1


class QMCSection(_Sampler):
    """Quasi-Monte Carlo (`optuna.samplers.QMCSampler`); choices are drawn at random."""

    name: Literal["qmc"] = "qmc"
    # Optuna hands it on as it is, to a generator of 32 bits.
    seed: Annotated[StrictInt, Field(ge=0, le=LARGEST_SEED)] = 0
    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: StrictBool = True


class GridSection(_Sampler):
    """Every point of a finite space once, in random order (`optuna.samplers.BruteForceSampler`)."""

    name: Literal["grid"] = "grid"


class PointsSection(_Sampler):
    """Points of the space that the file lists, in their order: a comparison rather than a search.

    Attributes:
        points: Of each the value of every parameter that the space leaves open.
    """

    name: Literal["points"] = "points"
    enqueue_default: StrictBool = False
    points: Annotated[tuple[dict[str, StrictScalar], ...], Field(min_length=1, max_length=MAX_POINTS)]


class AddedSection(_Sampler):
    """A sampler of an installed package: a sweep file names it as it names ours.

    Attributes:
        sampler: Its name; the entry point is called with ``seed`` and the settings, and returns a sampler of
            Optuna for one trial.
        settings: All settings of the section but those that every sampler has.
    """

    name: Literal["added"] = "added"
    sampler: str
    settings: dict[str, StrictScalar] = Field(default_factory=dict)

    @classmethod
    def as_given(cls, section: dict[str, Any]) -> dict[str, Any]:
        """Return a section as this class has it; as it is where no package adds a sampler of its name."""
        name = section.get("name")
        if not isinstance(name, str) or name in _BUILT_IN_SAMPLERS or name not in SAMPLERS.names():
            return section
        shared: dict[str, Any] = {key: section[key] for key in _Sampler.model_fields if key in section}
        own = {key: value for key, value in section.items() if key not in ("name", *shared)}
        return {"name": "added", "sampler": name, "settings": own, **shared}


SAMPLERS: Final = Registry("sampler", "fmnist_sweep.samplers", {})
"""Samplers of installed packages; ours have a section each."""

_BUILT_IN_SAMPLERS: Final = ("tpe", "random", "gp", "cmaes", "qmc", "grid", "points", "added")

ParameterName: TypeAlias = Annotated[str, Field(max_length=512)]
"""Optuna's tables hold no longer one."""

SamplerSection: TypeAlias = Annotated[
    TPESection
    | RandomSection
    | GPSection
    | CmaEsSection
    | QMCSection
    | GridSection
    | PointsSection
    | AddedSection,
    Field(discriminator="name"),
]


class NonePrunerSection(Section):
    """No pruning."""

    name: Literal["none"] = "none"


class MedianSection(Section):
    """`optuna.pruners.MedianPruner`: stop what is worse than the median trial at the same epoch."""

    name: Literal["median"] = "median"
    n_startup_trials: Count = 5
    n_warmup_steps: Count = 2
    interval_steps: PositiveInt = 1
    n_min_trials: PositiveInt = 1


class PercentileSection(MedianSection):
    """`optuna.pruners.PercentilePruner`: stop what is not among the best ``percentile`` per cent."""

    name: Literal["percentile"] = "percentile"  # type: ignore[assignment]
    percentile: Annotated[FiniteFloat, Field(gt=0, lt=100)] = 25.0


class SuccessiveHalvingSection(Section):
    """`optuna.pruners.SuccessiveHalvingPruner`; a resource is an epoch."""

    name: Literal["successive_halving"] = "successive_halving"
    min_resource: PositiveInt = 2
    reduction_factor: Annotated[StrictInt, Field(ge=2, le=LARGEST_COUNT)] = 3
    min_early_stopping_rate: Count = 0


class HyperbandSection(Section):
    """`optuna.pruners.HyperbandPruner`; a resource is an epoch, at most the space's largest number."""

    name: Literal["hyperband"] = "hyperband"
    min_resource: PositiveInt = 2
    reduction_factor: Annotated[StrictInt, Field(ge=2, le=LARGEST_COUNT)] = 3


class PromotionSection(Section):
    """Successive halving that pauses: the best at each rung go on, the others wait there for their turn.

    Attributes:
        min_resource: Epochs until the first rung.
        reduction_factor: One trial of so many goes on from a rung; the next is so many times as far.
    """

    name: Literal["promotion"] = "promotion"
    min_resource: PositiveInt = 2
    reduction_factor: Annotated[StrictInt, Field(ge=2, le=LARGEST_COUNT)] = 3


class FreezeThawSection(Section):
    """Freeze-thaw: each next epoch goes to the trial whose forecast promises the most, and all others wait.

    Attributes:
        mean_epochs: A new trial begins once those before it were trained for so many epochs in the mean.
        start_epochs: What it costs to go on with a paused trial, in epochs: the higher, the longer one trains
            before another one has its turn.
    """

    name: Literal["freeze_thaw"] = "freeze_thaw"
    mean_epochs: Annotated[FiniteFloat, Field(ge=1, le=1e9)] = 4
    start_epochs: NonNegative = 1.0


class PatientSection(Section):
    """`optuna.pruners.PatientPruner`: stop what has not improved for ``patience`` epochs."""

    name: Literal["patient"] = "patient"
    patience: Count = 3
    min_delta: NonNegative = 0.0


PrunerSection: TypeAlias = Annotated[
    NonePrunerSection
    | MedianSection
    | PercentileSection
    | SuccessiveHalvingSection
    | HyperbandSection
    | PatientSection
    | PromotionSection
    | FreezeThawSection,
    Field(discriminator="name"),
]


class BudgetSection(Section):
    """``[budget]``: the first limit reached ends the sweep.

    Attributes:
        trials: Number of finished trials in the study, a total: running again does not add to it.
        seconds: Wall-clock time of one run.
        epochs: Number of trained epochs in the study, a total.
        trial_seconds: Wall-clock time of one trial, counted again after an interruption; one that takes
            longer fails.
        max_retries: How often a trial whose process died is started again from its last whole epoch.
        prepare_seconds: Wall-clock time that a function may take to return data, or that finding the space of
            a model may take.
        reconnect_seconds: How long a database server that went away is waited for before the command ends;
            trainings go on meanwhile. 0 waits for nothing.
    """

    trials: PositiveInt = 30
    seconds: Positive | None = None
    epochs: PositiveInt | None = None
    trial_seconds: Positive | None = None
    max_retries: Count = MAX_RETRIES
    prepare_seconds: Positive = PREPARE_S
    reconnect_seconds: NonNegative = RECONNECT_S


class EngineSection(Section):
    """``[engine]``: where the trials run. It decides nothing, and is not stored.

    Attributes:
        name: ``"local"``, processes of this machine; ``"ray"``, the nodes of a cluster; or an installed
            package's own.
        address: Of the cluster: ``"auto"``, ``"HOST:PORT"`` or ``"ray://HOST:PORT"``.
        checkpoint_storage: Folder in which nodes of a cluster keep checkpoints, such as ``"file:///shared"``
            or ``"s3://bucket/folder"``; left out, they come to this machine with the events.
        trials_per_gpu: Trials that share a GPU of a cluster's node; left out, each has one of its own. 0
            leaves GPUs alone, and takes their nodes' CPUs.
    """

    name: Annotated[str, Field(max_length=100)] = LOCAL
    address: Annotated[str, Field(max_length=1000)] | None = None
    checkpoint_storage: Annotated[str, Field(max_length=1000)] | None = None
    trials_per_gpu: Annotated[int, Field(ge=0, le=MOST_PER_GPU)] | None = None


class SweepFile(Section):
    """A sweep file as it is written; `load_config` joins it with the model's own space.

    Attributes:
        scale: What is done to images: ``"auto"`` divides those of bytes by 255 once, and not in front of a
            model that does so itself; ``"none"`` leaves them as they are; ``"255"`` divides any.
        tune_new_entries: Whether parameters that ``[space]`` does not name are searched as the model declares
            them, or keep its defaults.
        target: The column of a table that is predicted, or several; other data bring their targets along.
        max_model_size: Most weights that a model may have, named as in KerasTuner's tuners; left out, any
            number. A larger configuration is not trained.
        keep_models: Of how many of the best trials the weights are kept, as they were after the scored epoch.
            It decides nothing.
        observers: Who is told of the run, by name, each with its settings; see `open_observers`. They decide
            nothing, and are not stored.
    """

    @property
    def reading(self) -> Reading:
        """How the data are read."""
        return Reading.of(self.model_dump(include={"target", "split", "scale"}))

    study: Annotated[str, Field(pattern=STUDY_NAME)]
    model: str
    data: str = FASHION_MNIST.name
    target: str | tuple[str, ...] | None = None
    scale: Scale = "auto"
    tune_new_entries: StrictBool = True
    max_model_size: PositiveInt | None = None
    keep_models: Count = 0
    space: dict[ParameterName, ParameterField] = Field(default_factory=dict, max_length=MAX_PARAMETERS)
    score: ScoreSection = ScoreSection()
    training: TrainingSection = TrainingSection()
    split: SplitSection = SplitSection()
    sampler: SamplerSection = TPESection()
    pruner: PrunerSection = MedianSection()
    budget: BudgetSection = BudgetSection()
    engine: EngineSection = EngineSection()
    observers: dict[Annotated[str, Field(max_length=100)], dict[str, StrictScalar]] = Field(
        default_factory=dict, max_length=100
    )
