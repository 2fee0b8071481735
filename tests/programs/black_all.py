"""Black on its own sources, after their layout was spoilt."""

import ast
import pathlib
import sys

import black

source, out = map(pathlib.Path, sys.argv[1:])
for path in sorted(source.rglob("*.py")):
    spoilt = ast.unparse(ast.parse(path.read_text()))
    for width in (40, 100):
        (out / f"{path.stem}-{width}.py").write_text(black.format_str(spoilt, mode=black.Mode(line_length=width)))
