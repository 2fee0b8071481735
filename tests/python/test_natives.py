"""C functions called directly: methods of str, bytes and others, builtins."""
# ruff: noqa: E501 (lines of the programs under test)

import pytest
from harness import TYPE


def test_methods_of_strings(both):
    run = both("""
        from probe import hot

        def tests(s, t):
            return (s.startswith(t), s.endswith(t), s.find(t), s.rfind(t), s.count(t), s.isdigit(), s.isalpha(), s.isspace(),
                    s.find(t, 1), s.startswith(t, 1), s.startswith(("a", "x")), s.isupper(), s.isidentifier())
        def makes(s, t):
            return (s.strip(), s.lstrip(t), s.rstrip(), s.lower(), s.upper(), s.replace(t, "-"), s.split(), s.split(t), s.rsplit(t, 1),
                    s.partition(t), s.encode(), s.zfill(7), s.ljust(6), s.title(), t.join([s, s]), t.join((s, "y")), s.splitlines())
        def index(s, t):
            try:
                return s.index(t)
            except ValueError as e:
                return str(e)

        hot(tests, "abc", "a")
        hot(makes, "a b", "b")
        hot(index, "abc", "c")
        texts = ["", "a", "xyz", "Abc Def", "  12 ", "12", "日本 語", "é", "a\\nb\\r\\nc"]
        for s in texts:
            for t in ["a", "日", " ", "bc"]:
                print(tests(s, t), makes(s, t), index(s, t))
        for bad in (1, None, b"a", ["a"]):
            for f in (tests, makes):
                try:
                    print(f("abc", bad))
                except TypeError as e:
                    print(e)
        try:
            makes("abc", "")
        except ValueError as e:
            print(e)
        try:
            makes("\\ud800", "a")
        except UnicodeEncodeError as e:
            print(e)
        class S(str):
            def startswith(self, t, *rest):
                return "mine"
            def lower(self):
                return S("low")
        print(tests(S("abc"), "a"), makes(S("abc"), "b")[3], type(makes(S("abc"), "b")[0]), tests("abc", S("b")))
        def join(items):
            return ",".join(items)
        hot(join, ["a", "b"])
        print(join(["a"]), join(("x", "y")), join(c for c in "abc"), join({"k": 1}), join("xyz"))
        try:
            join(["a", 1])
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("tests", "makes", "index", "join")


def test_builtins_and_bytes(both):
    run = both("""
        from probe import hot

        def numbers(i):
            return hash(i), repr(i), hex(i), bin(i), oct(i), divmod(i, 7), i.bit_length(), str(i), f"{i}", f"<{i!r:>5}>", f"{i:04}"
        def texts(s):
            return repr(s), str(s), f"{s}{s!s}", hash(s) == hash("".join(list(s))), callable(s), id(s) == id(s), len(s)
        def buffers(b, k):
            return b[k], b[-1], b[1:3], b.startswith(b"a"), b.find(b"c"), b.hex(), b.decode(), len(b), bool(b)

        hot(numbers, 5)
        hot(texts, "ab")
        hot(buffers, b"abc", 1)
        for i in (0, 5, -5, 255, 257, -1, 10**9, 2**62, -(2**63), 2**63 - 1, 2**63, 10**30, True):
            print(numbers(i))
        for s in ("", "a", "it's", "日", "\\n"):
            print(texts(s))
        print(texts([1, 2])[:3] if False else "-")
        print(buffers(b"xyzabc\\x80"[:6], 3), buffers(b"abc", -3))
        for b, k in ((b"abc", 3), (b"", 0), (b"abc", "x"), (b"\\xff", 0), ("abc", 1), (bytearray(b"abc"), 1)):
            try:
                print(buffers(b, k))
            except (IndexError, TypeError, UnicodeDecodeError, AttributeError) as e:
                print(type(e).__name__, e)
        def fill(b, n):
            t = 0
            for i in range(n):
                b[i] = i & 255
                t += b[i] + b[-1]
            return t
        hot(fill, bytearray(10), 10)
        b = bytearray(300)
        print(fill(b, 300), bytes(b[-3:]))
        def put(b, i, v):
            b[i] = v
        hot(put, bytearray(3), 1, 7)
        for i, v in ((0, 256), (0, -1), (3, 1), (0, "x"), (0, 1.0), (-1, 9), (True, True)):
            b = bytearray(3)
            try:
                put(b, i, v)
                print(b)
            except (ValueError, IndexError, TypeError) as e:
                print(type(e).__name__, e)
        view = memoryview(b)
        print(buffers(b"ab", 1))
    """)
    run.assert_compiled("numbers", "texts", "buffers", "fill", "put")


def test_slices(both):
    run = both("""
        from probe import hot

        def parts(s, i, j):
            return s[i:j], s[:j], s[i:], s[:], s[i:i + 2] == "ab"
        hot(parts, "abcdef", 1, 3)
        for s in ("", "a", "abcdef", "aéb", "日本語", "𝄞b𝄞", b"", b"abc", (), (1, 2, 3), [1, 2, 3]):
            for i in (0, 1, -1, -5, 3, 100, -100, None):
                for j in (0, 1, -1, 3, 100, -100, None):
                    try:
                        print(parts(s, i, j) if i is not None else s[i:j], end=" ")
                    except TypeError as e:
                        print(e)
            print()
        s = "abcdef"
        print(parts(s, 0, 6)[3] is s, parts(s, 2**70, -2**70), parts(s, True, None)[0])
    """)
    run.assert_compiled("parts")


def test_direct_calls_keep_the_rules(both):
    """Self of a subclass, recursion, exceptions and their tracebacks."""
    run = both("""
        import sys, traceback, signal, os
        from probe import hot

        class L(list):
            pass
        def clear(x, y):
            x.extend(y)
            n = x.count(1)
            x.reverse()
            x.clear()
            return n, x
        hot(clear, [], [1, 2])
        print(clear([5], (1, 1)), clear(L([3]), [1]))
        def keyed(items):
            return sorted(items, key=lambda x: -x), sum(items), any(items), all(items)
        hot(keyed, [1, 2])
        print(keyed([3, 1, 2]), keyed((0, 1)))
        def boom(x):
            return x.remove(9)  # here
        hot(boom, [9, 9, 9, 9, 9])
        try:
            boom([1])
        except ValueError:
            traceback.print_exc(file=sys.stdout)
        class Bad:
            def __eq__(self, other):
                raise RuntimeError("eq")
        try:
            boom([Bad()])
        except RuntimeError:
            traceback.print_exc(file=sys.stdout)
        got = []
        signal.signal(signal.SIGUSR1, lambda *a: got.append(sys._getframe(1).f_lineno))
        def kick(p):
            os.kill(p, signal.SIGUSR1)
            return len(got)
        hot(kick, os.getpid())
        print(kick(os.getpid()), got[-1] == got[0])
        def pop(d, k):
            return d.pop(k, None), d.setdefault("s", 1), d.pop("s")
        hot(pop, {"a": 1}, "a")
        print(pop({"a": 1}, "a"), pop({1: 2}, 1))
    """)
    run.assert_compiled("clear", "keyed", "boom", "kick", "pop")


@pytest.mark.parametrize("f", ["min", "max"])
def test_the_least_and_the_greatest_of_some(both, f):
    """Arguments nothing is known of are guessed from the others; of equal ones the first one is taken."""
    run = both(f"""
        from probe import hot

        def f(rows, j, cost):
            return {f}(rows[0][j] + 1, rows[1][j], rows[2][j] + cost), {f}(rows[0][j], rows[1][j]), {f}(j, *rows[1][:1])  # of

        ints, floats = [[1, 2, 9], [3, 2, 2], [0, 5, 2]], [[1.0, -0.0], [0.0, 0.0], [2.0, -1.0]]
        hot(f, ints, 1, True)
        for j in range(3):
            print(f(ints, j, j > 1), f(ints, j, 0))
        for j in range(2):
            print(f(floats, j, 0.0))
        print(f([[1], [True], [2]], 0, False), f([[1], [2**70], [2]], 0, True), f([[1], [1.0], [0]], 0, False))
        try:
            f([[1], ["a"], [2]], 0, 1)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f")
    run.assert_left("f", "of", TYPE)


def test_truth_values_are_counted(both):
    run = both("""
        from probe import hot

        def f(row, a, b):
            return row[0] + (a == b), (a != b) + row[0], row[0] - (a < b), row[0] % (a <= b)  # of

        hot(f, [5, 1], 1, 1)
        print(f([5], 1, 1), f([5], 1, 2), f([True], 1, 2))
        print(f([0.5], 1, 1))
        try:
            f([[]], 1, 1)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f")
    run.assert_left("f", "of", TYPE)
