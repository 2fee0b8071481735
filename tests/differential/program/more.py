"""Strings, sets, callables, comprehensions, patterns, handlers, recursion: what Python programs are full of."""

HELPERS = [
    # Each takes an integer and gives one.
    "def NAME(n):\n    return n * 2 + 1", "def NAME(n, k=3):\n    return (n ^ k) & 0xFFFF", "def NAME(n, *rest, w=1, **more):\n    return n + len(rest) + w",
    "def NAME(n):\n    if n % 4 == 0:\n        return n // 4\n    return -n", "def NAME(n):\n    t = 0\n    for k in range(n % 7):\n        t += k * n\n    return t",
    "def NAME(n):\n    try:\n        return 1000 // (n % 5)\n    except ZeroDivisionError:\n        return 1", "def NAME(n, seen=[]):\n    seen.append(n)\n    if len(seen) > 9:\n        seen.clear()\n    return len(seen)",
    "@functools.lru_cache(maxsize=8)\ndef NAME(n):\n    return n % 11", "NAME = lambda n: n if n < 10 else 10", "def NAME(n):\n    return NAME(n - 1) + n if 0 < n < 12 else n & 3",
    "@traced\ndef NAME(n):\n    return n + g0", "def NAME(n):\n    global g1\n    g1 = n % 5\n    return g1", "def NAME(n):\n    with Guarded(1):\n        if n % 3 == 0:\n            raise KeyError(n)\n        return n\n    return 2",
    "def NAME(n):\n    try:\n        if n % 2:\n            return n\n        n += 1\n    finally:\n        n = 0\n    return n", "def NAME(n):\n    s = {k % 3 for k in range(n % 5)}\n    return len(s)",
    "def NAME(n):\n    d = dict(a=n, b=2)\n    return d['a'] % 50 + d.get('c', 1)", "def NAME(n):\n    return tree(n % 6)[0]", "def NAME(n):\n    return is_even(n % 13)",
    "def NAME(n):\n    return float(n % 9) / 2", "def NAME(n):\n    return len(f'{n:>5}{n!r}') if n % 7 else None", "def NAME(n):\n    n %= 19\n    while n > 3:\n        n -= 2\n        if n == 5:\n            break\n    else:\n        n = -1\n    return n",
]


class More:
    """Expressions and statements of the group `more`."""

    def write_helpers(self):
        """Small functions, to be called, passed around and replaced."""
        for number in range(self.pick(2, 4, 6)):
            name = f"help{number}"
            self.put("")
            self.put("")
            for line in self.rng.choice(HELPERS).replace("NAME", name).split("\n"):
                self.put(line)
            self.helpers.append(name)
        self.put("")

    def warm(self):
        """Functions to compile besides the program's main ones."""
        names = [h for h in self.helpers if self.chance(0.7)] + self.generators + [f"chain{n}" for n in range(self.chains)]
        return names + [f"{c[0]}.{m}" for c in self.classes for m in ("get", "put", "step", "__init__") if self.chance(0.5)]

    def expr_u(self, depth):
        q = self.name("q")
        i = self.expr_i
        return self.pick(f"{{{i(0)}, {i(0)}, 3}}", f"{{{q} % 5 for {q} in range({self.pick(3, 8)})}}", f"set({self.expr_l(0)})", f"frozenset(({i(0)}, 1))")

    def expr_c(self, depth):
        i = self.expr_i
        rows = [f"adder({i(0)})", "lambda n: n + 1", f"lambda n, k={i(0)}: n - k", "abs", f"functools.partial(pow, 2 + {i(0)} % 3, mod=97)", "int", "len" if self.chance(self.risk) else "bool"]
        rows += [f"accumulator({i(0)})", f"({i(0)} % 64).__add__", "helper_table[0]"] + self.helpers
        if o := self.var("o"):
            rows.append(f"{o}.add")
        if k := self.var("k"):
            rows += [f"{k}.step"] + [k] * ("call" in self.protocols)
        return self.rng.choice(rows)

    def more_i(self, depth):
        """An integer."""
        i = lambda: self.expr_i(min(depth, 1))
        q = self.name("q")
        s, u, c, d, li = (self.var(k) for k in "sucdl")
        s, u, li = s or "'abcab'", u or "{1, 2, 3}", li or "[4, 5, 6]"
        inside = self.with_var("i", q, lambda: self.expr_i(1))
        rows = [
            f"len({s})", f"{s}.find('a')", f"{s}.count({self.expr_s(0)})", f"sum(ord({q}) for {q} in {s}[:9])", f"({s} < {self.expr_s(0)})", f"len({s}.split('-'))",
            f"({i()} in {u})", f"len({u} | {{{i()}}})", f"len({u} & {{1, 2, 5}})", f"sum({u})", f"({u} <= {{1, 2, 3, 4}})", f"{s}.isdigit()", f"{s}.startswith(('a', 'x'))",
            f"sum({inside} for {q} in range(5)) % 10007", f"sum([{inside} for {q} in {li}[:8]]) % 4099", f"len({{{q}: {inside} for {q} in {li}[:6]}})",
            f"max([{i()}, {i()}, 2])", f"min({li}, key=lambda {q}: ({inside}) % 17)", f"sum(map(lambda {q}: {inside}, {li}[:5])) % 513", f"functools.reduce(lambda a, b: (a * 3 + b) % 1009, {li}, {i()})",
            f"pow({i()} % 50, 3, 1009)", f"({i()} % 2**40).bit_length()", f"int('{self.rng.randrange(999)}')", f"int({self.expr_f(0)} > 1.0)", f"[{i()}, {i()}, {i()}][{i()} % 3]",
            f"(lambda *a, k=1: len(a) + k)(*{li}[:4])", f"({i()}, {i()}) > ({i()}, 2)", f"sum(x * y for x, y in zip({li}, range(6))) % 997", f"any({q} > {i()} for {q} in {li})", f"bytes([{i()} & 255, 7])[0]",
            f"sum(1 for {q} in {li} if {q} % 2)", f"operator.add({i()}, 3)", f"math.gcd({i()} % 1000, 12)", f"math.floor({self.expr_f(0)} % 7.5)" if self.chance(self.risk) else "math.floor(2.5)", f"sorted({li}, reverse=True)[0]",
            f"list(itertools.accumulate({li}[:4]))[-1] % 1009", f"tree({i()} % 5)[0]", f"is_even({i()} % 9)", f"ack({i()} % 3, {i()} % 3)", f"({i()} % 2**30).to_bytes(8, 'big')[-1]", f"Pair({i()}, 2).a", f"Rec({i()}).total()",
            f"Color(1 + {i()} % 3).value", f"(Color.RED is Color(1 + {i()} % 3))", f"[{q} for {q} in {li} if {q} != 3][-1:] == []", f"sum([len({q}) for {q} in [{s}, 'x']])", f"len({li}[{i()} % 3:{i()} % 6])", f"{li}[::2][0]",
            f"len([{q} for x in range(3) for {q} in range(x)])", f"({i()} if {s} else {i()})", f"({i()} or {i()})", f"({i()} and {i()} or 3)", f"hash(({i()}, 'a')) % 7", f"len(str({i()}))",
        ]
        if c:
            rows += [f"as_int({c}({i()} % 997))"] * 8
        for h in self.helpers[:3]:
            rows += [f"as_int({h}({i()} % 997))"] * 3
        if d:
            rows += [f"sum({d}.values()) % 1009", f"max({d})", f"len({{**{d}, 7: {i()}}})", f"sum({q} for {q} in {d})", f"({i()} in {d})", f"sum(a + b for a, b in {d}.items()) % 1013"]
        return self.rng.choice(rows)

    def more_l(self, depth):
        q, i, li = self.name("q"), self.expr_i, self.var("l") or "[3, 1, 2]"
        e = self.with_var("i", q, lambda: self.bounded(1))
        return self.pick(
            f"[{e} for {q} in {li} if {q} > 1][:9]", f"sorted({{{e} for {q} in range(5)}})", f"[*map({self.var('c') or 'abs'}, range(4))]", f"list(zip(*[range(3), range(3)]))[0] and [{i(0)}, 2]", "[x + y for x in range(3) for y in range(2)]",
            f"list(dict.fromkeys({li}))", f"{li}[1:] + {li}[:1]", f"{li}[::-1]", f"[[{e} for {q} in range(3)][{i(0)} % 3] for x in range(4)]", f"sorted({li}, key=lambda {q}: -{q})", f"[{q} for {q} in itertools.islice(itertools.count({i(0)} % 9), 5)]",
            f"Items([{i(0)}, {self.bounded(1)}, 5])" if "subclasses" in self.groups else "[7, 8, 9]", f"list(filter(lambda {q}: {q} % 3, {li})) + [1, 2]", f"list({self.expr_u(0)}) + [{i(0)}]", f"[({q} := {e}) for {q}x in range(3)]".replace(f"{q}x", "w"),
        )

    def more_s(self, depth):
        a, i = (lambda: self.expr_s(depth - 1)), self.expr_i
        q = self.name("q")
        return self.pick(
            f"''.join({q} for {q} in {a()} if {q} != 'a')", f"''.join([chr(97 + {q} % 26) for {q} in {self.var('l') or '[1, 2]'}[:9]])", f"{a()}.split('b')[0]", f"{a()}.title()", f"'{{}}/{{}}'.format({i(0)}, {a()})", f"{a()}.zfill(4)[:9]",
            f"{a()}.strip('x')", f"{a()}[{i(0)} % 5:{i(0)} % 9]", f"({a()} or 'empty')", f"max({a()}, {a()})", f"f'{{{self.expr_f(0)}:.3g}}'", f"repr({a()})[:12]", f"''.join(sorted({a()}))", f"{a()}.partition('-')[2]", f"str({self.expr_t(0)})[:15]",
            f"type({self.var('i') or '1'}).__name__", f"'yes' if {self.cond(0)} else 'no'", f"'%5.1f' % {self.expr_f(0)}", f"{a()}.encode().hex()[:8]", f"{a()}.center(7, '*')[:14]", f"''.join(reversed({a()}))", f"{a()}.translate({{97: 'Z'}})",
        )

    @property
    def more_simple(self):
        return [(2, self.set_change), (2, self.callable_change), (2, self.unpack), (1, self.string_build), (1, self.slices), (1, self.assert_)]

    @property
    def more_compound(self):
        return [(2, self.nested_try), (2, self.match_shapes), (1, self.for_pairs), (1, self.group), (1, self.with_two), (1, self.local_function), (2, self.for_else), (1, self.deep_raise)]

    def set_change(self):
        if v := self.target("u"):
            i = self.expr_i
            self.put(f"{v} = set({v})")
            self.put(self.pick(f"{v}.add({self.bounded(1)})", f"{v}.discard({i(0)})", f"{v} |= {{{i(0)}, 2}}", f"{v} -= {{{i(0)}}}", f"{v} ^= {{1, {i(0)}}}", f"{v} = {v} & {{1, 2, 3, {i(0)}}}", f"{v}.remove({i(0)})" if self.chance(self.risk) else f"{v}.update(range(3))"))
            self.put(f"if len({v}) > 20: {v}.clear()")

    def callable_change(self):
        if v := self.target("c"):
            self.put(f"{v} = {self.expr_c(1)}")

    def unpack(self):
        a, b = self.target("i"), self.target("i")
        if a and b and (li := self.var("l")):
            self.put(self.pick(f"{a}, *rest_, {b} = {li}", f"({a}, {b}), _ = ({self.expr_i(0)}, 3), 4", f"[{a}, *_] = {li}", f"{a}, {b} = {li}[:2]", f"{a}, ({b}, _) = 1, ({self.expr_i(1)}, 2)", f"for {a} in {li}[:3]: pass"))
            self.clip(a)
            self.clip(b)

    def string_build(self):
        if v := self.target("s"):
            q = self.name("q")
            n = self.pick(5, 20)
            if self.work * n > 3000:
                return
            self.block(f"for {q} in range({n}):", lambda: self.put(self.pick(f"{v} += str({q} % 10)", f"{v} = {v} + 'ab'[{q} & 1]", f"{v} += {v}[:1]")))
            self.put(f"{v} = cut({v})")

    def slices(self):
        if v := self.target("l"):
            i = self.expr_i
            self.put(self.pick(f"{v}[::2] = [{i(0)}] * len({v}[::2])", f"del {v}[{i(0)} % 3:{i(0)} % 5]", f"{v}[1:1] = [{i(0)}]", f"{v}[:] = {v}[::-1]", f"{v} = {v}[-3:] + [{i(0)}]", f"{v}.sort()", f"{v} *= 2"))
            self.put(f"if not 1 < len({v}) < 30: {v} = [{i(0)}, 2, 3]")

    def assert_(self):
        self.put(f"assert {self.cond(0)} or {self.risky(self.cond(0), 'True')}, {self.expr_i(0)}")

    def nested_try(self):
        """Handlers in handlers; returns, breaks and raises on the way out."""
        error = lambda: self.pick("ValueError(1)", "KeyError('k')", "IndexError", "TypeError('t')", "ArithmeticError(2)")
        quiet = f"if {self.var('i')} % 11 == 0: " if self.work > 60 and self.scope.vars["i"] else ""
        def inner():
            self.block("try:", lambda: (self.suite(1), self.put(f"if {self.cond(1)}: raise {error()}")))
            def handler():
                self.put(f"{quiet}print(type(e).__name__, type(e.__context__).__name__)")
                how = self.pick("raise", f"raise {error()} from e", f"raise {error()}", f"raise {error()} from None", "pass", "e = 3", "del e")
                self.put(how if how in ("pass", "e = 3", "del e") else f"if {self.cond(0)}: {how}")
            self.block(f"except {self.pick('ValueError', 'LookupError', 'Exception', '(TypeError, KeyError)')} as e:", handler)
            if self.chance(0.5):
                before = self.scope.in_finally
                self.scope.in_finally = True
                self.block("finally:", lambda: self.suite(1))
                self.scope.in_finally = before
        self.block("try:", inner)
        text = self.pick("print(repr(e), repr(e.__cause__), repr(e.__context__))", "print(traceback.format_exc())", "print(e.args)", "print(sys.exc_info()[2].tb_lineno)", "print(len(traceback.extract_tb(e.__traceback__)))")
        self.block("except Exception as e:", lambda: self.put(quiet + text))

    def match_shapes(self):
        v = self.target("i")
        if not v:
            return
        subject = self.pick(self.var("l") or "[1, 2]", self.var("t") or "(1, 2)", self.var("d") or "{1: 2}", f"[{self.expr_i(0)}, ({self.expr_i(0)}, 'a')]", f"{{'k': {self.expr_i(1)}, 'w': 2}}", self.expr_i(1), self.expr_s(0), f"Pair({self.expr_i(0)}, 3)", f"Rec({self.expr_i(0)}, 2)")
        cases = ["[a_, b_]", "[a_, *b_]", "(a_, (b_, 'a'))", "[1, a_, *_] as b_", "{'k': a_, **b_}", "{1: a_}", "int(a_)", "str() as a_", "Pair(a_, 3)", "Rec(x=a_, y=2)", "None | True", "[[a_, *_], *_]", "0 | 1 | 2", "'a' | 'bc'", "{'k': int(a_), 'w': 2}", "-1", "[] | ()"]
        def body():
            for case in self.rng.sample(cases, 3):
                text = f"{v} = as_int(a_) % 1009" if "a_" in case else f"{v} = {self.rng.randrange(50)}"
                self.block(f"case {case}{self.pick('', '', f' if {self.cond(0)}')}:", lambda: self.put(text))
            self.block("case _:", lambda: self.suite(1))
        self.block(f"match {subject}:", body)

    def for_pairs(self):
        li = self.var("l") or "[4, 5, 6]"
        if self.work * 12 > 3000:
            return
        i, k = self.name("i"), self.name("k")
        head = self.pick(
            f"for {i}, {k} in zip({li}[:12], range(50)):", f"for {i}, {k} in enumerate({li}[:12], 2):", f"for {i}, {k} in sorted(dict(enumerate({li}[:12])).items()):", f"for {i}, ({k}, _) in enumerate(zip({li}[:9], {li})):",
            f"for {i}, {k} in itertools.product({li}[:3], range(3)):", f"for {k}, {i} in [(1, 2), (3, 4.5), (5, None)][:2]:", f"for {i}, {k} in zip(reversed({li}[:12]), itertools.count()):", f"for {i}, *{k}s in [(1, 2, 3), (4,), {li}[:3]]:",
        )
        names = [("i", i)] + ([("i", k)] if "*" not in head else [])
        self.loop(head, 12, names)

    def group(self):
        if self.work > 60:
            return
        e = lambda: self.pick("ValueError(1)", "KeyError('k')", "TypeError('t')")
        self.block("try:", lambda: self.put(f"if {self.cond(1)}: raise ExceptionGroup('g', [{e()}, {e()}])"))
        self.block("except* ValueError as e:", lambda: self.put("print('v', e.exceptions)"))
        self.block("except* (KeyError, TypeError) as e:", lambda: (self.put("print('k', e.exceptions)"), self.suite(1)))

    def with_two(self):
        if self.work > 100:
            return
        def body():
            self.suite(1)
            if self.chance(0.5):
                self.put(f"if {self.cond(1)}: raise {self.pick('ValueError(1)', 'KeyError(2)')}")
            if self.scope.in_loop and not self.scope.in_finally and self.chance(0.3):
                self.put(f"if {self.cond(0)}: {self.pick('break', 'continue')}")
        self.block(self.pick("with Guarded(1) as w1, Guarded(0) as w2:", "with managed('m') as w1:", "with contextlib.suppress(ValueError, KeyError):", "with Guarded(1), managed(2):", "with Guarded(0):"), body)

    def local_function(self):
        """A closure over variables that go on changing."""
        v = self.target("i")
        if not v or not self.scope.is_function or self.work > 60 or v in self.params:
            return
        f, i = self.name("inner"), self.name("i")
        how = self.rng.randrange(4)
        if how == 0:
            self.put(f"{f} = lambda n={self.expr_i(0)}: (n + {v}) % 4099")
        elif how == 1:
            self.put(f"{f} = [lambda k=k: k * {v} % 4099 for k in range(3)][{self.expr_i(0)} % 3]")
        elif how == 2:
            self.block(f"def {f}(n=2, *a, deep_=0):", lambda: self.put(f"return n % 7 + {v} if deep_ > 3 else {f}(n, *a, deep_=deep_ + 1) + 1"))
        else:
            def body():
                self.put(f"nonlocal {v}")
                self.block("def most():", lambda: (self.put(f"nonlocal {v}"), self.put(f"{v} = ({v} + n) % 1009"), self.put(f"return {v}")))
                self.put("return most() + most()")
            self.block(f"def {f}(n=1):", body)
        def loop():
            self.put(f"{v} = ({v} + {f}({self.pick('', i)})) % 65521")
        self.block(f"for {i} in range({self.pick('3', '9', '30')}):", loop)

    def for_else(self):
        """Two nested loops, the inner one left from inside handlers."""
        if self.work * 40 > 3000 or not (v := self.target("i")):
            return
        i, k = self.name("i"), self.name("k")
        def inner():
            def attempt():
                self.put(f"if ({i} + {k}) % {self.pick('3', '5')} == 0: {self.pick('continue', 'break', 'raise KeyError(' + k + ')')}")
                self.put(f"{v} = ({v} + {self.with_var('i', k, lambda: self.expr_i(1))}) % 10007")
            self.block("try:", attempt)
            self.block("except KeyError as e:", lambda: self.put(self.pick("continue", "break", f"{v} += e.args[0]", "pass")))
            if self.chance(0.5):
                self.block("finally:", lambda: self.put(f"{v} ^= 1"))
        def outer():
            self.block(f"for {k} in range({i}, {i} + {self.pick(4, 7)}):", inner)
            self.block("else:", lambda: self.put(f"{v} += 2"))
        self.block(f"for {i} in range({self.pick(3, 5)}):", outer)
        self.clip(v)

    def deep_raise(self):
        if self.work > 100:
            return
        self.block("try:", lambda: self.put(f"fall({self.expr_i(0)} % 5, {self.expr_i(0)} % 3)"))
        self.block("except LookupError as e:", lambda: self.put(self.pick("print([f.lineno for f in traceback.extract_tb(e.__traceback__)])", "print(repr(e), e.__notes__ if hasattr(e, '__notes__') else 0)")))
