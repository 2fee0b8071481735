"""When there is no memory, compiled code raises MemoryError, as interpreted code does; it never crashes."""

import pytest

PROGRAMS = {
    "floats": """
        def f(n):
            t = 0.5
            for i in range(n):
                t = t * 1.0001 + i
            return t
    """,
    "instances": """
        class Point:
            def __init__(self, x, y):
                self.x = x
                self.y = y

            def add(self, other):
                return Point(self.x + other.x, self.y + other.y)

        def f(n):
            p, q = Point(0.5, 1.5), Point(1, 2)
            for i in range(n):
                p = p.add(q)
            return p.x, p.y
    """,
    "tuples": """
        def f(n):
            out = []
            for i in range(n):
                out.append((i, i + 300))
            return len(out)
    """,
    "strings": """
        def f(n):
            s = ""
            d = {}
            for i in range(n):
                s += "ab"
                d[i] = str(i) + "x"
            return len(s), len(d)
    """,
    "handlers": """
        def f(n):
            t = 0
            for i in range(n):
                try:
                    if i % 3 == 0:
                        raise ValueError(i)
                    t += i * 10**10
                except ValueError as e:
                    t += 1
            return t
    """,
    "large": """
        def f(n):
            x = 1
            for i in range(n):
                x = x * 3 + i
            return x.bit_length()
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("force_exit", [0, 3, 7])
def test_allocations_that_fail(both, name, force_exit):
    pytest.importorskip("_testcapi")
    run = both(
        """
        import _testcapi
        from probe import hot
        """
        + PROGRAMS[name]
        + """
        def once(start, stop):
            _testcapi.set_nomemory(start, stop)
            try:
                return f(60)
            except MemoryError:
                return None
            finally:
                _testcapi.remove_mem_hooks()

        hot(f, 60)
        good = f(60)
        for last in (0, 1):
            found = {once(start, start + 1 if last else 0) for start in range(1, 100)}
            print(found <= {good, None}, f(60) == good)
        """,
        force_exit=force_exit,
    )
    run.assert_compiled("f")
