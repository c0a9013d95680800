"""What a sweep file asks for, printed."""

from __future__ import annotations

from rich.console import Console

from fmnist_sweep.cli.console.cells import new_table, say, shown
from fmnist_sweep.config.outline import outline
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.core.space import Parameter


def print_config(console: Console, file: str, config: SweepConfig) -> None:
    """Print what a sweep file asks for."""
    facts = outline(config)
    say(console, f"\n{file}: study {config.file.study!r}, model {config.file.model}", style="bold")
    table = new_table("parameter", "type", "values", "when")
    for column in table.columns[1:]:
        column.justify = "left"
    for name in config.space:
        parameter = config.space[name]
        table.add_row(shown(name), parameter.type, *(shown(how(parameter)) for how in (_values, _when)))
    console.print(table)
    size = "continuous" if facts["size"] is None else f"{facts['size']:,} points"
    counts = facts["n_parameters"]
    weights = "unknown" if counts is None else f"{counts[0]:,} to {counts[1]:,}"
    if config.file.max_model_size is not None:
        weights += f", at most {config.file.max_model_size:,} are trained"
    budget = config.file.budget
    limits = [f"{budget.trials} trials"]
    limits += [] if budget.seconds is None else [f"{budget.seconds:g} s"]
    limits += [] if budget.epochs is None else [f"{budget.epochs} epochs"]
    best = config.file.score.epoch_rule == "best"
    epochs = f"up to {config.epochs[-1]}, the best counts" if best else "sampled"
    say(
        console,
        f"{len(facts['searched'])} searched; size: {size}; weights: {weights}; epochs: {epochs}; "
        f"sampler {config.file.sampler.name}, pruner {config.file.pruner.name}; budget: {', '.join(limits)}",
    )
    for note in facts["notes"]:
        say(console, f"Note: {note}.")


def _values(parameter: Parameter) -> str:
    if parameter.type in ("int", "float"):
        low, high = parameter.ends()
        step = getattr(parameter, "step", None)
        steps = f", step {step:g}" if step not in (None, 1) else ""
        return f"{low:g} to {high:g}{', log' if parameter.log else ''}{steps}"
    return ", ".join(str(value) for value in parameter.ends())


def _when(parameter: Parameter) -> str:
    return ", ".join(f"{parent} in {list(values)}" for parent, values in parameter.when.items())
