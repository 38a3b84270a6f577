"""A horizontal bar chart as SVG, legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, LABELS, BAR, GAP, TOP = 860, 350, 20, 10, 52
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 15px; font-weight: 600 }
  .figure { font-variant-numeric: tabular-nums }
  .others { fill: #9aa4af }
  .ours { fill: #2563eb }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .others { fill: #6e7681 } .ours { fill: #58a6ff } }
"""


def draw(title: str, bars: Sequence[tuple[str, float, bool]]) -> str:
    """An SVG of bars (label, value, whether it is ours), the longest first."""
    ordered = sorted(bars, key=lambda bar: -bar[1])
    height = TOP + len(ordered) * (BAR + GAP)
    rows = "".join(_bar(TOP + at * (BAR + GAP), bar, ordered[0][1]) for at, bar in enumerate(ordered))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}">\n<style>{STYLE}</style>\n'
        f'<text class="title" x="12" y="26">{escape(title)}</text>\n{rows}</svg>\n'
    )


def _bar(y: float, bar: tuple[str, float, bool], most: float) -> str:
    label, value, ours = bar
    width = max(1.0, value / most * (WIDTH - LABELS - 80))
    middle = y + BAR / 2 + 4.5
    return (
        f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>\n'
        f'<rect class="{"ours" if ours else "others"}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}"/>\n'
        f'<text class="figure" x="{LABELS + width + 7:.1f}" y="{middle}">{value:,.0f}/s</text>\n'
    )
