"""The file for perf: read as perf reads it."""

import os
import struct

from harness import python

PROGRAM = """
import os, sys, stoop
stoop.enable(threshold=1_000_000, jitdump=sys.argv[1])

def f(n):
    total = 0
    for i in range(n):
        total += i
    return total

def g(x):
    return x * 2.5

for _ in range(3):
    f(5), g(1.0)
stoop.compile(f)
pid = os.fork()
if pid:
    os.waitpid(pid, 0)
stoop.compile(g)
if pid:
    with open("/proc/self/maps") as maps:
        print(any("jit-" in line and "x" in line.split()[1] for line in maps), pid)
"""


def read(path):
    """Header fields, and the records as (kind, fields)."""
    with open(path, "rb") as f:
        data = f.read()
    header = struct.unpack_from("<IIIIIIQQ", data)
    at, records = header[2], []
    while at < len(data):
        kind, size, time = struct.unpack_from("<IIQ", data, at)
        body = data[at + 16 : at + size]
        assert len(body) == size - 16 and time >= header[6]
        if kind == 0:
            pid, tid, vma, address, length, index = struct.unpack_from("<IIQQQQ", body)
            name, code = body[40 : -length - 1].decode(), body[-length:]
            assert body[40 + len(name.encode())] == 0 and len(code) == length and vma == address
            records.append(("load", name, address, length, index, pid, tid))
        else:
            assert kind == 2
            address, count = struct.unpack_from("<QQ", body)
            rows, k = [], 16
            for _ in range(count):
                where, line, _ = struct.unpack_from("<QII", body, k)
                end = body.index(b"\0", k + 16)
                rows.append((where, line, body[k + 16 : end].decode()))
                k = end + 1
            assert k == len(body)
            records.append(("lines", address, rows))
        at += size
    assert at == len(data)
    return header, records


def test_code_names_and_lines(tmp_path):
    program, out = tmp_path / "program.py", tmp_path / "out"
    program.write_text(PROGRAM)
    out.mkdir()
    done = python(str(program), str(out))
    assert done.returncode == 0 and not done.stderr, done
    mapped, child = done.stdout.split()
    assert mapped == "True"
    files = sorted(os.listdir(out))
    assert len(files) == 2 and f"jit-{child}.dump" in files
    parent = next(name for name in files if name != f"jit-{child}.dump")
    header, records = read(out / parent)
    assert header[:4] == (0x4A695444, 1, 40, 62)
    assert f"jit-{header[5]}.dump" == parent
    assert [r[0] for r in records] == ["lines", "load", "lines", "load"]
    assert [(r[1].split()[0], r[4]) for r in records if r[0] == "load"] == [("f", 0), ("g", 1)]
    lines, load = records[0], records[1]
    assert lines[1] == load[2]
    assert {name for _, _, name in lines[2]} == {str(program)}
    assert {line for _, line, _ in lines[2]} >= {7, 8}
    assert all(load[2] <= where < load[2] + load[3] for where, _, _ in lines[2])
    _, records = read(out / f"jit-{child}.dump")
    assert [r[1].split()[0] for r in records if r[0] == "load"] == ["g"]


def test_a_directory_that_is_not_there_is_done_without(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.split("pid =")[0] + "print(f(4))")
    done = python(str(program), str(tmp_path / "nowhere"))
    assert done.stdout == "6\n"
    assert (
        f"RuntimeWarning: option 'jitdump': there will be none: '{tmp_path / 'nowhere'}' is not a directory"
        in done.stderr
    )
