"""The table that `stoop --stats` prints."""


def table(stats):
    """What a `Stats` record says, for people to read."""
    lines = ["", "Stoop: what was done to this program", ""]
    lines += _functions(stats.functions)
    lines += _exits(stats.functions)
    lines += _refusals(stats.functions)
    lines += _totals(stats)
    return "\n".join(lines) + "\n"


def _functions(functions):
    rows = [
        (
            _place(function, region.first_line),
            _extent(region),
            str(region.entries),
            f"{region.compile_seconds * 1e3:.1f}",
            str(region.code_bytes),
            region.state if region.reason is None else f"{region.state}: {region.reason}",
        )
        for function in functions
        for region in function.regions
    ]
    if not rows:
        return [
            "Nothing was compiled: no code was hot for long enough, or none of it could be.",
            "",
        ]
    head = ("compiled", "region", "entries", "ms", "bytes", "state")
    return [*_columns([head, *rows], right={2, 3, 4}), ""]


def _exits(functions):
    rows = [
        (_place(function, exit.line), str(exit.count), exit.reason)
        for function in functions
        for exit in function.exits
        if exit.count
    ]
    if not rows:
        return []
    rows.sort(key=lambda row: -int(row[1]))
    return [*_columns([("left at", "times", "why"), *rows], right={1}), ""]


def _refusals(functions):
    rows = [
        (_place(function, function.line), function.reason or "")
        for function in functions
        if function.state == "refused"
    ]
    if not rows:
        return []
    return [*_columns([("stayed interpreted", "why"), *rows], right=set()), ""]


def _totals(stats):
    regions = sum(len(function.regions) for function in stats.functions)
    exits = sum(exit.count for function in stats.functions for exit in function.exits)
    lines = [
        f"{_count(regions, 'region')} compiled, left {_count(exits, 'time')}; "
        f"{stats.compile_seconds * 1e3:.1f} ms spent compiling, "
        f"{_size(stats.code_bytes)} of machine code (budget {_size(stats.code_budget)})"
    ]
    counters = {name: count for name, count in stats.counters.items() if count}
    if counters:
        width = max(map(len, counters))
        lines += ["", *(f"  {name:<{width}}  {count}" for name, count in counters.items())]
    return lines


def _place(function, line):
    return f"{function.name} ({function.filename.rpartition('/')[2]}:{line})"


def _extent(region):
    if region.kind == "function":
        return "function"
    return f"{region.kind} {region.first_line}-{region.last_line}"


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(number):
    for unit in ("bytes", "KiB", "MiB"):
        if number < 1024:
            return f"{number} bytes" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} GiB"


def _columns(rows, right):
    """Rows as aligned text; the columns in `right` flush right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    return lines
