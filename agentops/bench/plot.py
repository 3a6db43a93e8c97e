"""Draws how a run's bytes grow with its length: a plain SVG for light and dark pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import log10
from typing import Final

from agentops.bench.tables import LABELS

WIDTH, HEIGHT = 720, 420
LABEL = 16
LEFT, RIGHT, TOP, BOTTOM = 84, 190, 56, 56
COLOURS: Final = {"burst": "#3b82f6", "langgraph": "#ef6c3a", "dbos": "#8b5cf6"}
UNITS: Final = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B"))
STYLE: Final = """
  text { font: 13px system-ui, sans-serif; fill: #334155 }
  .title { font-size: 16px; font-weight: 600 }
  .grid { stroke: #94a3b8; stroke-opacity: .35 }
  .line { fill: none; stroke-width: 2.5 }
  .paper { fill: #ffffff }
  @media (prefers-color-scheme: dark) { text { fill: #cbd5e1 } .paper { fill: #0f172a } }
"""

Sizes = Mapping[str, Mapping[int, float]]


def plot(sizes: Sizes) -> str:
    """Draw bytes by steps, both on logarithmic axes, a line for each peer."""
    return "\n".join(_Drawing(sizes).lines()) + "\n"


class _Drawing:
    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        steps = [at for found in sizes.values() for at in found]
        heights = [height for found in sizes.values() for height in found.values()]
        self.x0, self.x1 = log10(min(steps)), log10(max(steps))
        self.y0, self.y1 = int(log10(min(heights))), int(log10(max(heights))) + 1

    def lines(self) -> Iterator[str]:
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
            ' aria-label="Bytes of a run by its super-steps">'
        )
        yield f"<style>{STYLE}</style>"
        yield f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        yield f'<text class="title" x="{LEFT}" y="30">Bytes in the database for one run</text>'
        yield from self._axes()
        for name, found in self.sizes.items():
            yield from self._curve(name, found)
        yield "</svg>"

    def _axes(self) -> Iterator[str]:
        right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
        for power in range(self.y0, self.y1 + 1):
            y, told = self._y(10**power), _told(10**power)
            yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{told}</text>'
        for steps in sorted({at for found in self.sizes.values() for at in found}):
            x = self._x(steps)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{steps:,}</text>'
        middle = (LEFT + right) / 2
        yield f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">super-steps</text>'

    def _curve(self, name: str, found: Mapping[int, float]) -> Iterator[str]:
        colour = COLOURS.get(name, "#64748b")
        points = [(self._x(steps), self._y(height)) for steps, height in sorted(found.items())]
        told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline class="line" stroke="{colour}" points="{told}"/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
        label = LABELS[name].partition(",")[0]
        last = _told(found[max(found)])
        x, y = points[-1]
        yield f'<text x="{x + 12:.1f}" y="{y + self._aside(name):.1f}">{label}, {last}</text>'

    def _aside(self, name: str) -> float:
        """Keep the labels of lines that end close together apart."""
        ends = {peer: self._y(found[max(found)]) for peer, found in self.sizes.items()}
        below = [peer for peer, y in ends.items() if peer != name and abs(y - ends[name]) < LABEL]
        if not below:
            return 4
        return -4 if all(ends[name] <= ends[peer] for peer in below) else 14

    def _x(self, steps: float) -> float:
        part = (log10(steps) - self.x0) / ((self.x1 - self.x0) or 1)
        return LEFT + part * (WIDTH - LEFT - RIGHT)

    def _y(self, height: float) -> float:
        part = (log10(height) - self.y0) / (self.y1 - self.y0)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)


def _told(count: float) -> str:
    size, unit = next((size, unit) for size, unit in UNITS if count >= size)
    return f"{count / size:.3g} {unit}"
