"""Bar charts as SVG text, without dependencies."""

from html import escape

COLOURS = ["#1f6fb2", "#c0632a", "#5b8c3a", "#7d5aa6"]
BEHIND = "#b3b9c2"
FONT = "font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\""

ROW = 22
GAP = 8
LEFT = 190
RIGHT = 70
PLOT = 640
TOP = 92
BOTTOM = 62


def ticks(largest):
    """Round axis values from zero to at least `largest`, about eight of them."""
    step = 0.1
    while True:
        for factor in (1, 2, 5):
            width = step * factor
            if largest / width <= 8:
                count = int(-(-largest // width))
                return [round(width * i, 6) for i in range(max(count, 1) + 1)]
        step *= 10


def number(value):
    """A ratio with as many digits as it deserves."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def bar_chart(title, subtitle, axis, series, rows, reference=1.0):
    """Draw horizontal bars from zero, with a dashed line at `reference`.

    `rows` is a list of (name, values); each row has one value (or None, where
    nothing was measured) for each name in `series`. Bars that end before the
    reference are grey when there is only one series. The first series sets the
    length of the axis; a longer bar of another is cut open at the edge.
    """
    firsts = [values[0] for _, values in rows if values[0] is not None]
    marks = ticks(max([2 * reference, *firsts]) * 1.05)
    scale = PLOT / marks[-1]
    bar = ROW if len(series) == 1 else 14
    group = bar * len(series) + GAP
    height = TOP + group * len(rows) + BOTTOM
    width = LEFT + PLOT + RIGHT
    base = TOP + group * len(rows)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" {FONT}>',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="20" y="32" font-size="20" font-weight="600" fill="#1c2430">{escape(title)}</text>',
        f'<text x="20" y="54" font-size="13" fill="#55606e">{escape(subtitle)}</text>',
    ]
    if len(series) > 1:
        x = 20
        for index, name in enumerate(series):
            out.append(f'<rect x="{x}" y="66" width="12" height="12" fill="{COLOURS[index]}"/>')
            out.append(f'<text x="{x + 18}" y="76" font-size="12" fill="#1c2430">{escape(name)}</text>')
            x += 40 + 7 * len(name)
    for mark in marks:
        x = LEFT + mark * scale
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{base}" stroke="#e3e7ec"/>')
        out.append(
            f'<text x="{x:.1f}" y="{base + 18}" font-size="12" text-anchor="middle" fill="#55606e">{mark:g}</text>'
        )
    for row, (name, values) in enumerate(rows):
        y = TOP + row * group + GAP / 2
        middle = y + bar * len(series) / 2 + 4
        out.append(
            f'<text x="{LEFT - 10}" y="{middle:.1f}" font-size="13" text-anchor="end" '
            f'fill="#1c2430">{escape(name)}</text>'
        )
        for index, value in enumerate(values):
            top = y + index * bar
            if value is None:
                out.append(
                    f'<text x="{LEFT + reference * scale + 6:.1f}" y="{top + bar / 2 + 4:.1f}" font-size="11" '
                    f'fill="#8a94a1">no figure</text>'
                )
                continue
            colour = BEHIND if len(series) == 1 and value < reference else COLOURS[index]
            length = min(value * scale, PLOT)
            out.append(f'<rect x="{LEFT}" y="{top:.1f}" width="{length:.1f}" height="{bar - 2}" fill="{colour}"/>')
            if value * scale > PLOT:
                x = LEFT + PLOT - 14
                out.append(f'<path d="M{x} {top + bar - 1:.1f} l8 {-bar}" stroke="#ffffff" stroke-width="4"/>')
            out.append(
                f'<text x="{LEFT + length + 6:.1f}" y="{top + bar / 2 + 3:.1f}" font-size="12" '
                f'fill="#1c2430">{number(value)}</text>'
            )
    x = LEFT + reference * scale
    out.append(
        f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{base}" stroke="#1c2430" '
        f'stroke-width="1.5" stroke-dasharray="5 3"/>'
    )
    out.append(
        f'<text x="{LEFT + PLOT / 2}" y="{base + 42}" font-size="13" text-anchor="middle" '
        f'fill="#1c2430">{escape(axis)}</text>'
    )
    out.append("</svg>")
    return "\n".join(out) + "\n"
