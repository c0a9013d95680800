"""A live display that leaves nothing behind where a terminal becomes narrower."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment, SegmentLines
from typing_extensions import override


class ResizedLive(Live):
    """A live display that also takes away what a narrower terminal made of its last picture.

    Terminals break the lines that no longer fit: the picture then has more rows than were drawn, and rich
    takes away only as many as it drew.
    """

    _lengths: tuple[int, ...] = ()
    """Of the lines on the screen."""

    @override
    def get_renderable(self) -> RenderableType:
        return _Trimmed(super().get_renderable(), self._keep)

    def _keep(self, lengths: tuple[int, ...]) -> None:
        self._lengths = lengths

    @override
    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        with self._lock:
            width = self.console.width
            rows = sum(max(1, -(-length // width)) for length in self._lengths)
            if rows > self._live_render.last_render_height > 0:
                self._live_render._shape = width, rows  # noqa: SLF001 - rich goes up so far
            return super().process_renderables(renderables)


class _Trimmed:
    """What is drawn, each line ending where its words do: so its rows on a narrower terminal are known."""

    def __init__(self, drawn: RenderableType, tell: Callable[[tuple[int, ...]], None]) -> None:
        self._drawn = drawn
        self._tell = tell

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = [_without_end(line) for line in console.render_lines(self._drawn, options, pad=False)]
        lengths = tuple(map(Segment.get_line_length, lines))
        # Of more lines than the screen has, rich draws those that fit.
        self._tell(lengths[: options.size.height])
        yield SegmentLines(lines, new_lines=True)


def _without_end(line: list[Segment]) -> list[Segment]:
    """Return a line without the spaces at its end."""
    kept = list(line)
    while kept:
        last = kept.pop()
        if words := last.text.rstrip():
            return [*kept, Segment(words, last.style)]
    return kept
