"""Make random, always terminating, deterministic Python programs for differential testing.

    python tests/differential/generate.py SEED [functions|modules]     prints one

There are two kinds: `functions` are programs whose hot code is in functions, `modules` those that compute with globals
in the module's own loops.

A program prints what it does; two runs of the same program print the same text, whoever runs it. It calls
`__hot__(f, …)` after two warm turns (the runner defines it: compile these functions), then runs on.

Laws that keep programs terminating and small:
- every loop's trip count is fixed by the generator, or burns fuel; the product over a nest stays under `WORK`;
- a function calls only functions made before it, recursion counts down;
- integers, strings and lists that grow in a loop are cut back in the same loop;
- only small integers multiply strings and lists, and shift or raise integers.
"""

import sys

from program.base import Text
from program.classes import Classes
from program.expressions import Expressions
from program.functions import Functions
from program.generators import Generators
from program.library import Library
from program.modules import Module
from program.more import More
from program.statements import Statements
from program.surprises import Surprises


class Program(Text, Expressions, Statements, More, Classes, Generators, Surprises, Library, Functions):
    """One program being written."""


KINDS = {"functions": Program, "modules": Module}


def generate(seed, kind="functions"):
    """The program of a seed, as text."""
    return KINDS[kind](seed).write()


if __name__ == "__main__":
    print(generate(int(sys.argv[1]), *sys.argv[2:]), end="")
