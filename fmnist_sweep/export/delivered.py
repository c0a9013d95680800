"""What a final training handed over, as the parent process reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.files import new_file

Array: TypeAlias = npt.NDArray[Any]

_CURVE: Final = "curve.json"
_TEST: Final = "test.npz"
_SCORES: Final = "scores"


@dataclass(frozen=True)
class Delivery:
    """The folder of one final training; see `fmnist_sweep.training.delivery.deliver`.

    Attributes:
        folder: It need not exist before the training is done.
        seed: The training's seed.
    """

    folder: Path
    seed: int

    @property
    def is_trained(self) -> bool:
        """Whether the training is done and all of it is here."""
        return (self.folder / _CURVE).exists()

    @property
    def is_tested(self) -> bool:
        """Whether its predictions of the test images are here."""
        return (self.folder / _TEST).exists()

    @cached_property
    def predictions(self) -> Mapping[str, tuple[Array, Array]]:
        """Probabilities ``(n, n_classes)`` and labels ``(n,)`` of each part; ``"test"`` once it was read."""
        found = {}
        for name, parts in (("predictions.npz", ("train", "val")), (_TEST, ("test",))):
            if (self.folder / name).exists():
                with np.load(self.folder / name, allow_pickle=False) as stored:
                    found.update({part: (stored[part], stored[f"y_{part}"]) for part in parts})
        return found

    @cached_property
    def arrays(self) -> Mapping[str, Array]:
        """Targets and outputs of data that are handed to ``fit`` as they are, by place and part.

        Such as ``"val/y"`` and ``"test/outputs/size"``; the test part's once it was read.
        """
        found: dict[str, Array] = {}
        for name in ("predictions.npz", _TEST):
            if (self.folder / name).exists():
                with np.load(self.folder / name, allow_pickle=False) as stored:
                    found |= {key: stored[key] for key in stored.files if key != _SCORES}
        return found

    @cached_property
    def measured(self) -> Mapping[str, Mapping[str, float]]:
        """Each part's scores after the last epoch, by their metrics; the test part's once it was read."""
        last = self.curve.epochs[-1]
        parts: dict[str, Mapping[str, float]] = {"train": last.train, "val": last.val}
        if self.is_tested:
            with np.load(self.folder / _TEST, allow_pickle=False) as stored:
                parts["test"] = json.loads(str(stored[_SCORES]))
        return parts

    @property
    def example(self) -> Path:
        """A few rows that validate, with what the model gives for them."""
        return self.folder / "example.npz"

    @property
    def example_outputs(self) -> Mapping[str, Array]:
        """What the model gives for the rows of `example`, by their places."""
        with np.load(self.example, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files if name.startswith("outputs")}

    @property
    def example_inputs(self) -> Mapping[str, list[int]]:
        """The shape of one row of each of the model's inputs, by their places in `example`."""
        with np.load(self.example, allow_pickle=False) as stored:
            return {name: list(stored[name].shape[1:]) for name in stored.files if name.startswith("x")}

    @property
    def worst(self) -> tuple[Array, Array]:
        """Indices and images ``(n, height, width, channels)`` of test images, confidently mistaken."""
        with np.load(self.folder / _TEST, allow_pickle=False) as stored:
            return stored["worst"], stored["x_worst"]

    @cached_property
    def curve(self) -> LearningCurve:
        """Its learning curve, the train scores on the probe."""
        return LearningCurve.from_attribute(json.loads((self.folder / _CURVE).read_text(encoding="utf-8")))

    @cached_property
    def source(self) -> Mapping[str, Any]:
        """The Python that builds the model, or why there is none; its weights; its learning rates."""
        source: Mapping[str, Any] = json.loads((self.folder / "source.json").read_text(encoding="utf-8"))
        return source

    @property
    def model(self) -> Path:
        """The saved model."""
        return self.folder / "model.keras"

    def keep_curve(self, curve: LearningCurve) -> None:
        """Write the learning curve, last of all: where it is, the rest of the folder is whole."""
        with new_file(self.folder / _CURVE) as stream:
            stream.write(json.dumps(curve.to_attribute()).encode())

    def forget_test(self) -> None:
        """Remove its predictions of the test images: they are read again."""
        (self.folder / _TEST).unlink(missing_ok=True)
