"""`stoop X` against `python X`: outputs, exit status and tracebacks, byte for byte."""

import json
import os
import pty
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
PYTHON = str(BIN / "python")
STOOP = str(BIN / "stoop")

# What a program can ask about how it was started.
SHOW = """
import sys
print("argv", sys.argv)
print("path0", sys.path[0])
print("path", sys.path)
print("name", __name__)
print("package", __package__)
print("spec", __spec__ and __spec__.name)
print("file", globals().get("__file__"))
print("main", sorted(name for name in vars(sys.modules["__main__"])))
print("flags", sys.flags)
print("warnings", sys.warnoptions)
print("xoptions", sys._xoptions)
print("orig_argv", sys.orig_argv[1:])
print("executable", sys.executable, sys.prefix, sys.exec_prefix)
print("debug", __debug__)
print("stdin", sys.stdin.encoding, sys.stdin.isatty(), sys.stdout.line_buffering)
"""

FILES = {
    "show.py": SHOW,
    "pkg/__init__.py": "",
    "pkg/__main__.py": SHOW,
    "pkg/inner.py": SHOW,
    "folder/__main__.py": SHOW,
    "empty/readme": "",
    "bad_syntax.py": "x = 1\ny = (\nz = 3\n",
    "skip_first.py": "this is no Python\nprint('second line')\n",
    "raises.py": """
        def inner(n):
            total = 0
            for i in range(n):
                total += 1 / (n - 1 - i)
            return total

        def outer():
            try:
                inner(5)
            except ZeroDivisionError as error:
                raise RuntimeError("outer") from error

        outer()
        """,
    "raises_in_handler.py": """
        import sys

        def hook(*details):
            raise ValueError("in the hook")

        sys.excepthook = hook
        {}["missing"]
        """,
    "group.py": """
        raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [TypeError("x")])])
        """,
    "deep.py": """
        def sink(n):
            return sink(n + 1)

        sink(0)
        """,
    "thread.py": """
        import threading

        def work():
            values = [1, 2, 3]
            return values[5]

        thread = threading.Thread(target=work, name="worker")
        thread.start()
        thread.join()
        print("after")
        """,
    "unraisable.py": """
        class Leaver:
            def __del__(self):
                raise OSError("in a finaliser")

        Leaver()
        print("after")
        """,
    "interrupted.py": """
        import os, signal

        def loop():
            n = 0
            while True:
                n += 1
                if n == 1000:
                    os.kill(os.getpid(), signal.SIGINT)

        loop()
        """,
    "killed.py": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "at_exit.py": """
        import atexit, sys

        atexit.register(print, "at exit")
        print("to stdout")
        print("to stderr", file=sys.stderr)
        sys.exit(5)
        """,
    "reads.py": "import sys\nprint(repr(sys.stdin.read()))\nprint(input.__name__)\n",
    "warns.py": """
        import warnings

        def old():
            warnings.warn("old", DeprecationWarning, stacklevel=2)

        old()
        warnings.warn("plain")
        print("after")
        """,
    "asserts.py": "def f():\n    'text'\n    assert False, 'seen'\n\nprint(f.__doc__)\nf()\n",
    "bytes_and_text.py": "print(b'a' == 'a')\n",
    "closes_stdout.py": "import os\nprint('lost')\nos.close(1)\n",
}

SHAPES = {
    "script": ["show.py"],
    "script with arguments": ["show.py", "a", "b c", "", "-x", "--stats", "--", "é"],
    "script by absolute path": ["{dir}/show.py", "a"],
    "missing script": ["missing.py"],
    "module": ["-m", "pkg.inner", "a", "-m"],
    "module in one word": ["-mpkg.inner", "a"],
    "package": ["-m", "pkg", "a", "b"],
    "missing module": ["-m", "no_such_module"],
    "package without main": ["-m", "json.scanner.x"],
    "folder": ["folder", "a"],
    "folder without main": ["empty"],
    "archive": ["app.zip", "a"],
    "command": ["-c", SHOW, "a", "-c", "b"],
    "command in one word": ["-cprint(__name__, __import__('sys').argv)", "a"],
    "empty command": ["-c", ""],
    "command with a syntax error": ["-c", "x = = 1"],
    "command that raises": ["-c", "import sys\nfor i in range(3): print(1 / (2 - i))"],
    "option without its command": ["-c"],
    "option without its module": ["-m"],
    "syntax error": ["bad_syntax.py"],
    "uncaught exception": ["raises.py"],
    "exception in the hook": ["raises_in_handler.py"],
    "exception group": ["group.py"],
    "recursion error": ["deep.py"],
    "exception in a thread": ["thread.py"],
    "unraisable": ["unraisable.py"],
    "keyboard interrupt": ["interrupted.py"],
    "killed": ["killed.py"],
    "exit handlers": ["at_exit.py"],
    "stdout closed": ["closes_stdout.py"],
    "exit 0": ["-c", "raise SystemExit"],
    "exit 7": ["-c", "raise SystemExit(7)"],
    "exit -1": ["-c", "raise SystemExit(-1)"],
    "exit text": ["-c", "raise SystemExit('a text')"],
    "exit object": ["-c", "import sys; sys.exit([1, 2])"],
    "exit big": ["-c", "import sys; sys.exit(2**70)"],
    "hard exit": ["-c", "import os; os._exit(9)"],
    "-O": ["-O", "asserts.py"],
    "-OO": ["-OO", "asserts.py"],
    "no -O": ["asserts.py"],
    "-O flags": ["-O", "show.py"],
    "-B": ["-B", "show.py"],
    "-d": ["-d", "show.py"],
    "-E": ["-E", "-c", "import sys; print(sys.flags, sys.path)"],
    "-P": ["-P", "show.py"],
    "-P module": ["-P", "-m", "json.tool", "--help"],
    "-q": ["-q", "show.py"],
    "-R": ["-R", "show.py"],
    "-s": ["-s", "show.py"],
    "-u": ["-u", "show.py"],
    "-x": ["-x", "skip_first.py"],
    "-b": ["-b", "bytes_and_text.py"],
    "-bb": ["-bb", "bytes_and_text.py"],
    "-W error": ["-W", "error", "warns.py"],
    "-W in one word": ["-Wignore", "warns.py"],
    "-W twice": ["-W", "ignore", "-W", "error::DeprecationWarning", "warns.py"],
    "-W wrong": ["-W", "nonsense", "show.py"],
    "no -W": ["warns.py"],
    "-X dev": ["-X", "dev", "warns.py"],
    "-X dev flags": ["-X", "dev", "show.py"],
    "-X utf8": ["-Xutf8", "show.py"],
    "-X of somebody else": ["-X", "mine=1", "-X", "other", "show.py"],
    "-X int_max_str_digits": [
        "-X",
        "int_max_str_digits=700",
        "-c",
        "print(10 ** 699); str(10 ** 700)",
    ],
    "cluster": ["-bBsu", "show.py"],
    "cluster with command": ["-Bsc", SHOW, "a"],
    "cluster with value": ["-BW", "ignore", "warns.py"],
    "-i": ["-i", "-c", "x = 5"],
    "-i after an error": ["-i", "raises.py"],
    "check pycs": ["--check-hash-based-pycs", "always", "show.py"],
    "unknown letter": ["-Z", "show.py"],
    "unknown word": ["--nonsense", "show.py"],
    "two dashes": ["--", "show.py", "a"],
    "version of Python": ["-V"],
    "version of Python in full": ["-VV"],
    "help on -X": ["--help-xoptions"],
    "help on the environment": ["--help-env"],
    "standard input read": ["reads.py"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the programs above."""
    folder = tmp_path_factory.mktemp("programs")
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))
    with zipfile.ZipFile(folder / "app.zip", "w") as archive:
        archive.writestr("__main__.py", SHOW)
    return folder


def run(command, place, given="", **more):
    """One run in an environment that says nothing of Stoop."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOOP")}
    environment.pop("PYTHONUNBUFFERED", None)
    # The shell that runs the launcher would correct it.
    environment["PWD"] = str(place)
    environment.update(more.pop("env", {}))
    if isinstance(given, str):
        given = given.encode()
    done = subprocess.run(command, cwd=place, input=given, capture_output=True, env=environment, timeout=120, **more)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def same(arguments, place, given="", **more):
    """Run both and compare; gives back what they said."""
    plain = without_addresses(run([PYTHON, *arguments], place, given, **more))
    under = without_addresses(run([STOOP, *arguments], place, given, **more))
    assert under == plain
    return plain


def without_addresses(said):
    """What was said, with the addresses of objects made equal."""
    status, *texts = said
    return status, *(re.sub(r"\b0x[0-9a-f]{8,}", "0x…", text) for text in texts)


@pytest.mark.parametrize("arguments", SHAPES.values(), ids=SHAPES.keys())
def test_behaves_as_python(place, arguments):
    arguments = [argument.replace("{dir}", str(place)) for argument in arguments]
    status, output, errors = same(arguments, place, given="print('typed')\n1 + 1\n")
    assert output or errors or status or arguments[-1] in ("", "raise SystemExit")


def test_isolated_differs_in_one_flag(place):
    # With -I (and -E) Python ignores the variable, so the flag must say it.
    arguments = ["-I", "show.py", "a"]
    plain = run([PYTHON, *arguments], place)
    status, output, errors = run([STOOP, *arguments], place)
    output = output.replace("xoptions {'stoop': True}", "xoptions {}")
    output = output.replace("['-X', 'stoop', '-I',", "['-I',")
    assert (status, output, errors) == plain


@pytest.mark.parametrize(
    "given",
    [
        SHOW,
        "x = 1\nprint(x)\nraise SystemExit(3)\n",
        "def f():\n    return 1 / 0\n\nf()\n",
        "x = = 1\n",
        "print('no newline at the end')",
        "",
    ],
    ids=["show", "exit", "raise", "syntax error", "no newline", "empty"],
)
@pytest.mark.parametrize("arguments", [[], ["-"], ["-", "a", "b"], ["-i"], ["-iq"]], ids=" ".join)
def test_standard_input(place, arguments, given):
    same(arguments, place, given)


def test_interactive_on_a_terminal(place):
    def session(program):
        controller, terminal = pty.openpty()
        environment = {**os.environ, "PYTHON_BASIC_REPL": "1", "TERM": "dumb", "PYTHONSTARTUP": ""}
        environment.pop("STOOP", None)
        process = subprocess.Popen(
            [program, "-q"],
            cwd=place,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
        )
        os.close(terminal)
        os.write(controller, b"n = 20\nn + 1\nfor i in range(2):\n  i\n\n1/0\nexit(4)\n")
        output = b""
        while True:
            try:
                part = os.read(controller, 4096)
            except OSError:
                break
            if not part:
                break
            output += part
        os.close(controller)
        # The terminal echoes what is typed ahead whenever it comes by.
        answers = [line for line in output.replace(b">>> ", b"").split(b"\r\n") if b"Error" in line or line.isdigit()]
        return process.wait(), answers

    plain = session(PYTHON)
    assert plain[0] == 4 and b"21" in plain[1]
    assert session(STOOP) == plain


ASK = "import stoop; print(stoop.is_enabled())"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (["asks.py"], ""),
        (["-m", "asks"], ""),
        (["-c", ASK], ""),
        (["-"], ASK),
        ([], ASK),
        (["-i", "-c", ASK], ""),
        (["-I", "-c", ASK], ""),
        (["-E", "-c", ASK], ""),
        (["-bsE", "-c", ASK], ""),
        (["-OO", "-c", ASK], ""),
        (["-W", "error", "-c", ASK], ""),
        (["-W", "-E", "-c", ASK], ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_engine_is_on(place, arguments, given):
    (place / "asks.py").write_text(ASK)
    status, output, _ = run([STOOP, *arguments], place, given)
    assert (status, output) == (0, "True\n")
    if "-E" not in arguments[:1] and arguments:
        assert run([PYTHON, *arguments], place, given)[1] == "False\n"


def test_what_a_program_can_see(place):
    program = "import os, sys, json; print(json.dumps([sorted(sys.modules), sorted(os.environ.items())]))"
    plain_modules, plain_environment = json.loads(run([PYTHON, "-c", program], place)[1])
    modules, environment = json.loads(run([STOOP, "-c", program], place)[1])
    assert set(modules) - set(plain_modules) <= {"stoop", "_stoop_startup", "stoop._stoop", "atexit"}
    assert set(plain_modules) <= set(modules)
    assert [pair for pair in environment if pair not in plain_environment] == [["STOOP", "1"]]


def test_children_run_under_stoop(place):
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ASK!r}])"
    assert run([STOOP, "-c", program], place)[1] == "True\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_run_under_stoop(place, method):
    (place / "workers.py").write_text(
        textwrap.dedent(f"""
        import multiprocessing

        def ask(_):
            import stoop
            return stoop.is_enabled()

        if __name__ == "__main__":
            with multiprocessing.get_context({method!r}).Pool(1) as pool:
                print(pool.map(ask, [0]))
        """)
    )
    status, output, errors = run([STOOP, "workers.py"], place)
    assert (status, output) == (0, "[True]\n"), errors


def test_without_site_runs_interpreted_and_says_so(place):
    status, output, errors = run([STOOP, "-S", "show.py", "a"], place)
    assert (status, output) == run([PYTHON, "-S", "show.py", "a"], place)[:2]
    assert errors == (
        "stoop: RuntimeWarning: with -S Python reads no start-up files: Stoop is off, the program runs interpreted\n"
    )


def test_stats_are_printed_at_the_end(place):
    arguments = ["at_exit.py"]
    plain = run([PYTHON, *arguments], place)
    status, output, errors = run([STOOP, "--stats", *arguments], place)
    assert (status, output) == plain[:2]
    assert errors.startswith(plain[2])
    table = errors.removeprefix(plain[2])
    assert "Stoop: what was done to this program" in table
    assert "spent compiling" in table


def test_stats_name_a_hot_loop(place):
    (place / "hot.py").write_text(
        textwrap.dedent("""
        def busy(n):
            total = 0
            for i in range(n):
                total += i & 7
            return total

        print(busy(30_000_000))
        """)
    )
    status, output, errors = run([STOOP, "--stats", "hot.py"], place)
    assert (status, output) == (0, "105000000\n")
    assert "busy (hot.py:" in errors


def test_stats_name_a_loop_of_the_module_itself(place):
    (place / "hot.py").write_text("total = 0\nfor i in range(30_000_000):\n    total += i & 7\nprint(total)\n")
    status, output, errors = run([STOOP, "--stats", "hot.py"], place)
    assert (status, output) == (0, "105000000\n")
    assert "<module> (hot.py:" in errors


def test_stats_after_pythons_options_are_refused(place):
    status, output, errors = run([STOOP, "-O", "--stats", "show.py"], place)
    assert (status, output, errors) == (
        2,
        "",
        "stoop: --stats belongs before Python's own options\n",
    )


def test_stats_of_the_program_alone_not_of_forked_children(place):
    program = "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0)\n"
    errors = run([STOOP, "--stats", "-c", program], place)[2]
    assert errors.count("what was done") == 1


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(place, option):
    status, output, errors = run([STOOP, option], place)
    assert (status, errors) == (0, "")
    assert output.startswith("usage: stoop ") and "--stats" in output


def test_version(place):
    import stoop

    expected = f"Stoop {stoop.__version__} (Python {'.'.join(map(str, sys.version_info[:3]))})\n"
    assert run([STOOP, "--version"], place) == (0, expected, "")


def test_through_a_symbolic_link(place):
    link = place / "linked"
    link.symlink_to(STOOP)
    again = place / "again"
    again.symlink_to("linked")
    status, output, _ = run([str(again), "-c", "import sys, stoop; print(stoop.is_enabled(), sys.executable)"], place)
    assert (status, output) == (0, f"True {PYTHON}\n")


def test_found_on_the_path(place):
    environment = {"PATH": f"{BIN}:/usr/bin:/bin"}
    status, output, _ = run(["stoop", "-c", ASK], place, env=environment)
    assert (status, output) == (0, "True\n")


@pytest.mark.parametrize("arguments", [["show.py", "a"], ["-O", "-c", "print(__debug__)"], ["-m", "pkg", "x"]])
def test_as_a_module(place, arguments):
    assert run([PYTHON, "-m", "stoop", *arguments], place) == run([STOOP, *arguments], place)


def test_away_from_any_environment(place):
    lonely = place / "bin" / "stoop"
    lonely.parent.mkdir()
    lonely.write_bytes(Path(STOOP).read_bytes())
    lonely.chmod(0o755)
    status, output, errors = run([str(lonely), "-c", "pass"], place)
    assert (status, output) == (2, "")
    assert errors.startswith("stoop: found neither a virtual environment nor the package stoop around ")
