from __future__ import annotations

import pytest

from fmnist_sweep.core.events import Failed
from fmnist_sweep.core.foreign import (
    MAX_LINE,
    MAX_TEXT,
    csv_cell,
    markdown,
    one_line,
    safe_line,
    safe_text,
    shortened,
)

NASTY = {
    "markup": "it said [/x] and [bold]",
    "colours": "\x1b[1;31mred\x1b[0m",
    "title": "\x1b]0;owned\x07after",
    "link": "\x1b]8;;http://evil\x1b\\here\x1b]8;;\x1b\\",
    "half an escape": "cut \x1b[",
    "c1": "\x9b31mred",
    "nul": "a\x00b",
    "bell": "a\x07b",
    "backspace": "rm -rf\b\b\b\b\b\bls",
    "return": "shown\rhidden",
    "surrogate": "a\ud800b",
    "right to left": "a\u202eb",
    "tabs": "a\tb",
    "lines": "a\u2028b\x85c\x0bd",
}


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_what_is_made_safe_can_be_printed_and_stored(text: str) -> None:
    """No escape, no control character, nothing that UTF-8 can't hold; made safe twice it stays the same."""
    told = safe_text(text)
    assert told.isprintable()
    assert told.encode()
    assert safe_text(told) == told
    assert safe_line(text).isprintable()


def test_plain_text_stays_as_it_is() -> None:
    """Words of any language, and lines."""
    for text in ("a\n  b", "Größe 3 €", "日本語", "می‌خواهم", "👩‍💻", ""):
        assert safe_text(text) == text


@pytest.mark.parametrize(
    "text", ["x" * 10_000_000, "line\n" * 2_000_000, "\x00" * 100_000, "\x1b[" * 100_000]
)
def test_no_text_is_longer_than_it_may_be(text: str) -> None:
    """Its beginning and its end are kept, and how much is missing is said."""
    told = safe_text(f"first{text}\nlast")
    assert len(told) <= MAX_TEXT
    assert told.startswith("first")
    assert told.endswith("last")
    assert "characters ...]" in told
    line = safe_line(f"first {text} last")
    assert len(line) <= MAX_LINE
    assert "\n" not in line


def test_whole_lines_are_kept() -> None:
    """Where lines are short, none is cut in two."""
    lines = [f"line {i}" for i in range(1000)]
    head, gap, tail = shortened("\n".join(lines), 300).partition("[... ")[0], "[... ", "line 999"
    assert head.rstrip("\n").splitlines() == lines[: len(head.splitlines())]
    kept = shortened("\n".join(lines), 300)
    assert kept.endswith(tail)
    assert kept.count(gap) == 1
    assert all(line in lines or line.startswith(gap) for line in kept.splitlines())


def test_an_event_carries_no_endless_text() -> None:
    """What a model raises and prints is made safe before it goes up a pipe."""
    failed = Failed(0, "[/x]\n\x1b[31m" + "x" * 10_000_000, "y\n" * 10_000_000 + "\ud800")
    assert len(failed.reason) <= MAX_LINE
    assert failed.reason.startswith("[/x] x")
    assert len(failed.detail) <= MAX_TEXT
    assert failed.detail.endswith("\\ud800")


KERAS = (
    "Exception encountered when calling MaxPooling2D.call().\n\n"
    "\x1b[1mComputed output size would be zero or negative. Received: `inputs.shape=[None 2 2 4]`, "
    "`pool_size=[3 3]`.\x1b[0m\n\n"
    "Arguments received by MaxPooling2D.call():\n  • inputs=<KerasTensor shape=(None, 2, 2, 4)>"
)
TENSORFLOW = (
    "Graph execution error:\n\n"
    "Detected at node sequential/dense/Relu defined at (most recent call last):\n"
    + "".join(f'  File "/usr/lib/python3/somewhere/file_{i}.py", line {i}, in call\n' for i in range(20))
    + "In[0] mismatch In[1] shape: 10 vs. 5: [32,10] [5,3] 0 0\n"
    "\t [[{{node sequential/dense/Relu}}]] [Op:__inference_one_step_on_data_42]"
)


IN_GRAPH = (
    "Graph execution error:\n\nDetected at node {} defined at (most recent call last):\n"
    '  File "/mine.py", line 13, in <module>\n\n  File "/lib/keras/trainer.py", line 399, in fit\n\n'
    "{}\n\t [[{{{{node compile_loss/x}}}}]]\nHint: If you want to see a list of tensors, do so.\n"
    " [Op:__inference_multi_step_on_iterator_37]"
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "ValueError"),
        ("no such layer", "ValueError: no such layer"),
        (
            KERAS,
            (
                "ValueError in MaxPooling2D: Computed output size would be zero or negative. "
                "Received: `inputs.shape=[None 2 2 4]`, `pool_size=[3 3]`."
            ),
        ),
        (
            TENSORFLOW,
            "ValueError in dense: In[0] mismatch In[1] shape: 10 vs. 5: [32,10] [5,3] 0 0",
        ),
        (
            IN_GRAPH.format("compile_loss/crossentropy/Softmax", "Received a label value of 2"),
            "ValueError in the loss: Received a label value of 2",
        ),
        (
            IN_GRAPH.format("net_1/embedding_1/Gather", "indices[0,0] = 29 is not in [0, 5)"),
            "ValueError in embedding: indices[0,0] = 29 is not in [0, 5)",
        ),
        (
            (
                "Graph execution error:\n\nDetected at node PyFunc defined at (most recent call last):\n"
                "<stack traces unavailable>\nValueError: bad row 17\nTraceback (most recent call last):\n\n"
                '  File "/mine.py", line 31, in g\n    raise ValueError("bad row 17")\n\n'
                "ValueError: bad row 17\n\n\n\t [[{{node PyFunc}}]]\n\t [[IteratorGetNext]] [Op:__inf_37]"
            ),
            "ValueError: ValueError: bad row 17",
        ),
        (
            (
                "{{function_node __wrapped__Fill_device_/job:localhost}} OOM when allocating tensor with "
                "shape[10000000,10000000] and type float by allocator mklcpu [Op:Fill] name: "
            ),
            (
                "ValueError: OOM when allocating tensor with shape[10000000,10000000] and type float by "
                "allocator mklcpu"
            ),
        ),
        (
            "Dimensions must be equal, but are 3 and 4 for '{{node loss/sub}} = Sub(a, b)'.",
            "ValueError: Dimensions must be equal, but are 3 and 4 for 'loss/sub = Sub(a, b)'.",
        ),
        (
            "Exception encountered when calling A.call().",
            "ValueError: Exception encountered when calling A.call().",
        ),
        (
            (
                'Exception encountered when calling layer "dense_1" (type Dense).\n\nbad shape\n\n'
                "Call arguments received by layer dense_1"
            ),
            "ValueError in dense_1: bad shape",
        ),
    ],
)
def test_an_error_in_a_line_has_its_place_and_its_cause(text: str, told: str) -> None:
    """Libraries name the layer in the first line of a message, and what is wrong in a later one."""
    assert one_line(ValueError(text)) == told


def test_an_error_that_can_not_tell_its_message_has_its_type() -> None:
    """Its class is the user's own."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert one_line(OddError()) == "OddError"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\x1b[1m=1"])
def test_no_cell_of_a_csv_file_is_a_formula(text: str) -> None:
    """A spreadsheet shows it; numbers stay numbers."""
    assert str(csv_cell(text)).startswith("'")
    assert (csv_cell(-1), csv_cell(-0.5), csv_cell(None)) == (-1, -0.5, None)


def test_markdown_shows_a_text_as_it_is() -> None:
    """No link, no picture, no tag and no table comes of it."""
    assert markdown("![p](http://x) <img src=x> a_b _c_ `d`") == (
        r"\!\[p\](http://x) \<img src=x\> a_b \_c\_ \`d\`"
    )
