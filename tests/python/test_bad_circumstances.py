"""Bad circumstances: a clear sentence, and the program runs on, interpreted."""
# ruff: noqa: E501 (lines of the programs under test)

import harness

LOOP = """
def f(n):
    t = 0
    for i in range(n):
        t += i
    return t
for _ in range(3):
    f(10)
"""


def run(text, *flags, **more):
    """Run a program; it must end well."""
    done = harness.python(*flags, "-c", text, **more)
    assert done.returncode == 0, done.stderr
    return done


def test_the_optimiser_id_is_in_use():
    done = run(
        "import sys\nsys.monitoring.use_tool_id(5, 'somebody')\n"
        "import warnings\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import stoop\n"
        "    stoop.enable(threshold=1)\n"
        f"{LOOP}\n"
        "stoop.compile(f)\n"
        "print(f(1000), sys.monitoring.get_tool(5))\n"
        "print([(w.category.__name__, str(w.message)) for w in caught])\n"
    )
    first, second = done.stdout.splitlines()
    assert first == "499500 somebody", "the other tool keeps its id"
    assert "RuntimeWarning" in second and "somebody" in second


def test_the_id_is_given_back():
    done = run(
        "import sys, stoop\nstoop.enable()\na = sys.monitoring.get_tool(5)\nstoop.disable()\n"
        "b = sys.monitoring.get_tool(5)\nprint(a, b)\n"
    )
    a, b = done.stdout.split()
    assert a == "stoop" and b == "None"


def test_a_subinterpreter_is_refused_politely():
    done = run(
        "import stoop, sys\nstoop.enable(threshold=1)\n"
        "try:\n    import _interpreters as I\nexcept ImportError:\n    import _xxsubinterpreters as I\n"
        "text = '''\n"
        "try:\n    import stoop\n    stoop.enable()\n    print('no refusal')\n"
        "except (ImportError, RuntimeError) as e:\n    print('refused', type(e).__name__, str(e))\n"
        f"{LOOP}\nprint(f(1000))\n'''\n"
        "i = I.create()\nI.run_string(i, text)\nI.destroy(i)\n"
        f"{LOOP}\nprint(stoop.compile(f), f(1000))\n"
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("refused") and "interpreter" in lines[0]
    assert lines[1:] == ["499500", "None 499500"]


def test_an_unknown_option_names_the_nearest():
    done = run(
        "import stoop\ntry:\n    stoop.enable(treshold=3)\nexcept ValueError as e:\n    print(e)\nprint(stoop.is_enabled())\n"
    )
    sentence, on = done.stdout.splitlines()
    assert "treshold" in sentence and "threshold" in sentence.replace("treshold", "")
    assert on == "False"


def test_a_bad_value_names_the_option():
    done = run(
        "import stoop\nfor v in ('many', -1, None, 1.5, []):\n    try:\n        stoop.enable(threshold=v)\n        print('taken', v)\n"
        "    except (TypeError, ValueError) as e:\n        print(e)\n"
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 5 and all("threshold" in line for line in lines), lines


def test_no_budget_for_code():
    done = run(
        "import stoop\ntry:\n    stoop.enable(budget_mb=0)\nexcept ValueError as e:\n    print(e)\nprint(stoop.is_enabled())\n"
    )
    sentence, on = done.stdout.splitlines()
    assert "budget_mb" in sentence and on == "False"


def test_a_spent_budget_is_said_and_kept():
    done = run(
        "import stoop, warnings\nwarnings.simplefilter('ignore')\n"
        "stoop.enable(threshold=1_000_000, budget_mb=1)\n"
        "total, kept, why = 0, [], None\n"
        "text = '\\n'.join(f'    a{j} = t * {j} % 1000 + n // 7\\n    t = t + a{j}' for j in range(40))\n"
        "while why is None and len(kept) < 3000:\n"
        "    space = {}\n    exec(f'def f(n):\\n    t = {len(kept)}\\n{text}\\n    return t', space)\n"
        "    f = space['f']\n    f(9); f(9); f(9)\n    kept.append(f)\n    why = stoop.compile(f)\n"
        "    s = stoop.stats()\n    assert s.code_bytes <= s.code_budget, (s.code_bytes, s.code_budget)\n"
        "print(why)\nprint(f(50) == sum([f(50)]), len(kept) > 5)\n"
    )
    why, rest = done.stdout.splitlines()
    assert "budget" in why
    assert rest == "True True"


def test_memory_of_dead_code_is_used_again():
    done = run(
        "import gc, stoop\nstoop.enable(threshold=1_000_000, budget_mb=1)\n"
        "why = set()\n"
        "text = '\\n'.join(f'    a{j} = t * {j} % 1000 + n // 7\\n    t = t + a{j}' for j in range(40))\n"
        "for k in range(300):\n    space = {}\n    exec(f'def f(n):\\n    t = {k}\\n{text}\\n    return t', space)\n"
        "    f = space['f']\n    f(9); f(9); f(9)\n    why.add(stoop.compile(f))\n    f(50)\n    del f, space\n    gc.collect()\n"
        "print(why)\n"
    )
    assert done.stdout == "{None}\n"


def test_enable_twice_with_other_options():
    done = run(
        "import stoop\nstoop.enable(threshold=3)\n"
        "try:\n    stoop.enable(threshold=9)\nexcept (RuntimeError, ValueError) as e:\n    print('refused', e)\n"
        "print(stoop.options()['threshold'], stoop.is_enabled())\n"
    )
    threshold, on = done.stdout.splitlines()[-1].split()
    assert on == "True"
    assert threshold == ("3" if done.stdout.startswith("refused") else "9")


def test_enabled_from_a_thread_and_at_exit():
    done = run(
        "import atexit, threading\nimport stoop\n"
        f"{LOOP}\n"
        "t = threading.Thread(target=lambda: stoop.enable(threshold=1)); t.start(); t.join()\n"
        "print(stoop.compile(f), f(1000))\n"
        "atexit.register(lambda: print(f(1000), stoop.compile(f)))\n"
    )
    assert done.stdout.splitlines() == ["None 499500", "499500 None"]


def test_the_end_of_the_process_in_a_hot_loop():
    done = harness.python(
        "-c",
        "import stoop, threading\nstoop.enable(threshold=1, sample_interval_ms=1)\n"
        "def spin():\n    i = 0\n    while True:\n        i += 1\n"
        "threading.Thread(target=spin, daemon=True).start()\n"
        "t = 0\nfor i in range(500_000):\n    t += i\nprint(t)\n",
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "124999750000\n", "")


def test_deep_native_recursion_is_an_error_not_a_crash():
    done = run(
        "import stoop, sys\nstoop.enable(threshold=1)\n"
        "def f(n):\n    return f(n + 1)\n"
        "def g(n):\n    return 0 if n == 0 else g(n - 1)\n"
        "for _ in range(3): g(5)\n"
        "print(stoop.compile(g))\n"
        "print(stoop.compile(f))\n"
        "sys.setrecursionlimit(100_000)\n"
        "print(g(50_000))\n"
        "try:\n    f(0)\nexcept RecursionError as e:\n    print('RecursionError')\n"
    )
    assert done.stdout.splitlines() == ["None", "None", "0", "RecursionError"]
