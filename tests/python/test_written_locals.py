"""Whoever has a frame can write its locals: compiled code goes on with what was written (3.13), or not (3.12)."""

import sys

# A handler that is not called, or whose write is lost, would leave these loops running for ever: they give up.
DEADLINE = """
        import signal, sys, threading, time
        from probe import hot

        def too_long(number, frame):
            sys.exit("the loop went on")

        signal.signal(signal.SIGVTALRM, too_long)
        signal.setitimer(signal.ITIMER_VIRTUAL, 20)
        WRITES = sys.version_info >= (3, 13)
"""


def test_a_signal_handler_ends_a_loop(both_loop):
    run = both_loop(
        DEADLINE
        + """
        def handler(number, frame):
            global calls
            calls += 1
            if frame.f_code is f.__code__:
                frame.f_locals["go"] = False
                if not WRITES:
                    raise KeyboardInterrupt

        def f():
            go = True
            n = 0
            while go:
                n += 1
            return n > 100_000 and type(n)

        calls = 0
        signal.signal(signal.SIGALRM, handler)
        for k in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.4)
            try:
                print(f())
            except KeyboardInterrupt:
                print("interrupted")
        print(calls)
    """
    )
    run.assert_loop("f")


def test_another_thread_ends_a_loop(both_loop):
    run = both_loop(
        DEADLINE
        + """
        def f():
            go = WRITES
            n = 0
            while go:
                n += 1
            return n > 100_000

        def other():
            time.sleep(0.4)
            sys._current_frames()[main].f_locals["go"] = False

        main = threading.get_ident()
        for _ in range(2):
            threading.Thread(target=other).start()
            print(f() is WRITES)
        time.sleep(1 - WRITES)
    """
    )
    if sys.version_info >= (3, 13):
        run.assert_loop("f")


def test_a_finaliser_run_by_a_store_writes(both):
    run = both("""
        import sys
        from probe import hot

        class Writes:
            def __del__(self):
                frame = sys._getframe(1)
                frame.f_locals["x"] = 7
                lines.add(frame.f_lineno - f.__code__.co_firstlineno)

        def f(n):
            x = t = 0
            for i in range(n):
                x = i
                q = Writes()
                q = None
                t += x
            return t

        lines = set()
        hot(f, 3)
        lines.clear()
        print(f(1000), lines)
    """)
    run.assert_compiled("f")
    exits = sum(n for _, _, n in run.exits("f"))
    assert exits > 0, run.exits("f")


def test_a_finaliser_in_a_handler_writes_and_one_that_reads_lets_it_go_on(both):
    run = both("""
        import sys
        from probe import hot

        class Writes:
            def __del__(self):
                if sys._getframe(1).f_lineno and write:
                    sys._getframe(1).f_locals["x"] = 7

        def f(n):
            x = t = 0
            for i in range(n):
                x = i
                try:
                    raise KeyError(i)
                except KeyError as e:
                    q = Writes()
                    q = None
                    t += x
            return t

        write = False
        hot(f, 3)
        print(f(1000))
        write = True
        print(f(1000))
    """)
    run.assert_compiled("f")


def test_a_callback_of_the_collector_writes(both):
    run = both("""
        import gc, sys
        from probe import hot

        def callback(phase, info):
            frame = sys._getframe(1)
            if frame.f_code is f.__code__:
                frame.f_locals["seen"] = 5

        def f(n):
            seen = 0
            for i in range(n):
                a = []
                a.append(a)
                if seen:
                    return "seen"
            return "no"

        hot(f, 30)
        gc.callbacks.append(callback)
        print(f(100_000), f(100_000))
        gc.callbacks.clear()
    """)
    run.assert_compiled("f")


def test_what_was_put_into_a_frame_stays_there(both_loop):
    """Names that are no locals of the code live in the frame's object, which then is not let go."""
    run = both_loop("""
        import signal, sys
        from probe import hot

        def put():
            sys._getframe(1).f_locals["extra"] = 5

        def f(n):
            put()
            t = 0
            for i in range(n):
                t += i & 3
            return t, sys._getframe().f_locals.get("extra")

        print([f(1_000_000) for _ in range(3)])
    """)
    run.assert_loop("f")
