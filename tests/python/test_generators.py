"""Generators and coroutines that are resumed natively, and rows of them that delegate."""

import textwrap

import pytest
from harness import both_early, resumptions


def test_counting(early):
    """Locals and operands survive each suspension; what ends the generator ends it."""
    run = early("""
        def count(n, step):
            i = 0
            while i < n:
                yield i
                i += step

        def pairs(a):
            for k, x in enumerate(a):
                yield k, x * 0.5
            return "end"

        def use(n):
            total = 0
            for x in count(n, 3):
                total += x
            return total

        for _ in range(20):
            total = use(50)
            out = list(pairs(range(10)))
        print(total, out, sum(count(10**6, 10**5)), max(count(5, 1)), ",".join(str(x) for x in count(9, 2)))
        g = pairs([1])
        next(g)
        try:
            next(g)
        except StopIteration as e:
            print(e.value, list(g), g.gi_frame)
        print(sum(count(2**63 + 5, 2**61)))
    """)
    assert resumptions(run, "count") > 100
    assert resumptions(run, "pairs") > 50


@pytest.mark.parametrize("guard", range(1, 13))
def test_each_guard_left(tmp_path, guard):
    """Wherever a generator's machine code is left, the interpreter goes on just there."""
    text = """
        import probe

        class P:
            def __init__(self, x):
                self.x = x

        def g(a, t):
            for k, p in enumerate(a):
                if p.x % 2:
                    t += p.x * 0.5
                    yield (k, t, p.x)
                else:
                    n = yield p.x
                    t -= len(a) if n is None else n
            return t

        def use(a):
            out = []
            r = yield from g(a, 1.0)
            out.append(r)
            for x in g(a, 0.0):
                out.append(x)
            yield out

        a = [P(i * 7 % 5) for i in range(9)]
        for _ in range(12):
            out = list(use(a))
            it = g(a, 0.5)
            out += [next(it), it.send(None), it.send(None), next(it)]
        print(out)
    """
    run = both_early(tmp_path, text, force_exit=guard)
    assert resumptions(run, "g") > 0 or not run.regions("g")


GENEXPRS = [
    "sum(x * x for x in a)",
    "any(x > 1000 for x in a)",
    "all(x < 1000 for x in a)",
    "sorted(-x for x in a)",
    "dict((x, x + 1) for x in a)",
    "tuple(x for x in a if x & 1)",
    "set(x // 3 for x in a)",
    "min((x ^ 5 for x in a), default=None)",
    "','.join(str(x) for x in a)",
    "list(y for x in a for y in (x, -x))",
]


# Compiled code has no generator there: see test_consumed.
IN_PLACE = ("sum", "any", "all", "tuple", "set", "sorted", "dict", "list", "','.join")


@pytest.mark.parametrize("text", GENEXPRS)
def test_consumed_by_builtins(early, text):
    """Generator expressions that builtins consume, with ints, then floats, then something that raises."""
    run = early(f"""
        def f(a):
            return {text}

        ints = list(range(40))
        for _ in range(30):
            first = f(ints)
        print(first)
        for odd in ([0.5, 1.25], [True, 2**70, 3], [], [1, "x", 2], [None], range(3), (5, 6)):
            try:
                print(f(odd))
            except Exception as e:
                tb = e.__traceback__
                lines = []
                while tb:
                    lines.append((tb.tb_frame.f_code.co_name, tb.tb_lineno))
                    tb = tb.tb_next
                print(type(e).__name__, e, lines)
        print(f(ints) == first)
    """)
    if text.split("(")[0] not in IN_PLACE:
        assert resumptions(run, "f.<locals>.<genexpr>") > 200


def test_half_consumed_and_closed(early):
    """close() runs `finally` where the generator stands; so does letting it go."""
    run = early("""
        def g(log, n):
            try:
                for i in range(n):
                    yield i
            finally:
                log.append(("closed", i))

        def use(log, stop):
            it = g(log, 100)
            total = 0
            for x in it:
                total += x
                if x == stop:
                    break
            it.close()
            return total, next(it, "over")

        log = []
        for _ in range(30):
            a = use(log, 40)
        print(a, log[-1], len(log))
        it = g(log, 10)
        print(sum(1 for _ in zip(range(5), it)), it.gi_frame.f_locals, it.gi_frame.f_lineno)
        print(it.gi_running, it.gi_suspended)
        del it
        print(log[-1], len(log))
    """)
    assert resumptions(run, "g") > 500


def test_thrown_into_and_sent_to(early):
    """throw() and send() find the generator as the interpreter would have left it."""
    run = early("""
        def g():
            got = []
            n = 0
            while True:
                try:
                    x = yield n
                    got.append(x)
                except ValueError as e:
                    got.append(str(e))
                n += 1
                if n == 30:
                    return got

        for _ in range(10):
            it = g()
            out = [next(it) for _ in range(12)]
            out.append(it.throw(ValueError("a")))
            out += [next(it), it.send("b"), next(it)]
            try:
                for x in it:
                    out.append(x)
                    if x == 20:
                        it.send("c")
                out.append("end")
                it.throw(KeyError)
            except KeyError as e:
                out.append((type(e), e.__traceback__.tb_lineno))
        print(out)
    """)
    assert resumptions(run, "g") > 50


def test_raising_inside(early):
    """Tracebacks, contexts, and StopIteration that becomes a RuntimeError."""
    run = early("""
        import traceback

        def g(a, odd):
            for x in a:
                if x == odd:
                    raise StopIteration(x)
                yield 10 // x

        def outer(a, odd):
            yield from g(a, odd)
            yield "after"

        def use(a, odd):
            return list(outer(a, odd))

        for _ in range(30):
            use(range(1, 30), -1)
        for a, odd in ((range(1, 5), 3), ((3, 2, 1, 0), 9), ((1, "a"), 9)):
            try:
                use(a, odd)
            except Exception:
                print("".join(traceback.format_exc().splitlines(True)[3:]))
        print(use((5, 2), 9))
    """)
    assert resumptions(run, "g") > 100


TREE = """
    class Tree:
        def __init__(self, left, value, right):
            self.left, self.value, self.right = left, value, right

        def __iter__(self):
            if self.left:
                yield from self.left
            yield self.value
            if self.right:
                yield from self.right

    def tree(values):
        if not values:
            return None
        i = len(values) // 2
        return Tree(tree(values[:i]), values[i], tree(values[i + 1:]))
"""


def test_trees(early):
    """Rows of generators that delegate: values, what they return, exceptions, frames seen from the innermost."""
    early(
        textwrap.dedent(TREE)
        + textwrap.dedent("""
    import sys

    t = tree(list(range(200)))
    for _ in range(5):
        print(sum(t), list(t) == list(range(200)))

    class Looks:
        def __bool__(self):
            f, out = sys._getframe(), []
            while f:
                out.append((f.f_code.co_name, f.f_lineno, f.f_code.co_name == "__iter__" and f.f_locals["self"].value))
                f = f.f_back
            print(out)
            return False

    class Raises:
        def __bool__(self):
            raise KeyError("here")

    node = t
    while node.left:
        node = node.left
    node.right = Looks()
    print(sum(t))
    node.right = Raises()
    try:
        sum(t)
    except KeyError as e:
        tb, out = e.__traceback__, []
        while tb:
            out.append((tb.tb_frame.f_code.co_name, tb.tb_lineno, tb.tb_lasti > 0))
            tb = tb.tb_next
        print(out)

    def inner(n):
        for i in range(n):
            got = yield i
            if got:
                return got
        return n

    def middle(n):
        a = yield from inner(n)
        b = yield from inner(n + 1)
        return a, b

    def outer(n):
        yield (yield from middle(n))

    for n in range(8):
        print(list(outer(n)))
    it = outer(3)
    print(next(it), next(it), it.gi_yieldfrom.gi_yieldfrom.gi_frame.f_locals, next(it), next(it), it.send("early"))
    it = outer(3)
    next(it), next(it)
    held = it.gi_yieldfrom.gi_yieldfrom
    print(next(held), next(it, "it"), next(held, "held"), list(it))
    it = outer(5)
    next(it), next(it)
    print(it.gi_yieldfrom.close(), list(it))
    """)
    )


def test_already_running(early):
    """A generator that asks itself, or one that waits for it, for its next value."""
    early("""
        def g(n):
            for i in range(n):
                if i == n - 1:
                    next(box[0])
                yield i

        def outer(n):
            yield from g(n)

        for _ in range(20):
            for make in (g, outer):
                box = [make(30)]
                out = []
                try:
                    for x in box[0]:
                        out.append(x)
                except ValueError as e:
                    out.append(str(e))
        print(out)
    """)


def test_recursion_limit(early):
    """A row of generators counts as that many calls."""
    early("""
        import sys

        def nest(n):
            if n:
                yield from nest(n - 1)
            else:
                while True:
                    yield sum(1 for _ in range(3))

        def calls(n):
            return n and calls(n - 1)

        def deep(n, it):
            return deep(n - 1, it) if n else next(it)

        sys.unraisablehook = [].append
        sys.setrecursionlimit(400)
        it = nest(150)
        print([next(it) for _ in range(40)])
        for n in range(100, 400, 10):
            try:
                print(deep(n, it))
            except RecursionError as e:
                print("too deep", n)
                break
        sys.setrecursionlimit(5000)
        it.close()
    """)


def test_tools_switched_on_inside(early):
    """A tracer, or a profiler, that is switched on while a generator runs sees what is left."""
    early(
        textwrap.dedent(TREE)
        + textwrap.dedent("""
    import sys

    events = []
    def trace(frame, event, arg):
        if frame.f_code.co_filename == __file__:
            events.append((frame.f_code.co_name, event, frame.f_lineno))
        return trace

    class Switch:
        def __init__(self, on):
            self.on = on
        def __bool__(self):
            self.on(trace)
            return False

    def count(n):
        for i in range(n):
            if i == 6 and switch:
                switch.on(trace)
            yield i

    switch = None
    for _ in range(30):
        sum(count(20))
    for on in (sys.settrace, sys.setprofile):
        t = tree(list(range(15)))
        for _ in range(9):
            sum(t)
        t.left.left.right = Switch(on)
        total = sum(t)
        on(None)
        print(total, events)
        events.clear()
        switch = Switch(on)
        total = sum(count(9))
        on(None)
        switch = None
        print(total, events)
        events.clear()
    """)
    )


def test_what_it_holds(early):
    """The list that a suspended generator goes over changes; generators are collected with the cycles they are in."""
    run = early("""
        import gc
        import weakref

        class Thing:
            pass

        def g(a, thing):
            for x in a:
                yield x, thing

        a = list(range(30))
        for _ in range(30):
            n = sum(x for x, _ in g(a, None))
        it = g(a, None)
        out = [next(it)[0] for _ in range(10)]
        del a[12:]
        out += [x for x, _ in it]
        a.append(5)
        print(n, out, list(it))
        gc.disable()
        kept = []
        for _ in range(30):
            thing = Thing()
            thing.it = g([1, 2, 3], thing)
            next(thing.it), next(thing.it)
            kept.append(weakref.ref(thing))
        del thing
        gc.collect()
        print(sum(r() is not None for r in kept))
        thing = Thing()
        thing.it = g([thing], 1)
        print(next(thing.it)[1], gc.collect() >= 0, list(thing.it))
        held = [g(range(5), k) for k in range(50)]
        for it in held:
            next(it)
        print([list(it)[-1] for it in held] == [(4, k) for k in range(50)])
    """)
    assert resumptions(run, "g") > 300


def test_handlers_and_contexts(early):
    """Yields within `try`, `with` and while an exception is handled."""
    run = early("""
        import contextlib
        import sys

        def g(n):
            for i in range(n):
                try:
                    if i % 3 == 0:
                        raise ValueError(i)
                    yield i
                except ValueError as e:
                    yield -i, str(e), str(sys.exception())
                    yield str(sys.exception())

        @contextlib.contextmanager
        def managed(log):
            log.append("in")
            try:
                yield log
            finally:
                log.append("out")

        def inside(n):
            log = []
            for i in range(n):
                with managed(log) as l:
                    yield len(l)
            yield log

        for _ in range(20):
            a = list(g(10))
            b = list(inside(4))
        print(a, b)
        try:
            raise KeyError
        except KeyError:
            print(list(g(7)), sys.exception())
    """)
    assert resumptions(run, "g") + resumptions(run, "inside") > 20


def test_threads(early):
    """A generator that two threads ask tells one of them that it runs."""
    run = early("""
        import sys
        import threading

        sys.setswitchinterval(1e-5)

        def g(n):
            for i in range(n):
                for _ in range(20):
                    i += 0
                yield i

        it, seen, errors = g(20000), [], []

        def take():
            while True:
                try:
                    x = next(it)
                except ValueError as e:
                    errors.append(str(e))
                except StopIteration:
                    return
                else:
                    seen.append(x)

        threads = [threading.Thread(target=take) for _ in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        print(sorted(seen) == list(range(20000)), set(errors) <= {"generator already executing"})
    """)
    assert resumptions(run, "g") > 1000


def test_coroutines(early):
    """`await` of what does and does not suspend; async generators are as ever."""
    early("""
        import asyncio

        async def fib(n):
            return n if n < 2 else await fib(n - 1) + await fib(n - 2)

        async def rows(n):
            for i in range(n):
                if i % 5 == 0:
                    await asyncio.sleep(0)
                yield i

        async def total(n):
            s = 0
            async for x in rows(n):
                s += x
            return s

        async def main():
            print(await fib(12), await asyncio.gather(*[total(n) for n in range(20)]))
            try:
                async with asyncio.timeout(0.01):
                    while True:
                        await asyncio.sleep(0)
            except TimeoutError:
                print("timeout")

        asyncio.run(main())
    """)


def test_any_all_and_sum(early):
    """Compiled code consumes generators as `any`, `all` and `sum` do, whatever comes."""
    run = early("""
        import sys

        class Truth:
            def __init__(self, answer):
                self.answer = answer

            def __bool__(self):
                if isinstance(self.answer, bool):
                    return self.answer
                raise self.answer

            def __radd__(self, other):
                return f"{other}+"

        class Count(int):
            def __add__(self, other):
                return Count(int(self) + int(other))

            def __radd__(self, other):
                return Count(int(self) + int(other) + 1000)

        def items(a):
            for x in a:
                if x is StopIteration:
                    raise x("inside")
                yield x

        def f(a):
            return any(items(a))

        def g(a):
            return all(items(a))

        def h(a):
            return sum(items(a))

        def started(a):
            return sum(items(a), 5)

        def half(a):
            it = items(a)
            return any(it), sum(it), all(it), sum(it)

        def frames(a):
            return sum(sys._getframe(k).f_lineno for k in a)

        numbers = list(range(300, 340))
        for _ in range(40):
            out = f(numbers), g(numbers), h(numbers), f([]), g([]), h([]), started(numbers), half([0, 1, 2, 0, 3])
            lines = frames([0, 0, 0])
        print(out, lines)
        odd = [
            [0, 0, 7], [1, 1, 0], [0, 0], [True, False], [True, 2**62, 2**62, 2**62], [-(2**63), -1],
            [2**100, -(2**100), 1], [1, 2.5, 3], [0.1] * 10, [1e308, 1e308], [1, 2, float("nan")], [1, 2j, 3],
            [Count(3), 4, 5], [4, Count(3), 5],
            ["x"], [1, "x"], [[1]], [None], [0, Truth(True)], [1, Truth(False)], [0, Truth(ZeroDivisionError("truth"))],
            [0, Truth(StopIteration("truth"))], [1, Truth(StopIteration("truth"))], [0, 1, StopIteration],
            [0, StopIteration], [1, StopIteration], [2**40, -(2**40), 1 << 29, 1 << 30, 1 << 31, -(1 << 30)],
        ]
        for a in odd:
            for use in (f, g, h, started):
                try:
                    result = use(a)
                    print(use.__name__, repr(result), type(result).__name__)
                except Exception as e:
                    lines, tb = [], e.__traceback__
                    while tb:
                        lines.append((tb.tb_frame.f_code.co_name, tb.tb_lineno))
                        tb = tb.tb_next
                    print(use.__name__, type(e).__name__, e, type(e.__cause__).__name__, lines)
    """)
    assert resumptions(run, "items") > 200
    for name in ("f", "g", "h"):
        assert sum(r["entries"] for r in run.regions(name)) > 10, run.rows(name)


def test_ints_let_go(early):
    """Ints that were let go come back as others: nobody who still has one sees that."""
    run = early("""
        def numbers(n, step):
            i = 1000
            while i < n:
                yield i
                i += step

        def use(n, step):
            seen, last, total = {}, None, 0
            for x in numbers(n, step):
                if x % 7 == 0:
                    seen[x] = last
                last = x
                total += x
                y = -x
            return total, sum(seen), len(seen), last, y

        kept = []
        for k in range(30):
            out = use(3000, 3)
            kept.append(out)
        print(kept[0], kept[-1], all(x == kept[0] for x in kept))
        print(use(10**6 + 5, 10**4), use(2**30 + 5000, 2**28), use(2**62, 2**60))
        boxes = [list(numbers(1300, 1)) for _ in range(5)]
        print(all(b == list(range(1000, 1300)) for b in boxes), use(4000, 1), all(b == boxes[0] for b in boxes))
    """)
    assert resumptions(run, "numbers") > 1000
    assert sum(r["entries"] for r in run.regions("use")) > 10
