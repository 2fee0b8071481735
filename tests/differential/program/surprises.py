"""Late surprises: what was assumed changes after code was compiled."""


class Surprises:
    """Rare changes of types, classes, functions and globals, and tools that look on."""

    def late(self, p=0.5):
        """A condition that holds late and seldom."""
        turn = self.pick("turn == 3", "turn == 4", "turn > 2", "turn == 3")
        if self.scope.vars["i"] and self.chance(0.8):
            return f"{turn} and {self.var('i')} % {self.pick('5', '7', '3')} == {self.pick('0', '1', '2')}"
        return turn

    @property
    def surprise_simple(self):
        return [(2, self.value_surprise), (2, self.class_surprise), (2, self.function_surprise), (1, self.global_surprise), (1, self.frame_surprise), (1, self.size_surprise)]

    def attempt(self, text):
        """A surprise that may itself fail."""
        self.block(f"if {self.late()}:", lambda: (
            self.block("try:", lambda: self.put(text)),
            self.block("except Exception as e:", lambda: self.put("print(repr(e))")),
        ))

    def odd(self):
        return self.pick("1.5", "None", "True", "2**70", "'s'", "(1, 2)", "Number(2)", "-2**63", "float('nan')", "2**63 - 1", "[]", "Big(7)", "0.0", "-0.0", "2**31")

    def value_surprise(self):
        """Another type where another was seen."""
        kind = self.pick("i", "f", "l", "m", "d", "o", "k", "K", "t", "s")
        if not (v := self.target(kind)):
            return
        odd = self.odd()
        text = {
            "i": f"{v} = {odd}", "f": f"{v} = {odd}", "l": self.pick(f"{v}[0] = {odd}", f"{v}.append({odd})", f"{v} = Items({v})", f"{v} = tuple({v})", f"{v} = [{odd}] * 4"),
            "m": self.pick(f"{v}[0] = {odd}", f"{v}[-1] = 3", f"{v} = {v}[:3] + [1]"), "d": self.pick(f"{v}['s'] = {odd}", f"{v} = Missing({v})", f"{v}[1] = {odd}", f"{v} = dict({v})"),
            "o": self.pick(f"{v}.x = {odd}", f"{v}.y = {odd}", f"{v}.__dict__ = {{'x': 1, 'y': 2, 'tag': 'd'}}", f"{v}.__class__ = {self.pick('Derived', 'Point', 'Slotted')}", f"{v}.add = lambda n: 7", f"{v}.__dict__['add'] = abs"),
            "k": self.pick(f"{v}.x = {odd}", f"{v}.y = {odd}", f"{v}.__class__ = {self.some_class()}", f"{v}.step = lambda n=1: 6", f"del {v}.x", f"{v}.__dict__ = dict(x=4, y=5)", f"{v}.extra{self.rng.randrange(9)} = 1", f"vars({v}).pop('y')", f"{v} = {odd}"),
            "K": self.pick(f"{v}[0] = {odd}", f"{v}[-1].x = {odd}", f"{v}[0].__class__ = {self.some_class()}", f"{v}.clear()"), "t": f"{v} = ({odd}, 2)", "s": self.pick(f"{v} = Str({v})", f"{v} = 'é' + {v}", f"{v} = '𝄞' * 3"),
        }[kind]
        self.attempt(text)
        if kind in "kK" and self.classes:
            c = self.some_class()
            self.put(f"if not keeps({v}): {v} = {c}(2)" if kind == "k" else f"{v} = [q for q in {v} if keeps(q)] or [{c}(1)]")
        elif kind == "o":
            self.put(f"if not hasattr({v}, 'x') or not hasattr({v}, 'y') or not hasattr({v}, 'tag'): {v} = Point(1)")

    def some_class(self):
        return self.rng.choice(self.classes)[0] if self.classes else "Point"

    def class_surprise(self):
        """A class changes."""
        c = self.some_class()
        d = self.some_class()
        method = self.pick("get", "put", "step") if self.classes else self.pick("add", "swap")
        self.attempt(self.pick(
            f"{c}.{method} = lambda self, n=1: self", f"{c}.{method} = {d}.{method}", f"del {c}.{method}", f"{c}.shared = {self.odd()}", f"{c}.x = {self.pick('5', 'property(lambda self: 9)')}", f"{c}.p = {self.pick('7', 'property(lambda self: self.x)')}",
            f"{c}.__init__ = lambda self, x=1, y=2, *a: self.__dict__.update(x=y, y=x)", f"{c}.__getattr__ = lambda self, name: 3", f"{c}.__add__ = lambda self, other: self", f"{c}.__lt__ = lambda self, other: True", f"{c}.__bases__ = ({d},)", f"{c}.__eq__ = lambda self, other: False",
            f"{c}.__getitem__ = lambda self, at: at", f"{c}.__setattr__ = lambda self, name, value: object.__setattr__(self, name, 1)", f"{c}.fresh{self.rng.randrange(9)} = 1", f"{c}.__len__ = lambda self: 2", f"{c}.__call__ = lambda self, n=1: n", f"{c}.{method} = abs",
            f"{c}.{method} = staticmethod(lambda *a: 8)", f"{c}.__slots__ = ()", f"{c}.__getattribute__ = lambda self, name: object.__getattribute__(self, name)", f"{c}.__new__ = lambda cls, *a, **k: object.__new__(cls)", f"{c}.__del__ = lambda self: print('del', self)",
        ))

    def function_surprise(self):
        """A function gets other code, other defaults, or another function takes its name."""
        names = self.helpers + [f[0] for f in self.functions] + ["bump", "cut"]
        f, g = self.rng.choice(names), self.rng.choice(self.helpers or ["abs"])
        self.attempt(self.pick(
            f"{f}.__code__ = (lambda n, *a, **k: n).__code__", f"{f}.__defaults__ = {self.pick('(2,)', '()', '(1, 2)', 'None')}", f"{f}.__kwdefaults__ = {{'k': 5, 'w': 2}}", f"globals()['{f}'] = {g}", f"globals()['{f}'] = lambda n=1, *a, **k: 3",
            f"{f}.__code__ = {g}.__code__", f"globals().pop('{f}', None)", f"{f}.attribute = 1", f"{f}.__code__ = {f}.__code__.replace(co_name='other')",
        ))

    def global_surprise(self):
        g = self.pick("g0", "g1")
        self.attempt(self.pick(
            f"globals()['{g}'] = {self.odd()}", f"del globals()['{g}']", f"globals()['{self.pick('len', 'abs', 'range', 'isinstance', 'max')}'] = {self.pick('len', 'lambda *a, **k: 3', 'min')}", f"globals().pop('{self.pick('len', 'abs', 'range', 'max')}', None)",
            f"replace_builtin('{self.pick('abs', 'len', 'max', 'sum')}', lambda *a, **k: 4)", "put_back()", f"exec('{g} = {g} + 1', globals())", "globals().update({f'fresh{n}': n for n in range(40)})", f"eval('bump({self.rng.randrange(20)})')",
        ))

    def frame_surprise(self):
        """Somebody looks at the frame, keeps it, or writes its locals."""
        if not self.scope.is_function or not (v := self.target("i")):
            return
        self.attempt(self.pick(
            f"sys._getframe().f_locals['{v}'] = {self.odd()}", "kept.append(sys._getframe())", "print(sorted(locals())[:3], sys._getframe().f_lineno)", "print([f.f_lineno for f in kept[-2:]])", "print(len(kept[-1].f_locals))", "kept.clear()",
            f"locals()['{v}'] = 3", "print(traceback.extract_stack()[-1].lineno)", "gc.collect()", "look_up()", f"set_above('{v}', 5)",
        ))
        self.put(f"if not isinstance({v}, (int, float)): {v} = 4")

    def size_surprise(self):
        """A container changes while it is walked."""
        if self.work > 60:
            return
        i = self.name("i")
        if v := self.target("l"):
            fuel = self.name("fuel")
            self.put(f"{fuel} = 0")
            def body():
                self.put(f"{fuel} += 1")
                self.put(f"if {fuel} > 30: break")
                self.put(f"if {fuel} == {self.rng.randrange(1, 6)}: {self.pick(f'{v}.pop()', f'{v}.append(7)', f'{v}.clear()', f'del {v}[:2]', f'{v}.insert(0, 1)', f'{v}[:] = [1.5, None, 2]', f'{v} = [5]')}")
            head = self.pick(v, f"reversed({v})", f"enumerate({v})", f"zip({v}, {v})", f"iter({v})", f"map(str, {v})")
            self.block(f"for {i} in {head}:", body)
            self.put(f"{v} = [q for q in {v} if isinstance(q, int)]")
            self.put(f"if not 1 < len({v}) < 30: {v} = [1, 2, 3]")
        elif d := self.target("d"):
            def attempt():
                self.block(f"for {i} in {d}:", lambda: self.put(f"if {self.cond(0)}: {self.pick(f'{d}[{i} + 50] = 1', f'{d}.pop({i})', f'{d}[{i}] = 2')}"))
            self.block("try:", attempt)
            self.block("except RuntimeError as e:", lambda: self.put("print(e)"))
            self.put(f"if len({d}) > 15: {d} = {{0: 1, 1: 2}}")

    # --- tools ---

    @property
    def tool_simple(self):
        return [(2, self.tool), (1, self.signal)]

    def tool(self):
        """A tracer, a profiler or a monitor is switched on, or off."""
        if self.work > 200:
            return
        how = self.pick("sys.settrace(tracer)", "sys.settrace(None)", "sys.setprofile(profiler)", "sys.setprofile(None)", "watch(True)", "watch(False)", "sys.settrace(None)", "trace_callers()")
        self.put(f"if {self.late()}: {how}")

    def signal(self):
        if self.work <= 60:
            self.put(f"if {self.late()}: signal.raise_signal(signal.SIGUSR1)")
