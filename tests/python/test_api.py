"""The Python interface: on and off, compile, never, info, stats, dis."""
# ruff: noqa: E501 (lines of the programs under test)

import json

import harness


def stoop_program(text, **more):
    """Run a program that uses the interface itself; it must succeed and print JSON."""
    import textwrap

    run = harness.python("-c", textwrap.dedent(text), **more)
    assert run.returncode == 0, run.stderr + run.stdout
    return json.loads(run.stdout.splitlines()[-1]), run


def test_on_off_on():
    answer, run = stoop_program("""
        import json, stoop
        out = [stoop.is_enabled()]
        stoop.enable(); out.append(stoop.is_enabled())
        stoop.enable(); out.append(stoop.is_enabled())
        stoop.disable(); out.append(stoop.is_enabled())
        stoop.disable(); out.append(stoop.is_enabled())
        stoop.enable(); out.append(stoop.is_enabled())
        print(json.dumps(out))
    """)
    assert answer == [False, True, True, False, False, True]
    assert run.stderr == ""


def test_compiled_code_is_not_entered_when_off():
    answer, _ = stoop_program("""
        import json, stoop
        def f(n):
            t = 0
            for i in range(n):
                t += i
            return t
        stoop.enable(threshold=1_000_000)
        for _ in range(3): f(10)
        why = stoop.compile(f)
        a = f(100); entered = stoop.info(f).entries
        stoop.disable()
        b = f(100); off = stoop.info(f).entries
        print(json.dumps([why, a, b, entered, off]))
    """)
    why, a, b, entered, off = answer
    assert why is None and a == b == 4950
    assert entered > 0 and off in (0, entered)


def test_disable_in_the_middle_of_a_hot_loop():
    answer, _ = stoop_program("""
        import json, stoop
        def f(n, act):
            out = []
            t = 0
            for i in range(n):
                t += i
                if i == 50:
                    out.append(act())
            return t, len(out)
        stoop.enable(threshold=1_000_000)
        for _ in range(3): f(60, int)
        why = stoop.compile(f)
        f(60, int)
        entered = stoop.info(f).entries > 0
        a = f(100, stoop.disable)
        entries = stoop.info(f).entries
        b = f(100, int)
        print(json.dumps([why, entered, a, b, stoop.info(f).entries - entries, stoop.is_enabled()]))
    """)
    assert answer == [None, True, [4950, 1], [4950, 1], 0, False]


def test_never():
    answer, _ = stoop_program("""
        import json, stoop
        stoop.enable(threshold=1_000_000)
        @stoop.never
        def f(n):
            t = 0
            for i in range(n):
                t += i
            return t
        f(100_000)
        why = stoop.compile(f)
        f(10)
        print(json.dumps([why, stoop.info(f).state, stoop.info(f).entries]))
    """)
    why, state, entries = answer
    assert isinstance(why, str) and why
    assert state == "never" and entries == 0


def test_compile_says_why_not():
    answer, _ = stoop_program("""
        import json, stoop
        stoop.enable(threshold=1_000_000)
        out = []
        for thing in (len, 3, int, "x"):
            try:
                out.append(stoop.compile(thing))
            except TypeError as e:
                out.append("TypeError: " + str(e))
        def good(): return 1
        good(); good()
        out.append(stoop.compile(good))
        class C:
            def m(self): return 2
            @staticmethod
            def s(): return 3
            @classmethod
            def c(cls): return 4
        o = C(); o.m(); o.m(); C.s(); C.c()
        out += [stoop.compile(C.m), stoop.compile(o.m), stoop.compile(C.s), stoop.compile(C.c)]
        print(json.dumps(out))
    """)
    for refusal in answer[:4]:
        assert refusal.startswith("TypeError: ")
    assert answer[4:] == [None] * 5


def test_compile_while_off_compiles_or_says_why():
    answer, _ = stoop_program("""
        import json, stoop
        def f(n): return n + 1
        f(1); f(2)
        why = stoop.compile(f)
        print(json.dumps([why, f(3), stoop.is_enabled()]))
    """)
    why, value, on = answer
    assert value == 4 and on is False
    assert why is None or isinstance(why, str)


def test_info_fields():
    answer, _ = stoop_program("""
        import json, stoop
        stoop.enable(threshold=1_000_000)
        def f(n, k):
            t = 0
            for i in range(n):
                t += k
            return t
        before = stoop.info(f)
        for _ in range(3): f(10, 1)
        stoop.compile(f)
        for _ in range(5): f(10, 1)
        f(10, 2**62)
        f(10, 0.5)
        i = stoop.info(f)
        r = i.regions[0]
        e = i.exits[0]
        print(json.dumps({
            "before": before.state, "state": i.state, "name": i.name, "line": i.line, "reason": i.reason,
            "regions": len(i.regions), "kind": r.kind, "lines": [r.first_line, r.last_line], "entries": r.entries,
            "seconds": r.compile_seconds, "bytes": r.code_bytes, "exit": [e.reason, e.line, e.count],
            "total": [i.compile_seconds, i.code_bytes, i.entries], "first": f.__code__.co_firstlineno,
        }))
    """)
    assert answer["before"] == "interpreted"
    assert answer["state"] in ("compiled", "dropped") and answer["name"].endswith("f")
    assert answer["line"] == answer["first"]
    assert answer["kind"] in ("function", "loop") and answer["lines"][0] >= answer["first"]
    assert answer["entries"] >= 5
    assert 0 < answer["seconds"] < 5 and answer["bytes"] > 0
    reason, line, count = answer["exit"]
    assert isinstance(reason, str) and reason and count >= 1
    assert line == answer["first"] + 3, "the exit is in the addition's line"


def test_stats():
    answer, run = stoop_program("""
        import json, stoop
        stoop.enable(threshold=1_000_000)
        def f(n):
            t = 0
            for i in range(n):
                t += i
            return t
        for _ in range(3): f(10)
        stoop.compile(f)
        f(10)
        s = stoop.stats()
        names = [x.name for x in s.functions]
        print(str(s))
        print(json.dumps([s.enabled, names, s.compile_seconds, s.code_bytes, s.code_budget, s.counters]))
    """)
    enabled, names, seconds, size, budget, counters = answer
    assert enabled is True and any(n.endswith("f") for n in names)
    assert seconds > 0 and 0 < size <= budget
    assert all(isinstance(v, int) for v in counters.values())
    assert len(run.stdout.splitlines()) > 1


def test_dis_at_every_stage(tmp_path):
    answer, _ = stoop_program("""
        import json, stoop
        stoop.enable(threshold=1_000_000)
        def f(n):
            t = 0
            for i in range(n):
                t += i
            return t
        for _ in range(3): f(10)
        stoop.compile(f)
        f(5)
        out = {s: stoop.dis(f, stage=s) for s in ("bytecode", "ir", "passes", "clif", "asm")}
        try:
            stoop.dis(f, stage="nonsense")
            out["error"] = None
        except ValueError as e:
            out["error"] = str(e)
        print(json.dumps(out))
    """)
    assert "FOR_ITER" in answer["bytecode"]
    assert "b0" in answer["ir"] and "v0" in answer["ir"]
    assert "int.add" in answer["passes"]
    assert "block0" in answer["clif"] and "function" in answer["clif"]
    assert "ret" in answer["asm"]
    assert answer["error"] and "asm" in answer["error"]


def test_dump_native(tmp_path):
    path = tmp_path / "f.o"
    answer, _ = stoop_program(f"""
        import json, stoop
        stoop.enable(threshold=1_000_000)
        def f(n):
            t = 0
            for i in range(n):
                t += i
            return t
        for _ in range(3): f(10)
        why = stoop.compile(f)
        stoop.dump_native(f, {str(path)!r})
        print(json.dumps(why))
    """)
    assert answer is None
    assert path.read_bytes()[:4] == b"\x7fELF"


def test_options_are_what_was_asked():
    answer, _ = stoop_program("""
        import json, stoop
        stoop.enable(threshold=7)
        print(json.dumps([stoop.options()["threshold"], sorted(stoop.options()) == sorted(o.name for o in stoop.options_table())]))
    """)
    assert answer == [7, True]


def test_without_any_call_the_sampler_finds_hot_code():
    answer, _ = stoop_program("""
        import json, stoop, time
        stoop.enable()
        def g(x):
            return x * 3 + 1
        def f(n):
            t = 0
            for i in range(n):
                t += g(i) & 255
            return t
        ends = time.monotonic() + 3
        while time.monotonic() < ends and stoop.info(f).entries == 0:
            f(20_000)
        print(json.dumps([stoop.info(f).state, stoop.info(f).entries]))
    """)
    assert answer[0] == "compiled" and answer[1] > 0


def test_what_stands_in_for_builtins_goes_with_the_engine():
    answer, _ = stoop_program("""
        import ctypes, stoop

        def functions():
            definition = lambda f: ctypes.c_void_p.from_address(id(f) + 16).value
            return [ctypes.c_void_p.from_address(definition(f) + 8).value for f in (any, all, sum)]

        own = functions()
        for turn in range(3):
            stoop.enable()
            on = functions()
            assert all(a != b for a, b in zip(own, on)), (own, on)
            assert (any(x > 2 for x in range(5)), all(x for x in [1, 0]), sum(x for x in range(5))) == (True, False, 10)
            stoop.disable()
            assert functions() == own, (own, functions())
            assert (any(x > 2 for x in range(5)), all(x for x in [1, 0]), sum(x for x in range(5))) == (True, False, 10)
        print('"same"')
    """)
    assert answer == "same"
