# SPDX-License-Identifier: Apache-2.0
"""Draws bars in SVG, on a logarithmic scale, readable on light and dark pages."""

import math
from xml.sax.saxutils import escape

COLOURS = ["#8c959f", "#1a73e8", "#e8710a", "#188038", "#a142f4", "#d93025"]
WIDTH, LEFT, RIGHT, BAR, GAP, TOP = 800, 200, 56, 15, 18, 92
STYLE = """<style>
.page { fill: #ffffff; } text { fill: #1f2328; } .soft { fill: #59636e; } line { stroke: #d1d9e0; }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117; } text { fill: #f0f6fc; } .soft { fill: #9198a1; } line { stroke: #3d444d; }
}
</style>"""


def text(x, y, what, size=13, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" {more}>{escape(what)}</text>'


def figure(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(title, subtitle, names, rows):
    """rows: [(label, [for each name a value, or a word that says why there is none])]."""
    values = [v for _, line in rows for v in line if not isinstance(v, str)]
    low = 10 ** math.floor(math.log10(min(values)))
    high = 10 ** math.ceil(math.log10(max(values)))
    scale = (WIDTH - LEFT - RIGHT) / math.log10(high / low)
    height = TOP + len(rows) * (len(names) * BAR + GAP) + 30

    def x(value):
        return LEFT + math.log10(value / low) * scale

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
           f'height="{height}" font-family="sans-serif">', STYLE,
           f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
           text(14, 26, title, 17, 'font-weight="bold"'), text(14, 46, subtitle, 12, 'class="soft"')]
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    for i, (name, colour) in enumerate(zip(names, colours)):
        at = 14 + i * (WIDTH - 28) / len(names)
        out.append(f'<rect x="{at:.1f}" y="61" width="12" height="12" fill="{colour}"/>' + text(at + 18, 72, name))
    for power in range(round(math.log10(high / low)) + 1):
        decade = low * 10 ** power
        out.append(f'<line x1="{x(decade):.1f}" x2="{x(decade):.1f}" y1="{TOP - 8}" y2="{height - 26}"/>'
                   + text(x(decade), height - 9, f"{decade:g}", 12, 'class="soft" text-anchor="middle"'))
    y = TOP
    for what, line in rows:
        middle = y + len(names) * BAR / 2
        head, _, rest = what.partition(", ")
        out.append(text(LEFT - 10, middle - 2, head, 13, 'text-anchor="end"')
                   + text(LEFT - 10, middle + 14, rest, 12, 'class="soft" text-anchor="end"'))
        for value, colour in zip(line, colours):
            if isinstance(value, str):
                out.append(text(LEFT + 4, y + 11, value, 11, 'class="soft" font-style="italic"'))
            else:
                out.append(f'<rect x="{LEFT}" y="{y}" width="{max(x(value) - LEFT, 1):.1f}" height="{BAR - 2}" '
                           f'fill="{colour}"/>' + text(x(value) + 4, y + 11, figure(value), 11))
            y += BAR
        y += GAP
    return "\n".join([*out, "</svg>"]) + "\n"
