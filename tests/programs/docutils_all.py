"""All of docutils' own pages, to HTML, LaTeX and pseudo-XML."""

import pathlib
import sys

from docutils.core import publish_file

source, out = map(pathlib.Path, sys.argv[1:])
pages = sorted((source / "docs").rglob("*.rst")) + sorted((source / "docs").rglob("*.txt"))
for number, page in enumerate(pages):
    for writer in ("html5", "latex", "pseudoxml"):
        settings = {"report_level": 5, "halt_level": 6, "datestamp": None, "_disable_config": True, "generator": False}
        settings["warning_stream"] = ""
        target = out / f"{number}-{page.stem}.{writer}"
        try:
            publish_file(source_path=str(page), destination_path=str(target), writer=writer, settings_overrides=settings)
        except Exception as e:
            print(page.name, writer, type(e).__name__, e)
