"""Switches the engine on while the interpreter starts; imported by `stoop.pth`.

Runs before the program: it may not fail, print on success, or leave more behind
in the process than the modules `stoop`, `stoop._stoop` and this one. It lies
outside the package, because importing `stoop` is what may fail.
"""

import sys


def _start():
    show_stats = _asks_for_stats()
    try:
        import stoop

        stoop.enable(**_x_options())
    except Exception as error:
        if not _in_subinterpreter():
            _warn(error)
        return
    if show_stats:
        import atexit
        import os

        # A forked child is its parent's copy; only the program itself reports.
        atexit.register(_print_stats, os.getpid())


def _x_options():
    """The options given as `-X stoop-NAME=VALUE`; the engine parses the values."""
    options = {}
    for flag, value in sys._xoptions.items():
        if flag.startswith("stoop-") and flag != "stoop-stats":
            name = flag.removeprefix("stoop-").replace("-", "_")
            options[name] = value
    return options


def _asks_for_stats():
    import os

    asked = sys._xoptions.get("stoop-stats")
    if asked is None and not sys.flags.ignore_environment:
        asked = os.environ.get("STOOP_STATS")
    return asked not in (None, "", "0")


def _print_stats(pid):
    import os

    if os.getpid() != pid or sys.stderr is None:
        return
    import stoop

    try:
        sys.stdout.flush()
    except Exception:
        # The interpreter's own shutdown flushes again, and reports.
        pass
    sys.stderr.write(str(stoop.stats()))


def _in_subinterpreter():
    """Subinterpreters run without Stoop, and without a word about it each time."""
    try:
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        current = interpreters.get_current()
        return int(current[0] if isinstance(current, tuple) else current) != 0
    except Exception:
        return False


def _warn(error):
    import warnings

    message = f"Stoop is off, the program runs interpreted: {error}"
    try:
        warnings.warn_explicit(message, RuntimeWarning, "stoop", 0)
    except RuntimeWarning:
        # Warnings are errors (-W error), but this one may not stop the program.
        print(f"stoop: RuntimeWarning: {message}", file=sys.stderr)


_start()
