"""Real programs: packages in pure Python, what is run of them, and what is left out.

A row with `tests` runs a package's own test suite under pytest; a row with `command` runs a program and compares
what it prints and the files it writes. `{src}` is the unpacked source distribution, `{out}` an empty folder,
`{site}` where packages are installed, `{here}` this folder.
"""

from dataclasses import dataclass, field


@dataclass
class Row:
    """One program."""

    name: str
    # What pip installs for it; a source distribution of the first is unpacked where `{src}` occurs.
    packages: list
    tests: list = field(default_factory=list)
    command: list = field(default_factory=list)
    # Part of continuous integration.
    quick: bool = False
    # Tests that fail now and then by themselves: id and reason.
    unsteady: dict = field(default_factory=dict)
    sdist: bool = True


ROWS = [
    Row("attrs", ["attrs", "hypothesis", "cloudpickle"], tests=["{src}/tests", "--ignore={src}/tests/test_mypy.yml"]),
    Row("jinja2", ["jinja2", "trio"], tests=["{src}/tests"]),
    Row("more-itertools", ["more-itertools"], tests=["{src}/tests"]),
    Row("lark", ["lark"], tests=["{src}/tests/__main__.py"]),
    Row("parso", ["parso"], tests=["{src}/test"]),
    Row("click", ["click"], tests=["{src}/tests"]),
    Row("pyparsing", ["pyparsing", "railroad-diagrams", "jinja2"], tests=["{src}/tests/test_unit.py", "{src}/tests/test_simple_unit.py"]),
    Row("tinycss2", ["tinycss2"], tests=["{src}/tests", "-o", "addopts="], quick=True),
    Row("markdown", ["markdown", "pyyaml"], tests=["{src}/tests", "--ignore={src}/tests/test_syntax/extensions/test_md_in_html.py"], quick=True),
    Row("mistune", ["mistune"], tests=["{src}/tests"], quick=True),
    Row("pygments", ["pygments", "wcag-contrast-ratio", "lxml"], tests=["{src}/tests", "-k", "not test_random_input"]),
    Row("docutils", ["docutils"], command=["{here}/docutils_all.py", "{src}", "{out}"]),
    Row("rst2html", ["docutils"], command=["-m", "docutils", "{src}/docs/ref/rst/restructuredtext.rst", "{out}/restructuredtext.html"], quick=True),
    Row("fissix", ["fissix"], command=["-m", "fissix", "-f", "all", "-f", "idioms", "-n", "-w", "-o", "{out}", "{src}/fissix/fixer_util.py", "{src}/fissix/refactor.py"]),
    Row("black", ["black==24.10.0", "fissix"], command=["{here}/black_all.py", "{src}/src/black", "{out}"]),
    Row("mypy", ["black==24.10.0", "mypy", "attrs"], command=["-m", "mypy", "--no-incremental", "--cache-dir=/dev/null", "--no-error-summary", "{site}/attr", "{src}/src/blib2to3"]),
    Row("sympy", ["sympy"], tests=["{site}/sympy/core/tests/test_arit.py", "{site}/sympy/core/tests/test_expr.py", "{site}/sympy/polys/tests/test_polytools.py", "{site}/sympy/solvers/tests/test_solvers.py", "{site}/sympy/matrices/tests/test_matrices.py"], sdist=False),
    Row("networkx", ["networkx"], tests=["{site}/networkx/algorithms/tests", "{site}/networkx/classes", "-p", "no:networkx"], sdist=False),
    Row("django", ["django"], command=["{here}/django_pages.py"], sdist=False, quick=True),
    Row("rich", ["rich"], command=["{here}/rich_pages.py"], sdist=False, quick=True),
    Row("sortedcontainers", ["sortedcontainers"], command=["{here}/sorted_all.py"], sdist=False, quick=True),
]
