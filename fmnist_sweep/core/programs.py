"""Programs of this package that run a user's code in a process of their own, for as long as they may."""

from __future__ import annotations

import faulthandler
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NoReturn

import fmnist_sweep
from fmnist_sweep.core.families import adopt_orphans, end_descendants, end_family, end_group

PREPARE_S: Final = 1800.0
"""How long a model's space may take to be found, or a data function to return, unless a sweep file says."""

_PATIENCE_S: Final = 20.0
"""A program that takes longer is told of."""

_LAST_STEPS_S: Final = 0.5
"""How long a program that has run out of time may take to say where it is."""

# The package comes from where this one was found; modules of the current folder hide no library's.
_START: Final = (
    "import sys; root = sys.argv.pop(1); sys.path.insert(0, root); import fmnist_sweep; "
    "sys.path.remove(root); from fmnist_sweep.core.programs import main; main(sys.argv[1:])"
)


@dataclass(frozen=True)
class Ended:
    """How a program ended.

    Attributes:
        code: Its exit code, below 0 for a signal; None where it ran out of time.
        stdout: What it printed.
        stderr: What it printed as its errors.
        place: Of one that ran out of time: the line that it was at, if that is known.
    """

    code: int | None
    stdout: str
    stderr: str
    place: str = ""


def run_program(
    module: str,
    arguments: Sequence[str],
    *,
    seconds: float,
    what: str,
    say: Callable[[str], None] = lambda _: None,
) -> Ended:
    """Run a module of this package as a program; all that it starts ends with it.

    Args:
        module: Its name; it has a function ``main`` that takes the arguments and returns an exit code.
        arguments: For it.
        seconds: How long it may take.
        what: What it does, in words, such as ``"calling pictures:make"``.
        say: Takes a line where it takes more than a moment.
    """
    root = str(Path(str(fmnist_sweep.__file__)).parents[1])
    # Files and no pipes: what the user's code has started may hold a pipe open for ever.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        theirs, ours = os.pipe()
        process = subprocess.Popen(  # noqa: S603 - no shell; running the user's code is the purpose
            [sys.executable, "-P", "-c", _START, root, str(theirs), module, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[theirs],
            start_new_session=True,
        )
        os.close(theirs)
        code: int | None = None
        place = ""
        try:
            code = _wait(process, seconds, what, say)
            if code is None:
                place = _place(process, err)
        finally:
            # Also where Ctrl-C ended the wait: it does not reach a session of its own.
            if process.poll() is None:
                end_family(process.pid)
                process.wait()
            end_group(process.pid)
            os.close(ours)
        return Ended(code, _text(out), _text(err), place)


def out_of_time(what: str, ended: Ended, seconds: float) -> str:
    """Return what is said of a program that ran out of time.

    Args:
        what: What it has not done, in words.
        ended: How it ended.
        seconds: How long it was given.

    Example:
        >>> print(out_of_time("the function gave no data", Ended(None, "", "", "pictures.py:9, in make"), 60))
        the function gave no data within 60 s; it was at pictures.py:9, in make; mend what it waits for, or give it longer with budget.prepare_seconds
    """  # noqa: E501 - as it is printed
    place = f"; it was at {ended.place}" if ended.place else ""
    mend = "mend what it waits for, or give it longer with budget.prepare_seconds"
    return f"{what} within {seconds:g} s{place}; {mend}"


def _wait(
    process: subprocess.Popen[bytes], seconds: float, what: str, say: Callable[[str], None]
) -> int | None:
    began = time.monotonic()
    try:
        return process.wait(min(_PATIENCE_S, seconds))
    except subprocess.TimeoutExpired:
        if seconds <= _PATIENCE_S:
            return None
    say(f"Still {what}; it may take {seconds:g} s (budget.prepare_seconds).")
    try:
        return process.wait(began + seconds - time.monotonic())
    except subprocess.TimeoutExpired:
        return None


def _place(process: subprocess.Popen[bytes], err: IO[bytes]) -> str:
    """Ask a program where it is, and return the innermost line of code that is no library's."""
    before = len(_text(err))
    process.send_signal(signal.SIGUSR1)
    time.sleep(_LAST_STEPS_S)
    frames = re.findall(r'File "(.+)", line (\d+) in (.+)', _text(err)[before:])
    libraries = ("<", sys.prefix, sys.base_prefix, str(Path(str(fmnist_sweep.__file__)).parent))
    own = [f"{file}:{line}, in {name}" for file, line, name in frames if not file.startswith(libraries)]
    return next(iter(own), "")


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def main(arguments: Sequence[str]) -> NoReturn:
    """Run as such a program: end with the process that started it, and let nothing outlive this one."""
    watched, module, *others = arguments
    adopt_orphans()
    threading.Thread(target=_leave_with_parent, args=(int(watched),), daemon=True).start()
    # Asked where it is, it answers on what are its errors now, wherever they go later.
    faulthandler.register(signal.SIGUSR1, file=os.dup(2), all_threads=False)
    code = 1
    try:
        code = importlib.import_module(module).main(others)
    except BaseException:  # noqa: BLE001 - a fault of this package, as Python shows it
        sys.excepthook(*sys.exc_info())
    finally:
        end_descendants()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _leave_with_parent(watched: int) -> None:
    """Block until the other end of a pipe is closed, as it is however the parent ends."""
    os.read(watched, 1)
    end_family(os.getpid())
    os._exit(1)
