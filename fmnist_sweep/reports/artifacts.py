"""A bundle in optuna-dashboard: its pictures and its model with the study, a note on the trial."""

from __future__ import annotations

import json
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Final

import optuna
from optuna.artifacts import FileSystemArtifactStore, upload_artifact
from optuna.artifacts.exceptions import ArtifactNotFound

from fmnist_sweep.core.foreign import markdown
from fmnist_sweep.reports.dashboard import begin_note
from fmnist_sweep.reports.exported_call import export_words
from fmnist_sweep.storage.stored import StoredStudy

ARTIFACTS: Final = ("learning_curve.png", "confusion_matrix.png", "model.keras")
"""Files of a bundle that the dashboard shows with the study, and the pictures of each task."""

_PICTURES: Final = ("confusion_matrix", "most_confused", "predicted_and_true", "roc_and_calibration")
"""What the names of pictures of predictions begin with; that of the output may follow."""

_EXPORTED_WORDS: Final = "**Exported as"
"""What the line that an export adds to a trial's note begins with."""

_KEY: Final = "artifacts:"


def attach_export(study: optuna.Study, bundle: Path, folder: Path) -> None:
    """Show a bundle in optuna-dashboard: its pictures and its model with the study, a note on the trial.

    A finished trial takes no files, so they are the study's. Those of an earlier bundle are replaced.

    Args:
        study: A study that was exported.
        bundle: Its bundle.
        folder: As `fmnist_sweep.storage.opening.artifact_folder` gives it; made where it is missing.
    """
    stored = StoredStudy.of(study)
    kept = stored.export
    if kept is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        store = FileSystemArtifactStore(folder)
    _forget(study, store)
    pictures = (path.name for path in sorted(bundle.glob("*.png")) if _is_of_bundle(path.name))
    for name in dict.fromkeys((*ARTIFACTS, *pictures)):
        if not (bundle / name).exists():
            continue
        upload_artifact(artifact_store=store, file_path=str(bundle / name), study_or_trial=study)
    trial = next((t for t in study.get_trials(deepcopy=False) if t.number == kept["trial"]), None)
    if trial is not None:
        words = f"{_EXPORTED_WORDS} {markdown(bundle.name)}.** {' '.join(export_words(stored, kept))}"
        begin_note(study, trial, words, mark=_EXPORTED_WORDS)


def attached(study: optuna.Study) -> dict[str, str]:
    """Return the files that a study has in the dashboard: names by their ids."""
    # Optuna's own list of them breaks on one that was deleted in the dashboard, which leaves a null.
    attributes = study._storage.get_study_system_attrs(study._study_id)  # noqa: SLF001
    files = [json.loads(value) for key, value in attributes.items() if key.startswith(_KEY)]
    return {file["artifact_id"]: file["filename"] for file in files if file is not None}


def _is_of_bundle(name: str) -> bool:
    return name in ARTIFACTS or (name.startswith(_PICTURES) and name.endswith(".png"))


def _forget(study: optuna.Study, store: FileSystemArtifactStore) -> None:
    """Remove the files of an earlier bundle, as the dashboard does when they are deleted there."""
    for identity, name in attached(study).items():
        if _is_of_bundle(name):
            with suppress(ArtifactNotFound):
                store.remove(identity)
            study._storage.set_study_system_attr(study._study_id, _KEY + identity, json.dumps(None))  # noqa: SLF001
