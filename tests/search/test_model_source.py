"""Which edits of a user's model a study notices, and what it does about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from made_studies import stored

from fmnist_sweep.analysis.ranking import best_trials, left_out_notes
from fmnist_sweep.config.sweep_config import SweepConfig
from fmnist_sweep.confirm.request import confirmation_request
from fmnist_sweep.core.curves import LearningCurve
from fmnist_sweep.core.errors import StudyMismatchError, SweepError, TrialError
from fmnist_sweep.core.jobs import DataRef, TrialJob
from fmnist_sweep.core.progress import Stop
from fmnist_sweep.export.plan import plan_export
from fmnist_sweep.search.import_trials import require_importable
from fmnist_sweep.search.model_source import changed_parts, model_parts
from fmnist_sweep.search.opening import open_study

Sweep = Callable[..., tuple[Stop, optuna.Study]]

NET = '''"""A net."""
import keras
import parts.blocks as blocks
from parts.layers import Block as Layer, SIZES

WIDTH = 3
try:
    import cupy
except ImportError:
    cupy = None


class Net(keras.Model):
    """Docstring."""

    def build(self, hp):
        # A comment.
        layer = Layer(WIDTH)
        return helper(layer, hp) + blocks.block()


def helper(layer, hp):
    from parts.late import late

    def inner():
        return DEPTH

    data = hp
    return inner(), data, late


DEPTH: int = 2
build = lambda hp: Net()


def data():
    return UNUSED


UNUSED = 1

if __name__ == "__main__":
    print(data())
'''

FILES = {
    "net.py": NET,
    "parts/__init__.py": "",
    "parts/blocks.py": "from .layers import Block\n\n\ndef block():\n    return Block(1)\n",
    "parts/late.py": "late = 4\n",
    "parts/layers.py": (
        "import keras\nfrom parts import star\n\nSIZES = {}\nSIZES['a'] = 1\nOTHER = 7\n\n\n"
        "class Block(keras.layers.Layer):\n    def call(self, x):\n        return x * star.FACTOR\n"
    ),
    "parts/star.py": "FACTOR = 2\n",
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model in several modules, which is the current one."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def edit(folder: Path, file: str, before: str, after: str) -> None:
    """Replace some text that is there once."""
    text = (folder / file).read_text()
    assert text.count(before) == 1
    (folder / file).write_text(text.replace(before, after))


@pytest.mark.usefixtures("project")
def test_parts_are_what_the_model_uses_and_nothing_else() -> None:
    """Through functions, late and relative imports, into the project's own modules."""
    assert list(model_parts("net:Net")) == [
        "net",
        "net.DEPTH",
        "net.Net",
        "net.WIDTH",
        "net.helper",
        "net.keras",
        "parts.blocks.block",
        "parts.late.late",
        "parts.layers",
        "parts.layers.Block",
        "parts.layers.SIZES",
        "parts.layers.keras",
        "parts.star.FACTOR",
    ]
    assert set(model_parts("net:build")) == {*model_parts("net:Net"), "net.build"}


@pytest.mark.parametrize(
    ("file", "before", "after", "part"),
    [
        ("net.py", "Layer(WIDTH)", "Layer(2 * WIDTH)", "net.Net was edited"),
        ("net.py", "return inner(), data", "return inner(), hp, data", "net.helper was edited"),
        ("net.py", "DEPTH: int = 2", "DEPTH: int = 3", "net.DEPTH was edited"),
        ("net.py", "cupy = None", "cupy = 0", "net was edited"),
        ("net.py", "import keras\n", "from tensorflow import keras\n", "net.keras was edited"),
        ("parts/layers.py", "x * star", "x + star", "parts.layers.Block was edited"),
        ("parts/layers.py", "SIZES['a'] = 1", "SIZES['a'] = 2", "parts.layers was edited"),
        ("parts/star.py", "= 2", "= 3", "parts.star.FACTOR was edited"),
        ("parts/late.py", "= 4", "= 5", "parts.late.late was edited"),
        ("parts/blocks.py", "Block(1)", "Block(2)", "parts.blocks.block was edited"),
    ],
)
def test_an_edit_of_a_part_is_seen(project: Path, file: str, before: str, after: str, part: str) -> None:
    """Wherever in the project it is, and only there."""
    known = model_parts("net:Net")
    edit(project, file, before, after)
    assert changed_parts(known, model_parts("net:Net")) == [part]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("        # A comment.\n", ""),
        ('    """Docstring."""\n', '    """Another one."""\n'),
        ("layer = Layer(WIDTH)", "layer = Layer(\n            WIDTH,\n        )"),
        ("WIDTH = 3\n", "WIDTH = 3\n\n\n"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("    return UNUSED", "    return 2 * UNUSED"),
        ("print(data())", "print(3)"),
        ("Block as Layer, SIZES", "SIZES, Block as Layer"),
    ],
)
def test_what_builds_no_other_net_is_no_edit(project: Path, before: str, after: str) -> None:
    """Comments, docstrings, layout, order of imports, and whatever the model never uses."""
    known = model_parts("net:Net")
    edit(project, "net.py", before, after)
    assert model_parts("net:Net") == known


def test_models_of_this_package_and_of_libraries() -> None:
    """Ours go with the version of the package; a library's own models are read like a user's."""
    assert model_parts("fmnist_sweep.models:ConvModel") == {}
    assert any(
        part.endswith("HyperXception") for part in model_parts("keras_tuner.applications:HyperXception")
    )


def test_nothing_is_run(project: Path) -> None:
    """The user's code may take long, or do something."""
    edit(project, "net.py", "WIDTH = 3", "raise SystemExit(1)\nWIDTH = 3")
    assert "net.Net" in model_parts("net:Net")


@pytest.mark.parametrize(
    ("path", "message"), [("nowhere:Net", "no module 'nowhere' in "), ("bad:Net", "bad.py can't be read")]
)
def test_a_module_that_is_gone_or_broken_is_named(project: Path, path: str, message: str) -> None:
    """With where it was looked for."""
    (project / "bad.py").write_text("def (")
    with pytest.raises(SweepError, match=message):
        model_parts(path)


# --- studies -----------------------------------------------------------------------------------------------


@pytest.fixture
def config(make_config: Callable[..., SweepConfig], project: Path) -> SweepConfig:
    """A sweep of two trials of the user's model."""
    assert (project / "net.py").exists()
    made = make_config(budget={"trials": 2})
    return replace(made, model_space=replace(made.model_space, path="net:Net"))


def longer(config: SweepConfig, n: int) -> SweepConfig:
    """Return a sweep with another budget."""
    budget = config.file.budget.model_copy(update={"trials": n})
    return replace(config, file=config.file.model_copy(update={"budget": budget}))


def test_a_study_of_an_edited_model_is_refused_and_nothing_changes(
    config: SweepConfig, project: Path, sweep: Sweep, data: DataRef, memory: optuna.storages.BaseStorage
) -> None:
    """By whatever would take its trials for trials of the model that is there now."""
    _, study = sweep(config)
    before = study.user_attrs
    edit(project, "net.py", "Layer(WIDTH)", "Layer(2 * WIDTH)")
    with pytest.raises(StudyMismatchError, match=r"model: net\.Net was edited") as refused:
        open_study(config, data, memory)
    assert "--accept-edited-model" in str(refused.value)
    assert "--import-from" not in str(refused.value)
    for refuses in (
        lambda: confirmation_request(stored(study)),
        lambda: plan_export(study, output=project, root=project),
    ):
        with pytest.raises(StudyMismatchError, match=r"net:Net was edited since it was swept: net\.Net"):
            refuses()
    n_parameters = next(trial for trial in stored(study).trials).n_parameters
    with pytest.raises(StudyMismatchError, match=f"was chosen has {n_parameters:,} weights"):
        plan_export(study, output=project, root=project, trial=0)
    other = replace(config, file=config.file.model_copy(update={"study": "other"}))
    with pytest.raises(StudyMismatchError, match=r"can't be imported(.|\n)*net\.Net was edited"):
        require_importable(study, other, data)
    assert study.user_attrs == before


def test_an_accepted_edit_marks_the_trials_from_then_on(
    config: SweepConfig, project: Path, sweep: Sweep, data: DataRef, memory: optuna.storages.BaseStorage
) -> None:
    """They are ranked with the others."""
    fixed = longer(config, 1)
    sweep(fixed)
    edit(project, "net.py", "Layer(WIDTH)", "Layer(2 * WIDTH)")
    open_study(fixed, data, memory, accept_edited_model=True)
    _, study = sweep(longer(config, 3))
    found = stored(study)
    assert [found.is_edited(trial) for trial in found.trials] == [False, True, True]
    assert [found.label(trial) for trial in found.trials] == ["0", "1*", "2*"]
    assert left_out_notes(found) == [
        "* Trials 1, 2 trained the model as it was edited after the study began."
    ]
    assert len(best_trials(found)) == 3
    assert len(found.model_sources) == 2
    # From now on this is the model, and the old one is an edit.
    open_study(config, data, memory)
    edit(project, "net.py", "Layer(2 * WIDTH)", "Layer(WIDTH)")
    with pytest.raises(StudyMismatchError):
        open_study(config, data, memory)


def test_the_curve_of_another_source_answers_nothing(
    config: SweepConfig, project: Path, sweep: Sweep, data: DataRef, memory: optuna.storages.BaseStorage
) -> None:
    """An equal configuration of the same source does: it needs no training."""
    _, study = sweep(longer(config, 1))
    params = study.trials[0].params
    for number, accept in ((2, False), (3, True)):
        if accept:
            edit(project, "net.py", "Layer(WIDTH)", "Layer(2 * WIDTH)")
            open_study(config, data, memory, accept_edited_model=True)
        study.enqueue_trial(params)
        sweep(longer(config, number))
    assert [trial.n_reused_epochs > 0 for trial in stored(study).trials] == [False, True, False]


def test_a_study_of_an_earlier_version_learns_its_source(
    config: SweepConfig, project: Path, sweep: Sweep, data: DataRef, memory: optuna.storages.BaseStorage
) -> None:
    """Nothing is known of what its trials trained: they are taken for trials of what is there."""
    _, study = sweep(config)
    memory.set_study_user_attr(study._study_id, "model_sources", None)
    edit(project, "net.py", "Layer(WIDTH)", "Layer(2 * WIDTH)")
    open_study(config, data, memory)
    assert [dict(parts) for parts in stored(study).model_sources] == [model_parts("net:Net")]


def test_a_model_that_never_trained_may_be_mended(config: SweepConfig, project: Path, sweep: Sweep) -> None:
    """Where every trial failed, the same command goes on once the mistake is mended: nothing is mixed up."""

    def broken(_: TrialJob) -> LearningCurve:
        raise TrialError("a mistake")

    sweep(config, broken)
    edit(project, "net.py", "Layer(WIDTH)", "Layer(2 * WIDTH)")
    _, study = sweep(longer(config, 4))
    assert [trial.state for trial in stored(study).trials] == ["FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    assert not any(map(stored(study).is_edited, stored(study).trials))
