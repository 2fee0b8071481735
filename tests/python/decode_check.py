"""Compare Stoop's decoder with `dis`, instruction by instruction, over the standard library.

Usage: python decode_check.py [--module MODULE] [--run] [PATH ...]

MODULE (default stoop._stoop) offers `_decode_text(code)`. PATHs are files or folders; by default the whole
standard library. With --run some functions are executed first, so that specialised and instrumented bytecode is read.
"""

import argparse
import dis
import importlib
import opcode
import os
import sys
import sysconfig
import types
import warnings

OLD = sys.version_info < (3, 13)
PAIRS = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
}
SAME = {"LOAD_CLOSURE": "LOAD_FAST", "RESUME_CHECK": "RESUME"}
JUMPS = {opcode.opname[op] for op in opcode.hasjrel}


def expected(code):
    """Rows of (unit, op_unit, name, arg, flag, flag2, half, target, kwnames, line) as `dis` sees the code."""
    rows = []
    start = kwnames = None
    for i in dis.get_instructions(code, adaptive=False):
        unit = i.offset // 2
        if start is None:
            start = unit
        name, arg = i.opname, i.arg or 0
        if name == "EXTENDED_ARG":
            continue
        if name == "KW_NAMES":
            kwnames = arg
            continue
        line = i.positions.lineno or 0
        flag = flag2 = 0
        target = None
        if name in JUMPS:
            target = i.argval // 2
        if name == "FOR_ITER":
            target += 1 if OLD else 2
        elif name in ("LOAD_GLOBAL", "LOAD_ATTR"):
            flag, arg = arg & 1, arg >> 1
        elif name == "LOAD_SUPER_ATTR":
            flag, flag2, arg = arg & 1, arg >> 1 & 1, arg >> 2
        elif name == "COMPARE_OP":
            wanted = i.argrepr
            if wanted.startswith("bool("):
                flag, wanted = 1, wanted[5:-1]
            arg = dis.cmp_op.index(wanted)
        elif name == "BINARY_OP":
            flag = int(i.argrepr.endswith("="))
            arg = ["+", "&", "//", "<<", "@", "*", "%", "|", "**", ">>", "-", "/", "^"].index(i.argrepr.rstrip("="))
        elif name in ("IS_OP", "CONTAINS_OP", "CALL_FUNCTION_EX"):
            flag = arg & 1
        elif name == "FORMAT_VALUE":
            arg, flag = arg & 3, arg >> 2 & 1
        elif name == "FORMAT_SIMPLE":
            name, arg = "FORMAT_VALUE", 0
        elif name == "FORMAT_WITH_SPEC":
            name, arg, flag = "FORMAT_VALUE", 0, 1
        if name in PAIRS:
            first, second = PAIRS[name]
            rows.append((start, unit, first, arg >> 4, 0, 0, 0, None, None, line))
            rows.append((start, unit, second, arg & 15, 0, 0, 1, None, None, line))
        else:
            rows.append((start, unit, SAME.get(name, name), arg, flag, flag2, 0, target, kwnames, line))
        start = kwnames = None
    return rows


def handlers(code):
    """Rows of the exception table as `dis` sees it."""
    rows = []
    for e in dis._parse_exception_table(code):
        rows.append((e.start // 2, e.end // 2, e.target // 2, e.depth, int(e.lasti)))
    return rows


def decoded(text):
    """The same rows, read back from the decoder's text."""
    rows, table = [], []
    for line in text.splitlines():
        words = line.split(" ")
        if words[0] == "handler":
            table.append(tuple(map(int, words[1:])))
            continue
        if words[0] == "error:":
            raise ValueError(line)
        unit, op_unit, _next, name, arg = words[:5]
        more = dict(w.split("=", 1) for w in words[5:] if "=" in w)

        def number(key, more=more):
            return int(more[key]) if key in more else None

        rows.append((
            int(unit), int(op_unit), name, int(arg), number("flag"), number("flag2"), number("half"),
            number("target"), number("kwnames"), number("line"),
        ))
    return rows, table


def walk(code):
    yield code
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from walk(const)


def check(code, decode_text):
    """The first difference as a sentence, or None."""
    rows, table = decoded(decode_text(code))
    wanted = expected(code)
    for got, want in zip(rows, wanted):
        if got != want:
            return f"{code.co_qualname}: got {got}, dis says {want}"
    if len(rows) != len(wanted):
        return f"{code.co_qualname}: {len(rows)} instructions, dis says {len(wanted)}"
    if table != handlers(code):
        return f"{code.co_qualname}: exception tables differ"
    return None


def sources(paths):
    for path in paths:
        if os.path.isfile(path):
            yield path
        for folder, dirs, files in os.walk(path):
            dirs[:] = sorted(d for d in dirs if d not in ("site-packages", "__pycache__", "bad_coding", "lib2to3"))
            yield from (os.path.join(folder, f) for f in sorted(files) if f.endswith(".py"))


def warm_code():
    """Code objects of imported modules, specialised by running, some instrumented."""
    import argparse, ast, collections, decimal, inspect, json, re, textwrap, tokenize  # noqa: E401, F401

    for _ in range(50):
        json.dumps({"a": [1, 2.5, None, "x"] * 5})
        json.loads('{"a": [1, 2.5, null, "x"]}')
        re.compile("(a|b)*c+[d-f]{2,3}")
        textwrap.wrap("some words to wrap " * 5, 20)
        ast.unparse(ast.parse("def f(x):\n  return [i*2 for i in x if i]"))
        re.purge()
    found = []
    for module in list(sys.modules.values()):
        for value in list(vars(module).values()):
            members = [value, *vars(value).values()] if isinstance(value, type) else [value]
            for member in members:
                if isinstance(member, types.FunctionType):
                    found.extend(walk(member.__code__))
    return list(dict.fromkeys(found))


def re_compiler():
    """A function that `warm_code` has run often."""
    import re._compiler

    return re._compiler._compile.__code__


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--module", default="stoop._stoop")
    parser.add_argument("--run", action="store_true")
    parser.add_argument("paths", nargs="*")
    options = parser.parse_args()
    decode_text = importlib.import_module(options.module)._decode_text
    warnings.simplefilter("ignore")
    count = bad = 0

    def verify(code, where):
        nonlocal count, bad
        count += 1
        try:
            problem = check(code, decode_text)
        except ValueError as e:
            problem = f"{code.co_qualname}: {e}"
        if problem:
            bad += 1
            print(f"{where}: {problem}")

    if options.run:
        codes = warm_code()
        events = sys.monitoring.events
        sys.monitoring.use_tool_id(3, "decode_check")
        changed = 0
        for n, code in enumerate(codes):
            if n % 3:
                verify(code, "warm")
                continue
            which = [events.LINE, events.INSTRUCTION, events.LINE | events.INSTRUCTION, events.JUMP | events.CALL]
            sys.monitoring.set_local_events(3, code, which[n // 3 % 4])
            changed += code._co_code_adaptive != code.co_code
            verify(code, "instrumented")
            sys.monitoring.set_local_events(3, code, 0)
        sys.monitoring.free_tool_id(3)
        specialised = sum("feedback=None" not in line for line in decode_text(re_compiler()).splitlines())
        if not (changed > len(codes) // 4 and specialised):
            print(f"premise: only {changed} instrumented, {specialised} specialised instructions in re")
            bad += 1
    else:
        for path in sources(options.paths or [sysconfig.get_path("stdlib")]):
            try:
                with open(path, "rb") as file:
                    top = compile(file.read(), path, "exec")
            except (SyntaxError, ValueError, UnicodeError):
                continue
            for code in walk(top):
                verify(code, path)
    print(f"{count} code objects, {bad} differ")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
