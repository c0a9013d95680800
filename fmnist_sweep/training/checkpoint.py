"""What a trial has come to after its last whole epoch, in a file that outlives its process. No Keras here."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fmnist_sweep.core.curves import EpochScores
from fmnist_sweep.core.files import new_file

Array: TypeAlias = npt.NDArray[Any]

_LOG = logging.getLogger(__name__)

_MAGIC: Final = b"fmnist-sweep checkpoint 2\n"

_OLD_MAGIC: Final = b"fmnist-sweep checkpoint 1\n"
"""Of the same length. Its header lists an epoch's scores without their names, so what reads only that form
must not take ours for it: it would go on with names for scores."""

_LENGTH_BYTES: Final = 8
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class _UselessError(Exception):
    """There is a checkpoint, but nothing to go on from; the text says why."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A job after a whole epoch.

    Attributes:
        epochs: The curve so far.
        arrays: The values of every variable, in the order in which the trainer names them.
    """

    epochs: tuple[EpochScores, ...]
    arrays: tuple[Array, ...]


class CheckpointFile:
    """The checkpoint of one job, as a file of plain numbers: nothing in it is ever run or unpickled.

    The file is a line that names the format, the length of a JSON header, the header, the arrays' bytes
    and a SHA-256 digest of all that. It is replaced as a whole or not at all.

    Args:
        path: The file.
        identity: As `job_identity` gives it.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._identity = identity

    def save(self, checkpoint: Checkpoint) -> str | None:
        """Replace what is stored; return None, or in one line what was in the way.

        A full disk or a folder that can't be written costs the checkpoint, not the trial.
        """
        header = {
            "identity": self._identity,
            "epochs": [asdict(scores) for scores in checkpoint.epochs],
            "arrays": [_kind(array) for array in checkpoint.arrays],
        }
        text = json.dumps(header).encode()
        parts = [_MAGIC, len(text).to_bytes(_LENGTH_BYTES, "little"), text]
        parts += [array.tobytes() for array in checkpoint.arrays]
        digest = hashlib.sha256()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with new_file(self._path) as file:
                for part in parts:
                    digest.update(part)
                    file.write(part)
                file.write(digest.digest())
        except OSError as error:
            return error.strerror or str(error)
        return None

    def load(self, like: Sequence[Array]) -> Checkpoint | None:
        """Return what is stored, or None where there is nothing that this job can go on from.

        A file that is damaged, or that another job, other software or another model wrote, is logged and
        left for the next `save` to replace.

        Args:
            like: Arrays of the shapes and types that the checkpoint must have.
        """
        try:
            return self._read(like)
        except FileNotFoundError:
            return None
        except (OSError, _UselessError) as error:
            _LOG.warning("checkpoint %s is ignored, the trial starts over: %s", self._path, error)
            return None

    def _read(self, like: Sequence[Array]) -> Checkpoint:
        content = self._path.read_bytes()
        body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
        if not body.startswith((_MAGIC, _OLD_MAGIC)) or hashlib.sha256(body).digest() != digest:
            raise _UselessError("it is damaged")
        # What bears its digest was written whole by `save`.
        begin = len(_MAGIC) + _LENGTH_BYTES
        end = begin + int.from_bytes(body[len(_MAGIC) : begin], "little")
        header = json.loads(body[begin:end])
        if header["identity"] != self._identity:
            raise _UselessError("another job or other software wrote it")
        if header["arrays"] != [_kind(array) for array in like]:
            raise _UselessError("the model has other variables")
        arrays = []
        for array in like:
            flat = np.frombuffer(body, dtype=array.dtype, count=array.size, offset=end)
            arrays.append(flat.reshape(array.shape))
            end += array.nbytes
        return Checkpoint(tuple(map(_scores, header["epochs"])), tuple(arrays))


def _scores(stored: Any) -> EpochScores:
    if isinstance(stored, list):
        # The old form: the epoch, its four scores, its seconds, and the running accuracy or null.
        *of_classes, running = stored
        scores = EpochScores.of_classes(*of_classes)
        return scores if running is None else replace(scores, running={"accuracy": running})
    return EpochScores(**stored)


def _kind(array: Array) -> list[Any]:
    return [str(array.dtype), list(array.shape)]
