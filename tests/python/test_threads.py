"""Threads, signals, asynchronous exceptions, fork, the garbage collector: hot loops stay polite."""
# ruff: noqa: E501 (lines of the programs under test)


def test_threads_take_turns_in_hot_loops(both):
    run = both("""
        import sys, threading
        from probe import hot

        def spin(n, stop):
            i = 0
            while not stop:
                i += 1
            return i

        def work(n, out):
            t = 0
            for i in range(n):
                t += i % 7
            out.append(t)

        sys.setswitchinterval(0.001)
        hot(spin, 0, [1])
        hot(work, 10, [])
        stop, out = [], []
        spinner = threading.Thread(target=spin, args=(0, stop))
        workers = [threading.Thread(target=work, args=(50_000 + k, out)) for k in range(4)]
        spinner.start()
        for w in workers: w.start()
        for w in workers: w.join()
        stop.append(1)
        spinner.join()
        print(sorted(out))
    """)
    run.assert_compiled("spin", "work")


def test_threads_share_a_compiled_function(both):
    run = both("""
        import sys, threading
        from probe import hot

        def f(n, k):
            x, y, out = 0, 0.5, []
            for i in range(n):
                x += i * k
                y = y * 0.5 + x
                if i % 1000 == 0:
                    out.append((x, y))
            return x, y, out[-1]

        sys.setswitchinterval(0.0005)
        hot(f, 5, 1)
        results = {}
        def run(k):
            results[k] = [f(20_000, k) for _ in range(3)]
        threads = [threading.Thread(target=run, args=(k,)) for k in (1, 2, 2**60, 0.5)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(sorted(results.items()))
    """)
    run.assert_compiled("f")


def test_a_signal_handler_raises_in_a_hot_loop(both):
    run = both("""
        import signal, traceback
        from probe import hot

        class Stop(Exception):
            pass

        def handler(number, frame):
            raise Stop(frame.f_code.co_name)

        def f(n):
            total = 0
            try:
                for i in range(n):
                    total += i & 3
                total = -1
            except Stop as e:
                return "caught", e.args, i > 0
            return "done"

        def g(flag):
            # CPython leaves the back edge of this loop out of the handler's range: the exception passes by.
            i = 0
            try:
                while not flag:
                    i += 1
            except Stop as e:
                return "caught"

        hot(f, 10)
        hot(g, [1])
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        print(f(10**12))
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        try:
            print(g([]))
        except Stop as e:
            print(e.args, [frame.name for frame in traceback.extract_tb(e.__traceback__)])
    """)
    run.assert_compiled("f", "g")


def test_recursion_without_loops_serves_signals_and_threads(both):
    run = both("""
        import signal, sys, threading, time
        from probe import hot

        class Stop(Exception):
            pass

        def handler(number, frame):
            raise Stop

        def fib(n):
            return n if n < 2 else fib(n - 1) + fib(n - 2)

        hot(fib, 8)
        signal.signal(signal.SIGALRM, handler)
        for _ in range(3):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            began = time.monotonic()
            try:
                fib(33)
                print("not stopped")
            except Stop:
                print("stopped", time.monotonic() - began < 0.15)

        sys.setswitchinterval(0.001)
        ticks = []
        def tick():
            while len(ticks) < 5:
                ticks.append(time.monotonic())
        thread = threading.Thread(target=tick)
        signal.signal(signal.SIGALRM, lambda *a: None)
        thread.start()
        fib(21)
        thread.join()
        print(len(ticks))
    """)
    run.assert_compiled("fib")


def test_a_signal_handler_that_returns_lets_the_loop_go_on(both):
    run = both("""
        import signal
        from probe import hot

        ticks = []

        def handler(number, frame):
            if frame.f_code is not f.__code__:
                return
            ticks.append(frame.f_locals.get("i", 0) >= 0)
            if len(ticks) == 3:
                frame.f_locals["flag"].append(1)

        def f(flag):
            i = 0
            while not flag:
                i += 1
            return i > 0

        hot(f, [1])
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        print(f([]))
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(ticks[:3])
    """)
    run.assert_compiled("f")


def test_keyboard_interrupt_in_a_running_module_loop(both_loop):
    both_loop("""
        import _thread, threading
        import probe

        threading.Timer(0.2, _thread.interrupt_main).start()
        i = 0
        try:
            while True:
                i += 1
        except KeyboardInterrupt:
            print("interrupted", i > 1000)
    """)


def test_an_asynchronous_exception(both):
    run = both("""
        import ctypes, threading, time
        from probe import hot

        class Stop(BaseException):
            pass

        def f(out):
            i = 0
            try:
                for i in range(0 if out is None else 10**12):
                    pass
                i = 0
            except Stop:
                out.append("stopped")
            finally:
                if out is not None:
                    out.append(i > 0)

        hot(f, None)
        out = []
        thread = threading.Thread(target=f, args=(out,))
        thread.start()
        time.sleep(0.05)
        n = ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Stop))
        thread.join(20)
        print(n, out)
    """)
    run.assert_compiled("f")


def test_fork_in_the_middle_of_a_hot_loop(both):
    run = both("""
        import os, sys, warnings
        from probe import hot

        warnings.simplefilter("ignore")

        def nothing():
            return 0

        def f(n, act):
            total = 0
            child = 0
            for i in range(n):
                total += i * i
                if i == n // 2:
                    child = act()
            return total, child

        hot(f, 50, nothing)
        total, child = f(2000, os.fork)
        if child == 0:
            total2 = f(3000, nothing)
            def fresh(n):
                t = 0
                for i in range(n):
                    t += i
                return t
            hot(fresh, 10)
            sys.stdout.write(f"child {total} {total2} {fresh(1000)}\\n")
            sys.stdout.flush()
            os._exit(0)
        print(os.waitpid(child, 0)[1], total)
    """)
    run.assert_compiled("f")


def test_a_running_loop_in_a_child(both_loop):
    run = both_loop("""
        import os, sys, warnings
        import probe

        warnings.simplefilter("ignore")

        def f(n):
            t = 0
            for i in range(n):
                t += i & 15
            return t

        child = os.fork()
        result = f(8_000_000)
        if child == 0:
            print(result, flush=True)
            os._exit(3)
        # Both have run at once; their output does not mix.
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(result, status)
    """)
    run.assert_loop("f")


def test_multiprocessing_and_pools(both):
    run = both(
        """
        import concurrent.futures
        from probe import hot

        def f(n):
            t = 0
            for i in range(n):
                t += i * n
            return t

        if __name__ == "__main__":
            hot(f, 5)
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                print(list(pool.map(f, range(0, 2000, 200))))
            with concurrent.futures.ProcessPoolExecutor(2) as pool:
                print(list(pool.map(f, range(0, 2000, 500))))
    """,
        timeout=120,
    )
    run.assert_compiled("f")


def test_the_collector_runs_during_a_loop(both):
    run = both("""
        import gc, weakref
        from probe import hot

        class Node:
            pass

        def f(n):
            alive = []
            count = 0
            for i in range(n):
                a, b = Node(), Node()
                a.other, b.other = b, a
                a.value = [i, (i, {i: a})]
                if i % 100 == 0:
                    alive.append(weakref.ref(a))
                if i % 500 == 0:
                    gc.collect()
                count += a.value[0]
            del a, b
            gc.collect()
            return count, sum(r() is not None for r in alive)

        hot(f, 10)
        gc.set_threshold(10, 2, 2)
        print(f(3000))
    """)
    run.assert_compiled("f")


def test_gc_callbacks_see_the_loop_s_objects(both):
    run = both("""
        import gc
        from probe import hot

        class Thing:
            pass

        def f(n, act):
            keep = []
            for i in range(n):
                t = Thing()
                t.i = i
                keep.append([t])
                if i == n - 1:
                    found = act(t)
            return found

        def look(t):
            return len([o for o in gc.get_objects() if isinstance(o, Thing)]), sum(isinstance(r, list) for r in gc.get_referrers(t))

        hot(f, 5, id)
        gc.collect()
        print(f(20, look))
    """)
    run.assert_compiled("f")


def test_a_signal_during_a_call_is_handled_by_the_caller(both):
    run = both("""
        import _thread
        import threading
        from probe import hot

        lock = threading.Lock()

        def after():
            return lock.acquire(blocking=False) and lock.release()

        def f(interrupt):
            interrupt()
            try:
                after()
            finally:
                print("after", lock.locked())

        def run(interrupt):
            try:
                f(interrupt)
            except KeyboardInterrupt as e:
                names = []
                tb = e.__traceback__
                while tb is not None:
                    names.append((tb.tb_frame.f_code.co_name, tb.tb_lineno))
                    tb = tb.tb_next
                print(names)

        hot(after)
        hot(f, lambda: None)
        hot(f, int)
        run(_thread.interrupt_main)
        run(_thread.interrupt_main)
    """)
    run.assert_compiled("f", "after")


def test_threads_leave_in_another_order_than_they_came(both):
    run = both("""
        import threading
        from probe import compiled, hot

        K = 1

        def f(entered, go, n):
            entered.set()
            go.wait()
            for i in range(n):
                n += K
            return n, K

        def made(k):
            space = {}
            exec(f"def g(n):\\n    t = {k}\\n    for i in range(n):\\n        t += i * {k} + n\\n    return t", space)
            return space["g"]

        class Open:
            def set(self):
                pass
            wait = set

        hot(f, Open(), Open(), 3)
        results = []
        class Visit:
            def __init__(self):
                self.entered, self.go = threading.Event(), threading.Event()
                self.thread = threading.Thread(target=lambda: results.append(f(n=5, entered=self.entered, go=self.go)))
                self.thread.start()
                self.entered.wait()
            def leave(self):
                self.go.set()
                self.thread.join()

        for turn in range(4):
            first, second, third = Visit(), Visit(), Visit()
            second.leave()
            first.leave()
            # Others take the place of what has been let go.
            K += 1
            compiled(f)
            for k in range(60):
                g = made(k)
                g(3)
                compiled(g)
            third.leave()
        print(results)
    """)
    run.assert_compiled("f")
