"""Expressions, by the kind of their value."""

from .base import BIG, FLOATS, SMALL, STRINGS, WORK


class Expressions:
    """Each method gives the text of one expression."""

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
        if self.chance(0.3) and (text := self.special_i(depth)):
            return text
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

    def special_i(self, depth):
        """An integer by what the program is about, or None."""
        rows = {"more": self.more_i, "classes": self.class_i, "generators": self.generator_i}
        rows = [rows[g] for g in rows if g in self.groups]
        return self.rng.choice(rows)(depth - 1) if rows else None

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
        choice = self.rng.randrange(15)
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
        if choice == 12:
            x, y = self.anything(), self.anything()
            return self.pick(f"{x} == {y}", f"{x} != {y}", f"not {x}", f"bool({x} and {y})", f"({x} or {y}) is None")
        if choice == 13:
            x, name = self.anything(), self.pick("'x'", "'y'", "'real'", "'nothing'")
            return self.pick(f"hasattr({x}, {name})", f"getattr({x}, {name}, None) is None")
        return f"isinstance({a()}, {self.pick('int', 'float', 'bool')})"

    def anything(self):
        """A variable of any kind, or None."""
        return self.var(self.pick("i", "f", "b", "s", "l", "t", "d", "m", "o")) or self.pick("None", "0", "''")

    def expr_s(self, depth):
        v = self.var("s")
        if depth <= 0 or self.chance(0.2):
            return v if v and self.chance(0.6) else self.rng.choice(STRINGS)
        if "more" in self.groups and self.chance(0.5):
            return self.more_s(depth)
        a = lambda: self.expr_s(depth - 1)
        return self.pick(
            f"cut({a()} + {a()})", f"cut({a()} * ({self.expr_i(1)} % 4))", f"str({self.expr_i(1)})", f"{a()}[::-1]",
            f"{a()}[{self.expr_i(0)} % 3:]", f"{a()}.upper()", f"f'{{{self.expr_i(0)}}}|{{{self.expr_f(0)}!r}}'",
            f"'-'.join([{a()}, {a()}])", f"{a()}.replace('a', 'bb')[:20]", f"{a()}[:1]", f"'%s:%d' % ({a()}, 3)",
            f"f'{{{self.expr_i(0)}:>6}}'",
        )

    def expr_l(self, depth):
        v = self.var("l")
        if "more" in self.groups and self.chance(0.4):
            return self.more_l(depth)
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
