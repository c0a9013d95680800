"""This process's connection to a Ray cluster: quiet, and without Ray's own ways with signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from fmnist_sweep.core.engine_names import RAY, engine_problems
from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.foreign import one_line

AUTO: Final = "auto"
"""The cluster that runs on this machine, or that ``RAY_ADDRESS`` names."""

CLIENT: Final = "ray://"
"""What the address of a Ray client's server begins with."""

_CONNECT_S: Final = 5.0

_connected: list[str] = []
"""The address that this module has connected this process to."""


def connect(address: str = AUTO) -> None:
    """Connect this process to a cluster, unless it is connected to one.

    Args:
        address: ``"auto"``, ``"HOST:PORT"`` of the head, or ``"ray://HOST:PORT"`` of a Ray client's server.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at the address.
    """
    problems = engine_problems(RAY, address)
    if problems:
        raise ConfigError("engine", problems)
    # Ray tells its makers of each cluster that is started unless it is told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    place = address.removeprefix(CLIENT)
    if address != AUTO and not answers(place):
        told = f"address: nothing answers at {address}; start a cluster there with: ray start --head"
        raise ConfigError("engine", [told])
    import ray  # noqa: PLC0415 - it takes a second, and need not be there

    if ray.is_initialized():
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        with _signals_kept(), _raylets_unheard():
            ray.init(address, **quiet, configure_logging=False)
    except Exception as error:
        mend = (
            "start one on this machine with: ray start --head; or give the address of another"
            if address == AUTO
            else "is Ray started on this machine as well, with: ray start --address=HOST:PORT?"
        )
        raise ConfigError(
            "engine", [f"address: no Ray cluster can be had at {address}: {in_short(error)}; {mend}"]
        ) from error
    _connected.append(address)


def disconnect() -> None:
    """Leave the cluster, if `connect` has joined it."""
    if _connected:
        _connected.clear()
        import ray  # noqa: PLC0415 - loaded already

        with _signals_kept():
            ray.shutdown()


def answers(place: str) -> bool:
    """Return whether something listens at an address ``HOST:PORT``."""
    host, _, port = place.rpartition(":")
    if not port.isdigit():
        return False
    try:
        with socket.create_connection((host, int(port)), _CONNECT_S):
            return True
    except OSError:
        return False


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep Ctrl-C and polite kills as they are: Ray would let a kill end this process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _raylets_unheard() -> Iterator[None]:
    """Keep the last words of raylets that die off the terminal: sixty lines for each node that is lost."""
    from ray._private import worker  # noqa: PLC0415 - there is no other door

    name = "listen_error_messages"
    before = getattr(worker, name, None)
    if before is None:
        yield
        return
    setattr(worker, name, lambda *_, **__: None)
    try:
        yield
    finally:
        setattr(worker, name, before)


def in_short(error: BaseException) -> str:
    """Return the first sentence of what Ray says, which may be a page."""
    missing = re.search(r"ModuleNotFoundError: (.*)", str(error))
    if missing is not None:
        return f"fmnist-sweep is not installed there as it is here: {missing.group(1)}"
    if "node has died" in str(error):
        return "it died, or was cut off"
    if "actor died" in str(error):
        return "its agent died"
    text = one_line(error)
    return text.partition(". ")[0].removesuffix(".")[:200]
