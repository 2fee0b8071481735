"""Make random, always terminating, deterministic Python programs for differential testing.

    python tests/differential/generate.py SEED     prints one

A program prints what it does; two runs of the same program print the same text, whoever runs it. It calls
`__hot__(f, …)` after two warm turns (the runner defines it: compile these functions), then runs on.

Laws that keep programs terminating and small:
- every loop's trip count is fixed by the generator, or burns fuel; the product over a nest stays under `WORK`;
- a function calls only functions made before it, recursion counts down;
- integers, strings and lists that grow in a loop are cut back in the same loop;
- only small integers multiply strings and lists, and shift or raise integers.
"""

import random
import sys

WORK = 3000
BIG = ["2**30", "2**31", "2**62 - 1", "2**63 - 1", "2**63", "-2**63", "2**64 + 7", "10**18", "10**25", "-10**19"]
SMALL = ["0", "1", "-1", "2", "3", "-3", "5", "7", "-7", "10", "13", "255", "256", "257", "-5", "-6", "1000", "65537"]
FLOATS = [
    "0.0", "-0.0", "1.0", "-1.0", "0.5", "2.5", "-2.5", "1e-3", "3.14159", "1e16", "1e308", "-1e308", "5e-324",
    "float('inf')", "float('-inf')", "float('nan')", "1e100", "0.1", "7.0", "-3.0", "9007199254740993.0",
]
STRINGS = ["''", "'a'", "'bc'", "'xyz'", "'é'", "'日本'", "'0'", "'hello'"]
ERRORS = "(ArithmeticError, LookupError, TypeError, ValueError, AttributeError, NameError, RuntimeError, AssertionError)"
KINDS = ["i", "f", "s", "l", "m", "d", "t", "o", "b"]

PRELUDE = '''\
class Point:
    total = 0

    def __init__(self, x, y=1, *, tag='p'):
        self.x = x
        self.y = y
        self.tag = tag

    def add(self, n):
        self.x += n
        return self.x

    def swap(self):
        self.x, self.y = self.y, self.x
        return self

    @property
    def area(self):
        return self.x * 3 + self.y

    @area.setter
    def area(self, v):
        self.y = v

    @classmethod
    def count(cls):
        cls.total += 1
        return cls.total

    @staticmethod
    def twice(v):
        return v + v

    def __repr__(self):
        return f'{type(self).__name__}({self.x!r}, {self.y!r})'


class Slotted:
    __slots__ = ('x', 'y', 'tag')

    def __init__(self, x, y=2):
        self.x = x
        self.y = y
        self.tag = 's'

    def add(self, n):
        self.x = self.x + n
        return self.y

    def swap(self):
        t = self.x
        self.x = self.y
        self.y = t
        return self

    area = 5

    def __repr__(self):
        return f'S({self.x!r}, {self.y!r})'


class Derived(Point):
    def add(self, n):
        if n == 13:
            raise ValueError('unlucky')
        return super().add(n) + 1

    def __getattr__(self, name):
        if name.startswith('z'):
            return 4
        raise AttributeError(name)


class Number:
    def __init__(self, v):
        self.v = v

    def __add__(self, other):
        print('add', self.v)
        return Number(self.v + 1)

    def __radd__(self, other):
        print('radd', self.v)
        return other

    def __lt__(self, other):
        return self.v < 3

    def __mul__(self, other):
        return 5

    __rmul__ = __mul__

    def __bool__(self):
        return self.v % 2 == 1

    def __repr__(self):
        return f'N{self.v}'


class Tracked:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print('gone', self.name)


class Guarded:
    def __init__(self, swallow):
        self.swallow = swallow

    def __enter__(self):
        print('enter')
        return self.swallow

    def __exit__(self, kind, value, tb):
        print('exit', kind and kind.__name__)
        return self.swallow == 1


def cut(v):
    return v if len(v) < 40 else v[:5]


def counter(n, step=1):
    i = 0
    while i < n:
        got = yield i * step
        if got:
            i += got
        i += 1
    return n


def deep(n, acc=0):
    if n <= 0:
        return acc
    return deep(n - 1, acc + n) if n % 3 else 1 + deep(n - 2, acc)


'''


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


class Program:
    """One program being written."""

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

    # --- expressions ---

    def var(self, kind):
        """A variable of the kind, or None."""
        names = self.scope.vars[kind]
        return self.rng.choice(names) if names else None

    def expr(self, kind, depth=2):
        return getattr(self, "expr_" + kind)(depth)

    def expr_i(self, depth):
        v = self.var("i")
        if depth <= 0 or self.chance(0.15):
            if v and self.chance(0.75):
                return v
            return f"({self.rng.choice(BIG)})" if self.chance(0.06) else self.rng.choice(SMALL)
        a = lambda: self.expr_i(depth - 1)
        choice = self.rng.randrange(22)
        if choice < 8:
            return f"({a()} {self.pick('+', '-', '*', '+', '-')} {a()})"
        if choice == 8:
            return f"({a()} {self.pick('//', '%')} {self.pick('3', '-7', '5', self.risky(a(), '10'))})"
        if choice == 9:
            return f"({a()} {self.pick('&', '|', '^')} {a()})"
        if choice == 10:
            return f"({a()} << ({a()} & {self.pick('7', '31', '63')}))"
        if choice == 11:
            return f"({a()} >> {self.pick('1', '3', '70', f'({a()} & 15)')})"
        if choice == 12:
            return self.pick(f"-{a()}", f"~{a()}", f"abs({a()})", f"+{a()}", f"(not {a()})")
        if choice == 13 and (s := self.var("l")):
            return f"{s}[{self.pick('0', '-1', self.risky(a(), '1'), a() + ' % len(' + s + ')')}]"
        if choice == 14:
            return f"({a()} if {self.cond()} else {a()})"
        if choice == 15:
            seq = self.var(self.pick("l", "s", "t", "d", "m"))
            return f"len({seq})" if seq else a()
        if choice == 16 and (o := self.var("o")):
            return self.pick(f"{o}.x", f"{o}.y", f"{o}.add({a()} % 1009)", f"{o}.area", f"{o}.swap().x", f"{o}.x")
        if choice == 17 and self.globals:
            return self.rng.choice(self.globals)
        if choice == 18:
            return self.call() or a()
        if choice == 19:
            return self.pick(
                f"({a()} % 9) ** ({a()} % 6)", f"min({a()}, {a()})", f"max({a()}, {a()}, 3)", f"int({self.expr_b(1)})",
                f"divmod({a()}, 7)[1]", f"(lambda q: q + {self.pick('1', a())})({a()})", f"sum([{a()}, {a()}])",
                f"deep({a()} % 12)", f"int(str({a()} % 1000))", f"round({self.expr_f(1)})", f"hash({a()})",
            )
        if choice == 20 and (d := self.var("d")):
            return self.pick(f"{d}.get({a()}, 2)", self.risky(f"{d}[{a()} % 5]", f"{d}.get(2, 0)"), f"{d}.get(1, {a()})")
        if choice == 21 and (t := self.var("t")):
            return f"{t}[{self.pick('0', '1', '-1')}]"
        return f"({a()} + {self.expr_b(1)})"

    def bounded(self, depth):
        """An integer that a container may keep: containers feed back into themselves."""
        return f"({self.expr_i(depth)}) {self.pick('% 1009', '& 0xFFFF', '% 2**62', '% -7', '% 2**64')}"

    def expr_f(self, depth):
        v = self.var("f")
        if depth <= 0 or self.chance(0.15):
            return v if v and self.chance(0.75) else self.rng.choice(FLOATS if self.chance(0.4) else FLOATS[2:8])
        a = lambda: self.expr_f(depth - 1)
        choice = self.rng.randrange(14)
        if choice < 6:
            return f"({a()} {self.pick('+', '-', '*')} {a()})"
        if choice == 6:
            return f"({a()} {self.pick('/', '//', '%', '/')} {self.pick(self.risky(a(), '4.0'), '2.0', '-3.0', '0.7')})"
        if choice == 7:
            return f"({a()} {self.pick('+', '-', '*', self.risky('/', '+'))} {self.expr_i(1)})"
        if choice == 8:
            return f"({self.expr_i(1)} {self.pick('+', '-', '*', self.risky('/', '-'))} {a()})"
        if choice == 9 and (m := self.var("m")):
            return f"{m}[{self.pick('0', '-1', '1', self.expr_i(1) + ' % len(' + m + ')')}]"
        if choice == 10:
            return self.pick(f"-{a()}", f"abs({a()})", f"float({self.expr_i(0)})", f"({a()} if {self.cond()} else {a()})")
        if choice == 11:
            return self.pick(f"abs({a()}) ** 0.5", f"({a()}) ** 2", f"(abs({a()}) % 3.0) ** 1.5", f"max({a()}, {a()})")
        if choice == 12 and (o := self.var("o")):
            return f"({o}.x * 0.5)"
        return f"({a()} * {self.pick('0.5', '1.25', '-0.75')})"

    def expr_b(self, depth):
        v = self.var("b")
        if v and self.chance(0.3):
            return v
        if depth <= 0:
            return self.pick("True", "False")
        return f"({self.cond(depth - 1)})"

    def cond(self, depth=1):
        a = lambda: self.expr_i(depth)
        op = lambda: self.pick("<", "<=", ">", ">=", "==", "!=")
        choice = self.rng.randrange(13)
        if choice < 4:
            return f"{a()} {op()} {a()}"
        if choice == 4:
            return f"{self.expr_f(depth)} {op()} {self.expr_f(depth)}"
        if choice == 5:
            return f"{a()} {op()} {a()} {op()} {a()}"
        if choice == 6:
            return f"({self.cond(depth - 1)}) {self.pick('and', 'or')} ({self.cond(depth - 1)})" if depth > 0 else "True"
        if choice == 7:
            return f"not {a()}"
        if choice == 8:
            return f"{a()} % {self.pick('2', '3', '5')} == {self.pick('0', '1')}"
        if choice == 9:
            seq = self.var(self.pick("l", "t", "d"))
            return f"{a()} {self.pick('in', 'not in')} {seq}" if seq else a()
        if choice == 10 and (s := self.var("s")):
            return self.pick(f"{s} {op()} {self.expr_s(0)}", f"{self.expr_s(0)} in {s}", f"len({s}) > 3", s)
        if choice == 11:
            return f"{a()} is {self.pick('None', 'not None')}"
        return f"isinstance({a()}, {self.pick('int', 'float', 'bool')})"

    def expr_s(self, depth):
        v = self.var("s")
        if depth <= 0 or self.chance(0.2):
            return v if v and self.chance(0.6) else self.rng.choice(STRINGS)
        a = lambda: self.expr_s(depth - 1)
        return self.pick(
            f"cut({a()} + {a()})", f"cut({a()} * ({self.expr_i(1)} % 4))", f"str({self.expr_i(1)})", f"{a()}[::-1]",
            f"{a()}[{self.expr_i(0)} % 3:]", f"{a()}.upper()", f"f'{{{self.expr_i(0)}}}|{{{self.expr_f(0)}!r}}'",
            f"'-'.join([{a()}, {a()}])", f"{a()}.replace('a', 'bb')[:20]", f"{a()}[:1]", f"'%s:%d' % ({a()}, 3)",
            f"f'{{{self.expr_i(0)}:>6}}'",
        )

    def expr_l(self, depth):
        v = self.var("l")
        if depth <= 0 or self.chance(0.2):
            return f"list({v})" if v and self.chance(0.5) else f"[{', '.join(self.expr_i(0) for _ in range(3))}]"
        q = self.name("q")
        n = self.rng.randrange(2, 7)
        element = self.with_var("i", q, lambda: self.bounded(1))
        test = self.with_var("i", q, lambda: f" if {self.cond(0)}" if self.chance(0.4) else "")
        source = self.pick(f"range({n})", self.var("l") or f"range({n})", f"counter({n})", f"range({n}, -1, -2)")
        source = source + "[:6]" if source in self.scope.vars["l"] else source
        return self.pick(
            f"[{element} for {q} in {source}{test}]", f"sorted([{self.expr_i(0)}, {self.expr_i(0)}])",
            f"list(range({n}))", f"list({self.expr_i(0)} + {q} for {q} in range({n}))", f"[{self.bounded(1)}] * 3",
            f"list(map(lambda {q}: {element}, range({n})))", f"[*range({n}), {self.bounded(1)}]",
        )

    def expr_m(self, depth):
        q = self.name("q")
        return self.pick(f"[{self.expr_f(1)}, {self.expr_f(1)}]", f"[{q} * {self.expr_f(0)} for {q} in range(4)]", "[0.0] * 5")

    def expr_d(self, depth):
        q = self.name("q")
        return self.pick(
            f"{{0: {self.bounded(1)}, 1: {self.expr_i(0)}}}", f"{{{q}: {q} + {self.expr_i(0)} for {q} in range(4)}}",
            f"dict(enumerate([{self.expr_i(0)}, 5]))",
        )

    def expr_t(self, depth):
        return self.pick(
            f"({self.bounded(1)}, {self.expr_i(0)})", f"({self.expr_i(0)}, {self.bounded(1)}, {self.expr_i(0)})",
            f"divmod({self.bounded(1)}, {self.pick('7', '-3', self.risky(self.expr_i(0), '5'))})", f"tuple({self.expr_l(0)})",
        )

    def expr_o(self, depth):
        kind = self.pick("Point", "Slotted", "Derived", "Point")
        return f"{kind}({self.bounded(1)}{self.pick('', ', ' + self.expr_i(0), ', y=' + self.expr_i(0))})"

    def with_var(self, kind, name, write):
        """Write something with one more readable variable."""
        self.scope.vars[kind].append(name)
        text = write()
        self.scope.vars[kind].remove(name)
        return text

    def call(self):
        """A call of a function made before, where the work allows it, or None."""
        fitting = [f for f in self.functions if f[2] * self.work <= WORK]
        if not fitting:
            return None
        name, shape, cost = self.rng.choice(fitting)
        a = lambda: self.expr_i(0)
        self.cost = max(self.cost, cost * self.work)
        forms = {
            "plain": [f"{name}({a()}, {a()})", f"{name}(b={a()}, a={a()})", f"{name}({a()}, b={a()})"],
            "default": [f"{name}({a()})", f"{name}({a()}, {a()})", f"{name}(b={a()}, a={a()})", f"{name}(a={a()})"],
            "star": [f"{name}({a()}, {a()}, {a()})", f"{name}({a()}, *[{a()}, 2])", f"{name}({a()})", f"{name}(*({a()}, 4))"],
            "keyword": [f"{name}({a()}, k={a()})", f"{name}({a()})", f"{name}({a()}, k={a()}, z={a()})", f"{name}({a()}, **{{'w': 1}})"],
        }[shape]
        if self.chance(0.02):
            return f"{name}({a()}, {a()}, {a()}, wrong=1)"
        return self.rng.choice(forms)

    # --- statements ---

    def target(self, kind):
        names = self.scope.writable[kind]
        return self.rng.choice(names) if names else None

    def clip(self, v):
        """Keep an integer variable from growing without end."""
        bound = self.pick("2**31", "2**62", "2**63", "2**64", "2**100")
        self.block(f"if not -{bound} < {v} < {bound}:", lambda: self.put(f"{v} = {v} % {self.pick('1000003', '97', '2**61')}"))

    def suite(self, n):
        """A few statements."""
        self.scope.depth += 1
        for _ in range(n):
            if self.budget <= 0:
                break
            self.statement()
        self.scope.depth -= 1

    def statement(self):
        self.budget -= 1
        simple = [
            (10, self.assign_int), (5, self.aug_int), (6, self.assign_float), (2, self.assign_str), (2, self.assign_bool),
            (5, self.list_change), (2, self.float_list), (3, self.dict_change), (4, self.attr_change), (2, self.show),
            (2, self.rebind_global), (2, self.swap), (1, self.late_type), (1, self.fresh_container), (1, self.walrus),
            (1, self.delete), (1, self.track), (1, self.late_class),
        ]
        if self.scope.in_loop and not self.scope.in_finally:
            simple.append((2, self.leave))
        compound = [
            (5, self.if_), (6, self.for_), (2, self.while_), (3, self.try_), (1, self.with_), (1, self.match_), (1, self.closure),
            (1, self.generator),
        ]
        rows = simple + (compound if self.scope.depth < 5 else [])
        self.rng.choices([r[1] for r in rows], [r[0] for r in rows])[0]()

    def assign_int(self):
        if v := self.target("i"):
            self.put(f"{v} = {self.expr_i(self.rng.randrange(1, 4))}")
            self.clip(v)

    def aug_int(self):
        if v := self.target("i"):
            op = self.pick("+=", "-=", "*=", "+=", "//=", "%=", "&=", "|=", "^=", ">>=")
            right = self.pick("3", "7", "-2") if op in ("//=", "%=", ">>=") and self.chance(0.8) else self.expr_i(1)
            right = f"({right} & 7)" if op == ">>=" else right
            self.put(f"{v} {op} {right}")
            self.clip(v)

    def assign_float(self):
        if v := self.target("f"):
            if self.chance(0.4):
                self.put(f"{v} {self.pick('+=', '-=', '*=', '/=')} {self.expr_f(2)}")
            else:
                self.put(f"{v} = {self.expr_f(3)}")

    def assign_str(self):
        if v := self.target("s"):
            if self.chance(0.4):
                self.put(f"{v} += {self.expr_s(1)}")
                self.put(f"{v} = cut({v})")
            else:
                self.put(f"{v} = {self.expr_s(2)}")

    def assign_bool(self):
        if v := self.target("b"):
            self.put(f"{v} = {self.cond(2)}")

    def list_change(self):
        if not (v := self.target("l")):
            return
        i, k = self.expr_i, self.bounded
        self.put(self.pick(
            f"{v}.append({k(2)})", f"{v}[{i(1)} % len({v})] = {k(2)}", f"{v}[{self.pick('0', '-1', '1')}] += {i(0)}",
            f"{v}[0], {v}[-1] = {v}[-1], {v}[0]", f"{v}.insert({i(0)} % 3, {k(1)})", f"{v}.reverse()",
            f"{v}[1:3] = [{i(0)}, {i(0)}, {i(0)}]", f"{v}.extend({self.expr_l(1)})", f"{v} += [{k(1)}]",
            self.risky(f"{v}[{i(1)}] = {k(1)}", f"{v}[1] = {k(1)}"), f"del {v}[0]", f"{v}.pop()", f"{v}[{i(1)} % len({v})] = {v}[{i(1)} % len({v})]",
        ))
        self.put(f"if not 1 < len({v}) < 30: {v} = [{i(0)}, {i(0)}, 3]")

    def float_list(self):
        if v := self.target("m"):
            k = self.pick("0", "-1", f"{self.expr_i(1)} % len({v})")
            self.put(f"{v}[{k}] {self.pick('=', '+=', '*=')} {self.expr_f(2)}")

    def dict_change(self):
        if v := self.target("d"):
            i = self.expr_i
            self.put(self.pick(
                f"{v}[{i(1)} % 5] = {self.bounded(1)}", f"{v}[{i(0)} % 5] = {v}.get({i(0)}, 0) ^ 3", f"{v}.pop({i(0)} % 7, None)",
                f"{v}.update({{2: {i(0)}}})", self.risky(f"{v}[{i(0)} % 3] += 1", f"{v}[2] = 8"), f"{v}.setdefault(3, {i(0)})",
                self.risky(f"del {v}[{i(0)} % 9]", f"{v}.popitem() if len({v}) > 3 else 0"),
            ))

    def attr_change(self):
        if v := self.target("o"):
            i = self.expr_i
            field = self.pick("x", "y")
            self.put(self.pick(
                f"{v}.{field} = {i(2)}", f"{v}.{field} += {i(1)}", f"{v}.{field} -= {i(1)}", f"{v}.add({i(1)})", f"{v}.swap()",
                f"{v}.x = {self.expr_f(1)}", f"{v}.area = {i(1)}", f"{v}.extra = {i(0)}", f"del {v}.{field}", f"{v}.tag += 'x'",
                f"{v}.count()", f"setattr({v}, '{field}', {i(0)})", f"{v}.__dict__['{field}'] = {i(0)}",
            ))
            self.put(f"if len({v}.tag) > 20 or not hasattr({v}, 'x') or not hasattr({v}, 'y'): {v} = {self.expr_o(0)}")
            self.put(f"if isinstance({v}.x, int) and not -2**65 < {v}.x < 2**65: {v}.x = 11")
            self.put(f"if isinstance({v}.y, int) and not -2**65 < {v}.y < 2**65: {v}.y = 11")

    def show(self):
        some = [n for names in self.scope.vars.values() for n in names]
        if not some:
            return
        what = ", ".join(self.rng.sample(some, min(len(some), 3)))
        if self.work > 30 and self.scope.vars["i"]:
            self.put(f"if {self.var('i')} % 7 == 1: print({what})")
        else:
            self.put(f"print({what})")

    def rebind_global(self):
        if self.globals and self.scope.is_function:
            self.put(f"bump({self.expr_i(1)})")

    def swap(self):
        a, b = self.target("i"), self.target("i")
        if a and b:
            self.put(self.pick(f"{a}, {b} = {b}, {a}", f"{a}, *_ = {self.expr_t(0)}", f"{a} = {b} = {self.expr_i(1)}"))

    def late_type(self):
        """A variable changes its type, rarely."""
        if v := self.target("i"):
            other = self.pick("1.5", "None", "True", "2**70", "''", "()", "Number(2)", "-2**63", "float('nan')", "0")
            self.put(f"if {self.var('i')} == {self.rng.randrange(0, 40)}: {v} = {other}")

    def late_class(self):
        self.put(self.pick(
            f"if {self.expr_i(0)} == {self.rng.randrange(30)}: Point.add = lambda self, n: n",
            f"if {self.expr_i(0)} == {self.rng.randrange(30)}: Derived.x = property(lambda self: 9)",
            f"if {self.expr_i(0)} == {self.rng.randrange(30)}: Point.y = 4",
            f"if {self.expr_i(0)} == {self.rng.randrange(30)}: counter.__defaults__ = (2,)",
            f"if {self.expr_i(0)} == {self.rng.randrange(30)}: deep.__defaults__ = (1,)",
        ))

    def fresh_container(self):
        kind = self.pick("l", "m", "d", "t", "o")
        if v := self.target(kind):
            self.put(f"{v} = {self.expr(kind)}")

    def walrus(self):
        if v := self.target("i"):
            self.block(f"if ({v} := {self.expr_i(1)} % 10007) > {self.pick('3', '10')}:", lambda: self.suite(1))

    def delete(self):
        if (v := self.target("i")) and self.scope.is_function:
            test = f"if {self.var('i')} == {self.rng.randrange(20)}: "
            self.put(f"{test}del {v}")
            self.block("try:", lambda: self.put(f"{v} = {v} + 1"))
            self.block("except NameError as e:", lambda: (self.put("print(e)"), self.put(f"{v} = 4")))
            self.block("except TypeError as e:", lambda: (self.put("print(e)"), self.put(f"{v} = 4")))
            self.clip(v)

    def track(self):
        if self.scope.is_function and self.work <= 100:
            v = self.pick("tr0", "tr1")
            self.put(self.pick(f"{v} = Tracked({self.expr_i(0)})", f"{v} = None", f"Tracked({self.expr_i(0)}).name"))

    def leave(self):
        how = self.pick("break", "continue", "continue")
        if self.scope.is_function and self.chance(0.2):
            how = f"return {self.expr_i(1)}"
        self.put(f"if {self.cond(1)}: {how}")

    def if_(self):
        self.block(f"if {self.cond(2)}:", lambda: self.suite(2))
        if self.chance(0.3):
            self.block(f"elif {self.cond(1)}:", lambda: self.suite(1))
        if self.chance(0.5):
            self.block("else:", lambda: self.suite(2))

    def loop(self, head, trips, names, body=None):
        """A loop whose body runs at most `trips` times a round."""
        scope = self.scope
        before, looped = self.work, scope.in_loop
        in_finally = scope.in_finally
        scope.in_finally = False
        self.work *= trips
        self.cost = max(self.cost, self.work)
        scope.in_loop = True
        for kind, n in names:
            scope.vars[kind].append(n)
        self.block(head, lambda: (body() if body else None, self.suite(self.rng.randrange(2, 6))))
        self.work, scope.in_loop, scope.in_finally = before, looped, in_finally
        for kind, n in names:
            scope.vars[kind].remove(n)
        if self.chance(0.2):
            self.block("else:", lambda: self.suite(1))

    def for_(self):
        room = WORK // self.work
        if room < 3:
            return self.assign_int()
        trips = min(room, self.pick(3, 5, 8, 12, 20, 40, 60, 150))
        i = self.name("i")
        choice = self.rng.randrange(14)
        if choice < 5:
            head = self.pick(f"range({trips})", f"range(2, {trips} + 2)", f"range({trips}, 0, -1)", f"range(-{trips}, {trips}, 2)",
                             f"range(0, {trips} * 3, 3)", f"range(2**63 - 3, 2**63 - 3 + {trips})")
            self.loop(f"for {i} in {head}:", trips, [("i", i)])
        elif choice == 5 and (v := self.var("l")):
            self.loop(f"for {i} in {v}[:12]:", min(12, room) if room >= 12 else 12, [("i", i)])
        elif choice == 6 and room >= 40 and (v := self.target("l")):
            # The list changes while it is iterated; fuel ends what would never end.
            fuel = self.name("fuel")
            self.put(f"{fuel} = {min(room, 40)}")
            def body():
                self.put(f"{fuel} -= 1")
                self.put(f"if {fuel} < 0: break")
                self.put(f"if {i} == {self.rng.randrange(5)}: {self.pick(f'{v}.append(4)', f'del {v}[0]', f'{v}.insert(0, 2)', f'{v}.clear()')}")
            self.loop(f"for {i} in {v}:", min(room, 40), [("i", i)], body)
            self.put(f"if len({v}) < 2: {v} = [1, 2, 3]")
        elif choice == 7 and room >= 6 and (v := self.var("m")):
            self.loop(f"for {i} in {v}:", 6, [("f", i)])
        elif choice == 8 and room >= 20 and (v := self.var("s")):
            self.loop(f"for {i} in {v}[:20]:", 20, [("s", i)])
        elif choice == 9 and room >= 8 and (v := self.var("d")):
            k = self.name("k")
            self.loop(f"for {k}, {i} in {self.pick('sorted', 'list')}({v}.items())[:8]:", 8, [("i", k), ("i", i)])
        elif choice == 10 and room >= 12 and (v := self.var("l")):
            k = self.name("k")
            self.loop(f"for {k}, {i} in enumerate({v}[:12]):", 12, [("i", k), ("i", i)])
        elif choice == 11:
            self.loop(f"for {i} in counter({trips}, {self.expr_i(0)}):", trips, [("i", i)])
        elif choice == 12 and room >= 5:
            self.loop(f"for {i} in {self.pick('(1, 2, 3)', '(5, 7.5, 9)', '[2**62, 2**63, -1]', '(True, 2, 3)')}:", 3, [("i", i)])
        elif choice == 13 and room >= 5 and (v := self.var("t")):
            k = self.name("k")
            self.loop(f"for {i}, {k} in zip({v}, range(5)):", 5, [("i", i), ("i", k)])
        else:
            self.loop(f"for {i} in range({trips}):", trips, [("i", i)])

    def while_(self):
        room = WORK // self.work
        if room < 3:
            return self.assign_int()
        trips = min(room, self.pick(3, 6, 15, 50))
        n = self.name("n")
        self.put(f"{n} = {trips}")
        head = self.pick(f"while {n} > 0:", f"while {n} > 0 and ({self.cond(1)}):", "while True:", f"while {n}:")
        def body():
            self.put(f"{n} -= 1")
            if head == "while True:":
                self.put(f"if {n} < 0: break")
        self.loop(head, trips, [("i", n)], body)

    def try_(self):
        def body():
            self.suite(self.rng.randrange(1, 4))
            if self.chance(0.4):
                error = self.pick("ValueError('v')", "KeyError(3)", "RuntimeError('r', 2)", "ZeroDivisionError", "IndexError('i')")
                self.put(f"if {self.risky(self.cond(1), self.cond(0) + ' and ' + self.expr_i(0) + ' == 3')}: raise {error}")
        def handler():
            quiet = self.work > 60 and self.scope.vars["i"]
            text = self.pick("print(type(e).__name__, e)", "print(repr(e))", "print(traceback.format_exc())",
                             "print(e.__traceback__.tb_lineno)")
            self.put(f"if {self.var('i')} % 9 == 0: {text}" if quiet else text)
            self.suite(1)
        self.block("try:", body)
        finally_only = self.chance(0.15)
        if not finally_only:
            if self.chance(0.4):
                self.block(f"except {self.pick('ValueError', 'ZeroDivisionError', '(KeyError, IndexError)', 'TypeError')}:", lambda: self.suite(1))
            self.block(f"except {ERRORS} as e:", handler)
            if self.chance(0.2):
                self.block("else:", lambda: self.suite(1))
        if finally_only or self.chance(0.25):
            before = self.scope.in_finally
            self.scope.in_finally = True
            self.block("finally:", lambda: self.suite(1))
            self.scope.in_finally = before

    def with_(self):
        if self.work > 100:
            return self.assign_float()
        def body():
            self.suite(2)
            if self.chance(self.risk):
                self.put(f"if {self.cond(1)}: raise {self.pick('ValueError(1)', 'KeyError(2)')}")
        self.block(f"with Guarded({self.pick('0', '1', '1')}) as w:", body)

    def match_(self):
        def body():
            self.block(f"case {self.pick('0', '1', '2')}:", lambda: self.suite(1))
            self.block(f"case int() as c if c > {self.pick('3', '10')}:", lambda: self.suite(1))
            self.block("case _:", lambda: self.suite(1))
        self.block(f"match {self.expr_i(1)}:", body)

    def closure(self):
        v = self.target("i")
        if not v or not self.scope.is_function or self.work > 60:
            return
        f = self.name("inner")
        def body():
            self.put(f"nonlocal {v}")
            self.put(f"{v} = ({v} + {self.pick('step', '1', 'step * 2')}) % 1009")
            self.put(f"return {v}")
        if v in self.params:
            return
        self.block(f"def {f}(step={self.expr_i(0)}):", body)
        i = self.name("i")
        self.block(f"for {i} in range({self.pick('3', '9', '30')}):", lambda: self.put(f"{f}({self.pick('', i)})"))

    def generator(self):
        v = self.target("i")
        if not v or self.work > 100:
            return
        g = self.name("g")
        self.put(f"{g} = counter({self.pick('4', '9')}, {self.expr_i(0)})")
        self.put(f"{v} = next({g}) + {g}.send({self.pick('None', '1', '2')})")
        self.put(self.pick(f"{v} += sum({g})", f"{g}.close()", f"{v} = next({g}, 3)"))
        self.clip(v)

    # --- functions ---

    def declare(self, kind, n):
        """Fresh variables of a kind with first values."""
        for _ in range(n):
            v = self.name(kind)
            self.put(f"{v} = {self.expr(kind, 1)}")
            self.scope.vars[kind].append(v)
            self.scope.writable[kind].append(v)

    def function(self):
        name = self.name("f")
        shape = self.pick("plain", "default", "star", "keyword", "plain")
        head = {
            "plain": "(a, b)", "default": f"(a, b={self.pick('3', '-1', '2.5', '10')})", "star": "(a, *rest)",
            "keyword": "(a, *, k=2, **more)",
        }[shape]
        self.scope = Scope(parent=True)
        self.cost = 1
        self.params = {"plain": ["a", "b"], "default": ["a", "b"], "star": ["a"], "keyword": ["a", "k"]}[shape]
        self.budget = self.rng.randrange(8, 26)
        self.put("")
        def body():
            self.scope.vars["i"].extend(self.params)
            self.scope.writable["i"].extend(self.params)
            if shape == "star":
                self.put("rest = (1, *rest)")
                self.scope.vars["t"].append("rest")
            if shape == "keyword":
                self.put("more = dict(enumerate(sorted(more.values())))")
                self.scope.vars["d"].append("more")
            self.put("tr0 = tr1 = None")
            self.declare("i", self.rng.randrange(1, 4))
            for kind in "fslmdtob":
                if self.chance(0.55):
                    self.declare(kind, 1)
            while self.budget > 0:
                self.budget -= 1
                self.rng.choices([self.for_, self.statement, self.while_], [3, 5, 1])[0]()
            self.show()
            self.put(f"return {self.pick(self.expr_i(1), self.expr_i(1), self.expr_i(2), self.expr_f(1))}")
        self.block(f"def {name}{head}:", body)
        self.put("")
        self.functions.append((name, shape, max(self.cost, 20)))

    def write(self):
        """The whole text."""
        self.put("import traceback")
        self.put("")
        self.lines.extend(("\n" + PRELUDE).splitlines())
        for i in range(2):
            self.put(f"g{i} = {self.pick(*SMALL)}")
        self.put("")
        self.put("")
        def bump():
            self.put("global g0, g1")
            self.put("g0 = (g0 + 1) % 50")
            self.block(f"if v == {self.rng.randrange(20)}:", lambda: self.put(f"g1 = {self.pick('0.5', '2**64', '7', 'True')}"))
        self.block("def bump(v):", bump)
        self.put("")
        self.globals = ["g0", "g1"]
        for _ in range(self.rng.randrange(1, 4)):
            self.function()
        names = [f[0] for f in self.functions]
        self.put("")
        self.block("for turn in range(5):", lambda: self.turns(names))
        self.module_level()
        return "\n".join(self.lines) + "\n"

    def turns(self, names):
        """Call every function, warm, then compiled."""
        self.put(f"if turn == 2: __hot__(bump, cut, deep, counter, Point.add, Slotted.add, {', '.join(names)})")
        for name, shape, _ in self.functions:
            args = {
                "plain": ["turn, 3", "a=turn, b=turn"], "default": ["turn", "turn, 2"], "star": ["turn, 1", "turn, *range(turn)"],
                "keyword": ["turn", "turn, k=turn"],
            }[shape]
            if self.chance(0.5):
                args = [a.replace("turn", self.pick("turn", "turn * 2**60", "turn + 0.5", "-turn", "turn"), 1) for a in args]
            def attempt():
                self.put(f"print('{name}', {name}({self.rng.choice(args)}))")
            self.block("try:", attempt)
            self.block("except Exception:", lambda: self.put("print(traceback.format_exc())"))

    def module_level(self):
        """Loops of the module itself: only a takeover of the running loop compiles them."""
        self.scope = Scope()
        self.params = []
        self.cost = 1
        self.budget = self.rng.randrange(4, 9)
        self.put("")
        self.declare("i", 2)
        self.declare("f", 1)
        self.declare("l", 1)
        def attempt():
            if self.chance(0.3):
                # Long enough for a sampler to see.
                self.work = WORK // 8
                i = self.name("i")
                self.loop(f"for {i} in range(4000):", 1, [("i", i)])
                self.work = 1
            while self.budget > 0:
                self.budget -= 1
                self.for_()
        self.block("try:", attempt)
        self.block("except Exception:", lambda: self.put("print(traceback.format_exc())"))
        self.put("print(g0, g1, " + ", ".join(v for k in KINDS for v in self.scope.vars[k]) + ")")


def generate(seed):
    """The program of a seed, as text."""
    return Program(seed).write()


if __name__ == "__main__":
    print(generate(int(sys.argv[1])), end="")
