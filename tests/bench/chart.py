# SPDX-License-Identifier: Apache-2.0
"""Bars in SVG, on a logarithmic scale, readable on a light and on a dark page."""

import math
from xml.sax.saxutils import escape

COLOURS = ["#9aa0a6", "#1a73e8", "#e8710a", "#188038", "#a142f4", "#d93025"]
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 900, 320, 70, 13, 14, 64


def bars(title, names, rows):
    """rows: [(what, [value or None for each name])]; None leaves a bar out."""
    values = [v for _, line in rows for v in line if v]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values)))
    scale = (WIDTH - LEFT - RIGHT) / math.log10(high / low)
    height = TOP + len(rows) * (len(names) * BAR + GAP) + 30
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           f'<text x="10" y="22" font-size="15">{escape(title)}</text>']

    def x(value):
        return LEFT + math.log10(value / low) * scale

    for i, name in enumerate(names):
        at = 10 + i * 130
        out.append(f'<rect x="{at}" y="36" width="11" height="11" fill="{COLOURS[i % len(COLOURS)]}"/>'
                   f'<text x="{at + 16}" y="46">{escape(name)}</text>')
    decade = low
    while decade <= high * 1.001:
        out.append(f'<line x1="{x(decade):.1f}" x2="{x(decade):.1f}" y1="{TOP}" y2="{height - 24}" '
                   f'stroke="#dddddd"/><text x="{x(decade):.1f}" y="{height - 8}" '
                   f'text-anchor="middle">{decade:g}</text>')
        decade *= 10
    y = TOP + 4
    for what, line in rows:
        middle = y + len(names) * BAR / 2 + 4
        out.append(f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end">{escape(what)}</text>')
        for i, value in enumerate(line):
            if value:
                colour = COLOURS[i % len(COLOURS)]
                text = f"{value:.0f}" if value >= 100 else f"{value:.3g}"
                out.append(f'<rect x="{LEFT}" y="{y}" width="{max(x(value) - LEFT, 1):.1f}" '
                           f'height="{BAR - 2}" fill="{colour}"/>'
                           f'<text x="{x(value) + 4:.1f}" y="{y + 10}" font-size="10">{text}</text>')
            y += BAR
        y += GAP
    return "\n".join([*out, "</svg>"]) + "\n"
