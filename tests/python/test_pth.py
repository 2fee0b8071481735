"""The start-up hook: when it acts, when it stays out of the way, when it cannot."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

SHOW = "import sys; print('stoop' in sys.modules and sys.modules['stoop'].is_enabled())"


def run(arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOOP")}
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={**environment, **variables},
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("flags", "variables", "on"),
    [
        ([], {}, False),
        ([], {"STOOP": "1"}, True),
        ([], {"STOOP": "0"}, False),
        ([], {"STOOP": ""}, False),
        (["-E"], {"STOOP": "1"}, False),
        (["-I"], {"STOOP": "1"}, False),
        (["-X", "stoop"], {}, True),
        (["-X", "stoop=1"], {}, True),
        (["-E", "-X", "stoop"], {}, True),
        (["-I", "-X", "stoop"], {}, True),
        (["-X", "stoop=0"], {"STOOP": "1"}, False),
        (["-X", "stoop"], {"STOOP": "0"}, True),
        (["-S"], {"STOOP": "1"}, False),
    ],
)
def test_switches(flags, variables, on):
    assert run([*flags, "-c", SHOW], **variables) == (0, f"{on}\n", "")


def test_imports_nothing_when_off():
    hook = Path(sysconfig.get_path("purelib"), "stoop.pth").read_text()
    assert hook.count("\n") == 1 and hook.startswith("import os, sys; ")
    status, output, _ = run(["-c", "import sys; print([name for name in sys.modules if 'stoop' in name])"])
    assert (status, output) == (0, "[]\n")


@pytest.mark.parametrize("option", ["-X stoop-nonsense=1", "-X stoop-threshold=many"])
def test_a_wrong_option_warns_and_the_program_runs(option):
    status, output, errors = run(["-X", "stoop", *option.split(), "-c", "import stoop; print(stoop.is_enabled())"])
    assert (status, output) == (0, "False\n")
    assert errors.startswith("stoop:0: RuntimeWarning: Stoop is off, the program runs interpreted: ")
    assert errors.count("\n") == 1


def test_a_warning_turned_error_does_not_stop_the_program():
    flags = ["-W", "error", "-X", "stoop", "-X", "stoop-nonsense=1"]
    status, output, errors = run([*flags, "-c", "print('ran')"])
    assert (status, output) == (0, "ran\n")
    assert errors.startswith("stoop: RuntimeWarning: Stoop is off")


def test_a_warning_ignored_is_silent():
    flags = ["-W", "ignore", "-X", "stoop", "-X", "stoop-nonsense=1"]
    assert run([*flags, "-c", "print('ran')"]) == (0, "ran\n", "")


def test_an_engine_that_cannot_load_warns_and_the_program_runs(tmp_path):
    # A package that fails as the extension module does under a Python it refuses.
    (tmp_path / "stoop.py").write_text("raise ImportError('Stoop does not support this Python')\n")
    status, output, errors = run(["-c", "print('ran')"], STOOP="1", PYTHONPATH=str(tmp_path))
    assert (status, output) == (0, "ran\n")
    expected = "Stoop is off, the program runs interpreted: Stoop does not support this Python"
    assert errors == f"stoop:0: RuntimeWarning: {expected}\n"


def test_subinterpreters_run_on_without_a_word():
    program = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
made = interpreters.create()
interpreters.run_string(made, "print('inside', flush=True)")
interpreters.destroy(made)
import stoop
print(stoop.is_enabled())
"""
    assert run(["-c", program], STOOP="1") == (0, "inside\nTrue\n", "")
