"""What the example runner and the benchmark runner share: commands, environments, tables."""

import math
import os
import shlex
import shutil
import sys
from pathlib import Path


def stoop_command(given=None):
    """The command that runs Python under Stoop, and the variables it needs.

    `given` is the user's own (a shell-like string). Otherwise it is the
    `stoop` script installed beside this interpreter, or, where there is none,
    this interpreter with STOOP=1. Options in the environment (STOOP_…) are
    passed on, to Stoop alone.
    """
    options = {name: value for name, value in os.environ.items() if name.startswith("STOOP_")}
    if given:
        return shlex.split(given), options
    script = Path(sys.executable).with_name("stoop")
    if script.exists():
        return [str(script)], options
    return [sys.executable], {**options, "STOOP": "1"}


def environment(extra=None):
    """This process's environment without Stoop's own variables, plus `extra`.

    A hash seed is set so that dicts and sets of strings are laid out alike in
    every process of a comparison.
    """
    result = {name: value for name, value in os.environ.items() if not name.startswith("STOOP")}
    result["PYTHONHASHSEED"] = "0"
    result.update(extra or {})
    return result


def find_pypy():
    """The path of `pypy3`, or None."""
    return shutil.which("pypy3")


def geometric_mean(values):
    """The geometric mean of positive numbers, or None of none."""
    values = list(values)
    if not values:
        return None
    return math.exp(sum(math.log(value) for value in values) / len(values))


def table(header, rows):
    """Lay out rows of strings under a header: first column left, the others right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, ["-" * width for width in widths], *rows]:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def seconds(value):
    """A time for people."""
    if value is None:
        return "-"
    if value < 1e-6:
        return f"{value * 1e9:.1f} ns"
    if value < 0.001:
        return f"{value * 1e6:.1f} us"
    if value < 1:
        return f"{value * 1e3:.1f} ms"
    return f"{value:.3f} s"


def ratio(value):
    """A ratio for people."""
    return "-" if value is None else f"{value:.2f}"
