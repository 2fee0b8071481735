"""Generators, coroutines and what consumes them."""


class Generators:
    """Generator functions of the program's own, entered, left, thrown into, closed and dropped."""

    def write_generators(self):
        """Some generator functions, later ones over earlier ones."""
        for number in range(self.pick(1, 2, 3, 4)):
            name = f"gen{number}"
            self.put("")
            self.put("")
            self.block(f"def {name}(n, a=1):", lambda: self.generator_body(number))
            self.generators.append(name)
        self.put("")
        self.put("")
        self.block("async def co(n, a=1):", self.coroutine_body)
        self.put("")

    def generator_body(self, number):
        step = self.pick("a + k", "a * k", "(a, k)[k & 1]", "a - k if k % 3 else a", "k + 0.5 if k == 4 else k", "(a := a + k) % 1009")
        how = self.rng.randrange(8)
        if how == 0 and number:
            self.put(f"r = yield from gen{number - 1}(n, a)")
            self.put("yield 7 if r is None else r")
            self.put(self.pick("return n", "return a", "yield 8"))
        elif how == 1:
            def cleanup():
                self.block("try:", lambda: self.block("for k in range(n):", lambda: self.put(f"yield {step}")))
                self.block("finally:", lambda: self.put(self.pick("print('left', n, a)", "print('left', n)", "a = 3")))
            cleanup()
        elif how == 2:
            def body():
                self.block("try:", lambda: (self.put(f"got = yield {step}"), self.put("if got: a += got")))
                self.block("except ValueError as e:", lambda: self.put(self.pick("print('thrown', e)", "a = 5", "print(e); return")))
            self.block("for k in range(n):", body)
        elif how == 3:
            self.put("k = 0")
            self.block("while k < n:", lambda: (self.put(f"yield {step}"), self.put(self.pick("k += 1", "k = k + 2"))))
            self.put("return 11")
        elif how == 4:
            self.put("x, y = a, 1")
            self.block("for k in range(n):", lambda: (self.put("x, y = y, (x + y) % 65537"), self.put("if y % 2: yield y"), self.put("else: yield x")))
        elif how == 5:
            self.put("items = list(range(n))")
            self.block("for k in items:", lambda: (self.put("if k == 2: items.append(9) if len(items) < 12 else None"), self.put(f"yield {step}")))
        elif how == 6:
            self.block("for k in range(n):", lambda: self.block("for j in range(k & 3):", lambda: self.put("yield k * j + a")))
        else:
            self.block("with Guarded(1):", lambda: self.block("for k in range(n):", lambda: self.put(f"yield {step}")))

    def coroutine_body(self):
        self.put("t = 0")
        def body():
            self.put(self.pick("t += await once(k + a)", "t = (t + await once(a)) % 1009", "t += await once(k) if k % 2 else 1"))
        self.block("for k in range(n):", body)
        if self.chance(0.5):
            self.block("async with AGuarded() as v:", lambda: self.put("t += v"))
        if self.chance(0.5):
            self.block("async for k in aiter_of(n):", lambda: self.put("t += k"))
        self.put("return t")

    def source(self, n):
        """An expression for an iterator of at most `2 * n + 4` integers."""
        g, a, q = self.rng.choice(self.generators), self.expr_i(0), self.name("q")
        return self.pick(
            f"{g}({n}, {a})", f"{g}({n})", f"({q} + {a} for {q} in range({n}))", f"({q} for {q} in {g}({n}) if {q} % 2)", f"map(abs, {g}({n}, {a}))",
            f"filter(None, {g}({n}))", f"({q} * {q} for {q} in {g}({n}, {a}))", f"zipped({g}({n}), {g}({n}, {a}))",
        )

    def generator_i(self, depth):
        s = self.source(self.pick("3", "5", "9", f"({self.expr_i(0)} % 6)"))
        return self.pick(
            f"sum({s})", f"max({s}, default=1)", f"len(list({s}))", f"next({s}, 2)", f"any({s})", f"all({s})", f"len({{*{s}}})", f"(3 in {s})",
            f"sum(x for x in {s})", f"sorted({s})[:1][0]" if self.chance(self.risk) else f"sum(sorted({s}))", f"min([*{s}, 4])", f"drive(co({self.pick('3', '5')}, {self.expr_i(0)}))",
        )

    @property
    def generator_simple(self):
        return [(3, self.step_by_step), (1, self.unpack_source)]

    @property
    def generator_compound(self):
        return [(5, self.for_source), (1, self.local_generator)]

    def for_source(self):
        n = self.pick(3, 6, 12, 40)
        trips = 3 * n + 4  # A nest in a generator yields up to three times its turns.
        if self.work * trips > 3000:
            return
        i = self.name("i")
        self.loop(f"for {i} in {self.source(n)}:", trips, [("i", i)], lambda: self.put(f"if not isinstance({i}, int): {i} = 3"))

    def step_by_step(self):
        if not (v := self.target("i")) or self.work > 100:
            return
        g, i = self.name("g"), self.expr_i
        self.put(f"{g} = {self.rng.choice(self.generators)}({self.pick('3', '6')}, {i(0)})")
        self.put(f"{v} = next({g}, 0)")
        for _ in range(self.rng.randrange(1, 4)):
            how = self.pick("next", "send", "throw", "close", "drop", "frame", "list")
            text = {
                "next": f"{v} += next({g}, 1)", "send": f"{v} += {g}.send({self.pick('None', '2', '5')}) or 0", "throw": f"{v} = {g}.throw(ValueError({i(0)}))",
                "close": f"print({g}.close())", "drop": f"{g} = iter(())", "frame": f"print({g}.gi_running if hasattr({g}, 'gi_frame') else 0)", "list": f"{v} = len([*{g}])",
            }[how]
            self.block("try:", lambda: self.put(text))
            self.block("except (StopIteration, ValueError, AttributeError, TypeError) as e:", lambda: self.put("print(repr(e))"))
        if self.chance(0.5):
            self.put(f"{g} = None")
        self.put(f"if not isinstance({v}, int): {v} = 9")
        self.clip(v)

    def unpack_source(self):
        a, b = self.target("i"), self.target("i")
        if a and b and self.work <= 100:
            def attempt():
                self.put(self.pick(f"{a}, {b}, *_ = {self.source(4)}", f"{a}, {b} = {self.source(2)}", f"*_, {b} = {self.source(3)}"))
            self.block("try:", attempt)
            self.block("except ValueError as e:", lambda: self.put("print(e)"))
            for v in (a, b):
                self.put(f"if not isinstance({v}, int): {v} = 3")
                self.clip(v)

    def local_generator(self):
        """A generator that shares a variable with the function around it."""
        v = self.target("i")
        if not v or not self.scope.is_function or self.work > 30 or v in self.params:
            return
        g, i = self.name("lg"), self.name("i")
        def body():
            self.put(f"nonlocal {v}")
            self.block(f"for k in range({self.pick('4', '20')}):", lambda: (self.put(f"{v} = ({v} + k) % 1009"), self.put(self.pick(f"yield {v}", "yield k", f"if k & 1: yield {v} + k"))))
        self.block(f"def {g}():", body)
        self.block(f"for {i} in {g}():", lambda: self.put(f"{v} = ({v} * 3 + {i}) % 4099"))
