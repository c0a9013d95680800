"""The source that goes with a model: what its layers use, and nothing of the search."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmnist_sweep.export.own_code import OwnCode, own_code

NET = '''\
"""A net."""
from __future__ import annotations
import keras_tuner, keras
from helper import *
from shapes import BY, unused
import numpy as np; SCALE = np.float32(2); OTHER = 3
LIMITS = {}
LIMITS["low"] = keras_tuner.__name__ if False else 0


@keras.saving.register_keras_serializable(
    package="mine",
)
class Stretch(keras.layers.Layer):
    """Docstrings stay."""

    def call(self, x):
        from scipy import special

        return clipped(x) * BY * SCALE


def build(hp):
    return OTHER, keras_tuner.HyperModel
'''


def taken(folder: Path, files: dict[str, str], place: str, model: str = "net") -> OwnCode:
    """Write modules, and take the source of one thing out of them."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return own_code({"key": place}, model, [folder])


def test_what_a_layer_uses_is_taken_and_no_more(tmp_path: Path) -> None:
    """Statements stand as they were written, imports have the names that are needed."""
    helper = "def clipped(x):\n    return x\n"
    shapes = "import pandas\nBY = 2\nunused = pandas.NA\n"
    code = taken(tmp_path, {"net.py": NET, "helper.py": helper, "shapes.py": shapes}, "net:Stretch")
    text = code.files["net.py"]
    assert text.startswith("from __future__ import annotations\n")
    assert '    package="mine",\n)\nclass Stretch' in text
    assert '"""Docstrings stay."""' in text
    assert "from shapes import BY\n" in text
    assert "SCALE = np.float32(2)\n" in text
    assert "OTHER" not in text
    assert "build" not in text
    assert code.files["helper.py"] == helper
    assert code.files["shapes.py"] == "BY = 2\n"
    # What the module does as it is imported may be for whatever uses it.
    assert code.libraries == ("keras", "keras_tuner", "numpy", "scipy")
    for name, source in code.files.items():
        compile(source, name, "exec")


def test_a_package_keeps_its_form_and_loses_what_it_does(tmp_path: Path) -> None:
    """Its __init__ may import all of the project; relative imports go on working."""
    files = {
        "pkg/__init__.py": "from pkg.search import build\n",
        "pkg/search.py": "import optuna\nfrom .parts.layers import Wide\ndef build(hp): return Wide\n",
        "pkg/parts/__init__.py": "",
        "pkg/parts/layers.py": "from ..base import Base\nclass Wide(Base): ...\n",
        "pkg/base.py": "import keras\nclass Base(keras.layers.Layer): ...\n",
    }
    code = taken(tmp_path, files, "pkg.parts.layers:Wide", "pkg.search")
    assert set(code.files) == set(files) - {"pkg/search.py"}
    assert code.files["pkg/__init__.py"] == ""
    assert code.libraries == ("keras",)


@pytest.mark.parametrize("place", ["optuna.trial:Trial", "numpy:float32"])
def test_what_an_installed_package_defines_is_named_and_not_taken(place: str, tmp_path: Path) -> None:
    """Its own users install it."""
    code = taken(tmp_path, {"net.py": NET}, place)
    assert code == OwnCode({}, (place.partition(".")[0].partition(":")[0],))
