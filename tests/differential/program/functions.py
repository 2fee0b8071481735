"""Closures, generators, and the functions and modules that hold everything else."""

from .base import KINDS, SMALL, WORK, Scope
from .prelude import FURTHER, PRELUDE


class Functions:
    """Things with a body of their own."""

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

    def extra_kinds(self):
        """Kinds of variables that a function of this program has besides."""
        kinds = "uc" * ("more" in self.groups) + "kK" * ("classes" in self.groups)
        return [k for k in kinds if self.chance(0.8)]

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
            for kind in self.extra_kinds():
                self.declare(kind, self.pick(1, 2))
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
        self.lines.extend(FURTHER.splitlines())
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
        self.put("")
        self.put("turn = 0")
        if "classes" in self.groups:
            self.family()
        if "more" in self.groups:
            self.write_helpers()
        if "generators" in self.groups:
            self.write_generators()
        if "library" in self.groups:
            self.write_chain()
        for _ in range(self.rng.randrange(1, 4)):
            self.function()
        names = [f[0] for f in self.functions]
        self.put("")
        self.block("for turn in range(5):", lambda: self.turns(names))
        self.module_level()
        return "\n".join(self.lines) + "\n"

    def turns(self, names):
        """Call every function, warm, then compiled."""
        self.put(f"if turn == 2: __hot__(bump, cut, deep, counter, Point.add, Slotted.add, {', '.join(self.warm() + names)})")
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
        for kind in self.extra_kinds():
            self.declare(kind, 1)
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
        self.put("put_back()")
        self.put("print(g0, g1, " + ", ".join(v for k in KINDS for v in self.scope.vars[k]) + ")")
