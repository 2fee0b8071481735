"""What compiled code does by itself: heaps, extremes, walks over texts, ints beyond 64 bits, delegation, instances that come and go."""

# Items of a heap: each row goes together, more or less.
ITEMS = [
    ["{i}", "{i}", "True", "2**70 - {i}", "-2**63"], ["{f}", "0.0", "-0.0", "{i}", "float('nan')"], ["({i}, {i})", "({i},)", "({i}, 'a')", "()", "(2, None)"],
    ["({f}, {i})", "({i}, {f})", "(float('nan'), 1)"], ["{s}", "'b'", "'é'", "'\\U0001f600'"], ["Pair({i}, 3)", "({i}, 2)"], ["Number({i} % 7)", "{i}"], ["[{i}]", "[{i}, 1]"], ["({i}, Number(2))", "({i}, {i})"],
]
WIDE = [
    "V = (V * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF", "V ^= V >> R", "V = (V << R | V >> (64 - R)) & (2**64 - 1)", "V = V * V % 0x1FFFFFFFFFFFFFFF", "V = (V ^ W) * 0x100000001B3 % 2**64",
    "V += W << R", "V -= 2**R * W", "V = -V", "V = ~V", "V = V // 3 - W", "V = V % -(W | 1)", "V = abs(V) >> R % 9", "V = V | W", "V = V & -W", "V = (V + W) * 5 - 2**62", "V = pow(V, 2, 2**61 - 1)", "V = divmod(V, 10**9 + 7)[1] + W",
    "V = int(str(V)) + 1", "V = hash(V) ^ W", "V = V * 3 if V < 2**64 else V - 2**64", "V = int(V / 3.5) if -2**90 < V < 2**90 else 1", "V = sum((V, W, 2**63))", "V = max(V, W, -2**64)", "V = min(V, 2**100)", "V = V + True", "V = V * W",
]


class Library:
    """Statements of the group `library`."""

    def write_chain(self):
        """Generators and coroutines that delegate, each to the one before."""
        for number in range(self.pick(2, 3, 5)):
            self.put("")
            self.put("")
            self.block(f"def chain{number}(n, a=1):", lambda: self.chain_body(number, "yield from chain", "yield "))
            self.put("")
            self.put("")
            self.block(f"async def links{number}(n, a=1):", lambda: self.chain_body(number, "await links", "await Once"))
            self.chains = number + 1
        self.put("")

    def chain_body(self, number, delegate, leaf):
        def inner():
            if number == 0:
                self.block("for k in range(n % 6):", lambda: (self.put(f"got = {leaf}(a + k)"), self.put("if got: a = (a + got) % 4099")))
            else:
                for _ in range(self.pick(1, 1, 2)):
                    self.put(f"a += {delegate}{number - 1}({self.pick('n', 'n - 1', 'n + a % 3')}, {self.pick('a', 'k', '2')})")
                    if self.chance(0.4):
                        self.put(self.pick("k += a", f"{leaf}(k)", "if a % 5 == 3: raise ValueError(a)", "if a % 7 == 2: return k", "k = len(sys._getframe().f_locals)"))
        self.put("k = 2")
        how = self.rng.randrange(5)
        if how == 0:
            self.block("try:", inner)
            self.block(f"except {self.pick('ValueError', 'KeyError', 'Exception')} as e:", lambda: self.put(self.pick("print('in', e)", "a = 4", "raise KeyError(a) from e", f"{leaf}(9)")))
        elif how == 1:
            self.block("try:", inner)
            self.block("finally:", lambda: self.put(self.pick("print('left', n, a)", "a += 1", f"k = {number}")))
        elif how == 2:
            self.block("with Guarded(1):", inner)
        else:
            inner()
        self.put(self.pick("return (a + k) % 1009", "return k", "return a % 513 if a % 2 else 7"))

    @property
    def library_simple(self):
        return [(3, self.heap), (2, self.extremes), (3, self.wide), (3, self.delegate), (2, self.come_and_go), (2, self.pile), (3, self.consume)]

    @property
    def library_compound(self):
        return [(3, self.walk_text), (1, self.walk_bytes)]

    def trips(self, most):
        """How often a loop here may come round, or 0."""
        return 0 if self.work > 60 else self.pick(3, most // 2, most)

    def heap(self):
        v, n = self.target("i"), self.trips(30)
        if not v or not n:
            return
        h, i = self.name("h"), self.name("i")
        items = self.rng.choice(ITEMS)
        item = lambda: self.with_var("i", i, lambda: self.rng.choice(items).format(i=f"({self.expr_i(0)} % 97)", f=self.expr_f(0), s=self.expr_s(0)))
        def body():
            self.put(f"heapq.heappush({h}, {item()})")
            self.put(f"if {i} % {self.pick(3, 4, 7)} == 2: {self.pick(f'heapq.heappush({h}, {item()})', f'heapq.heappushpop({h}, {item()})', f'heapq.heappop({h})', f'heapq.heapreplace({h}, {item()})', f'{h}.sort()')}")
            if self.chance(0.2):
                self.put(f"if {self.late()}: heapq.heappush({h}, {self.pick('None', 'Number(1)', '1.5', '(1,)', '2**65')})")
        def attempt():
            self.block(f"for {i} in range({n}):", body)
            self.block(f"while {h}:", lambda: self.put(f"{v} = ({v} * 3 + len(str(heapq.heappop({h})))) % 4099"))
        self.put(f"{h} = []")
        self.block("try:", attempt)
        self.block("except (TypeError, IndexError) as e:", lambda: self.put(f"print(e, len({h}), {h}[:3])"))

    def extremes(self):
        i, f = self.target("i"), self.target("f")
        n = self.trips(20)
        if not i or not f or not n:
            return
        k = self.name("i")
        arguments = lambda: ", ".join(self.rng.sample([i, f, k, self.expr_i(1), self.expr_f(1), "True", "-0.0", "2**64"], self.pick(2, 2, 3, 4)))
        def body():
            for _ in range(self.pick(1, 2)):
                self.put(f"{self.pick(i, f)} = {self.pick('min', 'max')}({arguments()})")
            if self.chance(0.2):
                self.put(f"if {self.late()}: {f} = min({f}, {self.odd()})")
        self.block("try:", lambda: self.block(f"for {k} in range({n}):", body))
        self.block("except TypeError as e:", lambda: self.put("print(e)"))
        self.put(f"if not isinstance({i}, int): {i} = 5")
        self.put(f"if not isinstance({f}, (int, float)): {f} = 0.5")
        self.clip(i)

    def wide(self):
        v, n = self.target("i"), self.trips(40)
        if not v or not n:
            return
        k, w = self.name("i"), self.name("w")
        self.put(f"{w} = {self.pick('2**63 + 5', '12345', '-2**64', '2**89 - 1', self.expr_i(1))}")
        self.put(f"{v} = {self.pick(v, '2**64 - 59', '-2**63', '88172645463325252')}")
        def body():
            for text in self.rng.sample(WIDE, self.pick(1, 2, 3)):
                # A way back to the number before, so that there is a second wide value.
                self.put(text.replace("R", self.pick("7", "13", "31", "60", f"({k} % 63 + 1)")).replace("V", v).replace("W", self.pick(w, k, "3")))
            if self.chance(0.4):
                self.put(self.pick(f"{w} = {w} + {v} & 2**100 - 1", f"{w}, {v} = {v}, {w}", f"if {v} > {w}: {w} += 1", f"if {v} == {w} + 0.0: {w} -= 1"))
            self.put(f"if not -2**{self.pick(65, 118, 121, 130)} < {v} < 2**{self.pick(64, 119, 128)}: {v} = {v} % {self.pick('97', '2**61 - 1', '2**64')}")
            self.put(f"if not -2**140 < {w} < 2**140: {w} = 3")
        self.block(f"for {k} in range({n}):", body)
        self.put(f"print({v}, {w}, {v} < {w}, {v} & {w}, hash({v}), {v} == float({v} % 2**53))")
        self.clip(v)

    def delegate(self):
        """A chain of generators or coroutines, driven by hand."""
        v = self.target("i")
        if not v or self.work > 60 or not self.chains:
            return
        g, n = self.name("g"), self.rng.randrange(self.chains)
        coroutine = self.chance(0.4)
        self.put(f"{g} = {'links' if coroutine else 'chain'}{n}({self.pick('3', '4', self.expr_i(0) + ' % 5')}, {self.expr_i(0)} % 11)")
        def step():
            how = self.pick("step", "step", "step", "send", "throw", "throw", "close", "look", "drain", "drop")
            return {
                "step": f"{v} = {g}.send(None) or 0", "send": f"{v} += {g}.send({self.pick('None', '2', '5')}) or 0", "throw": f"{v} = {g}.throw({self.pick('ValueError', 'KeyError', 'TypeError')}({self.expr_i(0)} % 9)) or 0",
                "close": f"print({g}.close())", "look": f"print({g}.{'cr' if coroutine else 'gi'}_running, {g}.{'cr_await' if coroutine else 'gi_yieldfrom'} is None, {g}.{'cr' if coroutine else 'gi'}_frame is None or {g}.{'cr' if coroutine else 'gi'}_frame.f_lineno)",
                "drain": f"{v} = drive({g})" if coroutine else f"{v} = sum(x for x in {g} if type(x) is int) % 4099", "drop": f"{g} = {g} if {self.cond(0)} else None",
            }[how]
        def attempt():
            for _ in range(self.rng.randrange(1, 7)):
                self.put(step())
        self.block("try:", attempt)
        self.block("except StopIteration as e:", lambda: self.put("print('value', e.value)"))
        self.block("except Exception as e:", lambda: self.put(self.pick("print(repr(e), repr(e.__cause__), repr(e.__context__))", "print(traceback.format_exc())")))
        self.put(f"if {g} is not None: {g}.close()")
        self.put(f"if not isinstance({v}, int): {v} = 9")
        self.clip(v)

    def come_and_go(self):
        """Instances made and dropped, some of which somebody has an eye on."""
        v, n = self.target("i"), self.trips(30)
        if not v or not n:
            return
        o, i, refs = self.name("o"), self.name("i"), self.name("refs")
        c = self.some_class()
        self.put(f"{refs} = []")
        def body():
            self.put(f"{o} = {self.pick(c, c, 'Point', 'Derived', 'Tracked')}({i})")
            for _ in range(self.pick(1, 2)):
                self.put(self.pick(
                    f"{o}.more = {i}", f"{refs}.append(weakref.ref({o}))", f"{refs}.append(weakref.ref({o}, lambda r: print('dead')))", f"{o}.__dict__['z'] = {o}.__dict__", f"{o}.me = {o} if {i} % 5 == 4 else None", f"{o} = None",
                    f"{o}.__class__ = {self.pick(c, 'Point')}", f"del {o}.x", f"{v} = ({v} + len({o}.__dict__)) % 1009", f"{refs}.append({o}) if {i} % 7 == 3 else 0", f"{v} = ({v} + sys.getrefcount({o})) % 1009", f"{o}.w = [{o}.x]",
                ))
        self.block("try:", lambda: self.block(f"for {i} in range({n}):", body))
        self.block("except (TypeError, AttributeError) as e:", lambda: self.put("print(type(e).__name__)"))
        self.put(f"{o} = None")
        self.put(f"print(sum(isinstance(r, weakref.ref) and r() is None for r in {refs}))")
        self.put(f"{refs}.clear()")

    def consume(self):
        """A generator expression that a builtin consumes at once."""
        v, n = self.target("i"), self.trips(12)
        if not v or not n:
            return
        i, x, y, d = self.name("i"), self.name("x"), self.name("y"), self.var("d") or "{1: 2, 3: 4}"
        li, u = self.var("l") or "[4, 5, 6]", self.var("u") or "{1, 2, 3}"
        one = f"{x} in {self.pick(f'range({i})', 'range(5)', li, u, d, f'{d}.values()', f'{d}.keys()', f'counter({i} % 5)', f'sorted({d})', f'map(abs, {li})', '(7, 2.5, True)', f'Pile({li})', f'Missing({d})', f'reversed({li})')}"
        two = f"{x}, {y} in {self.pick(f'{d}.items()', f'enumerate({li})', f'zip({li}, range(9))', '[(1, 2), (3, 4)]', self.risky('[(1, 2), (3,)]', '((5, 6),)'))}"
        source = self.pick(one, one, two, f"{y} in range({i} % 4) for {one}")
        pair = source != one
        def names(write):
            text = lambda: self.with_var("i", x, write)
            return self.with_var("i", y, text) if pair else text()
        item = names(lambda: self.pick(self.expr_i(1), self.expr_i(2), x, f"{x} * {i}", self.risky(f"7 // ({x} - 2)", x), f"str({x})", f"as_int({x}) % 97", f"{li}.append({x}) or 1 if len({li}) < 9 else {x}", f"{d}.pop({x}, 3)", f"len(sys._getframe().f_locals) + {x}", f"[{x}]", f"{v} + {x}"))
        test = names(lambda: f" if {self.cond(0)}") if self.chance(0.4) else ""
        all_ = f"{item} for {source}{test}"
        text = self.pick(
            f"sum({all_})", f"sum(({all_}), {i})", f"any({all_})", f"all({all_})", f"min(({all_}), default=1)", f"max({all_})", f"len(tuple({all_}))", f"len(set({all_}))", f"len(list({all_}))", f"len(sorted({all_}))", f"sorted(({all_}), key=str)[:1]", f"len(dict(({i}, {item}) for {source}))",
            f"len('-'.join(str({item}) for {source}{test}))", f"len(', '.join({all_}))" if self.chance(self.risk) else f"len(frozenset({all_}))", f"sum(sum({x} for {x}k in range(3)) for {one})", f"max(len([{x}]) for {one})",
        )
        def attempt():
            self.put(f"{v} = as_int({text}) % 65521")
        self.block(f"for {i} in range({n}):", lambda: (self.block("try:", attempt), self.block("except Exception as e:", lambda: self.put(self.pick("print(repr(e))", "print([t.name for t in traceback.extract_tb(e.__traceback__)])", "print(traceback.format_exc())")))))
        self.put(f"print({v}, {d} if len({d}) < 30 else 0)")
        if li[0] != "[":
            self.put(f"{li} = [q for q in {li} if isinstance(q, int)][:9]")
            self.put(f"if len({li}) < 2: {li} = [1, 2, 3]")
        if d[0] != "{":
            self.put(f"if not 1 < len({d}) < 15: {d} = {{0: 1, 1: 2}}")

    def pile(self):
        """A list of a class of its own, which may come to do as it likes."""
        v, n = self.target("i"), self.trips(20)
        if not v or not n:
            return
        p, i, x = self.name("p"), self.name("i"), self.name("x")
        use = lambda: self.pick(
            f"{p}.append({self.expr_i(0)} % 97)", f"{v} = ({v} + len({p})) % 4099", f"{v} += sum({x} for {x} in {p}) % 97", f"{v} ^= {p}.pop() if {p} else 3", f"for {x} in {p}: {v} = ({v} * 3 + {x}) % 4099", f"{p}.top = {i}",
            f"{v} += {i} in {p}", f"for {x}k, {x} in enumerate({p}): {v} = ({v} + {x}k * {x}) % 4099", f"{p}[-1:] = [{i}, 2]", f"{v} = max({p}, default=1)", f"{p} += [{i}]", f"print({p}.count({i}), {p}[1:3])", f"{p} = {kind}({p}[:5])", f"{v} += any({x} > {i} for {x} in {p})",
        )
        kind = self.pick("Pile", "Pile", "Heap", "Items")
        self.put(f"{p} = {kind}()")
        def body():
            for _ in range(self.pick(2, 3, 4)):
                self.put(use())
            if self.chance(0.3):
                self.put(f"if {self.late()}: {self.pick(f'{p}.__class__ = Items', f'{kind}.__len__ = lambda self: 3', f'{kind}.__iter__ = lambda self: iter((1, 2))', f'{p} = list({p})', f'{kind}.__init__ = lambda self, *a: self.extend(a)', f'{kind}.append = lambda self, x: list.append(self, 5)', f'{p} = ({i}, 2)')}")
        self.block("try:", lambda: self.block(f"for {i} in range({n}):", body))
        self.block("except (AttributeError, TypeError, IndexError) as e:", lambda: self.put("print(type(e).__name__)"))
        self.put(f"print({p})")
        self.clip(v)

    def text(self):
        return self.pick(self.var("s") or "'abca'", "'hello x world'", "'aé\\u0100\\U0001f600z'", "'\\ud800a\\udfff'", "''", "'0123456789' * 3", "str(2**70)")

    def walk_text(self):
        if self.work * 30 > 3000 or not (v := self.target("i")):
            return
        c, i, t = self.name("c"), self.name("i"), self.text()
        head, names = self.pick(
            (f"for {c} in {t}:", []), (f"for {i}, {c} in enumerate({t}):", [("i", i)]), (f"for {i}, {c} in enumerate({t}, {self.pick('5', '-2', '2**62')}):", [("i", i)]), (f"for {c}, {i} in zip({t}, range(40)):", [("i", i)]),
            (f"for {c}, {i} in zip({t}, {self.text()}):", []), (f"for {c} in {t}[::-1]:", []), (f"for {c} in reversed({t}):", []), (f"for {c} in sorted({t}):", []),
        )
        def body():
            self.put(self.pick(
                f"{v} = ({v} * 31 + ord({c})) % 65521", f"{v} += {c}.isalpha()", f"if {c} == {self.text()}[:1]: break", f"if '0' <= {c} <= '9': {v} = {v} % 1009 * 10 + int({c})", f"{v} ^= {c} in 'aeé\\ud800'",
                f"{v} = {v} + len({c}.upper()) if {c} > 'b' else 3", f"if {c} not in {t}[1:]: continue", f"{v} += {t}.count({c})",
            ))
            self.clip(v)
        self.loop(head, 30, [("s", c)] + names, body)
        if self.chance(0.3):
            self.put(f"print(ascii({c}))" if "for" in head and self.chance(self.risk) else "pass")

    def walk_bytes(self):
        if self.work * 30 > 3000 or not (v := self.target("i")):
            return
        b, c, fuel = self.name("b"), self.name("i"), self.name("fuel")
        self.put(f"{b} = {self.pick('bytearray', 'bytearray', 'bytes', 'list', 'memoryview')}({self.pick('b' + repr('hello' + chr(92) + 'xff'), 'bytes(range(20))', 'str(2**60).encode()')})")
        self.put(f"{fuel} = 0")
        def body():
            self.put(f"{fuel} += 1")
            self.put(f"if {fuel} > 24: break")
            if self.chance(0.6):
                self.put(f"if {fuel} == {self.rng.randrange(1, 6)} and isinstance({b}, bytearray): {self.pick(f'{b}.append(7)', f'{b}.clear()', f'del {b}[:2]', f'{b}.pop()', f'{b}[0] = 200', f'{b}.reverse()')}")
            self.put(self.pick(f"{v} = ({v} * 33 ^ {c}) % 65521", f"if {c} == {self.pick(104, 255, 0)}: {v} += 1", f"{v} += {b}[{fuel} % 3] if len({b}) > 3 else 1"))
            self.clip(v)
        head = self.pick(f"for {c} in {b}:", f"for {fuel}x, {c} in enumerate({b}):", f"for {c} in zip({b}, {b}):" if self.chance(self.risk) else f"for {c} in {b}:")
        self.block("try:", lambda: self.loop(head, 24, [], body))
        self.block("except TypeError as e:", lambda: self.put("print(e)"))
