"""Statements: changes of values, loops, handlers."""

from .base import ERRORS, WORK


class Statements:
    """Each method writes one statement, or nothing where none fits."""

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
        if "more" in self.groups:
            simple += self.more_simple
            compound += self.more_compound
        if "classes" in self.groups:
            simple += self.class_simple
            compound += self.class_compound
        if "generators" in self.groups:
            simple += self.generator_simple
            compound += self.generator_compound
        if "surprises" in self.groups:
            simple += self.surprise_simple
        if "tools" in self.groups:
            simple += self.tool_simple
        if "library" in self.groups:
            simple += self.library_simple
            compound += self.library_compound
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
