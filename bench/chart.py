"""A chart of the results, drawn by hand: a bar for each pair of ends, a group for each workload."""

from __future__ import annotations

import statistics
from typing import Any
from xml.sax.saxutils import escape

COLOURS = {
    "nacre-nacre": "#0b7285",
    "nacre ssh": "#0b7285",
    "nacre-sshd": "#3bc9db",
    "ssh-nacre": "#99e9f2",
    "OpenSSH-OpenSSH": "#495057",
    "ssh": "#495057",
    "AsyncSSH-AsyncSSH": "#e8590c",
    "AsyncSSH-sshd": "#ffa94d",
    "Paramiko-sshd": "#9c36b5",
}
WIDTH, LEFT, BAR, GAP = 760, 150, 14, 26


def chart(workloads: dict[str, Any]) -> str:
    """Return an SVG: the medians of each workload, its longest bar as wide as the chart."""
    parts: list[str] = []
    top = 10
    for name, kept in workloads.items():
        medians = {ends: statistics.median(values) for ends, values in kept["figures"].items()}
        most = max(medians.values())
        parts.append(_text(8, top + 12, f"{name} ({kept['unit']})", weight="bold"))
        top += 18
        for ends, value in medians.items():
            width = max(1.0, (WIDTH - LEFT - 80) * value / most)
            colour = COLOURS.get(ends, "#868e96")
            parts.append(_text(LEFT - 8, top + 11, ends, anchor="end"))
            parts.append(
                f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR - 2}" '
                f'fill="{colour}"/>'
            )
            parts.append(_text(LEFT + width + 6, top + 11, f"{value:.3g}"))
            top += BAR
        top += GAP - BAR
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'width="{WIDTH}" height="{top}" font-family="sans-serif" font-size="11">\n'
        f'<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#212529">{escape(text)}</text>'
    )
