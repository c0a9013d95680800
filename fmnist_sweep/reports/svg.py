"""A learning curve as a small SVG picture and as lines of text: for the dashboard's pages of trials.

Both are a few string operations, so a sweep can make one for each trial without waiting.
"""

from __future__ import annotations

import html
from typing import Final

from fmnist_sweep.core.curves import FloatArray, LearningCurve
from fmnist_sweep.core.metrics import UNITS
from fmnist_sweep.core.score import ScoreRule
from fmnist_sweep.reports.style import BLUE, GREY, ORANGE, VERMILION

_WIDTH: Final = 560
_HEIGHT: Final = 300
_LEFT: Final = 56
_RIGHT: Final = 14
_TOP: Final = 34
_BOTTOM: Final = 42


def curve_svg(curve: LearningCurve, rule: ScoreRule, *, epoch: int | None = None, title: str = "") -> str:
    """Return train and validation scores by epoch with the gap shaded.

    Args:
        curve: At least one epoch.
        rule: Names the metric and the tolerance.
        epoch: The scored epoch, from 0, to be marked.
        title: Written above.
    """
    unit = UNITS[rule.metric]
    train = unit.factor * curve.values(f"train_{rule.metric}")
    val = unit.factor * curve.values(f"val_{rule.metric}")
    low, high = float(min(train.min(), val.min())), float(max(train.max(), val.max()))
    pad = 0.06 * ((high - low) or 1.0)
    low, high = low - pad, high + pad
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM

    def x(i: float) -> float:
        return _LEFT + (right - _LEFT) * (i / (len(curve) - 1) if len(curve) > 1 else 0.5)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / (high - low)

    def path(values: FloatArray) -> str:
        return " ".join(f"{x(i):.1f},{y(float(v)):.1f}" for i, v in enumerate(values))

    back = " ".join(reversed(path(val).split(" ")))
    text = f'font-family="system-ui,sans-serif" font-size="12" fill="{GREY}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="20" {text}>{html.escape(title)}</text>',
    ]
    for i in range(5):
        tick = low + (high - low) * i / 4
        parts.append(f'<path d="M{_LEFT} {y(tick):.1f}H{right}" stroke="#e3e6ea"/>')
        place = f'x="{_LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end"'
        parts.append(f"<text {place} {text}>{tick:.3g}</text>")
    step = max(1, -(-len(curve) // 12))
    parts += [
        f'<text x="{x(i):.1f}" y="{bottom + 16}" text-anchor="middle" {text}>{i + 1}</text>'
        for i in range(0, len(curve), step)
    ]
    parts.append(f'<polygon points="{path(train)} {back}" fill="{ORANGE}" fill-opacity="0.3"/>')
    if epoch is not None and epoch < len(curve):
        parts.append(
            f'<path d="M{x(epoch):.1f} {_TOP}V{bottom}" stroke="{GREY}" stroke-dasharray="3 3"/>'
            f'<circle cx="{x(epoch):.1f}" cy="{y(float(val[epoch])):.1f}" r="4.5" fill="{BLUE}"/>'
            f'<circle cx="{x(epoch):.1f}" cy="{y(float(train[epoch])):.1f}" r="4.5" fill="{VERMILION}"/>'
        )
    for values, color in ((train, VERMILION), (val, BLUE)):
        parts.append(f'<polyline points="{path(values)}" fill="none" stroke="{color}" stroke-width="2.2"/>')
    parts.append(
        f'<text x="{_LEFT}" y="{_HEIGHT - 8}" {text}>epoch; {unit.name} ({unit.value}): '
        f'<tspan fill="{VERMILION}">training</tspan>, <tspan fill="{BLUE}">validation</tspan></text></svg>'
    )
    return "".join(parts)
