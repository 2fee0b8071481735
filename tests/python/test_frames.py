"""Frames: whoever looks sees the interpreter's own."""
# ruff: noqa: E501 (lines of the programs under test)


def test_a_callee_sees_its_caller_s_locals_and_line(both):
    run = both("""
        import sys
        from probe import hot

        def look():
            f = sys._getframe(1)
            return f.f_code.co_name, f.f_lineno, {**f.f_locals, "see": 0}, f.f_back.f_code.co_name

        def nothing():
            return None

        def f(n, see):
            a, b, c = 0, 0.0, "s"
            out = []
            for i in range(n):
                a += i
                b = b + 0.5
                c = c if i % 2 else c + "."
                if i == n - 1:
                    d = [a]
                out.append(see())  # call
                del out[:-2]
            return out

        hot(f, 6, nothing)
        print(f(8, look))
        hot(look) if False else None
        print(f(3, look), f(3, nothing))
    """)
    run.assert_compiled("f")


def test_locals_dir_eval_and_exec(both):
    run = both("""
        from probe import hot

        def f(n):
            x = 1
            out = []
            for i in range(n):
                x = x * 3 + i
                if i % 4 == 1:
                    out.append(dict(locals(), out=None))
                    out.append(eval("x + i"))
                    exec("x = 1000")
                    out.append((x, sorted(dir())))
            return out

        hot(f, 3)
        print(f(12))
    """)
    run.assert_compiled("f")


def test_stacks_in_the_middle_of_expressions_and_loops(both):
    run = both("""
        import inspect, traceback
        from probe import hot

        def stack():
            return [(f.function, f.lineno, f.code_context) for f in inspect.stack()[1:]]

        def lines():
            return traceback.format_stack()[:-1]

        def inner(n, see):
            total = []
            for i in range(n):
                total = [i,
                         see(),
                         i]
            return total

        def outer(n, see):
            for i in range(n):
                r = inner(2, see)
            return r

        hot(inner, 3, int)
        hot(outer, 3, int)
        print(outer(2, stack))
        print(*outer(2, lines)[1])
    """)
    run.assert_compiled("inner", "outer")


def test_warnings_name_the_right_line(both):
    run = both("""
        import sys, warnings
        from probe import hot

        def warn(level):
            warnings.warn(f"level {level}", stacklevel=level)

        def inner(n, level):
            for i in range(n):
                if i == 4:
                    warn(level)
                    warn(level)

        def outer(level):
            inner(
                6, level)

        hot(inner, 3, 1)
        hot(outer, 1) if False else None
        warnings.simplefilter("always")
        sys.stderr = sys.stdout
        for level in (1, 2, 3, 4):
            outer(level)
    """)
    run.assert_compiled("inner")


def test_a_frame_kept_after_its_return(both):
    run = both("""
        import sys
        from probe import hot

        kept = []

        def keep():
            kept.append(sys._getframe(1))

        def f(n, see):
            x = 0
            y = 0.25
            for i in range(n):
                x += i
                y += x
                if i == 5:
                    see()
            z = "last"
            return x

        hot(f, 8, int)
        print(f(9, keep))
        frame = kept.pop()
        print({**frame.f_locals, "see": 0}, frame.f_lineno, frame.f_back is None, frame.f_code is f.__code__)
        frame.clear()
        print(frame.f_locals)
        print(f(4, int))
    """)
    run.assert_compiled("f")


def test_frames_seen_from_another_thread(both):
    run = both("""
        import sys, threading
        from probe import hot

        def f(n, stop):
            i = 0
            while not stop:
                i += 1
            return i

        hot(f, 5, [1])
        stop = []
        thread = threading.Thread(target=f, args=(0, stop), name="t")
        thread.start()
        for _ in range(20):
            frame = sys._current_frames()[thread.ident]
            names = []
            while frame is not None:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
            if "f" in names:
                break
        stop.append(1)
        thread.join()
        print("f" in names, names[-1])
    """)
    run.assert_compiled("f")


def test_locals_written_through_the_frame(both):
    run = both("""
        import ctypes, sys
        from probe import hot

        def write(name, value):
            frame = sys._getframe(1)
            frame.f_locals[name] = value
            if sys.version_info < (3, 13):
                ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))

        def nothing(name, value):
            pass

        def f(n, act):
            x = 1
            out = []
            for i in range(n):
                x += 1
                if i == 4:
                    act("x", 1000)
                if i == 6:
                    act("x", 0.5)
                out.append(x)
            return out

        hot(f, 5, nothing)
        print(f(9, write))
    """)
    run.assert_compiled("f")


def test_the_traceback_of_a_callee_passes_through_compiled_frames(both):
    run = both("""
        import traceback
        from probe import hot

        def fail(i):
            if i == 3:
                raise ValueError(i)
            return i

        def one(n):
            t = 0
            for i in range(n):
                t += fail(i)
            return t

        def two(n):
            return one(n) + 1

        hot(fail, 1); hot(one, 2); hot(two, 2)
        try:
            two(9)
        except ValueError as e:
            print(traceback.format_exc())
            for frame, line in traceback.walk_tb(e.__traceback__):
                print(frame.f_code.co_name, line, {k: v for k, v in frame.f_locals.items() if not k.startswith("_") and isinstance(v, int)} if frame.f_back else "")
    """)
    run.assert_compiled("fail", "one", "two")


def test_generators_frames(both):
    run = both("""
        import inspect
        from probe import hot

        def g(n):
            t = 0
            for i in range(n):
                t += i
                yield t

        def f(n):
            it = g(n)
            out = []
            for v in it:
                out.append((v, it.gi_frame and it.gi_frame.f_locals.get("i"), it.gi_running, inspect.getgeneratorstate(it)))
            return out, it.gi_frame

        hot(f, 3)
        print(f(6))
    """)
    run.assert_compiled("f")


def test_class_bodies_and_super(both):
    run = both("""
        from probe import hot

        class A:
            def who(self):
                return "A"
        class B(A):
            def who(self):
                return super().who() + __class__.__name__
        class C(B):
            def who(self):
                return "C" + super().who()

        hot(B.who, B())
        hot(C.who, C())
        def f(n):
            return [C().who() for _ in range(n)][-1]
        hot(f, 3)
        print(f(5), B().who())
    """)
    run.assert_compiled("B.who", "C.who", "f")


def test_recursion_depth_as_seen_from_inside(both):
    run = both("""
        import sys
        from probe import hot

        def depth():
            n, frame = 0, sys._getframe(1)
            while frame:
                n += 1
                frame = frame.f_back
            return n

        def f(n):
            return depth() if n == 0 else f(n - 1)

        hot(f, 3)
        print(f(0), f(10), f(100))
    """)
    run.assert_compiled("f")


def test_callees_that_look_at_the_frame_and_let_go(both):
    run = both("""
        import sys
        from probe import hot

        write = False
        kept = []

        def caller():
            f = sys._getframe()
            f = f.f_back
            if write == "keep":
                kept.append(f)
            elif write:
                f.f_locals["x"] = 100.5
            return f.f_lineno, f.f_code.co_name

        def f(n):
            x = 0.5
            out = []
            for i in range(n):
                out.append(caller())
                x += 1.0
            return x, len(out), out[-1]

        hot(f, 3)
        for write in (False, True, "keep", False):
            print(f(50))
        print([sorted(k.f_locals.items(), key=str)[-1] for k in kept[:2]])
    """)
    run.assert_compiled("f")


def test_looking_at_a_frame_does_not_end_compiled_code(both):
    run = both("""
        import sys
        from probe import hot

        def caller():
            for _ in "x":  # Not to be compiled in place: it would then have the frame.
                line = sys._getframe(1).f_lineno
            return line

        def f(n):
            total = 0
            for i in range(n):
                total += caller()
            return total

        hot(f, 3)
        print(f(50))
    """)
    run.assert_compiled("f").assert_stayed("f")
