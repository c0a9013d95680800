"""What the commands share: options, and how studies are opened and results printed."""

from __future__ import annotations

import functools
import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from fmnist_sweep.config.shipped import shipped_sweeps
from fmnist_sweep.core.errors import SweepError
from fmnist_sweep.core.foreign import safe_text
from fmnist_sweep.core.shared_folder import safe_folder, without_keys
from fmnist_sweep.core.versions import SCHEMA_VERSION
from fmnist_sweep.storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from rich.console import Console

    from fmnist_sweep.api.options import RunOptions
    from fmnist_sweep.core.progress import Progress, Stop

_WIDE: Final = 200

Storage = Annotated[
    str,
    typer.Option("--storage", metavar="URL", help="Where the studies are.", envvar="FMNIST_SWEEP_STORAGE"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a setting, such as score.penalty=2; repeatable."
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Folder with the four files of Fashion-MNIST.", envvar="FMNIST_DATA_DIR"
    ),
]


def complete_sweep(incomplete: str) -> list[str]:
    """Return what a shell may complete to a sweep; where there is nothing it completes to files."""
    here = map(str, Path().glob("*.toml"))
    return [name for name in [*shipped_sweeps(), *sorted(here)] if name.startswith(incomplete)]


_SWEEPS: Final = f"a path, or one that comes along: {', '.join(shipped_sweeps())}"
SweepName = Annotated[Path, typer.Argument(help=f"The sweep file: {_SWEEPS}.", autocompletion=complete_sweep)]
SweepNames = Annotated[
    list[Path], typer.Argument(help=f"Sweep files, each {_SWEEPS}.", autocompletion=complete_sweep)
]

Builds = Annotated[
    int,
    typer.Option(
        "--builds",
        metavar="N",
        min=0,
        max=10_000,
        help="Points of the space at which a model of your own is built; 0 builds none.",
    ),
]
N_BUILDS = 20

Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Trials side by side; by default one for each core.")
]
MaxRetries = Annotated[
    int | None, typer.Option(metavar="N", help="How often a trial whose process died goes on in a new one.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors alone.")]
NoProgress = Annotated[
    bool, typer.Option("--no-progress", help="No live display, and no line for each training that ends.")
]
Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="NAME", help="Where trials run: local, or ray, the nodes of a cluster."),
]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="A", help="Of the cluster: auto, HOST:PORT or ray://HOST:PORT."),
]
CheckpointStorage = Annotated[
    str | None,
    typer.Option(
        "--checkpoint-storage",
        metavar="URL",
        help="Where the nodes keep checkpoints: file:///FOLDER, s3://BUCKET/FOLDER; by default here.",
    ),
]
TrialsPerGpu = Annotated[
    int | None,
    typer.Option(
        "--trials-per-gpu",
        metavar="N",
        help="Trials that share a GPU of a cluster's node; by default 1, 0 trains on CPUs alone.",
    ),
]
TakeOver = Annotated[
    bool, typer.Option("--take-over", help="Run the study though its owner, on another machine, may live.")
]


def run_options(
    workers: int | None,
    data_dir: Path | None,
    *,
    take_over: bool = False,
    engine: str | None = None,
    address: str | None = None,
    checkpoint_storage: str | None = None,
    trials_per_gpu: int | None = None,
) -> RunOptions:
    """Return the options that all commands share that train something."""
    from fmnist_sweep.api.options import RunOptions

    return RunOptions(
        n_workers=workers,
        data_dir=data_dir,
        take_over=take_over,
        engine=engine,
        address=address,
        checkpoint_storage=checkpoint_storage,
        trials_per_gpu=trials_per_gpu,
    )


def uses_storage(command: Callable[..., None]) -> Callable[..., None]:
    """Report it as an error if the storage fails while a command prints what it holds."""

    @functools.wraps(command)
    def guarded(*, storage: str, **options: Any) -> None:
        try:
            command(storage=storage, **options)
        except (SweepError, typer.Exit):
            raise
        except Exception:
            # Loaded now: what tells a lost storage from a bug knows Optuna, and `status` answers without it.
            from fmnist_sweep.storage.opening import storage_in_use

            with storage_in_use(storage):
                raise

    return guarded


def quiet_optuna() -> None:
    """Keep Optuna's own log lines off the terminal."""
    import optuna

    # Optuna logs every study that it creates; the display says it better.
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def command_line(*words: str, storage: str, **options: Any) -> str:
    """Return the command line that repeats this command.

    Args:
        words: The command and its arguments.
        storage: The storage's address; a password in it is not shown, nor those of other addresses.
        options: By their names, ``-`` written as ``_``; a list is repeated, True stands alone, what is None,
            False or empty is left out.

    Example:
        >>> command_line("run", "my sweep.toml", storage=DEFAULT_STORAGE, trials=50, set=["score.penalty=2"])
        "run 'my sweep.toml' --trials 50 --set score.penalty=2"
    """
    from fmnist_sweep.storage.address import safe_url

    if storage != DEFAULT_STORAGE:
        options["storage"] = safe_url(storage)
    if options.get("checkpoint_storage"):
        options["checkpoint_storage"] = safe_folder(options["checkpoint_storage"])
    if options.get("set"):
        options["set"] = [safe_url(without_keys(given)) for given in options["set"]]
    typed = list(words)
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            flag = f"--{name.replace('_', '-')}"
            if one is True:
                typed.append(flag)
            elif one is not None and one is not False:
                typed += [flag, str(one)]
    return shlex.join(typed)


def exit_unless_done(stop: Stop, progress: Progress, *, study: str, again: str) -> None:
    """Raise what ends the command where a run was interrupted or gave up."""
    from fmnist_sweep.core.progress import Stop, require_results

    if stop is Stop.INTERRUPTED:
        # Also where only results and errors are asked for: there is no result.
        to_stderr(f"Everything is kept. Go on with: fmnist-sweep {again}")
        raise typer.Exit(130)
    require_results(study, stop, progress)


def messages_console(*, quiet: bool = False) -> Console:
    """Return the console for what is told beside the results; a quiet one prints nothing."""
    from rich.console import Console

    return Console(stderr=True, emoji=False, quiet=quiet)


def say_next(messages: Console, command: str, what: str) -> None:
    """Print the one command that goes on from here, and what it does."""
    from fmnist_sweep.cli.console.cells import say

    say(messages, f"Next: fmnist-sweep {command}  ({what})")


def results_console() -> Console:
    """Return the console for results; where no terminal limits them, tables are as wide as they are."""
    from rich.console import Console

    # A name such as :smile: is a name.
    console = Console(emoji=False)
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=_WIDE, emoji=False)


def echo(line: str) -> None:
    """Print a line of results that has names and paths in it."""
    typer.echo(safe_text(line))


def to_stderr(line: str) -> None:
    """Print a line for the user, beside the results."""
    typer.echo(safe_text(line), err=True)


def print_json(**values: Any) -> None:
    """Print named values as one object for a script, its `SCHEMA_VERSION` first."""
    typer.echo(json.dumps({"schema_version": SCHEMA_VERSION, **values}, indent=2, allow_nan=False))
