"""Commands that run sweeps and check what they need."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fmnist_sweep.cli.commands.options import (
    N_BUILDS,
    Address,
    AsJson,
    Builds,
    CheckpointStorage,
    DataDir,
    Engine,
    MaxRetries,
    NoProgress,
    Overrides,
    Quiet,
    Storage,
    SweepName,
    SweepNames,
    TakeOver,
    TrialsPerGpu,
    Workers,
    command_line,
    echo,
    exit_unless_done,
    messages_console,
    print_json,
    quiet_optuna,
    results_console,
    run_options,
    say_next,
    to_stderr,
    uses_storage,
)
from fmnist_sweep.core.engine_names import LOCAL
from fmnist_sweep.core.errors import ConfigError, SweepError
from fmnist_sweep.storage import DEFAULT_STORAGE

if TYPE_CHECKING:
    from rich.console import Console

    from fmnist_sweep.api.options import RunOptions
    from fmnist_sweep.config.sweep_config import SweepConfig
    from fmnist_sweep.storage.stored import StoredStudy


@uses_storage
def run(
    file: SweepName,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="Name of the study.")] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Finished trials in the study: a total, not n more.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds after which no trial is started.")
    ] = None,
    workers: Workers = None,
    import_from: Annotated[
        str | None,
        typer.Option(
            "--import-from", metavar="NAME", help="First bring over the fitting trials of another study."
        ),
    ] = None,
    accept_edited_model: Annotated[
        bool,
        typer.Option(
            "--accept-edited-model", help="Go on though the model was edited since; its trials are marked."
        ),
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what failed, once its cause is mended.")
    ] = False,
    observe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Tell one more of the run: jsonl, tensorboard, mlflow; repeatable."
        ),
    ] = None,
    max_retries: MaxRetries = None,
    engine: Engine = None,
    address: Address = None,
    checkpoint_storage: CheckpointStorage = None,
    trials_per_gpu: TrialsPerGpu = None,
    take_over: TakeOver = False,
    storage: Storage = DEFAULT_STORAGE,
    data_dir: DataDir = None,
    overrides: Overrides = None,
    json_events: Annotated[
        bool, typer.Option("--json-events", help="Print a line of JSON for each event, and nothing else.")
    ] = False,
    quiet: Quiet = False,
    no_progress: NoProgress = False,
) -> None:
    """Run a sweep, or go on with it.

    Example: fmnist-sweep run dense --trials 50 --set score.penalty=2
    """
    from fmnist_sweep.cli.console.cells import sayer
    from fmnist_sweep.config.loading import load_config

    if json_events and (quiet or no_progress):
        raise SweepError("--json-events prints nothing but events; leave out --quiet and --no-progress")
    named = {
        "study": study,
        "budget.trials": trials,
        "budget.seconds": timeout,
        "budget.max_retries": max_retries,
        "engine.name": engine,
        "engine.address": address,
        "engine.checkpoint_storage": checkpoint_storage,
        "engine.trials_per_gpu": trials_per_gpu,
    }
    given = [f"{key}={json.dumps(value)}" for key, value in named.items() if value is not None]
    options = run_options(workers, data_dir, take_over=take_over)
    again = command_line(
        "run",
        str(file),
        storage=storage,
        study=study,
        trials=trials,
        timeout=timeout,
        workers=workers,
        max_retries=max_retries,
        engine=engine,
        address=address,
        checkpoint_storage=checkpoint_storage,
        trials_per_gpu=trials_per_gpu,
        data_dir=data_dir,
        set=overrides,
        observe=observe,
        accept_edited_model=accept_edited_model,
    )
    begun = {
        "import_from": import_from,
        "accept_edited_model": accept_edited_model,
        "retry_failed": retry_failed,
        "observe": observe or (),
    }

    def load(say: Callable[[str], None]) -> SweepConfig:
        return load_config(file, [*(overrides or []), *given], beside=options.problems, say=say)

    if json_events:
        _run_for_programs(load, again, storage=storage, options=options, **begun)
    else:
        messages = messages_console(quiet=quiet)
        config = load(sayer(messages))
        _run(config, again, messages, progress=not no_progress, storage=storage, options=options, **begun)


def _run_for_programs(
    load: Callable[[Callable[[str], None]], SweepConfig],
    again: str,
    *,
    storage: str,
    options: RunOptions,
    **begun: Any,
) -> None:
    """Run a sweep and print its events alone; an error is one of them, and ends the command as ever."""
    from fmnist_sweep.api.events import JsonEvents

    events = JsonEvents(sys.stdout)
    with events.telling_errors():
        config = load(events.note)

        from fmnist_sweep.api import runs
        from fmnist_sweep.core.progress import Stop, require_results

        quiet_optuna()
        end = runs.run(config, storage=storage, options=options, **begun, say=events.note, observers=[events])
        if end.stop is Stop.INTERRUPTED:
            events.note(f"Everything is kept. Go on with: fmnist-sweep {again}")
            raise typer.Exit(130)
        require_results(config.file.study, end.stop, end.progress)


def _run(
    config: SweepConfig,
    again: str,
    messages: Console,
    *,
    progress: bool,
    storage: str,
    options: RunOptions,
    **begun: Any,
) -> None:
    from fmnist_sweep.api import runs
    from fmnist_sweep.cli.console import tables
    from fmnist_sweep.cli.console.cells import say, sayer
    from fmnist_sweep.cli.console.live import Display
    from fmnist_sweep.core.progress import Stop

    quiet_optuna()
    end = runs.run(
        config,
        storage=storage,
        options=options,
        **begun,
        say=sayer(messages),
        observers=[Display(messages, progress=progress)],
    )
    stop, at = end.stop, end.progress
    tables.print_summary(results_console(), end.study, stop, at)
    if not at.n_done_now and stop in (Stop.TRIALS, Stop.EPOCHS, Stop.SPACE):
        more = f" --trials is a total: more than {at.n_done} goes on." if stop is Stop.TRIALS else ""
        say(messages, f"The study was finished: nothing was trained.{more}")
    n_failed = end.n_retryable
    if n_failed and stop is not Stop.INTERRUPTED:
        what = "1 trial" if n_failed == 1 else f"{n_failed} trials"
        say(messages, f"{what} failed; once the cause is mended: fmnist-sweep {again} --retry-failed")
    kept: dict[str, Any] = {"workers": options.n_workers, "data_dir": options.data_dir}
    engine = config.file.engine
    if engine.name != LOCAL:
        # The study does not hold where it was trained.
        kept |= {"engine": engine.name, **engine.model_dump(exclude={"name"})}
    _say_where(messages, end.study, kept, storage=storage, interrupted=stop is Stop.INTERRUPTED)
    exit_unless_done(stop, at, study=config.file.study, again=again)


def _say_where(
    messages: Console, study: StoredStudy, kept: Mapping[str, Any], *, storage: str, interrupted: bool
) -> None:
    """Print where a study is, and what comes after it, with the options that are kept."""
    from fmnist_sweep.cli.console.cells import say
    from fmnist_sweep.storage.address import safe_url

    look = command_line("dashboard", storage=storage)
    say(messages, f"It is kept in {safe_url(storage)}; to look at it: fmnist-sweep {look}")
    if interrupted:
        # How to go on with it comes next.
        return
    if not study.in_state("COMPLETE"):
        # Neither a confirmation nor an export would be taken.
        command = command_line("trials", study.name, storage=storage)
        say_next(messages, command, "why no trial is complete")
    elif study.linked is None or study.linked.decision is None:
        afresh = "fresh seeds and splits" if study.splits_are_drawn else "fresh seeds"
        what = f"trains the best and your baseline on {afresh}: is it really better?"
        say_next(messages, command_line("confirm", study.name, storage=storage, **kept), what)
    else:
        command = command_line("export", study.name, storage=storage, **kept)
        say_next(messages, command, "the winner as a bundle to take home")


def validate(
    files: SweepNames,
    overrides: Overrides = None,
    builds: Builds = N_BUILDS,
    as_json: AsJson = False,
) -> None:
    """Check sweep files and print their space, its size, the parameter counts and the budget.

    A model of your own is built at some points of the space; what can't be built is a problem like any other.

    Example: fmnist-sweep validate dense mine.toml
    """
    from fmnist_sweep.cli.console.outline import print_config
    from fmnist_sweep.config.loading import load_config
    from fmnist_sweep.config.outline import outline
    from fmnist_sweep.config.sampling import build_problems, tried_builds

    configs, problems = [], []
    for file in files:
        try:
            config = load_config(file, overrides or [], say=to_stderr)
            tried = tried_builds(config, builds, say=to_stderr)
            configs.append((file, config, tried))
            unbuilt = build_problems(tried)
            problems += [str(ConfigError(str(file), unbuilt))] if unbuilt else []
        except ConfigError as error:
            problems.append(str(error))
    if as_json:
        print_json(
            sweeps=[
                {"file": str(file), **outline(config), "builds": tried} for file, config, tried in configs
            ]
        )
    else:
        for file, config, _ in configs:
            print_config(results_console(), str(file), config)
    if problems:
        raise SweepError("\n".join(problems))
    if not as_json:
        first = command_line("run", str(files[0]), storage=DEFAULT_STORAGE, set=overrides)
        to_stderr(f"Next: fmnist-sweep {first}")


def data(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Find Fashion-MNIST, or fetch it, and verify every file.

    Example: fmnist-sweep data
    """
    from dataclasses import asdict

    from fmnist_sweep.api.data import find_data

    found = find_data(data_dir=data_dir, say=to_stderr)
    if as_json:
        print_json(**asdict(found))
    else:
        echo(f"{found.name}: {found.n_train} training images, verified, in {found.directory}")
