"""Strings: characters, comparisons, containment, ord and chr, in place of calls."""
# ruff: noqa: E501 (lines of the programs under test)


def test_characters(both):
    run = both("""
        from probe import hot

        def f(s, n):
            out = []
            for i in range(-n, n):
                out.append(s[i])
            return out

        def at(s, i):
            return s[i]

        hot(f, "abc", 3)
        hot(at, "abc", 1)
        for s in ["xyz", "aé\\xff", "日本語", "a𝄞b", "\\0\\x7f\\x80"]:
            print(f(s, 3), [c is s[i % 3] for i, c in enumerate(f(s, 3)) if ord(c) < 256])
        for s, i in [("abc", 3), ("", 0), ("abc", -4), ("abc", 2**70), ("abc", True), ([1], 0), ("abc", None)]:
            try:
                print(at(s, i))
            except (IndexError, TypeError) as e:
                print(type(e).__name__, e)
        class S(str):
            def __getitem__(self, i):
                return "mine"
        print(at(S("abc"), 0))
    """)
    run.assert_compiled("f", "at").assert_stayed("f")


def test_comparisons(both):
    run = both("""
        from probe import hot

        def f(a, b):
            return a == b, a != b, a < b, a <= b, a > b, a >= b, 1 if a == b else 2, 3 if a < b else 4

        def const(s):
            n = 0
            for i in range(len(s)):
                c = s[i]
                if c == " ":
                    n += 1
                elif c == "ab":
                    n += 10
                elif "0" <= c <= "9":
                    n += 100
                elif c != "x":
                    n += 1000
            return n

        hot(f, "ab", "cd")
        hot(const, "a b 12 x")
        texts = ["", "a", "b", "ab", "aé", "é", "日", "日本", "a" * 300, "a" * 299 + "b", "".join(["a", "b"]), "\\0", "𝄞"]
        print([f(a, b) for a in texts for b in texts])
        print(const("é 1 日x0"), const("x"))
        class S(str):
            def __eq__(self, other):
                return "eq"
            __hash__ = None
        print(f(S("a"), "a"), f("a", S("a")))
        for a, b in [("a", 1), (None, "a")]:
            try:
                print(f(a, b))
            except TypeError as e:
                print(e)
    """)
    run.assert_compiled("f", "const").assert_stayed("const")


def test_containment(both):
    run = both("""
        from probe import hot

        def f(s):
            n = 0
            for i in range(len(s)):
                if s[i] in " \\t\\n":
                    n += 1
                if s[i] not in "aeiou":
                    n += 10
                if s[i] in "日é":
                    n += 100
            return n, s in "abcdef", "b" in s, "" in s

        hot(f, "a b\\tc")
        print(f("xyz a\\n"), f("日é b"), f(""), f("cde"))
        try:
            f(None)
        except TypeError as e:
            print(e)
    """)
    run.assert_compiled("f")


def test_ord_and_chr(both):
    run = both("""
        from probe import hot

        def f(s):
            total = 0
            out = ""
            for i in range(len(s)):
                total += ord(s[i])
                out += chr(ord(s[i]) + 1)
            return total, out

        def o(s):
            return ord(s)

        def c(n):
            return chr(n)

        hot(f, "abc")
        hot(o, "a")
        hot(c, 97)
        print(f("xyz"), f("é日𝄞\\xfe\\xff"))
        for x in ["", "ab", "日", b"a", None]:
            try:
                print(o(x))
            except TypeError as e:
                print(e)
        for x in [0, 255, 256, 0x10FFFF, 0x110000, -1, 2**31, 2**70, True, "a"]:
            try:
                print(ascii(c(x)))
            except (ValueError, TypeError, OverflowError) as e:
                print(type(e).__name__, e)
    """)
    run.assert_compiled("f", "o", "c").assert_stayed("f")
