"""Programs that run in a module's own code: hot loops over globals that functions, finalisers and `exec` change too."""

import random

NAMES = ["a", "b", "c", "x", "y", "s", "l", "d"]
PRELUDE = """\
import sys
log = []
a = 1; b = 2; c = 3; x = 0.5; y = 1.5; s = 'q'; l = [1, 2, 3]; d = {'k': 1}; o = None; k = 0; z = None
def show(): log.append((a, b, x, len(s), k, str(z)[:8]))
def setg(v):
    global a, x, z
    a += v; x = x * 0.5 + v; z = v
def geta(): return a + b
def setc(n):
    global c
    for _ in range(n % 4): c = (c * 3 + 1) % 1000
    return c
def viag(n, v): globals()[n] = v
def keys(n): return [g for g in globals() if g[0] == n]
class D:
    def __init__(self, t): self.t = t
    def __del__(self): log.append(('del', self.t, a, k))
class W:
    def __init__(self, t): self.t = t
    def __del__(self):
        global b
        b = self.t % 50
class P:
    def __init__(self, u): self.u = u
    def add(self, n): self.u += n; return self
    @property
    def pa(self): return a + self.u
def gen(n):
    for q in range(n):
        yield q + a
p = P(3)
__hot__(show, setg, geta, setc, viag, P.add)
"""
SURPRISES = [
    "show()", "setg(i)", "viag(chr(97), k)", "viag(chr(120), 0.75)", "viag(chr(122), i)", "o = D(i)", "o = None", "D(k)",
    "z = D(b)", "l.append(D(i)); l.pop()", "globals().update(b=5)", "o = W(i)", "W(k)", "exec('a += 1')", "log.append(sum(gen(3)))",
]
ONCE = [
    "a = 2**70", "x = 3", "a = 0.5", "s = 5", "fresh0 = i", "fresh1 = i", "fresh2 = i", "del c; c = 4", "exec(\"b = 9\")",
    "l = (1, 2, 3); l = list(l)", "globals().pop('y'); y = 1.25", "def geta(): return a - b", "P.add = lambda self, n: self", "del z; z = None",
    "for g in range(300): globals()['many%d' % g] = g", "sys.settrace(lambda *_: None); sys.settrace(None)",
]
CALLS = ["show()", "setg(k)", "setg(2)", "b = geta() % 50", "c = setc(k)", "p.add(a % 5)", "b = p.pa % 77", "p = P(a)", "p.u = b"]


class Module:
    """One program being written."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.lines = []

    def put(self, indent, text):
        """Append a line."""
        self.lines.append("    " * indent + text)

    def chance(self, share):
        """True so often."""
        return self.rng.random() < share

    def number(self):
        """An expression that is an int, as long as nothing odd has happened."""
        more = ["a", "b", "c", "k", "i", "len(l)", "3", "7", "p.u", "geta()", "setc(k)", "l[k % 3]", "d['k']"]
        return self.rng.choice(more if self.chance(0.6) else ["a", "b", "c", "i"])

    def real(self):
        """An expression that is a float, likewise."""
        return self.rng.choice(["x", "y", "0.25", "float(k)", "x * y"])

    def statement(self, indent, depth, level):
        """One statement, with what is in it."""
        kinds = [
            (22, self.integers), (10, self.reals), (6, self.count), (4, self.text), (5, self.item), (4, self.mapping),
            (4, self.call), (3, self.surprise), (2, self.once), (3, self.attempt), (9, self.branch), (6, self.loop),
            (3, self.comprehension), (3, self.generator), (3, self.deletion), (3, self.swap), (3, self.note), (2, self.function),
            (2, self.manager), (3, self.pair),
        ]
        self.rng.choices([f for _, f in kinds], [w for w, _ in kinds])[0](indent, depth, level)

    def block(self, indent, depth, level):
        """A few statements."""
        for _ in range(self.rng.randrange(1, 4)):
            self.statement(indent, depth, level)

    def integers(self, indent, depth, level):
        """Integer arithmetic into a global."""
        r = self.rng
        value = f"({self.number()} {r.choice(['+', '-', '*', '^', '&', '|'])} {self.number()}) % {r.choice([7, 97, 1009, 100003])}"
        self.put(indent, f"{r.choice('abc')} = {value}")

    def reals(self, indent, depth, level):
        """Float arithmetic into a global."""
        self.put(indent, f"{self.rng.choice('xy')} = ({self.real()} {self.rng.choice(['+', '-', '*'])} {self.real()}) * 0.5 + 0.1")

    def count(self, indent, depth, level):
        """A counter."""
        self.put(indent, f"k += {self.rng.choice(['1', '2', 'i % 3'])}")

    def text(self, indent, depth, level):
        """A string that is cut back."""
        more = self.rng.choice(["str(a)", "'z'", "s[:2]"])
        self.put(indent, f"s = (s + {more})[-20:]")

    def item(self, indent, depth, level):
        """An item of a list."""
        self.put(indent, f"l[{self.number()} % 3] = {self.number()}")

    def mapping(self, indent, depth, level):
        """Items of a dict."""
        self.put(indent, f"d['k'] = {self.number()}; d[{self.number()} % 5] = {self.real()}")

    def call(self, indent, depth, level):
        """A call of something that reads or writes globals."""
        self.put(indent, self.rng.choice(CALLS))

    def surprise(self, indent, depth, level):
        """Something now and then."""
        self.put(indent, f"if i % {self.rng.choice([3, 17, 40])} == {self.rng.randrange(3)}: {self.rng.choice(SURPRISES)}")

    def once(self, indent, depth, level):
        """Something once, late."""
        self.put(indent, f"if i == {self.rng.choice([20, 50])}:")
        self.put(indent + 1, self.rng.choice(ONCE))

    def attempt(self, indent, depth, level):
        """Something that may raise, and its handler."""
        r = self.rng
        self.put(indent, "try:")
        self.put(indent + 1, f"a = {r.choice([5, 100])} // ({self.number()} % 4)")
        if depth:
            self.statement(indent + 1, depth - 1, level)
        self.put(indent, r.choice(["except ZeroDivisionError as e:", "except (ZeroDivisionError, KeyError):", "except Exception as e:"]))
        self.put(indent + 1, r.choice(["b += 1", "log.append('z')", "c = 1; show()"]))
        if self.chance(0.3):
            self.put(indent, "finally:")
            self.put(indent + 1, "k += 1")

    def branch(self, indent, depth, level):
        """An `if`."""
        if not depth:
            return self.integers(indent, depth, level)
        conditions = [self.number() + " % 2 == 0", "x < y", self.number() + " > " + self.number(), "s", "z is None"]
        self.put(indent, f"if {self.rng.choice(conditions)}:")
        self.block(indent + 1, depth - 1, level)
        if self.chance(0.5):
            self.put(indent, "else:")
            self.block(indent + 1, depth - 1, level)
        return None

    def loop(self, indent, depth, level):
        """An inner loop."""
        if not depth:
            return self.count(indent, depth, level)
        over = [f"range({self.rng.choice([2, 5, 9])})", "l", "(1, 2)", "enumerate(l)", "zip(l, l)", "gen(2)", "list(d)"]
        self.put(indent, f"for {'jmn'[level % 3]} in {self.rng.choice(over)}:")
        self.block(indent + 1, depth - 1, level + 1)
        if self.chance(0.3):
            self.put(indent + 1, self.rng.choice(["if a % 5 == 0: break", "if k % 3 == 0: continue"]))
        return None

    def comprehension(self, indent, depth, level):
        """A list comprehension over a global."""
        self.put(indent, f"l = [q + {self.number()} for q in l][:3]; l += [1] * (3 - len(l))")

    def generator(self, indent, depth, level):
        """A generator expression over a global."""
        self.put(indent, "c = sum(q for q in l if isinstance(q, int)) % 1000")

    def deletion(self, indent, depth, level):
        """A global that comes and goes."""
        self.put(indent, f"tmp = {self.number()}; del tmp")

    def swap(self, indent, depth, level):
        """Two stores at once."""
        self.put(indent, f"a, b = b, {self.number()} % 13")

    def note(self, indent, depth, level):
        """What a variable is."""
        self.put(indent, f"log.append(({self.rng.choice(NAMES)} if not isinstance(l, int) else 0) if k % 9 == 0 else None)")

    def function(self, indent, depth, level):
        """A function made and called."""
        self.put(indent, f"f = (lambda q: q + a)({self.number()})")

    def manager(self, indent, depth, level):
        """A `with` statement."""
        self.put(indent, "with open('/dev/null') as fh: b += 1")

    def pair(self, indent, depth, level):
        """A tuple that is looked into."""
        self.put(indent, "t2 = (a, b); a = t2[0] + len(t2)")

    def write(self):
        """The program's text."""
        self.lines = [PRELUDE.rstrip()]
        for _ in range(self.rng.randrange(1, 3)):
            self.put(0, "try:")
            if self.chance(0.7):
                self.put(1, f"for i in range({self.rng.choice([60, 130])}):")
            else:
                self.put(1, "i = 0")
                self.put(1, "while i < 90:")
                self.put(2, "i += 1")
            self.put(2, "if len(log) > 400: break")
            self.block(2, 3, 0)
            self.put(0, "except Exception as e: log.append((type(e).__name__, str(e)[:60], e.__traceback__.tb_lineno))")
            self.put(0, "show()")
        self.put(0, "o = z = p = None; l = []")
        self.put(0, "log.append([q for q in globals() if not q.startswith('__')])")
        self.put(0, "log.append([str(globals().get(q))[:40] for q in 'a b c x y s d k i j m n e f t2 fresh0 fresh1'.split()])")
        self.put(0, "for entry in log: print(entry)")
        return "\n".join(self.lines) + "\n"
