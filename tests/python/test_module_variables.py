"""Loops of a module itself keep its variables in registers; whoever looks finds what the interpreter would have left."""
# ruff: noqa: E501 (lines of the programs under test)

import textwrap

import pytest

MODULE = "<module>"


@pytest.fixture
def module(both, tmp_path):
    """Run a module whose loops are taken over in their third iteration: code that begins before Stoop does is too early."""

    def run(text, **options):
        text = textwrap.dedent(text).lstrip("\n")
        inner = tmp_path / "inner.py"
        inner.write_text(text, encoding="utf-8")
        run = both(
            f"""
            import probe, runpy
            runpy.run_path({str(inner)!r}, run_name="__main__")
        """,
            threshold=1,
            **options,
        )
        run.text = text
        return run

    return run


def test_numbers(module):
    run = module("""
        from probe import snapshot

        total, mean, flag = 0, 0.0, False
        for i in range(3000):  # loop
            total += i * i % 7
            mean = mean * 0.5 + i
            flag = total > 4000
        print(total, mean, flag, i)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_functions_read_and_write_the_variables(module):
    run = module("""
        from probe import snapshot

        seen = []
        n, x = 0, 1.5

        def look():
            seen.append((n, x, i))

        def bump():
            global n
            n += 100

        for i in range(3000):  # loop
            n += 1
            x = x * 0.75 + 1
            if i % 500 == 3:
                look()
            if i % 700 == 650:
                bump()
                look()
        print(n, x, seen)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_finalisers_find_the_variables_up_to_date(module):
    run = module("""
        from probe import snapshot

        seen = []

        class Noisy:
            def __init__(self, *parts):
                self.parts = parts

            def __del__(self):
                seen.append((n, i, type(held).__name__))

        n, held, more = 0, None, []
        for i in range(2000):  # loop
            n += 1
            held = Noisy() if i % 300 == 7 else None
            if i % 400 == 9:
                Noisy()
            if i % 500 == 11:
                more.append(Noisy())
                n += 1
                more.pop()
            n += 1
        print(n, seen)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_the_dict_of_the_module(module):
    run = module("""
        from probe import snapshot

        g, n, y = globals(), 0, None
        for i in range(3000):  # loop
            n += 1
            if i % 100 == 50:
                g["n"] = n + 5
            if i % 70 == 60:
                y = g["n"]
                assert y == n, (y, n)
            if i % 900 == 800:
                g.update(n=n * 2, other=i)
            if i % 1000 == 990:
                y = vars(__import__("__main__"))["n"] - n, locals() is g
        print(n, y, other)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_the_dict_of_the_module_is_read_in_every_turn(module):
    run = module("""
        from probe import snapshot

        g, n, wrong = globals(), 0, 0
        for i in range(2000):  # loop
            n += 1
            if g["n"] != n or g.get("n") != n:
                wrong += 1
            if i % 100 == 0:
                g["n"] = n + 5
        print(n, wrong, "n" in g)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_names_made_and_deleted_in_the_loop_keep_their_order(module):
    run = module("""
        from probe import snapshot

        first = 0
        for i in range(3000):  # loop
            first = i
            if i == 2000:
                late = i
            if i == 2001:
                later = i
            if i == 2500:
                del late
            if i == 2600:
                late = -1
        print([k for k in globals() if k.startswith(("first", "late"))], first, late, later)
        try:
            for i in range(2000):
                if i == 1500:
                    exec("del first")
                first += 1
        except NameError as e:
            print(e, i)
        print("first" in globals())
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_an_exception_leaves_the_variables(module):
    run = module(
        """
        import traceback
        from probe import snapshot

        a = b = 0
        try:
            for i in range(3000):  # loop
                a = i * 2
                c = 7 // (2500 - i)
                b = a + c
        except ZeroDivisionError as e:
            print(a, b, c, i, e, e.__traceback__.tb_lineno)
        for i in range(2000):
            try:
                a += 1
                if i % 100 == 5:
                    raise ValueError(a)
            except ValueError as e:
                b += e.args[0]
        print(a, b, "e" in globals())
        snapshot()
        for i in range(3000):
            a = i
            b = 1 / (2000 - i)
    """,
        status=1,
    )
    run.assert_loop(MODULE, "loop")


def test_names_that_come_and_go_in_each_turn(module):
    run = module("""
        from probe import snapshot

        n = bad = 0
        for i in range(2000):  # loop
            try:
                n += int("x" if i % 5 == 0 else "3")
            except ValueError as e:
                bad += 1
                last = str(e)
            if i % 7 == 0:
                passing = i
                del passing
        print(n, bad, last, "e" in globals(), "passing" in globals())
        try:
            for i in range(2000):
                if i == 1500:
                    del missing
                n += 1
        except NameError as e:
            print(e, n)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")
    assert not [x for x in run.exits(MODULE) if x[2] > 10], run.exits(MODULE)


def test_kinds_change_in_mid_loop(module):
    run = module("""
        from probe import snapshot

        x, n = 0, 0
        for i in range(3000):  # loop
            if i == 1000:
                x = 0.5
            if i == 1500:
                x = 2**70
            if i == 1600:
                x = 3
            x += 1
            n += x > 10
        print(x, n)
        s = ""
        for i in range(1000):
            s += "ab"[i % 2]
        print(len(s), s[:4], s[-1])
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_threads_and_signals_change_variables(module):
    run = module("""
        import signal
        import threading
        from probe import snapshot

        ready = stop = False
        count, caught = 0, 0

        def handler(*_):
            global caught
            caught += 1

        def other():
            global stop
            signal.pthread_kill(main, signal.SIGUSR1)
            stop = True

        main = threading.get_ident()
        signal.signal(signal.SIGUSR1, handler)
        thread = threading.Timer(0.1, other)
        thread.start()
        while not (stop and caught):
            count += 1  # loop
        thread.join()
        print(stop, caught, count > 0)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_the_same_code_in_other_dicts_and_within_itself(module):
    module("""
        code = compile('''
        t = 0
        for i in range(500):
            t += i
            if i == depth * 100:
                if depth < 3:
                    depth += 1
                    exec(code, globals())
                    seen.append((depth, t, i))
        ''', "inner", "exec")
        seen = []
        for _ in range(4):
            space = {"code": code, "seen": seen, "depth": 0}
            exec(code, space)
            print(space["t"], space["i"], space["depth"], [k for k in space if len(k) < 6])
        print(seen)

        class Mapping(dict):
            def __getitem__(self, key):
                return 5 if key == "depth" else dict.__getitem__(self, key)

        space = Mapping()
        exec(code, {"code": code, "seen": seen, "depth": 9}, space)
        print(sorted(space.items())[:2])
        plain = {}
        exec(code, {"code": code, "seen": seen, "depth": 9}, plain)
        print(sorted(plain.items()))
    """)


def test_tracing_starts_in_mid_loop(module):
    run = module("""
        import sys
        from probe import snapshot

        lines = []

        def trace(frame, event, arg):
            lines.append((event, frame.f_lineno, frame.f_globals["n"], frame.f_locals is frame.f_globals))
            return trace

        def begin():
            sys.settrace(trace)
            sys._getframe(1).f_trace = trace

        n = 0
        for i in range(2000):  # loop
            n += 2
            if i == 1500:
                begin()
            if i == 1502:
                sys.settrace(None)
        print(n, lines)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_a_frame_kept_by_an_exception_does_not_matter(module):
    run = module("""
        from probe import snapshot

        try:
            1 / 0
        except ZeroDivisionError as e:
            kept = e
        n = 0
        for i in range(3000):  # loop
            n += len(str(i))
        print(n, kept.__traceback__.tb_frame.f_locals["n"])
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")
    assert all(count < 20 for _, _, count in run.exits(MODULE)), run.exits(MODULE)


def test_counters_of_functions(both):
    run = both("""
        from probe import hot

        n, label, x = 0, "a", 0.5

        def count(k):
            global n, label, x
            for i in range(k):
                n += 1
                x = x * 0.5 + n
                if i % 50 == 49:
                    label = label + str(n)
            return n, x

        def read():
            return n + 1, label

        hot(count, 60)
        hot(read)
        for _ in range(30):
            count(7)
            read()
        print(n, label, x, read(), count(10))
        n = "text"
        print(read.__name__)
        try:
            count(2)
        except TypeError as e:
            print(e)
        del n
        for f in (read, lambda: count(1)):
            try:
                f()
            except NameError as e:
                print(e)
        n = 2**64
        print(count(3), read())
        for k in range(200):
            globals()[f"filler{k}"] = k
        print(count(3), read())
        del filler3, n
        globals()["n"] = 5
        print(count(3), read())
    """)
    run.assert_compiled("count", "read")


def test_a_changing_global_does_not_void_code_again_and_again(both):
    run = both("""
        from probe import hot, snapshot

        level = 0

        def read(k):
            return level + k

        hot(read, 1)
        total = 0
        for level in range(50):
            total += read(level)
        import probe
        hot(read, 2)
        before = None if probe.STOOP is None else probe.STOOP.info(read).entries
        for level in range(400):
            total += read(level)
        if before is not None:
            assert probe.STOOP.info(read).entries - before == 400, (before, probe.STOOP.info(read).entries)
        print(total)
    """)
    assert run.answers["read"] is None


def test_a_finaliser_of_a_replaced_global_sees_the_new_one(both):
    run = both("""
        from probe import hot

        seen = []

        class Noisy:
            def __del__(self):
                seen.append(type(value).__name__)

        value = None

        def put(v):
            global value
            value = v
            return len(seen)

        hot(put, 1)
        print(put(Noisy()), put(5), put(Noisy()), put(Noisy()), put("x"), seen)
    """)
    run.assert_compiled("put")


def test_attributes_of_modules_that_change(both):
    run = both("""
        import sys, types
        from probe import hot

        mod = types.ModuleType("mod")
        mod.count, mod.table = 0, [1, 2, 3]

        def read(k):
            t = 0
            for i in range(k):
                t += mod.count + mod.table[i % 3]
            return t

        hot(read, 5)
        print(read(4))
        for n in range(40):
            mod.count = n
            mod.table = [n, n + 5, -n]
            read(3)
        import probe
        hot(read, 5)
        before = None if probe.STOOP is None else probe.STOOP.info(read).entries
        total = 0
        for n in range(100):
            mod.count = n
            total += read(6)
        if before is not None:
            assert probe.STOOP.info(read).entries - before == 100
        print(total)
        del mod.count
        mod.__getattr__ = lambda name: len(name)
        print(read(3))
        mod.count = "x"
        try:
            read(1)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("read")


def test_a_module_that_reads_itself_as_an_object(module):
    run = module("""
        import sys
        from probe import snapshot

        me = sys.modules["__main__"]
        n, seen = 0, []
        for i in range(2000):  # loop
            n += 1
            if i % 300 == 5:
                seen.append(me.n)
            if i == 1700:
                me.n = 5
        print(n, seen)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")


def test_what_a_global_held_goes_when_it_is_replaced(both):
    run = both("""
        import sys
        from probe import hot

        class Noisy:
            x = 1
            def __del__(self):
                print("gone")

        held, other = Noisy(), [Noisy()]

        def f(k):
            return held.x + len(other) + k

        hot(f, 1)
        print(f(2))
        held = None
        print("after held")
        del other
        print("after other")
    """)
    run.assert_compiled("f")


def test_a_number_is_dropped_and_used_again(module):
    run = module("""
        from probe import snapshot

        def third(n):
            return c

        a, b, c, k, l = 1, 2, 3, 0, [1, 2, 3]
        for i in range(2000):  # loop
            l[third(k) % 3] = a
            pair = (a, b)
            a = pair[0] + len(pair)
        print(l, a, pair, [q + 0 for q in range(300, 310)], l)
        snapshot()
    """)
    run.assert_loop(MODULE, "loop")
