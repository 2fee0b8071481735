"""Tables, markdown, highlighted source and tracebacks from rich, as text."""

import io

from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel
from rich.pretty import pretty_repr
from rich.progress_bar import ProgressBar
from rich.syntax import Syntax
from rich.table import Table
from rich.tree import Tree

source = open(__file__, encoding="utf-8").read()
for width in (30, 60, 90, 120):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor", legacy_windows=False)
    for turn in range(4):
        table = Table("name", "value", "text", title=f"turn {turn}", show_lines=turn % 2 == 0)
        for k in range(40):
            table.add_row(f"[bold]{k}[/bold]", str(k * k), "日本 words " * (k % 5))
        console.print(table)
        tree = Tree("root")
        for k in range(10):
            tree.add(f"[red]{k}").add(Panel(f"in {k}"))
        console.print(tree, ProgressBar(total=100, completed=turn * 20))
        console.print(Markdown("# Title\n\n* one\n* two `code`\n\n> quote **bold** text\n\n```python\nx = 1\n```\n" * 3))
        console.print(Syntax(source, "python", line_numbers=True, word_wrap=True))
        console.print(pretty_repr({k: {"a": [1, 2.5, "x" * k], "b": {k, 1}} for k in range(20)}, max_width=width))
    print(console.file.getvalue())
