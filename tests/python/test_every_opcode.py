"""Every instruction of the running version occurs in a function here, compiled, and gives what it gives plainly."""
# ruff: noqa: E501 (lines of the programs under test)

import dis
import opcode
import types

import pytest

# Instructions that no compiled function can hold: why.
NOT_HERE = {
    "CACHE": "no instruction: room for what instructions remember",
    "RESERVED": "no instruction",
    "INTERPRETER_EXIT": "in the interpreter's own code, when it returns to C",
    "EXIT_INIT_CHECK": "in the interpreter's own code, when an __init__ returns",
    "ENTER_EXECUTOR": "in code that another compiler changed",
    "EXTENDED_ARG": "a prefix: see test_long_arguments",
    "KW_NAMES": "a prefix of CALL (3.12)",
    "DELETE_NAME": "in bodies of classes and modules",
    "LOAD_NAME": "in bodies of classes and modules",
    "STORE_NAME": "in bodies of classes and modules",
    "LOAD_LOCALS": "in bodies of classes",
    "LOAD_FROM_DICT_OR_DEREF": "in bodies of classes",
    "LOAD_FROM_DICT_OR_GLOBALS": "in bodies of classes",
    "SETUP_ANNOTATIONS": "in bodies of classes and modules",
}

PROGRAM = """
import asyncio
from probe import hot

G = 1
H = 2

class Point:
    __match_args__ = ("x", "y")
    def __init__(self, x, y):
        self.x, self.y = x, y

class Base:
    def m(self, a):
        return a
    attribute = 3

class Derived(Base):
    def m(self, a):
        return super().m(a), super().attribute, __class__.__name__
    def other(self, a):
        return super(Derived, self).m(a)

class Ctx:
    def __init__(self, swallow):
        self.swallow = swallow
    def __enter__(self):
        return self
    def __exit__(self, *what):
        return self.swallow
    async def __aenter__(self):
        return self
    async def __aexit__(self, *what):
        return self.swallow

def show(*args, **kw):
    return args, kw

def operators(n):
    r = []
    for i in range(1, n):
        a, b = i, i + 2
        r.append((-a, ~b, not a, a + b, a - b, a * b, a / b, a // b, a % b, a ** 2, a << 1, b >> 1, a & b, a | b, a ^ b, +a))
        a += b; a -= 1; a *= 2; a //= 2; a %= 100; a **= 1; a <<= 1; a >>= 1; a &= 255; a |= 1; a ^= 2
        r.append((a, a < b, a <= b, a == b, a != b, a > b, a >= b, a is b, a is not b, a in [1], a not in (2, 3)))
        a /= 2
        r.append(a if a else b)
        if a is None or b is not None and r:
            r.append(0)
    return r

def containers(n):
    text, data = "abcdef", [5, 6, 7, 8]
    d = {"k": 1, "l": 2, **{"m": n}}
    s = {n, *data}
    t = (*data, n)
    u = [n, *data, *t]
    data[1:2] = [n, n]
    data[0] = 4
    del data[-1]
    x, y = t[:2]
    f, *g, h = t
    r = [v + n for v in data], {v for v in data}, {v: n for v in data}, [n for n in data if n]
    return d, sorted(s), t, u, data[1:], data[::2], text[1:3], x, y, f, g, h, r, f"{n} {n!r:>4} {n!s} {n!a} {text:.2}", ("a" f"{n}"), data[-1], text[n], {n: n, n + 1: n}

def names(n):
    global G, H
    G = n
    H = n
    v = [G, H, len(text) if (text := "xy") else 0]
    del H
    w = n
    del w
    if n > 100:
        w = 1
    try:
        w
    except UnboundLocalError as e:
        v.append(str(e))
    return v

def closures(n):
    k = n
    q = n + 1
    def inner(a, b=n, *, c: int = 3):
        nonlocal k
        k += a + b + c
        return k
    def gone():
        return q
    del q
    try:
        gone()
    except NameError as e:
        k += len(str(e))
    return inner(1) + inner(2, 3, c=4) + (lambda: k)()

def calls(n):
    o = Point(n, 2)
    o.z = 5
    del o.z
    return show(n), show(n, k=1), show(*[n], **{"q": n}), show(n, *(1, 2)), o.x, o.y, Derived().m(n), Derived().other(n), hasattr(o, "z")

def classes(n):
    class C:
        a: int = n
        b = a
        def m(self):
            return self.a
        del b
    return C().m(), sorted(C.__dict__.keys() - {"__firstlineno__", "__static_attributes__"})[:3], C.__annotations__

def patterns(n):
    r = []
    for v in [n, [1, 2, 3], {"k": 1, "z": 2}, Point(1, n), "text", None]:
        match v:
            case int():
                r.append("int")
            case [a, *rest]:
                r.append((a, rest))
            case {"k": k, **rest}:
                r.append((k, rest))
            case Point(1, y=y):
                r.append(y)
            case None:
                r.append(None)
            case _:
                r.append("other")
    return r

def imports(n):
    import os.path
    from collections import OrderedDict
    return os.path.basename("a/b"), OrderedDict(a=n)

def raising(n):
    r = []
    for i in range(n):
        try:
            try:
                assert i % 3, "third"
                if i % 3 == 1:
                    raise ValueError(i)
                raise KeyError(i) from None
            finally:
                r.append("finally")
        except ValueError as e:
            r.append(e.args)
        except (KeyError, AssertionError) as e:
            r.append((type(e).__name__, e.args))
    try:
        raise ExceptionGroup("g", [ValueError(n), TypeError(n)])
    except* ValueError as g:
        r.append(len(g.exceptions))
    except* TypeError as g:
        r.append(len(g.exceptions))
    return r

def withs(n):
    r = []
    for i in range(n):
        with Ctx(True) as c:
            r.append(c.swallow)
            if i % 2:
                raise ValueError(i)
        try:
            with Ctx(False):
                raise KeyError(i)
        except KeyError:
            r.append(i)
    return r

def generator(n):
    for i in range(n):
        sent = yield i
        if sent:
            yield sent
    yield from [1, 2]
    return n

def generators(n):
    g = generator(n)
    r = [next(g), g.send("sent"), *g]
    h = generator(n)
    next(h)
    h.close()
    e = delegating(n)
    next(e)
    try:
        e.throw(KeyError(1))
    except KeyError as k:
        r.append(k.args)
    return r, list(delegating(2)), sum(v for v in range(n))

def delegating(n):
    r = yield from generator(n)
    yield r

async def ticks(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i

async def coroutine(n):
    r = []
    async for i in ticks(n):
        r.append(i)
    async with Ctx(True):
        r.append("with")
        raise ValueError
    return [r, [i async for i in ticks(n) if i], await asyncio.sleep(0, n)]

def coroutines(n):
    c = coroutine(n)
    return asyncio.run(c)

def parameters(n):
    def f[T: int, *Ts, **P](x: T) -> T:
        return x
    type A[U] = list[U]
    return f(n), len(f.__type_params__), A.__name__

def annotated(n):
    x: int = n
    y: str
    return x

def jumps(n):
    i = 0
    while True:
        i += 1
        if i > n:
            break
        for j in range(i):
            if j > 3:
                break
            if j == 2:
                continue
        else:
            i += 0
    return i, n if n is None else -n, None if n is not None else 1, n and i or 0

def shadowed(n):
    x = n
    return [x for x in range(3)], x, [(x := y) for y in range(2)], x

FUNCTIONS = [operators, containers, names, closures, calls, classes, patterns, imports, raising, withs, generators, coroutines, parameters, annotated, jumps, shadowed]
RESUMED = [generator, delegating, ticks, coroutine, Derived.m, Derived.other]
if __name__ == "__main__":
    for f in FUNCTIONS:
        hot(f, 4)
    for f in FUNCTIONS:
        for n in (4, 5, 2):
            print(f.__name__, f(n))
"""


def held(code):
    """The names of the instructions of a code object and of those in it."""
    names = {i.opname for i in dis.get_instructions(code)}
    for c in code.co_consts:
        if isinstance(c, types.CodeType):
            names |= held(c)
    return names


def test_every_instruction_is_in_some_function():
    module = compile(PROGRAM, "program", "exec")
    functions = {n for c in module.co_consts if isinstance(c, types.CodeType) for n in held(c)}
    real = {n for n, number in opcode.opmap.items() if number < 256 and not n.startswith("INSTRUMENTED_")}
    assert real - functions - set(NOT_HERE) == set()


@pytest.mark.parametrize("options", [{}, {"force_exit": 1}, {"force_exit": 3}, {"threshold": 1}])
def test_functions_with_every_instruction(both, options):
    run = both(PROGRAM, **options)
    run.assert_compiled(
        *"operators containers names closures calls classes patterns imports raising withs generators coroutines parameters annotated jumps shadowed".split()
    )


def test_what_is_left_to_the_interpreter_says_so(both):
    run = both(PROGRAM)
    assert any(
        "RERAISE: " in reason or "WITH_EXCEPT_START: " in reason or "raised" in reason
        for reason, _, _ in run.exits("withs")
    ), run.exits("withs")
    assert any("CHECK_EG_MATCH: " in reason or "raised" in reason for reason, _, _ in run.exits("raising")), run.exits(
        "raising"
    )


def test_bodies_that_run_again_and_again(both):
    run = both(
        """
        from probe import hot

        source = '''
        x: int = 1
        total = 0
        for i in range(30):
            name = i
            total += name
            del name
        class C:
            a: int = total
            b = [v for v in range(2)]
            def f(self):
                return self.a
            c = a if a else print
        '''
        import textwrap
        code = compile(textwrap.dedent(source), "body", "exec")
        for n in range(6):
            namespace = {"__builtins__": __builtins__} if n % 2 else {"__builtins__": vars(__import__("builtins"))}
            exec(code, namespace)
            print(namespace["total"], namespace["__annotations__"], namespace["C"].c, namespace["C"].__annotations__, "name" in namespace)
        class Mapping(dict):
            def __missing__(self, key):
                if key == "total":
                    return 5
                raise KeyError(key)
        for n in range(6):
            local = Mapping()
            exec("a = total\\nfor i in range(20): a += i\\ndel i", {}, local)
            print(local)
    """,
        threshold=1,
    )
    assert any(r["kind"] == "loop" and r["entries"] > 0 for r in run.regions("<module>")), run.functions


def test_long_arguments(both):
    run = both("""
        from probe import hot

        names = [f"v{i}" for i in range(300)]
        text = "def f(n):\\n" + "".join(f"    {v} = n + {i + 1000}\\n" for i, v in enumerate(names))
        text += "    r = []\\n    for k in range(3):\\n" + "".join(f"        if {v} % 7 == k: r.append({v})\\n        else: {v} += 1\\n" for v in names)
        text += "    return r, show(" + ", ".join(names) + ")\\n"
        def show(*a):
            return sum(a)
        exec(text)
        hot(f, 1)
        print(f(5), f(6))
    """)
    run.assert_compiled("f")
