from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from made_exports import DATA, SOURCE, Check, Exports, FinalTrainer, Reader, draw_nothing, write_words
from made_studies import StudyMaker, add_confirmation, empty_study, stored
from matplotlib.figure import Figure

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.errors import InterruptedExportError, StorageError, SweepError
from fmnist_sweep.core.events import Started
from fmnist_sweep.core.observer import ProgressObserver
from fmnist_sweep.core.places import PlacedJob
from fmnist_sweep.core.progress import Progress
from fmnist_sweep.export.choice import chosen
from fmnist_sweep.export.readings import TestAlreadyReadError
from fmnist_sweep.export.run import run_plan
from fmnist_sweep.reports.exported_call import export_words
from fmnist_sweep.search.model_source import model_parts
from fmnist_sweep.training.testing import scripted_curve

FILES = {
    "README.md",
    "classification_report.csv",
    "config.toml",
    "confusion_matrix.pdf",
    "confusion_matrix.png",
    "history.csv",
    "learning_curve.pdf",
    "learning_curve.png",
    "metrics.json",
    "misclassified.png",
    "model.keras",
    "predict.py",
    "train.py",
    "trials.csv",
}


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing."""
    draw_nothing(monkeypatch)


@pytest.fixture
def bundle(exports: Exports) -> Path:
    """A bundle of a full study."""
    exports.run()
    return exports.folder / "exports" / "dense"


def test_a_bundle_has_all_its_files(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing else; each has something in it. Here its pictures are drawn, though not rendered."""
    monkeypatch.undo()
    drawn: list[type] = []

    def save(figure: Any, *paths: Path) -> None:
        drawn.append(type(figure))
        write_words(figure, *paths)

    monkeypatch.setattr("fmnist_sweep.reports.pictures.save", save)
    exports.run()
    assert drawn == [Figure] * 3
    bundle = exports.folder / "exports" / "dense"
    assert {path.name for path in bundle.iterdir()} == FILES
    assert all(path.stat().st_size > 10 for path in bundle.iterdir())


def test_metrics_hold_every_number_with_its_interval(bundle: Path, exports: Exports) -> None:
    """Of the model that is handed out and over the seeds; both gaps; what it was measured with."""
    facts = json.loads((bundle / "metrics.json").read_text())
    for part in ("train", "val", "test"):
        assert facts["model"][part]["accuracy_95"][0] < facts["model"][part]["accuracy"]
        assert facts["mean"][f"{part}_cross_entropy"]["interval_95"] is not None
    assert facts["seeds"] == [10_000, 10_001, 10_002]
    assert [repeat["seed"] for repeat in facts["repeats"]] == facts["seeds"]
    means = [repeat["gap_to_test"] for repeat in facts["repeats"]]
    assert facts["mean"]["gap_to_test"]["mean"] == pytest.approx(sum(means) / 3, abs=1e-6)
    assert facts["data"]["digest"] == exports.study.user_attrs["data_digest"]
    assert facts["n_test_readings"] == 1
    assert facts["confirmed"] is False
    assert {"tensorflow", "keras", "numpy"} <= set(facts["versions"])


def test_the_model_is_that_of_the_first_seed(bundle: Path) -> None:
    """It is fixed beforehand, whichever is the best."""
    assert (bundle / "model.keras").read_bytes() == b"a model of seed 10000"


@pytest.mark.slow
def test_the_card_says_what_a_reader_must_know(bundle: Path, exports: Exports) -> None:
    """How it was chosen, both gaps, the confused pairs, why validation flatters, how to load it."""
    text = (bundle / "README.md").read_text()
    assert "**Unconfirmed.**" in text
    assert chosen(stored(exports.study)).words in text
    assert "the gap to test" in text
    assert "0.7 to 1.5 points higher" in text
    assert "1. " in text
    assert " taken for " in text
    assert "read once for this study" in text
    assert "keras.models.load_model" in text
    for picture in ("learning_curve.png", "confusion_matrix.png", "misclassified.png"):
        assert f"({picture})" in text


def test_history_has_every_epoch_of_every_seed(bundle: Path, exports: Exports) -> None:
    """Epochs count from 1, the gap is among the columns."""
    rows = list(csv.DictReader(io.StringIO((bundle / "history.csv").read_text())))
    assert len(rows) == 3 * chosen(stored(exports.study)).epochs
    assert (rows[0]["seed"], rows[0]["epoch"]) == ("10000", "1")
    gap = float(rows[0]["train_accuracy"]) - float(rows[0]["val_accuracy"])
    assert float(rows[0]["gap"]) == pytest.approx(gap, abs=1e-6)


def test_trials_are_all_there_and_unchanged(exports: Exports, bundle: Path) -> None:
    """An export adds to the study's attributes and leaves its trials alone."""
    trials = exports.study.get_trials()
    rows = list(csv.DictReader(io.StringIO((bundle / "trials.csv").read_text())))
    assert len(rows) == len(trials)
    assert all("export" not in trial.user_attrs for trial in trials)


def test_the_reading_is_recorded_before_it_is_done(exports: Exports) -> None:
    """Whoever opens the test images finds the study already saying so."""
    seen: list[Any] = []
    exports.reader = Reader(before=lambda: seen.extend(stored(exports.study).readings))
    exports.run()
    assert [(reading["trial"], reading["complete"]) for reading in seen] == [
        (chosen(stored(exports.study)).trial, False)
    ]
    assert stored(exports.study).readings[0]["complete"] is True


def test_a_second_reading_is_refused(exports: Exports) -> None:
    """Another trial would be measured on a test set that is no longer fresh; it says when it was read."""
    exports.run()
    with pytest.raises(TestAlreadyReadError, match=r"was read once, last on \d{4}.* for trial .*--again"):
        exports.plan(trial=0)
    assert exports.reader.n_readings == 1


def flips_asked(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that takes of each training from now on whether the mean of flips is asked for."""
    asked: list[bool] = []
    fit = exports.trainer.fit

    def watched(job: PlacedJob) -> Iterator[Started | EpochScores]:
        asked.append(job.flip_average)
        yield from fit(job)

    monkeypatch.setattr(exports.trainer, "fit", watched)
    return asked


def test_averaging_flips_is_a_choice_of_its_own(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trainings, words and script are its own, and without it the test set would be read again."""
    asked = flips_asked(exports, monkeypatch)
    plain, averaged = exports.plan().final, exports.plan(flip_average=True).final
    assert plain.key != averaged.key
    assert exports.run(flip_average=True)["flip_average"] is True
    assert asked == [True] * 3
    folder = exports.folder / "exports" / "dense"
    assert "for an image and for its mirror image" in (folder / "README.md").read_text()
    assert "def with_mirror_images" in (folder / "train.py").read_text()
    told = stored(exports.study)
    assert told.export is not None
    assert "of the mean over each image and its mirror image" in " ".join(export_words(told, told.export))
    assert exports.plan(flip_average=True).is_there
    with pytest.raises(TestAlreadyReadError):
        exports.plan()


def test_flips_are_averaged_of_images_of_built_in_models_alone(exports: Exports) -> None:
    """What else there is can't be mirrored by the words of a command; nothing is trained or read."""
    with pytest.raises(SweepError, match="--flip-average needs images with class numbers"):
        exports.run(flip_average=True, data=replace(DATA, form="call"))
    assert (exports.trainer.trained, exports.reader.n_readings) == ([], 0)


def test_of_two_exports_that_were_planned_at_once_one_reads(exports: Exports) -> None:
    """The second finds the reading of the first, though there was none when it was planned."""
    plans = [exports.plan(trial=trial) for trial in (None, 0)]
    run_plan(plans[0], DATA, exports.engine)
    with pytest.raises(TestAlreadyReadError):
        run_plan(plans[1], DATA, exports.engine)
    assert exports.reader.n_readings == 1


def test_a_reading_again_is_counted(exports: Exports) -> None:
    """With --again it is read, and bundle and study tell how often."""
    exports.run()
    facts = exports.run(trial=0, again=True)
    assert facts["n_test_readings"] == 2
    assert [reading["reason"] for reading in stored(exports.study).readings] == ["export", "export --again"]
    card = (exports.folder / "exports" / "dense-trial-0" / "README.md").read_text()
    assert "read 2 times" in card
    assert "read more than once" in card


@pytest.mark.slow
def test_trainings_of_another_choice_are_forgotten(exports: Exports) -> None:
    """They take much space: once another trial's bundle is there, its trainings alone are kept."""
    exports.run()
    facts = exports.run(trial=0, again=True)
    (kept,) = exports.plan(trial=0).final.root.iterdir()
    assert kept.name == facts["key"]
    assert {path.name for path in kept.iterdir()} >= {"seed-10000", "seed-10001", "seed-10002"}
    exports.run(again=True)
    assert len(exports.trainer.trained) == 9


def test_a_bundle_that_is_there_is_not_made_again(exports: Exports) -> None:
    """The same choice, the same numbers: nothing is trained or read."""
    exports.run()
    assert exports.plan().is_there
    assert not exports.plan(force=True).is_there


def test_a_choice_that_was_confirmed_since_is_written_again(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same configuration with other words: the card is new, and the test set is not read again."""
    exports.run()
    confirmed = replace(chosen(stored(exports.study)), confirmed=True, words="Confirmed by five repeats.")
    monkeypatch.setattr("fmnist_sweep.export.plan.chosen", lambda *_: confirmed)
    facts = exports.run()
    card = (exports.folder / "exports" / "dense" / "README.md").read_text()
    assert "Confirmed by five repeats." in card
    assert "**Unconfirmed.**" not in card
    assert facts["n_test_readings"] == 1


BASELINE = [0.890, 0.892, 0.888]


@pytest.fixture
def decided(tiny_study: StudyMaker, tmp_path: Path) -> Exports:
    """Exports of a study whose confirmation compared trial 1 with the baseline, and kept the trial."""
    curve = ([0.85, 0.90], [0.84, 0.90])
    study = tiny_study(curve, curve)
    study.set_user_attr("data_digest", DATA.digest)
    add_confirmation(study, {"trial 1": [0.91, 0.92, 0.91], "baseline": BASELINE}, decision={})
    return Exports(study, tmp_path)


def test_the_baseline_is_read_in_the_same_reading(decided: Exports) -> None:
    """Trained from the same seeds, told in the bundle and kept in the study, and recorded as one reading."""
    facts = decided.run()
    assert (facts["trial"], facts["beside"]["name"]) == (1, "the model's default")
    assert decided.trainer.trained == [10_000, 10_001, 10_002] * 2
    (reading,) = stored(decided.study).readings
    assert (reading["n_models"], reading["complete"]) == (6, True)
    assert reading["what"] == "trial 1, and beside it the model's default"
    # The reader predicts alike for equal seeds.
    assert facts["beside"]["difference"]["test_accuracy"]["mean"] == 0
    card = (decided.folder / "exports" / "tiny" / "README.md").read_text()
    assert "**Trial 1 beats your baseline by " in card
    assert (
        "The model's default, trained beside it from the same seeds for 2 epochs, reaches test accura" in card
    )
    kept = stored(decided.study).export
    assert kept is not None
    assert kept["beside"]["epochs"] == 2
    assert any(
        "in the same reading of the test set" in words for words in export_words(stored(decided.study), kept)
    )
    assert decided.plan().is_there


def test_what_stands_beside_the_mean_of_flips_is_no_such_mean(
    decided: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A net that saw no flips loses by their mean: its author has it without."""
    asked = flips_asked(decided, monkeypatch)
    decided.run(flip_average=True)
    assert asked == [True] * 3 + [False] * 3


def test_where_the_baseline_is_kept_the_pick_is_read_beside_it(tiny_study: StudyMaker) -> None:
    """What is handed out is the baseline; the comparison is told the other way round."""
    curve = ([0.85, 0.90], [0.84, 0.90])
    study = tiny_study(curve, curve)
    add_confirmation(study, {"trial 1": [0.88, 0.9, 0.88], "baseline": BASELINE}, decision={})
    choice = chosen(stored(study))
    assert (choice.trial, choice.confirmed) == (None, True)
    assert choice.beside is not None
    assert choice.beside.trial == 1
    assert choice.headline is not None
    assert choice.headline.startswith("Nothing is shown better than your baseline: keep it")


def test_what_was_read_before_it_was_confirmed_is_not_read_again(
    decided: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is written anew without the other one; --again reads both."""
    alone = replace(chosen(stored(decided.study)), beside=None, words="Before.")
    with monkeypatch.context() as patched:
        patched.setattr("fmnist_sweep.export.plan.chosen", lambda *_: alone)
        decided.run()
    plan = decided.plan()
    assert plan.beside is None
    assert "Without the model's default beside it: the test set was read before. --again reads both." in (
        plan.outlook()
    )
    assert "beside" not in decided.run()
    assert decided.run(again=True)["n_test_readings"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("lose", [True, False])
def test_a_bundle_is_written_again_without_another_reading(exports: Exports, lose: bool) -> None:
    """What the reading gave is kept beside the storage, for a bundle that is lost or asked for anew."""
    import shutil

    before = exports.run()
    if lose:
        shutil.rmtree(exports.folder / "exports")
    after = exports.run(force=not lose)
    assert after["model"] == before["model"]
    assert exports.trainer.trained == [10_000, 10_001, 10_002]
    assert exports.reader.n_readings == after["n_test_readings"] == 1


def test_a_training_that_fails_reads_nothing(exports: Exports) -> None:
    """The reason is told, the others are kept, and the next export goes on from there."""
    exports.trainer = FinalTrainer(fail=10_001)
    with pytest.raises(SweepError, match="seed 10001 failed: out of memory"):
        exports.run()
    assert not stored(exports.study).readings
    exports.trainer = FinalTrainer()
    exports.run()
    assert exports.trainer.trained == [10_001, 10_002]


def test_a_training_whose_process_dies_is_trained_again(exports: Exports) -> None:
    """A death costs nothing but time: the bundle holds each epoch of each seed once, and the same scores."""
    exports.deaths = {10_001: [1, 2]}
    facts = exports.run()
    assert facts["seeds"] == [10_000, 10_001, 10_002]
    assert sorted(exports.trainer.trained) == [10_000, 10_001, 10_001, 10_001, 10_002]
    rows = list(
        csv.DictReader(io.StringIO((exports.folder / "exports" / "dense" / "history.csv").read_text()))
    )
    for job in exports.plan().final.jobs(DATA):
        kept = [(row["epoch"], row["val_accuracy"]) for row in rows if row["seed"] == str(job.seed)]
        accuracies = scripted_curve(job).values("val_accuracy").tolist()
        assert kept == [(str(n), str(accuracy)) for n, accuracy in enumerate(accuracies, 1)]


def test_a_training_whose_process_dies_again_and_again_is_given_up(exports: Exports) -> None:
    """After its third death the reason is told, nothing is read, and the next export tries anew."""
    exports.deaths = {10_001: [1, 1, 1]}
    with pytest.raises(SweepError, match="seed 10001 failed: process was killed by SIGKILL"):
        exports.run()
    assert exports.trainer.trained.count(10_001) == 3
    assert (stored(exports.study).readings, exports.reader.n_readings) == ((), 0)
    exports.deaths = {}
    assert exports.run()["n_test_readings"] == 1


def test_an_export_that_is_interrupted_at_the_last_moment_reads_nothing(exports: Exports) -> None:
    """Ctrl-C as the last training ends: all are kept, and the test set is as it was."""
    interrupted = threading.Event()

    def press(progress: Progress) -> None:
        if progress.n_done == progress.n_trials:
            interrupted.set()

    with pytest.raises(InterruptedExportError, match="3 of 3 trainings are kept"):
        run_plan(
            exports.plan(), DATA, exports.engine, interrupted=interrupted, observer=ProgressObserver(press)
        )
    assert (stored(exports.study).readings, exports.reader.n_readings) == ((), 0)
    assert exports.run()["n_test_readings"] == 1
    assert exports.trainer.trained == [10_000, 10_001, 10_002]


def test_a_reading_that_was_lost_is_told(exports: Exports) -> None:
    """If the export dies between reading and storing, the reading stands: nothing came of it."""

    def die() -> None:
        raise KeyboardInterrupt

    exports.reader = Reader(before=die)
    with pytest.raises(KeyboardInterrupt):
        exports.run()
    with pytest.raises(TestAlreadyReadError, match="what it gave was lost"):
        exports.run()
    exports.reader = Reader()
    assert exports.run(again=True)["n_test_readings"] == 2


def test_a_reading_that_was_stored_is_no_lost_one(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the export dies just then, the next one writes the bundle from what is kept, and says so."""

    def die(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("fmnist_sweep.export.run.complete_reading", die)
        with pytest.raises(KeyboardInterrupt):
            exports.run()
    (reading,) = stored(exports.study).readings
    assert not reading["complete"]
    assert exports.run()["n_test_readings"] == 1
    assert stored(exports.study).readings == ({**reading, "complete": True},)


def test_a_bundle_that_cannot_be_written_costs_no_reading(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills as the bundle is written: the next export writes it from what is kept."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("fmnist_sweep.reports.pictures.save", full)
        with pytest.raises(StorageError, match="No space left on device"):
            exports.run()
    assert not (exports.folder / "exports" / "dense").exists()
    assert exports.run()["n_test_readings"] == 1


def test_another_data_set_is_refused(exports: Exports) -> None:
    """The images are no longer those of the sweep: nothing is trained or read."""
    with pytest.raises(SweepError, match="its data set has changed since the sweep"):
        exports.run(data=replace(DATA, digest="0" * 64))
    assert not exports.trainer.trained


def test_data_without_test_images_have_no_test_numbers(exports: Exports) -> None:
    """The bundle says so, no reading is recorded, and nothing is said of other data's validation images."""
    facts = exports.run(data=replace(DATA, name="mine.npz", directory=str(exports.folder)))
    bundle = exports.folder / "exports" / "dense"
    assert "test" not in facts["model"]
    assert not stored(exports.study).readings
    text = (bundle / "README.md").read_text()
    assert "no test images" in text
    assert "points higher" not in text
    assert "# float32 (n, 28, 28, 1), bytes divided by 255, floats as they are" in text
    assert "    python train.py DATA.npz  " in text
    assert {path.name for path in bundle.iterdir()} == FILES - {"misclassified.png"}


@pytest.mark.slow
def test_a_users_own_model_has_no_script(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card says why, and what trains it instead; what was measured with other models it does not say."""
    monkeypatch.chdir(exports.folder)
    Path("mine.py").write_text("class M: ...")
    exports.study.set_user_attr("model_path", "mine:M")
    exports.trainer = FinalTrainer(
        source={**SOURCE, "model": None, "why_not": "the model is the code of mine:M"}
    )
    exports.run()
    bundle = exports.folder / "exports" / "dense"
    assert {path.name for path in bundle.iterdir()} == FILES - {"train.py"}
    text = (bundle / "README.md").read_text()
    assert "There is no `train.py`: the model is the code of mine:M." in text
    assert "python train.py" not in text
    assert "points higher" not in text


OWN_SOURCE = {**SOURCE, "model": None, "why_not": "it is the code of mine:build"}


@pytest.fixture
def own(exports: Exports, monkeypatch: pytest.MonkeyPatch) -> Exports:
    """Exports of a study whose model has a layer of the user's own."""
    monkeypatch.chdir(exports.folder)
    Path("mine.py").write_text(
        "import keras\nimport keras_tuner\n\n\nclass Stretch(keras.layers.Layer):\n    by = 2\n\n\n"
        "def build(hp):\n    return keras_tuner, Stretch()\n"
    )
    exports.study.set_user_attr("model_path", "mine:build")
    exports.trainer = FinalTrainer(source={**OWN_SOURCE, "custom_objects": {"own>Stretch": "mine:Stretch"}})
    return exports


def test_a_model_that_cannot_be_saved_is_refused_before_it_is_trained(own: Exports) -> None:
    """Trainings take hours, and the test set is read for a bundle alone."""
    own.saving = Check("the class Stretch can't be saved: it has no get_config")
    with pytest.raises(SweepError, match=r"Stretch .* no get_config. Nothing was trained.*--accept-edited"):
        own.run()
    assert not own.trainer.trained
    assert own.reader.n_readings == 0


def test_flips_of_an_own_model_are_its_author_s(own: Exports) -> None:
    """It is told where they may be averaged in its place."""
    with pytest.raises(SweepError, match="may average in its own build"):
        own.plan(flip_average=True)


def test_a_model_of_another_size_is_refused_before_it_is_trained(own: Exports) -> None:
    """It is built anyhow, so its weights are counted then."""
    own.saving.n_parameters = 12
    with pytest.raises(SweepError, match=r"nothing was trained: the model has 12 weights, and had 103,600"):
        own.run()
    assert not own.trainer.trained


def test_what_was_trained_before_needs_no_check(own: Exports) -> None:
    """Its model was saved."""
    own.run()
    own.run(again=True)
    assert own.saving.n_checks == 1
    assert own.code.n_checks == 2


def test_an_own_layer_goes_with_its_model(own: Exports) -> None:
    """Its source without what the search alone needs, and a script that loads the model with it."""
    own.run()
    bundle = own.folder / "exports" / "dense"
    files = {path.name for path in bundle.iterdir()}
    assert files == FILES - {"train.py"} | {"own_code"}
    code = (bundle / "own_code" / "mine.py").read_text()
    assert code == "import keras\n\n\nclass Stretch(keras.layers.Layer):\n    by = 2\n"
    assert '"own>Stretch": ("mine", "Stretch"),' in (bundle / "predict.py").read_text()
    text = (bundle / "README.md").read_text()
    assert "`Stretch` (of `mine`, as `own>Stretch`)" in text
    assert "from predict import load_model" in text
    facts = json.loads((bundle / "metrics.json").read_text())
    assert facts["custom_objects"] == {"own>Stretch": "mine:Stretch"}


def test_code_that_does_not_work_alone_is_left_out_and_told(own: Exports) -> None:
    """A bundle that says what it needs is better than a script that fails."""
    own.code = Check("import of the code failed: no weights.npy")
    own.run()
    bundle = own.folder / "exports" / "dense"
    assert {path.name for path in bundle.iterdir()} == FILES - {"train.py", "predict.py"}
    text = (bundle / "README.md").read_text()
    assert "not in this folder (taken by itself it does not work: import of the code failed: no weig" in text
    assert 'custom_objects={"own>Stretch": mine.Stretch}' in text


def test_a_lambda_is_told(own: Exports) -> None:
    """Keras loads it only where it is told to."""
    own.trainer = FinalTrainer(source={**OWN_SOURCE, "has_lambdas": True})
    own.run()
    text = (own.folder / "exports" / "dense" / "README.md").read_text()
    assert "safe_mode=False,  # it holds a lambda" in text


def confirming() -> optuna.Study:
    study = empty_study(None, "dense-confirm")
    study.set_user_attr("kind", "confirm")
    study.set_user_attr("confirms", "dense")
    return study


def foreign() -> optuna.Study:
    return optuna.create_study(study_name="foreign")


@pytest.mark.parametrize(
    ("make", "message"),
    [(confirming, "holds repeats that confirm another; export 'dense'"), (foreign, "was not made by")],
)
def test_studies_that_are_no_sweeps_are_refused(
    tmp_path: Path, make: Callable[[], optuna.Study], message: str
) -> None:
    """The repeats of a sweep are exported through the sweep; of other programs' studies nothing is known."""
    study = make()
    assert not stored(study).is_sweep
    with pytest.raises(SweepError, match=message):
        Exports(study, tmp_path).plan()


def test_a_refused_export_leaves_nothing_behind(tiny_study: StudyMaker, tmp_path: Path) -> None:
    """Not even the folder."""
    with pytest.raises(SweepError, match="no complete trial"):
        Exports(tiny_study(), tmp_path).plan()
    assert not list(tmp_path.iterdir())


def test_a_model_that_came_out_larger_is_not_handed_out(exports: Exports) -> None:
    """Its source may be of an earlier version's study, which keeps no digest of it; the weights tell."""

    class Larger(FinalTrainer):
        def fit(self, job: PlacedJob) -> Iterator[Started | EpochScores]:
            for event in super().fit(job):
                yield replace(event, n_parameters=9000) if isinstance(event, Started) else event

    exports.trainer = Larger()
    with pytest.raises(SweepError, match=r"the model has 9,000 weights, and had [\d,]+ in the sweep"):
        exports.run()
    assert not list((exports.folder / "exports").glob("*/model.keras"))
    assert not stored(exports.study).readings


@pytest.mark.slow
def test_the_trainings_of_another_source_are_not_used(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study of the same name, values and weights may be of another model, such as one with other layers."""
    monkeypatch.chdir(exports.folder)
    Path("mine.py").write_text("class M: ...")
    exports.study.set_user_attr("model_path", "mine:M")
    exports.run()
    n = len(exports.trainer.trained)
    exports.study.set_user_attr("model_sources", [model_parts("mine:M")])
    exports.run(again=True)
    assert len(exports.trainer.trained) == 2 * n
