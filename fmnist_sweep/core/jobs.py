"""What decides a trial's result: frozen records that go down to the engines, and their identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Final, Literal, Protocol, TypeAlias

SplitKind: TypeAlias = Literal["stratified", "random", "first", "last", "groups", "given"]
"""``stratified`` by class label, at ``random``, the ``first`` rows, the ``last`` ones, as for a series, whole
``groups``, or what the data say themselves (``given``)."""

Scale: TypeAlias = Literal["auto", "none", "255"]
"""What is done to images: ``auto`` divides those of bytes by 255, but for a model that does so itself."""

Scalar: TypeAlias = bool | int | float | str
Hyperparameters: TypeAlias = Mapping[str, Scalar]

N_PROBE: Final = 10_000
"""Training rows that measure the train scores, where nothing else is said."""

LARGEST_SEED: Final = 2**32 - 1
"""What Keras and the older generators of NumPy are seeded with."""

SEEDS_OF_FINALS_BEGIN: Final = 10_000
"""Added to a sweep's seed: final trainings repeat none of its draws, and are fixed beforehand."""

MAX_FINAL_TRAININGS: Final = 100


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """How the training images are parted into train and validation.

    Attributes:
        n_val: Number of validation images.
        seed: None takes the first ``n_val`` images, as the report did; an integer reshuffles,
            stratified by class. Data that are handed to ``fit`` as they are take None for 0.
        train_size: Number of training images to keep, stratified by class; None keeps all.
        kind: Which rows validate: see `SplitKind`. None lets the seed decide of images, and the labels of
            data that are handed to ``fit`` as they are.
    """

    n_val: int = 5000
    seed: int | None = None
    train_size: int | None = None
    kind: SplitKind | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the split as plain values; a kind that the labels decide is left out."""
        told = asdict(self)
        if self.kind is None:
            # What was kept before there were kinds is found again.
            del told["kind"]
        return told

    @property
    def is_drawn(self) -> bool:
        """Whether another seed gives other rows to validate."""
        return self.kind not in _NOT_DRAWN


_NOT_DRAWN: Final = ("first", "last", "given")

_HELD_OUT: Final = 0.2
"""Share of the rows that validate where ``n_val`` asks for more than half of them, as its default may."""


def n_validating(n: int, wanted: int) -> int:
    """Return how many of ``n`` rows validate, of data that are handed to ``fit`` as they are.

    Args:
        n: Number of rows.
        wanted: ``n_val``. Where that is more than half, a fifth of the rows validates.

    Example:
        >>> n_validating(60_000, 5000), n_validating(1000, 5000)
        (5000, 200)
    """
    return wanted if wanted <= n // 2 else max(1, round(_HELD_OUT * n))


def n_val_of(config: Mapping[str, Any], data: Mapping[str, Any]) -> int:
    """Return how many examples validate, by what is stored of a study; 0 where that does not tell.

    Args:
        config: The study's settings.
        data: What it holds of its data set.
    """
    wanted = config.get("training", {}).get("n_val", 0)
    if data.get("validates", False):
        return int(data.get("n_val", 0))
    return int(n_validating(data.get("n_train", 0), wanted) if data.get("form") == "call" else wanted)


@dataclass(frozen=True, slots=True)
class DataKey:
    """A data set by its content: what a job says of it, on whatever machine it runs.

    Attributes:
        name: ``"fashion-mnist"``, or what the user called their own.
        digest: SHA-256 over the uncompressed content; same digest, same data.
        input_shape: Shape of one image with its channel axis, such as ``(28, 28, 1)``.
        class_names: One for each label ``0 .. n_classes - 1``.
        n_train: Number of training images before the split; 0 where that is not known before they are read.
        form: ``"images"`` with class numbers, which this program splits and measures itself; or ``"call"``:
            whatever ``fit`` takes, kept as it was given.
        validates: Whether the data themselves say what validates: then every split is the same.
        scale: What is done to its images as they are loaded, or was as they were kept.
        n_groups: Number of groups of rows that belong together; 0 where the data name none.
        n_val: Number of rows that validate by the data's own word; 0 where they have none, or do not tell.
    """

    name: str
    digest: str
    input_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    n_train: int
    form: Literal["images", "call"] = field(default="images", kw_only=True)
    validates: bool = field(default=False, kw_only=True)
    n_groups: int = field(default=0, kw_only=True)
    n_val: int = field(default=0, kw_only=True)
    scale: Scale = field(default="auto", kw_only=True)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, slots=True)
class DataRef(DataKey):
    """A verified data set on this machine: what a training process needs to open it.

    Attributes:
        directory: Folder of the memory-mapped files.
    """

    directory: str

    @property
    def key(self) -> DataKey:
        """The data set without its place: what travels."""
        return DataKey(**{f.name: getattr(self, f.name) for f in fields(DataKey)})


class Keeps(Protocol):
    """Says of which epoch a job keeps the weights; see `fmnist_sweep.core.kept.Keep`."""

    @property
    def name(self) -> str:
        """Of the file, among the weights that are kept."""
        ...

    def wants(self, epochs: Sequence[Any], *, n_epochs: int | None = None) -> bool:
        """Return whether the last one of the epochs so far is to be kept."""
        ...


@dataclass(frozen=True, slots=True)
class TrialJob:
    """All that decides a trial's result, as plain data that can go to any engine on any machine.

    Two runs of equal jobs on one machine give the same curve bit for bit, and one of more epochs begins with
    the curve of one of fewer.

    Attributes:
        trial: The trial's number in its study; does not decide the result.
        model: Import path of a KerasTuner HyperModel, ``"package.module:Class"``.
        hyperparameters: The complete set; what it leaves out takes the HyperModel's default.
        epochs: Number of epochs to train.
        seed: Decides initial weights, dropout, augmentation and the order of the images.
        data: The data set.
        split: Its train/validation split.
        n_probe: Number of training rows that measure the train scores; None takes as many as validate, where
            ``fit`` is called once.
        batch_size: Images in a step where the hyperparameters name no ``batch_size``.
        checkpoint: Name, among the checkpoints, of the one that keeps the job's progress and that the job
            goes on from; None keeps none. Does not decide the result.
        deliver_to: Name, among the deliveries, of the folder that gets what the job trained: the model, its
            predictions and its source; None keeps nothing. Does not decide the result.
        running_metrics: Whether each epoch also tells Keras's running mean of the training accuracy.
        exact_steps: Whether each step runs the operations of Keras's ``fit``, bit for bit, rather than a
            faster kernel that rounds otherwise.
        model_source: Digest of the source of a user's own model; empty where there is none to digest.
        n_parameters: Number of weights that the model must have, where it is known from an earlier training.
            Does not decide the result.
        metric: The metric that is scored: each epoch must have it. Does not decide the result.
        sometimes: Hyperparameters that the model may leave unasked. Does not decide the result.
        hand_out: Whether what is delivered is handed out: the model itself, and not its weights alone. Does
            not decide the result.
        fit_epochs: Number of epochs that a ``fit`` is asked for where the training is to end after
            ``epochs`` of those that it trains, warm-ups among them; None asks for ``epochs``, and ends with
            the fit. Compiled steps have no use for it.
        flip_average: Whether what is delivered gives the mean of an image and its mirror image. Does not
            decide the epochs, which the model is trained and measured in without.
        keep: Which epoch's weights are kept; None keeps none. Does not decide the result.
        restores: Whether nothing is trained: the model gets the weights that ``keep`` names, its last epoch
            alone is measured and told, and it is delivered as if it had been trained.
    """

    trial: int
    model: str
    hyperparameters: Hyperparameters
    epochs: int
    seed: int
    data: DataKey
    split: SplitSpec = field(default_factory=SplitSpec)
    n_probe: int | None = N_PROBE
    batch_size: int = 32
    checkpoint: str | None = None
    deliver_to: str | None = None
    running_metrics: bool = False
    exact_steps: bool = False
    model_source: str = ""
    n_parameters: int | None = None
    metric: str = "accuracy"
    sometimes: tuple[str, ...] = ()
    hand_out: bool = False
    fit_epochs: int | None = None
    flip_average: bool = False
    keep: Keeps | None = None
    restores: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "hyperparameters", MappingProxyType(dict(self.hyperparameters)))

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy can't be pickled, and jobs travel to other processes.
        values = [getattr(self, f.name) for f in fields(self)]
        values[2] = dict(self.hyperparameters)
        return type(self), tuple(values)


_DECIDES_NOTHING: Final = frozenset(
    {"trial", "checkpoint", "epochs", "deliver_to", "places", "n_parameters", "metric", "sometimes"}
    | {"hand_out", "fit_epochs", "flip_average", "keep", "restores"}
)
"""Fields of a job that leave its epochs alone; where the data lie does so too. No epoch depends on how many
are to follow: a job goes on from the last epoch of a shorter one."""


def job_identity(job: TrialJob, *, software: Sequence[str]) -> str:
    """Return a digest of everything that decides a job's epochs, but for how many there are.

    Args:
        job: The job.
        software: What decides besides the job: versions of libraries, the text of the model's source.
    """
    decides = {f.name: getattr(job, f.name) for f in fields(job) if f.name not in _DECIDES_NOTHING}
    decides |= {
        "hyperparameters": dict(job.hyperparameters),
        "data": job.data.digest,
        "split": job.split.to_dict(),
        "software": list(software),
    }
    if job.data.form == "images" and job.data.scale != "auto":
        # Kept data are known by their content, scaled or not.
        decides["scale"] = job.data.scale
    if not job.model_source:
        # Checkpoints that were kept before jobs named it go on.
        del decides["model_source"]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def parts_digest(parts: Mapping[str, str]) -> str:
    """Return one digest for those of a model's parts, as jobs name it; empty where there are no parts.

    Example:
        >>> parts_digest({})
        ''
    """
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16] if parts else ""
