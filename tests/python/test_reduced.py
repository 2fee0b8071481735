"""Programs that went wrong once, made small."""


def test_a_value_of_a_conditional_expression_stored_in_a_loop(both):
    # The number's box was dropped once too often.
    both("""
        from probe import hot

        def f(n):
            x = 0.25
            for i in range(n):
                for k in [1, 2, 3, 4]:
                    x = max(float(k), x - x + x * x)
                    x = x * (x - x) if i | k is not None else abs(x) // 4.0
            return x

        hot(f, 5)
        print([f(k) for k in range(8)])
    """).assert_compiled("f")


def test_a_constant_truth_value_in_arithmetic(both):
    both("""
        from probe import hot

        def f(a, b):
            x = b
            t = True
            u = False
            if a == 18:
                del x
            return 2 + t, 3 - u, x

        hot(f, 1, 2)
        print(f(1, 2), f(17, 0))
    """).assert_compiled("f")


def test_attributes_updated_in_place(both):
    # CPython 3.12 tags the address of an object's values.
    both("""
        from probe import hot

        class P:
            def __init__(self, x):
                self.x = x
            def add(self, n):
                self.x += n
                return self.x

        p = P(1)
        hot(p.add, 2)
        print([p.add(k) for k in (3, 0.5, 2**70, -1)])
    """)


def test_comprehensions_whose_variable_is_set_the_second_time_round(both):
    both("""
        from probe import hot

        def f(n, rounds):
            for r in range(rounds):
                a = [x * 2 for x in range(n)]
                x = len(a)
                try:
                    c = [6 // z for z in (1, 2, 3 - r)]
                except ZeroDivisionError:
                    c = None
                z = r
            return a[-1], x, c, z

        hot(f, 4, 3)
        print(f(4, 3), f(3, 2), f(5, 6))
    """).assert_compiled("f")


def test_a_running_comprehension_whose_variable_is_set_the_second_time_round(both_early):
    both_early("""
        import probe

        def f(n, rounds):
            for r in range(rounds):
                a = [x * 2 for x in range(n)]
                x = len(a)
            return a[-1], x

        for _ in range(5):
            print(f(40_000, 4))
    """).assert_loop("f")


def test_code_let_go_while_it_is_entered(both):
    # Calls that find a function's code void take it away, and come back to it.
    both("""
        from probe import compiled

        step = 1

        def f(n):
            return n + step

        def drive(rounds):
            global step
            t = 0
            for k in range(rounds):
                step = k
                t += f(k) + sum(map(f, (1, 2, 3)))
                compiled(f)
                t += f(k)
            return t

        drive(3)
        print(drive(40))
    """)


def test_a_fork_in_a_program_of_one_thread_is_not_warned_about(both_early):
    # CPython counts threads when the parent's hooks have run.
    both_early("""
        import os, warnings
        import probe

        warnings.simplefilter("error")

        def f(n):
            t = 0
            for i in range(n):
                t += i & 15
            return t

        print(f(300_000), flush=True)
        for k in range(3):
            child = os.fork()
            if child == 0:
                os._exit(f(100_000) % 251)
            print(f(300_000), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    """).assert_loop("f")


def test_a_fork_with_hooks_in_python_is_not_warned_about(both):
    # Hooks that run after the engine's own, such as those of logging.
    both("""
        import logging, os, warnings
        import probe

        warnings.simplefilter("error")

        def after():
            for i in range(100):
                seen.append(len(os.listdir("/proc/self/task")))

        seen = []
        os.register_at_fork(after_in_parent=after)
        for k in range(5):
            child = os.fork()
            if child == 0:
                os._exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), set(seen), flush=True)
        for k in range(1000):
            after()
        # The engine's thread is back.
        assert not probe.under_stoop() or len(os.listdir("/proc/self/task")) == 2
    """)


def test_switched_off_and_on_while_jobs_are_under_way(both):
    both("""
        import probe

        def f(n):
            t = 0
            for i in range(n):
                t += i & 15
            return t

        for k in range(40):
            f(3000)
            if probe.STOOP:
                probe.STOOP.disable()
                probe.STOOP.enable(threshold=1, sample_interval_ms=1)
        print(f(100))
        if probe.STOOP:
            assert probe.STOOP.compile(f) is None
            before = probe.STOOP.info(f).entries
            f(10)
            assert probe.STOOP.info(f).entries > before
    """)
