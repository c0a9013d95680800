"""Fetch Fashion-MNIST with the tools of others: Keras's own download, or Debian's package.

Both work in a folder that the caller throws away, and neither is trusted: the caller verifies every file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_KERAS_TIMEOUT_S: Final = 1800
_APT_TIMEOUT_S: Final = 900
_PACKAGE: Final = "dataset-fashion-mnist"

# Without a socket timeout, a network that swallows packets holds the download for ever.
_KERAS_DOWNLOAD: Final = """
import socket
socket.setdefaulttimeout(30)
from keras.datasets import fashion_mnist
fashion_mnist.load_data()
"""


class FetchError(Exception):
    """One way of fetching did not work; the message is one line that says why."""


@dataclass(frozen=True, slots=True)
class Fetcher:
    """One way to fetch Fashion-MNIST.

    Attributes:
        name: As it reads in a sentence: "Keras's download".
        fetch: Takes an empty folder to work in and returns the folder with the idx files.
            Raises `FetchError`.
    """

    name: str
    fetch: Callable[[Path], Path]


def download_with_keras(work: Path) -> Path:
    """Let Keras download into ``work``; Keras is imported in a process of its own.

    Returns:
        The folder of the gzipped idx files, not verified.

    Raises:
        FetchError: Keras can't be imported or its download fails.
    """
    quiet = {"KERAS_HOME": str(work), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    # -P keeps a keras.py in the current folder from being imported instead.
    _run([sys.executable, "-P", "-c", _KERAS_DOWNLOAD], cwd=work, timeout_s=_KERAS_TIMEOUT_S, env=quiet)
    return keras_folder(work)


def keras_folder(keras_home: Path) -> Path:
    """Return the folder that Keras keeps the gzipped idx files in."""
    return keras_home / "datasets" / "fashion-mnist"


def download_debian_package(work: Path) -> Path:
    """Download Debian's package with ``apt-get`` and unpack it into ``work``: no root, nothing installed.

    Where apt's own package lists don't know the package, as on a fresh machine, lists are fetched into
    ``work`` as well.

    Returns:
        The folder of the gzipped idx files, not verified.

    Raises:
        FetchError: A tool is missing, or the package can't be had.
    """
    apt_get, dpkg_deb = _which("apt-get"), _which("dpkg-deb")
    options = [
        "--quiet",
        "--option=Acquire::Retries=1",
        "--option=Acquire::http::Timeout=30",
        # As root, apt would drop its rights and then not be allowed to write into a private folder.
        "--option=APT::Sandbox::User=root",
    ]
    try:
        _run([apt_get, *options, "download", _PACKAGE], cwd=work, timeout_s=_APT_TIMEOUT_S)
    except FetchError:
        for folder in ("lists/partial", "cache/archives/partial"):
            (work / folder).mkdir(parents=True, exist_ok=True)
        options += [
            f"--option=Dir::State::lists={work / 'lists'}",
            f"--option=Dir::Cache={work / 'cache'}",
            "--option=Debug::NoLocking=1",
        ]
        _run([apt_get, *options, "update"], cwd=work, timeout_s=_APT_TIMEOUT_S)
        _run([apt_get, *options, "download", _PACKAGE], cwd=work, timeout_s=_APT_TIMEOUT_S)
    packages = sorted(work.glob(f"{_PACKAGE}_*.deb"))
    if not packages:
        raise FetchError(f"apt-get download left no {_PACKAGE} package")
    _run([dpkg_deb, "--extract", str(packages[0]), "unpacked"], cwd=work, timeout_s=_APT_TIMEOUT_S)
    return work / "unpacked/usr/share/datasets/fashion-mnist"


FETCHERS: Final = (
    Fetcher("Keras's download", download_with_keras),
    Fetcher(f"Debian's package {_PACKAGE}", download_debian_package),
)


def _which(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise FetchError(f"this machine has no {program}")
    return path


def _run(command: list[str], *, cwd: Path, timeout_s: int, env: Mapping[str, str] | None = None) -> None:
    """Run a command in a folder; raise `FetchError` with its most telling line if it fails."""
    # C locale: messages are searched for the line that tells.
    env = {**os.environ, "LC_ALL": "C.UTF-8", **(env or {})}
    name = Path(command[0]).name
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and no argument comes from outside
            command,
            cwd=cwd,
            env=env,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FetchError(f"{name} gave no result within {timeout_s // 60} minutes") from None
    except OSError as error:
        raise FetchError(f"{name} can't be started: {error.strerror or error}") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        telling = [line for line in lines if line.startswith("E: ")] or lines[-1:]
        raise FetchError(telling[0] if telling else f"{name} ended with exit code {done.returncode}")
