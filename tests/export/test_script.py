from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from made_exports import DATA, SOURCE

from fmnist_sweep.core.jobs import DataRef, SplitSpec, TrialJob
from fmnist_sweep.export.script import train_script

VERSIONS = {"tensorflow": "2.21.0", "keras": "3.15.1", "numpy": "2.4.6"}
OWN = DataRef("mine.npz", "00" * 32, (4, 4, 1), ("a", "b"), 100, "/nowhere")


def script(source: dict[str, Any] = SOURCE, *, about: str = "made", **fields: Any) -> str:
    job = TrialJob(0, "fmnist_sweep.models:DenseModel", {}, 3, 10_000, DATA)
    text = train_script(replace(job, **fields), source, about=about, versions=VERSIONS)
    assert text is not None
    return text


@pytest.mark.parametrize(
    "split",
    [
        *(SplitSpec(), SplitSpec(500, 3), SplitSpec(500, None, 200), SplitSpec(500, 3, 200)),
        *(SplitSpec(500, None, 200, "last"), SplitSpec(500, None, None, "random")),
    ],
)
@pytest.mark.parametrize("data", [DATA, OWN, replace(OWN, scale="none"), replace(OWN, scale="255")])
def test_the_script_is_python_in_this_projects_format(data: DataRef, split: SplitSpec) -> None:
    """Whatever the split and the data: it compiles, and the linter has nothing to say."""
    import subprocess
    import sys

    text = script(data=data, split=split)
    compile(text, "train.py", "exec")
    for check in (["check", "--select", "E,F,W,I"], ["format", "--diff"]):
        command = [sys.executable, "-m", "ruff", *check, "--isolated", "--line-length", "110", "-"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_script_does_what_an_epoch_needs() -> None:
    """Averages of the weights, flips that alternate, and mirror images, where they are asked for alone."""
    layers = ["keras.layers.RandomErasing((0.5, 0.5))", *SOURCE["model"]["layers"]]
    flip = "class Flip(keras.layers.Layer):\n    def begin_epoch(self, epoch):\n        pass"
    made = {**SOURCE["model"], "layers": layers, "made": [[0, 3]], "definitions": [flip]}
    made["optimizer"] = "keras.optimizers.Adam(use_ema=True)"
    rich, plain = script({**SOURCE, "model": made}, flip_average=True), script()
    compile(rich, "train.py", "exec")
    for word in ("layer.begin_epoch(epoch)", "weights.clear()", "with_mirror_images", '"Random"'):
        assert word in rich
        assert word not in plain


@pytest.mark.parametrize(
    "split",
    [
        *(SplitSpec(20), SplitSpec(20, 3), SplitSpec(20, None, 40), SplitSpec(20, 3, 40)),
        *(SplitSpec(20, 3, 40, "last"), SplitSpec(20, None, None, "last"), SplitSpec(20, 3, None, "first")),
        *(SplitSpec(20, 3, 40, "random"), SplitSpec(20, None, None, "stratified")),
    ],
)
def test_the_script_splits_as_a_sweep_does(split: SplitSpec) -> None:
    """The same images train and validate."""
    import numpy as np

    from fmnist_sweep.data.split import split_indices

    labels = np.random.default_rng(0).integers(0, 3, 100)
    text = script(split=split)
    functions = text[text.index("def split") : text.index("def measure")]
    namespace: dict[str, Any] = {"np": np, "N_VAL": split.n_val}
    exec("from __future__ import annotations\n" + functions, namespace)  # noqa: S102 - our own text
    for ours, theirs in zip(split_indices(labels, split), namespace["split"](labels), strict=True):
        assert ours.tolist() == theirs.tolist()


def test_the_script_needs_tensorflow_and_numpy_alone() -> None:
    """It imports nothing of this project, and nothing else that has to be installed."""
    import ast
    import sys

    names = {
        alias.name.partition(".")[0] if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(script()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert {name for name in names if name not in sys.stdlib_module_names} == {"keras", "numpy", "tensorflow"}


def test_learning_rates_that_change_are_in_it() -> None:
    """One for each epoch; a constant one stands with the optimizer."""
    rates = [0.001, 0.0005, 0.0001]
    assert "LEARNING_RATES = [0.001, 0.0005, 0.0001]" in script({**SOURCE, "learning_rates": rates})
    assert "LEARNING_RATES" not in script()


def test_layers_are_made_in_the_order_in_which_the_sweep_made_them() -> None:
    """A layer that stands first but was made last gets the seed that it had."""
    layers = ["keras.layers.Dropout(0.1)", "keras.layers.Flatten()", "keras.layers.Dense(10)"]
    text = script({**SOURCE, "model": {**SOURCE["model"], "layers": layers, "made": [[1, 3], [0, 1]]}})
    compile(text, "train.py", "exec")
    assert text.index("Dense(10)") < text.index("Dropout(0.1)")
    assert "keras.Sequential([keras.Input((28, 28, 1)), *part_1, *part_2])" in text
    assert text.index("part_2 = [") < text.index("part_1 = [")


def test_definitions_stand_before_their_use() -> None:
    """Layers and losses that are not Keras's bring their source along."""
    model = {**SOURCE["model"], "definitions": ["def loss(y, p):\n    return y - p\n"], "loss": "loss"}
    text = script({**SOURCE, "model": model})
    compile(text, "train.py", "exec")
    assert text.index("def loss(y, p)") < text.index("def build_model")


def test_no_name_ends_the_docstring() -> None:
    """A study may be called anything."""
    compile(script(about='""" + 1/0 + """ \\N{nothing} \\'), "train.py", "exec")
