"""The page on the paper: verdicts, then each claim with its effects, then what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from fmnist_sweep.analysis.measures import most_confused
from fmnist_sweep.analysis.repeats import BASELINE, DEFAULT
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.wording import ABSENT
from fmnist_sweep.engines.machine import described
from fmnist_sweep.reports.pictures import confusion_matrices
from fmnist_sweep.storage.stored import StoredStudy
from original_study.blocks import Block, Heading, Picture, Table, Text
from original_study.claims import CLAIMS
from original_study.dense_claims import DENSE
from original_study.effects import Judged, JudgedPart, judge, takes_train_accuracy
from original_study.experiments import FINALS
from original_study.figures import claim_figure, report_curves, report_table
from original_study.prose import again, rule
from original_study.results import PULLOVER, SHIRT, Results
from original_study.searched import Entrant, entrant_rows, entrants, entrants_figure
from original_study.shown import effect, limit
from original_study.slips import SLIPS

Counts: TypeAlias = npt.NDArray[np.int64]

_MODELS: Final = {"dense": "Dense nets", "cnn": "Convolutional nets"}
_TITLES: Final = {"dense-final": "dense net", "cnn-final": "CNN"}


@dataclass(frozen=True)
class Paper:
    """What the page shows.

    Attributes:
        results: The experiments'.
        studies: All studies of the storage, by name.
        command: What makes the page, as it is typed.
        date: Of the page, as it is shown.
        quick: Whether it is the quick form: fewer seeds and images than the claims deserve.
    """

    results: Results
    studies: Mapping[str, StoredStudy]
    command: str
    date: str
    quick: bool = False

    @cached_property
    def judged(self) -> list[Judged]:
        """Every claim with its verdict."""
        return judge(CLAIMS, self.results)

    @cached_property
    def class_names(self) -> Sequence[str]:
        """The classes of the images, by label."""
        first = next(iter(self.results.studies.values()))
        names: Sequence[str] = first.data["class_names"]
        return names

    @cached_property
    def figures(self) -> dict[str, Figure]:
        """The page's figures, by the names of their files."""
        found = {
            f"claim-{one.claim.number:02}.png": claim_figure(one, self.results, self.class_names)
            for one in self.judged
        }
        if self._entrants[0]:
            found["searched.png"] = entrants_figure(self._entrants[0], self.results)
        for name, kept in self._exports.items():
            title = _TITLES[name]
            curve = LearningCurve.from_attribute(kept["curve"])
            found[f"{name}-curves.png"] = report_curves(curve, title=f"The final {title}")
            counts = {part: _array(kept, part) for part in ("train", "test")}
            found[f"{name}-confusion.png"] = confusion_matrices(
                counts, self.class_names, title=f"Confusion matrices of the final {title}"
            )
        return found

    @cached_property
    def tables(self) -> dict[str, Figure]:
        """The report's `conf_mat.pdf` of both models, by the names of their files."""
        return {
            f"{name}-conf_mat.pdf": report_table(kept["confusion"]["test"])
            for name, kept in self._exports.items()
        }

    @cached_property
    def _entrants(self) -> tuple[list[Entrant], list[str]]:
        return entrants(self.results, self.studies)

    @cached_property
    def _exports(self) -> dict[str, Mapping[str, Any]]:
        kept = {name: s.export for name, s in self.results.studies.items() if name in FINALS}
        return {name: one for name, one in kept.items() if one is not None and "test" in one["confusion"]}

    def blocks(self) -> list[Block]:
        """Return the page."""
        return [
            *self._opening(),
            *self._verdicts(),
            *rule(),
            *(block for model in _MODELS for block in self._claims(model)),
            *self._searched(),
            *self._own_outputs(),
            Heading(2, "Slips in the report, and how they are handled"),
            Table(("slip", "here"), tuple(SLIPS)),
            *again(),
        ]

    def _opening(self) -> list[Block]:
        quick = (
            "**This is the quick form: too few seeds and images for verdicts on the report.** "
            if self.quick
            else ""
        )
        blocks: list[Block] = [
            Heading(1, "The report's claims, run again"),
            Text(
                f"{quick}The report that this project starts from tuned two nets on Fashion-MNIST by hand "
                "and drew its conclusions from single runs. Here every one of them is an experiment with "
                "repeats, and has a verdict by a rule that was written down before there were numbers."
            ),
            Text(f"Written {self.date} by `{self.command}`. {self._where()}"),
            Text(self._how_many()),
        ]
        if self.results.n_failed:
            blocks.append(
                Text(f"**{self.results.n_failed} trainings failed** and are not part of any number.")
            )
        return blocks

    def _where(self) -> str:
        told = dict.fromkeys(
            described(study.machine, study.versions)
            for study in self.results.studies.values()
            if study.machine
        )
        return " ".join(told)

    def _how_many(self) -> str:
        studies = self.results.studies.values()
        seeds = sorted({s.n_repeats for s in studies})
        sizes = sorted({s.config["training"]["train_size"] or 0 for s in studies}, key=lambda n: n or 10**9)
        shown = " or ".join("all 55,000" if n == 0 else f"{n:,}" for n in sizes)
        n_seeds = " or ".join(map(str, seeds))
        return (
            f"{n_seeds} seeds for each configuration, {shown} training images, 5,000 for validation. Each "
            "seed comes with a reshuffled split, the same for all configurations, which are compared pair "
            "by pair; only where the report states accuracies (claims 5, 7, 8 and 15) its own split is "
            "kept: the first 5,000 images validate. Intervals are at 95 %, those over reshuffled splits "
            "corrected after Nadeau and Bengio (2003). They are not corrected for the number of claims."
        )

    def _verdicts(self) -> list[Block]:
        rows = tuple(
            (
                str(one.claim.number),
                one.claim.words,
                f"**{one.verdict.value}**",
                ABSENT if one.running_verdict is None else one.running_verdict.value,
            )
            for one in self.judged
        )
        changed = [
            one.claim.number
            for one in self.judged
            if one.running_verdict is not None and one.running_verdict is not one.verdict
        ]
        moved = (
            f"Measuring the gap with Keras's running mean changes the verdict on {_listed(changed)}."
            if changed
            else "Measuring the gap with Keras's running mean changes no verdict."
        )
        return [
            Heading(2, "Verdicts"),
            Table(("", "the report says", "verdict", "with Keras's running mean"), rows),
            Text(
                "The last column takes the training accuracy as the report does: as the mean over the "
                f"epoch's batches that Keras logs, of a model that is still learning. {moved}"
            ),
        ]

    def _claims(self, model: str) -> list[Block]:
        blocks: list[Block] = [Heading(2, _MODELS[model])]
        for one in (one for one in self.judged if one.claim.model == model):
            claim = one.claim
            blocks += [
                Heading(3, f"{claim.number}. {claim.words}"),
                Text(f"**{one.verdict.value[0].upper()}{one.verdict.value[1:]}.** {claim.experiment}"),
                _parts_table(one),
                Picture(f"claim-{claim.number:02}.png", f"Claim {claim.number}: {one.verdict.value}"),
            ]
            blocks += self._confused() if claim.number == 8 else []
        return blocks

    def _confused(self) -> list[Block]:
        rows = self.results.tested(DENSE.experiment)
        if not rows:
            return []
        means = [_mean([row["confusion"][a][p] for row in rows]) for a, p in _BOTH_WAYS]
        total = [[sum(row["confusion"][a][p] for row in rows) for p in range(10)] for a in range(10)]
        pairs = most_confused(np.array(total), self.class_names, n=5)
        return [
            Text(
                f"Of 1,000 images each, on average over {len(rows)} seeds, {means[0]:.0f} shirts are taken "
                f"for pullovers and {means[1]:.0f} pullovers for shirts; the report has 126 of one of them. "
                f"Most often, over all seeds: {'; '.join(map(str, pairs))}."
            )
        ]

    def _searched(self) -> list[Block]:
        found, missing = self._entrants
        blocks: list[Block] = [
            Heading(2, "By hand and by search"),
            Text(
                "The report's two models, and the confirmed winners of searches over the same parameters "
                "and, where they end in regularised, over more: all on reshuffled splits, so that their "
                "accuracies can be compared; the test set as the report has it. Time is that of the "
                "search's trials, each on one core. Grey points are the other configurations of this page."
            ),
        ]
        if found:
            titles = ("", "validation accuracy", "gap", "test accuracy", "winner", "trials", "time")
            blocks.append(Table(titles, entrant_rows(found)))
            if any(e.winner == DEFAULT for e in found):
                blocks.append(
                    Text(
                        "Where the winner is the default, nothing that was found is better than the report's "
                        "own parameters for sure: a tie goes to the smaller net."
                    )
                )
            if any(e.winner == BASELINE for e in found):
                blocks.append(
                    Text(
                        "Where the winner is the baseline, nothing that was found is better than the "
                        "report's own parameters with a chance above 80 %."
                    )
                )
            blocks.append(Picture("searched.png", "Accuracy against gap"))
        if missing:
            names = _listed(missing)
            blocks.append(
                Text(
                    f"Not in this storage, or not confirmed: {names}. `fmnist-sweep run sweeps/NAME.toml` "
                    "and `fmnist-sweep confirm NAME` bring them."
                )
            )
        return blocks

    def _own_outputs(self) -> list[Block]:
        blocks: list[Block] = [Heading(2, "The report's own outputs")]
        if not self._exports:
            return [*blocks, Text("The final models have not met the test set yet.")]
        for name, kept in self._exports.items():
            title = _TITLES[name]
            readings = len(self.results.studies[name].readings)
            times = "once" if readings == 1 else f"{readings} times"
            blocks += [
                Heading(3, f"The final {title}"),
                Text(
                    f"Seed {kept['seeds'][0]}, {kept['epochs']} epochs; the test set was read {times}. The "
                    f"table that the report saves as `conf_mat.pdf` is `{name}-conf_mat.pdf` beside the "
                    "page."
                ),
                Picture(f"{name}-curves.png", f"Accuracies and losses of the final {title} by epoch"),
                Picture(f"{name}-confusion.png", f"Confusion matrices of the final {title}"),
            ]
        return blocks


_BOTH_WAYS: Final = ((SHIRT, PULLOVER), (PULLOVER, SHIRT))


def _parts_table(one: Judged) -> Table:
    titles = ("", "effect (95 % interval)", "holds if", "verdict")
    if one.running_verdict is None:
        return Table(titles, tuple(_part_row(part) for part in one.parts))
    rows = tuple((*_part_row(part), *_running_cells(part)) for part in one.parts)
    return Table((*titles, "with Keras's running mean", ""), rows)


def _part_row(judged: JudgedPart) -> tuple[str, str, str, str]:
    part = judged.part
    return part.words, effect(judged.effect, part.unit), limit(part.rule, part.unit), judged.verdict.value


def _running_cells(judged: JudgedPart) -> tuple[str, str]:
    if not takes_train_accuracy(judged.part):
        return ABSENT, ABSENT
    return effect(judged.running, judged.part.unit), judged.running_verdict.value


def _listed(items: Sequence[object]) -> str:
    words = [str(item) for item in items]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _array(kept: Mapping[str, Any], part: str) -> Counts:
    return np.array(kept["confusion"][part], dtype=np.int64)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
