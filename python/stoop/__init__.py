"""Stoop: a just-in-time compiler for the CPython you already run.

`stoop app.py` on the command line, `STOOP=1` in the environment or
`stoop.enable()` in a program switch it on; nothing else changes.
`stoop.info`, `stoop.stats` and `stoop.dis` tell what it did, and why.
"""

# Part of every start-up under Stoop: keep this module's imports few. Whatever
# only the questions need (dataclasses, dis) is imported when they are asked.

from stoop import _stoop

__all__ = [
    "Exit",
    "FunctionInfo",
    "Option",
    "Region",
    "Stats",
    "compile",
    "disable",
    "dis",
    "dump_native",
    "enable",
    "info",
    "is_enabled",
    "never",
    "options",
    "options_table",
    "stats",
]

__version__ = _stoop.__version__

_RECORDS = frozenset({"Exit", "FunctionInfo", "Option", "Region", "Stats"})


def __getattr__(name):
    if name in _RECORDS:
        from stoop import _records

        return getattr(_records, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def enable(**options):
    """Switch the engine on for this process.

    Keyword arguments are options by name; `stoop.options_table()` lists them.
    An unknown option is a `ValueError` that names the nearest known one.
    Switching it on again with the same options does nothing. Where it can't be
    switched on at all (another optimiser has the monitoring tool, say), a
    `RuntimeWarning` says why and the program runs on, interpreted.
    """
    try:
        _stoop.enable(options)
    except RuntimeError as error:
        import warnings

        warnings.warn(f"stoop stays off: {error}", RuntimeWarning, stacklevel=2)


def disable():
    """Switch the engine off.

    Compiled code is left at its next safe point and never entered again.
    """
    _stoop.disable()


def is_enabled():
    """Whether the engine is on."""
    return _stoop.is_enabled()


def options():
    """The options in force, by name."""
    return _stoop.options()


def options_table():
    """Every option there is: name, default, unit, help."""
    from stoop import _records

    return tuple(_records.Option(**row) for row in _stoop.options_table())


def compile(function):
    """Compile a function now.

    Returns None when it was compiled, else the sentence that says why not.
    """
    return _stoop.compile(_plain_function(function))


def never(function):
    """Keep a function interpreted; also a decorator. Returns its argument."""
    _stoop.never(_plain_function(function))
    return function


def info(function):
    """What Stoop did to a function, as a `FunctionInfo`."""
    from stoop import _records

    return _records.function_info(_stoop.info(_plain_function(function)))


def stats():
    """What Stoop did in this process, as a `Stats`."""
    from stoop import _records

    return _records.process_stats(_stoop.stats())


def dis(function, stage="ir"):
    """The text of a function at a stage of its way to machine code.

    Stages: "bytecode" (as specialised by now), "ir" (as built), "passes" (after
    each pass) or the name of one pass, "clif" (Cranelift's IR), "asm" (machine
    code with source lines).
    """
    plain = _plain_function(function)
    if stage == "bytecode":
        import dis as bytecode

        return bytecode.Bytecode(plain, adaptive=True).dis()
    return _stoop.dis(plain, stage)


def dump_native(function, path):
    """Write a function's machine code as an object file for disassemblers."""
    from os import fspath

    _stoop.dump_native(_plain_function(function), fspath(path))


def _plain_function(function):
    """The Python function behind a function, method, static or class method."""
    plain = function
    # Asked first: methods have their function's `__code__` too.
    while hasattr(plain, "__func__"):
        plain = plain.__func__
    if not hasattr(plain, "__code__"):
        raise TypeError(f"expected a Python function, not {type(function).__name__!r}")
    return plain
