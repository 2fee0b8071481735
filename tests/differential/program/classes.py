"""A family of classes of the program's own, and what is done with their objects."""

# Protocols that all root classes of a program have or none has. Each row: the name, and bodies to choose from.
# N stands for an attribute's name, K for a class of the program.
PROTOCOLS = {
    "add": ("__add__(self, other)", [
        "return type(self)(self.x + other.x, self.y + other.y)", "return K(self.x + other.x)",
        "return K((self.x + other.y) % 1009, self.y) if other.x != 3 else NotImplemented",
        "r = K.__new__(K)\nr.x = self.x - other.y\nr.y = other.x & 255\nreturn r",
    ]),
    "iadd": ("__iadd__(self, other)", ["self.x += other.y\nself.x %= 65537\nreturn self", "return K(other.x, self.y)"]),
    "lt": ("__lt__(self, other)", ["return self.x < other.x", "return (self.x, self.y) < (other.x, other.y)", "return self.y - other.x < 0"]),
    "eq": ("__eq__(self, other)", ["return self.x == other.x", "return isinstance(other, K) and self.y == other.y", "return self is other or self.y == 2"]),
    "getitem": ("__getitem__(self, at)", [
        "return self.x if at == 0 else self.y", "if at > 4:\n    raise IndexError(at)\nreturn self.x + at", "return (self.x, self.y, at)[at % 3]",
    ]),
    "setitem": ("__setitem__(self, at, value)", ["self.x = value % 1009\nself.y = at % 7", "if at % 2:\n    self.y = value & 0xFFFF\nelse:\n    self.x = value & 0xFF"]),
    "len": ("__len__(self)", ["return self.x & 7", "return 3", "return abs(self.y) % 5"]),
    "call": ("__call__(self, n=2)", ["return self.x + n", "self.y = (self.y + n) % 97\nreturn self.y", "return n if n < 3 else self(n // 2) + 1"]),
    "contains": ("__contains__(self, v)", ["return v == self.x", "return v % 3 == 1"]),
    "iter": ("__iter__(self)", ["yield self.x\nyield self.y", "return iter((self.y, self.x, 4))", "for k in range(self.x & 3):\n    yield k + self.y"]),
    "bool": ("__bool__(self)", ["return self.x % 2 == 1", "return self.y > 2"]),
    "neg": ("__neg__(self)", ["return K(-self.x, self.y)", "return -self.x"]),
    "mul": ("__mul__(self, n)", ["return type(self)(self.x * n, self.y)", "return self.x * n + self.y"]),
    "rmul": ("__rmul__(self, n)", ["return n + self.y", "return K(n % 1009, self.x)"]),
    "index": ("__index__(self)", ["return self.x & 1"]),
    "hash": ("__hash__(self)", ["return hash(self.y)", "return self.x & 3"]),
    "setattr": ("__setattr__(self, name, value)", ["object.__setattr__(self, name, value)", "if name == 'y' and value == 13:\n    value = 14\nsuper().__setattr__(name, value)"]),
    "getattr": ("__getattr__(self, name)", ["if name.startswith('z'):\n    return 4\nraise AttributeError(name)", "if name in ('w', 'zz'):\n    return 5\nraise AttributeError('no ' + name)"]),
}
STEPS = [
    "self.x = (self.x + n) % 1009\nreturn self.x", "self.x += n\nif not -2**63 < self.x < 2**63:\n    self.x = 1\nreturn self.y",
    "t = self.x * 3 + self.y - n\nself.y = t & 0xFFFF\nreturn t", "return self.get() + n", "self.put(self.get() + n)\nreturn self.x - self.y",
    "if self.x > self.y:\n    self.x = self.y - n % 11\nelse:\n    self.y = (self.y ^ n) & 255\nreturn self.x + self.y",
    "for k in range(3):\n    self.x = (self.x * 5 + k) % 4099\nreturn self.x", "try:\n    self.x = 100 // (n % 4)\nexcept ZeroDivisionError:\n    self.y = 6\nreturn self.x",
    "a, b = self.y, self.x\nself.x, self.y = a, b\nreturn a + n", "self.count = getattr(self, 'count', 0) + 1 if HASDICT else 3\nreturn self.x + n",
    "return max(self.x, self.y, n)", "self.y = self.x = n & 1023\nreturn self.p",
]
GETS = ["return self.x", "return self.x + self.y", "return self.shared + self.y", "return self.p + 1", "return -self.y if self.x < 5 else self.x"]
PUTS = ["self.x = v\nreturn self", "self.x = v % 10007\nreturn self", "self.x, self.y = v & 0xFFFF, self.x & 0xFF\nreturn self", "self.y = v % 513\nreturn self"]
PROPERTIES = ["return self.x * 2 + 1", "return self.y", "return self.x - self.y if self.x else 7", "return self.shared"]
INITS = [
    "self.x = x\nself.y = y", "self.y = y\nself.x = x", "self.x = self.y = x\nif y != 1:\n    self.y = y & 0xFFFF",
    "self.set(x, y)", "self.x = x % 1009\nself.y = y + 1", "self.x, self.y = x, y",
]
MORE_INIT = ["self.w = y", "if x % 2:\n    self.w = x", "for k in range(34):\n    setattr(self, f'a{k}', k)", "self.w = [x]\nself.v = None", "self.q = 0.5"]


class Classes:
    """Classes that inherit, override, have slots, properties and operators; objects that are passed around."""

    def family(self):
        """The program's classes."""
        rng = self.rng
        # `bool` and `len` make objects false; `getattr` hides attributes that are missing.
        names = [p for p in PROTOCOLS if rng.random() < 0.5]
        if "setattr" in names and rng.random() < 0.7:
            names.remove("setattr")
        if "eq" in names and "hash" not in names:
            names.append("hash")
        self.protocols = set(names)
        for number in range(self.pick(1, 2, 3, 3, 5, 6)):
            self.one_class(f"K{number}", names)

    def one_class(self, name, protocols):
        rng = self.rng
        bases = [c for c in self.classes if rng.random() < 0.5][-1:]
        if len(self.classes) > 2 and rng.random() < 0.15:
            plain = [c for c in self.classes if not c[1]]
            bases = plain[:1] or bases
        base = bases[0] if bases else None
        slots = rng.random() < 0.25 if base is None else base[1]
        own_slots = slots and (base is None or rng.random() < 0.7)
        has_dict = not slots or (base is not None and (base[2] or not own_slots))
        self.put("")
        self.put("")
        def body():
            if own_slots:
                self.put("__slots__ = ('x', 'y', 'w')" if base is None else self.pick("__slots__ = ()", "__slots__ = ('u',)"))
            if base is None or rng.random() < 0.3:
                self.put(f"shared = {self.pick('3', '11', '2**40')}")
            if base is None or rng.random() < 0.5:
                self.initialiser(base, has_dict and not slots)
            if base is None:
                self.method("set(self, x, y)", "self.x = x\nself.y = y")
                self.method("__repr__(self)", "return f'{type(self).__name__}<{self.x!r} {self.y!r}>'")
            for head, bodies in (("get(self)", GETS), ("put(self, v)", PUTS), ("step(self, n=1)", STEPS)):
                if base is None or rng.random() < 0.4:
                    rows = [*bodies, "return super().step(n) + 1", "r = super().step(n)\nself.y = 5\nreturn r"] if base and "step" in head else bodies
                    self.method(head, rng.choice(rows).replace("HASDICT", str(has_dict)))
            if base is None or rng.random() < 0.3:
                self.put("@property")
                self.method("p(self)", rng.choice([r for r in PROPERTIES if "shared" not in r or base is None]))
                self.put("@p.setter")
                self.method("p(self, v)", self.pick("self.y = v", "self.x = v & 1023"))
            if base is None or rng.random() < 0.3:
                self.put("@classmethod")
                self.method("make(cls, n)", self.pick("return cls(n)", "return cls(n, 4)", "cls.shared += 1\nreturn cls(n, y=cls.shared & 63)"))
            if base is None or rng.random() < 0.3:
                self.put("@staticmethod")
                self.method("mix(a, b)", self.pick("return a * 3 + b", "return a if a < b else b"))
            for p in protocols:
                if base is None or rng.random() < 0.25:
                    head, bodies = PROTOCOLS[p]
                    self.method(head, rng.choice(bodies).replace("K", rng.choice([c[0] for c in self.classes] + [name])))
        self.block(f"class {name}{f'({base[0]})' if base else ''}:", body)
        self.classes.append((name, slots, has_dict))

    def initialiser(self, base, has_dict):
        text = self.pick(*INITS)
        if base is not None and self.chance(0.6):
            text = self.pick("super().__init__(x, y)", "super().__init__(x + 1, y)\nself.y = 8", f"{base[0]}.__init__(self, x)")
        if has_dict and self.chance(0.3):
            text += "\n" + self.pick(*MORE_INIT)
        if self.chance(0.15):
            self.method("__new__(cls, *args, **names)", self.pick(
                "return object.__new__(cls)", "o = object.__new__(cls)\no.y = 9\nreturn o", "return super().__new__(cls)",
            ))
        self.method(f"__init__(self, x{self.pick('', '=3')}, y=1{self.pick('', ', *rest')})" .replace("x, y", "x, y"), text)

    def method(self, head, text):
        self.put(f"def {head}:")
        for line in text.split("\n"):
            self.put("    " + line)

    # --- use ---

    def class_name(self):
        return self.rng.choice(self.classes)[0]

    def expr_k(self, depth):
        v = self.var("k")
        i, c = self.expr_i, self.class_name()
        if depth <= 0 and v and self.chance(0.5):
            return v
        rows = [f"{c}({i(1)})", f"{c}({i(1)}, {i(0)})", f"{c}({i(0)}, y={i(0)})", f"{c}.make({i(0)})"]
        if v:
            rows += [f"{v}.put({i(1)})", f"({v} if {self.cond(0)} else {c}({i(0)}))"]
            if "add" in self.protocols:
                rows += [f"({v} + {self.var('k')})", f"({v} + {c}({i(0)}) + {self.var('k')})"]
        if many := self.var("K"):
            rows += [f"{many}[{i(0)} % len({many})]", f"{many}[-1]"]
            if "lt" in self.protocols:
                rows += [f"min({many})", f"sorted({many})[0]"]
        return self.rng.choice(rows)

    def expr_K(self, depth):
        c, q, i = self.class_name, self.name("q"), self.expr_i
        v = self.var("k")
        return self.pick(
            f"[{c()}({i(0)}), {c()}({i(0)}), {v or c() + '(1)'}]", f"[{c()}({q}) for {q} in range({self.pick(3, 6)})]",
            f"[{', '.join(f'{c()}({n})' for n in range(6))}]", f"[kind({q}, {i(0)}) for {q}, kind in enumerate([{c()}, {c()}, {c()}])]",
        )

    def class_i(self, depth):
        """An integer that comes from an object."""
        v, w, c = self.var("k"), self.var("k"), self.class_name()
        i = lambda: self.expr_i(min(depth, 1) - 1)
        if not v:
            v = f"{c}({i()})"
            w = v
        has = self.protocols
        many = self.var("K")
        rows = [
            f"{v}.x", f"{v}.y", f"{v}.x", f"{v}.get()", f"{v}.step({i()} % 1009)", f"{v}.step()", f"{v}.p", f"{v}.shared", f"{c}.shared",
            f"({v}.x - {w}.y)", f"{c}({i()}, {i()}).get()", f"{c}({i()}).x", f"{c}.mix({i()}, {v}.x)", f"{v}.mix({v}.y, {i()})",
            f"getattr({v}, '{self.pick('x', 'y', 'w')}', 3)", f"{v}.put({i()}).y", f"({v} is {w})", f"isinstance({v}, {c})",
            f"{v}.step(n={i()} % 97)", f"{c}.step({v}, 2)" if self.chance(self.risk) else f"type({v}).get({v})",
        ]
        rows += [f"{v}[{i()} % 5]", f"{v}[0]"] * ("getitem" in has)
        rows += [f"len({v})"] * ("len" in has) + [f"{v}()", f"{v}({i()} % 99)"] * ("call" in has)
        rows += [f"({v} < {w})"] * ("lt" in has) + [f"({v} == {w})", f"({v} != {i()})"] * ("eq" in has)
        rows += [f"({i()} in {v})"] * ("contains" in has) + [f"sum({v})", f"max(list({v}), default=2)"] * ("iter" in has)
        rows += [f"({v} + {w}).x"] * ("add" in has) + [f"(4 if {v} else 5)", f"(not {v})"] * ("bool" in has)
        rows += [f"[6, 7][{v}]"] * ("index" in has) + [f"{v}.zz"] * ("getattr" in has)
        if many:
            q = self.name("q")
            rows += [f"sum({q}.x for {q} in {many})", f"sum([{q}.step({i()} % 9) for {q} in {many}])", f"max({q}.get() for {q} in {many})"]
        return self.rng.choice(rows)

    @property
    def class_simple(self):
        return [(6, self.object_change), (2, self.object_fresh), (1, self.many_change)]

    @property
    def class_compound(self):
        return [(4, self.for_objects), (1, self.match_object)]

    def object_change(self):
        if not (v := self.target("k")):
            return
        i, w, has = self.expr_i, self.var("k"), self.protocols
        a, b = self.pick("x", "y"), self.pick("x", "y")
        rows = [
            f"{v}.{a} = {self.bounded(1)}", f"{v}.{a} += {i(1)}", f"{v}.{a} -= {w}.{b}", f"{v}.{a} = {w}.{b}", f"{v}.step({i(1)} % 513)",
            f"{v}.{a} = {v}.{b} + {w}.{a}", f"{v}.put({self.bounded(1)})", f"{v}.p = {i(0)} & 63", f"{v}.{a}, {w}.{b} = {w}.{b}, {v}.{a}",
            f"{v}.w = {i(0)}", f"{v}.{a} *= {self.pick('2', '-1', '3')}", f"{v}.set({self.bounded(0)}, {w}.y)",
        ]
        rows += [f"{v}[{i(0)} % 3] = {self.bounded(0)}"] * ("setitem" in has) + [f"{v} += {w}"] * ("iadd" in has)
        rows += [f"{v} = {v} + {w}"] * ("add" in has) + [f"{v} = -{v}"] * ("neg" in has and self.chance(self.risk))
        rows += [f"{v} = {v} * {i(0)}"] * ("mul" in has and self.chance(self.risk))
        self.put(self.rng.choice(rows))
        self.put(f"if not keeps({v}): {v} = {self.class_name()}({i(0)})")

    def object_fresh(self):
        if v := self.target("k"):
            self.put(f"{v} = {self.expr_k(1)}")
            self.put(f"if not keeps({v}): {v} = {self.class_name()}(2)")

    def many_change(self):
        if v := self.target("K"):
            self.put(self.pick(
                f"{v}.append({self.expr_k(1)})", f"{v}[{self.expr_i(0)} % len({v})] = {self.expr_k(1)}", f"{v}.reverse()", f"{v} = {self.expr_K(1)}",
                f"{v}.sort(key=lambda q: q.y % 7)", f"{v}[0], {v}[-1] = {v}[-1], {v}[0]",
            ))
            self.put(f"{v} = [q for q in {v} if keeps(q)][:7] or [{self.class_name()}(1)]")

    def for_objects(self):
        v = self.var("K")
        if not v or self.work * 7 > 3000:
            return
        o = self.name("o")
        self.loop(f"for {o} in {self.pick(v, v + '[:]', f'reversed({v})', f'list({v})') if self.scope.is_function else v + '[:]'}:", 7, [("k", o)])

    def match_object(self):
        if not (v := self.var("k")):
            return
        def body():
            c = self.class_name
            self.block(f"case {c()}(x={self.pick('1', '2', '3')}):", lambda: self.suite(1))
            self.block(f"case {c()}(x=int() as mx, y=my) if mx > my:", lambda: self.put(f"print(mx, my) if {self.var('i')} % 5 == 1 else None"))
            self.block(f"case {c()}() | {c()}():", lambda: self.suite(1))
            self.block("case _:", lambda: self.suite(1))
        self.block(f"match {v}:", body)
