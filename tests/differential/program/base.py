"""Names, kinds, and where the text goes."""

import random

WORK = 3000
BIG = ["2**30", "2**31", "2**62 - 1", "2**63 - 1", "2**63", "-2**63", "2**64 + 7", "10**18", "10**25", "-10**19"]
SMALL = ["0", "1", "-1", "2", "3", "-3", "5", "7", "-7", "10", "13", "255", "256", "257", "-5", "-6", "1000", "65537"]
FLOATS = [
    "0.0", "-0.0", "1.0", "-1.0", "0.5", "2.5", "-2.5", "1e-3", "3.14159", "1e16", "1e308", "-1e308", "5e-324",
    "float('inf')", "float('-inf')", "float('nan')", "1e100", "0.1", "7.0", "-3.0", "9007199254740993.0",
]
STRINGS = ["''", "'a'", "'bc'", "'xyz'", "'é'", "'日本'", "'0'", "'hello'"]
ERRORS = "(ArithmeticError, LookupError, TypeError, ValueError, AttributeError, NameError, RuntimeError, AssertionError)"
# Integers, floats, strings, lists of integers and of floats, dicts, tuples, objects of the prelude's classes, booleans;
# objects of the program's own classes, lists of them, sets, callables that take and give an integer.
KINDS = ["i", "f", "s", "l", "m", "d", "t", "o", "b", "k", "K", "u", "c"]
# What a program may be about. Each program has about half of it: features that crowd each other out find less.
GROUPS = ["more", "classes", "generators", "surprises", "tools", "subclasses", "library"]


class Scope:
    """The names a function may use, by kind, and where the text goes."""

    def __init__(self, parent=None):
        self.vars = {k: [] for k in KINDS}
        self.writable = {k: [] for k in KINDS}
        self.depth = 0
        self.in_loop = False
        self.in_finally = False
        self.is_function = parent is not None
        self.count = 0


class Text:
    """The text of one program, and the choices made on the way."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.lines = []
        self.indent = 0
        self.work = 1
        self.functions = []
        self.globals = []
        self.scope = None
        self.budget = 0
        self.fresh = 0
        # How readily the program raises.
        self.risk = self.rng.choice([0.0, 0.1, 0.3, 1.0])
        self.groups = {g for g in GROUPS if self.rng.random() < 0.5}
        self.classes, self.protocols, self.generators, self.helpers = [], [], [], []
        self.chains = 0
        self.cost = 1
        self.params = []

    # --- text ---

    def put(self, text):
        """Append a line at the current indentation."""
        self.lines.append("    " * self.indent + text)

    def block(self, head, body):
        """A compound statement; `body` writes its suite."""
        self.put(head)
        self.indent += 1
        before = len(self.lines)
        body()
        if len(self.lines) == before:
            self.put("pass")
        self.indent -= 1

    def name(self, stem):
        """A name not used before."""
        self.fresh += 1
        return f"{stem}{self.fresh}"

    def pick(self, *options):
        return self.rng.choice(options)

    def risky(self, text, safe):
        """Something that may well raise, or something tamer."""
        return text if self.chance(self.risk) else safe

    def chance(self, p):
        return self.rng.random() < p
