"""What can be said of the studies of a run before its data are opened."""

from __future__ import annotations

from fmnist_sweep.core.errors import StorageError, StudyDamagedError, StudyMismatchError
from fmnist_sweep.storage.damage import require_whole
from fmnist_sweep.storage.opening import open_storage
from fmnist_sweep.storage.overview import read_damage
from fmnist_sweep.storage.stored import StoredStudy
from fmnist_sweep.storage.studies import load_study, require_writable, study_names


def check_studies(storage_url: str, name: str, *, import_from: str | None = None) -> None:
    """Raise what can be said of the studies of a run before its data are opened.

    Args:
        storage_url: Where they are, or will be.
        name: The study that is run.
        import_from: The study whose trials are brought over first.

    Raises:
        SweepError: One is read-only or damaged, or the one to import from can't be.
    """
    try:
        storage = open_storage(storage_url, create=False)
    except StorageError:
        # There may be none yet. What else is wrong with it is said where it is opened to be written.
        return
    wanted = [one for one in (import_from, name) if one is not None]
    damaged = read_damage(storage_url, wanted)
    for one in wanted:
        if one == name and one not in study_names(storage):
            continue
        study = load_study(storage, one, with_trials=damaged is None)
        stored = StoredStudy.of(study)
        if damaged is None:
            require_whole(stored)
        elif damaged.get(one):
            raise StudyDamagedError(one, damaged[one])
        if one == import_from:
            require_source(stored, name)
        else:
            require_writable(study)


def require_source(source: StoredStudy, name: str) -> None:
    """Raise `SweepError` for a study whose trials the one of a name can't take, whatever its settings are."""
    if source.name == name:
        raise StudyMismatchError(
            f"study {name!r} can't be imported into itself; name the new one with --study"
        )
    if not source.is_ours:
        raise StudyMismatchError(f"study {source.name!r} was not made by fmnist-sweep: it can't be imported")
    if source.confirms is not None:
        raise StudyMismatchError(
            f"study {source.name!r} can't be imported: its trials are repeats on other splits and from other "
            "seeds"
        )
