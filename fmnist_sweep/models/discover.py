"""Print the space of a HyperModel as JSON, as a program that `fmnist_sweep.core.programs` runs.

The last line on stdout is ``{"space": {...}, "defaults": {...}, "n_parameters": [fewest, most],
"notes": [...], "metrics": [...],
"sometimes": [...]}``. A mistake in the user's code ends with exit code 2 and plain lines on
stderr. It is a program of its own so that who asks needn't load TensorFlow, nor run the user's code.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fmnist_sweep.core.errors import ConfigError
from fmnist_sweep.core.jobs import SplitSpec
from fmnist_sweep.data.calls import open_call


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit code. Nothing else can write to stdout from then on."""
    options = _parser().parse_args(arguments)
    pid = os.getpid()
    # Whatever the user's code prints, now or at exit, must not end up behind the answer.
    answer = os.dup(1)
    _send_nowhere(1)
    try:
        with _silenced_stderr():
            found = _explored(options) if options.points is None else _tried(options)
    except ConfigError as error:
        sys.stderr.write("\n".join(error.problems) + "\n")
        return 2
    if os.getpid() != pid:
        # A copy that the user's code made with `os.fork`, and let go on: one answer is enough.
        os._exit(0)
    with os.fdopen(answer, "w") as stream:
        stream.write(json.dumps(found) + "\n")
    return 0


def _set_up() -> None:
    """Silence TensorFlow, which is imported after that, and keep it off accelerators."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Building small models needs no accelerator, and its memory belongs to the trials.
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _loaded(options: argparse.Namespace) -> Any:
    from fmnist_sweep.models.load import load_model  # noqa: PLC0415

    shape, folders = tuple(options.input_shape), [Path(folder) for folder in options.folders]
    return load_model(options.model, input_shape=shape, n_classes=options.n_classes, folders=folders)


def _explored(options: argparse.Namespace) -> dict[str, Any]:
    input_shape = tuple(options.input_shape)
    _set_up()
    from fmnist_sweep.models.exploring import explore  # noqa: PLC0415

    hypermodel = _loaded(options)
    module = options.model.partition(":")[0] if options.data is None else None
    tasting = _tasting(options, hypermodel, input_shape)
    explored = explore(hypermodel, input_shape, scaled=options.scaled, module=module, tasting=tasting)
    space = {name: explored.space[name].model_dump(mode="json") for name in explored.space}
    return {
        "space": space,
        "defaults": dict(explored.defaults),
        "n_parameters": explored.n_parameters,
        "notes": explored.notes,
        "metrics": explored.metrics,
        "sometimes": explored.sometimes,
    }


def _tried(options: argparse.Namespace) -> dict[str, Any]:
    """Build the model at given points; see `fmnist_sweep.models.building_sample.tried_builds`."""
    _set_up()
    from fmnist_sweep.models.building_sample import tried_builds  # noqa: PLC0415

    shape = tuple(options.input_shape) if options.data is None else ()
    return tried_builds(_loaded(options), json.loads(Path(options.points).read_text("utf-8")), shape)


def _tasting(options: argparse.Namespace, hypermodel: Any, input_shape: tuple[int, ...]) -> Any:
    """Return what calls the fit: with the data as they are given, or with made-up images an own fit alone."""
    from fmnist_sweep.models.calling import Tasting, has_own_fit, made_up_images  # noqa: PLC0415

    if options.data is not None:
        import tensorflow as tf  # noqa: PLC0415

        call = open_call(Path(options.data), tf.data.Dataset.load)
        return Tasting(call, SplitSpec())
    if not has_own_fit(hypermodel):
        return None
    return Tasting(made_up_images(input_shape, options.n_classes), SplitSpec(), made_up=True)


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    kept = os.dup(2)
    _send_nowhere(2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _send_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fmnist_sweep.models.discover", description=__doc__)
    parser.add_argument("model", help="import path, package.module:HyperModelClass")
    parser.add_argument("--input-shape", type=int, nargs="*", default=(28, 28, 1), help="shape of one image")
    parser.add_argument("--n-classes", type=int, default=10, help="number of classes")
    parser.add_argument(
        "--scaled", choices=("bytes", "floats"), help="why the images lie in 0..1, if they do"
    )
    parser.add_argument("--data", help="folder of what the fit takes, where it takes more than images")
    parser.add_argument("--points", help="file of points to build, in place of looking for the space")
    parser.add_argument("--folders", nargs="+", default=(), help="where modules of the user's are looked for")
    return parser


if __name__ == "__main__":
    sys.exit(main())
