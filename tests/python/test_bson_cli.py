"""`stoop bson …`, as typed at a shell."""

import datetime
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import bson
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from stoop.bson import _cli, _progress, _where

BIN = Path(sys.executable).parent
PYTHON, STOOP = str(BIN / "python"), str(BIN / "stoop")
DAY = datetime.timedelta(1)
START = datetime.datetime(2024, 1, 1)
RIDES = [
    {
        "_id": bson.ObjectId(f"{i:024x}"),
        "fare": i / 4,
        "zone": "ABC"[i % 3],
        "at": START + datetime.timedelta(hours=i),
        "trip": {"miles": i * 0.5, "riders": i % 4},
        **({"tip": i} if i % 2 else {}),
    }
    for i in range(500)
]


@pytest.fixture
def place(tmp_path):
    (tmp_path / "rides.bson").write_bytes(b"".join(map(bson.encode, RIDES)))
    return tmp_path


def run(place, *arguments, status=0, command=(STOOP,), given=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STOOP")}
    done = subprocess.run(
        [*command, *arguments], cwd=place, capture_output=True, input=given, env=environment, timeout=120
    )
    assert done.returncode == status, done.stderr.decode()
    return done.stdout.decode(), done.stderr.decode()


def test_the_word_bson_is_a_command(place):
    output, _ = run(place, "bson", "--help")
    assert output.startswith("usage: stoop bson") and "convert" in output
    assert run(place, "-m", "stoop.bson", "--help", command=(PYTHON,))[0] == output
    assert run(place, "-m", "stoop", "bson", "--help", command=(PYTHON,))[0] == output


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_file_called_bson_is_run_as_python_runs_it(place, kind):
    program = "import sys\nprint('mine', sys.argv)\n"
    if kind == "folder":
        (place / "bson").mkdir()
        (place / "bson" / "__main__.py").write_text(program)
    else:
        (place / "mine.py").write_text(program)
        (place / "bson").symlink_to("mine.py") if kind == "link" else (place / "mine.py").rename(place / "bson")
    for name in ("bson", "./bson"):
        plain = run(place, name, "--help", command=(PYTHON,))
        assert plain[0] == f"mine ['{name}', '--help']\n"
        assert run(place, name, "--help") == plain
    # The command is still there under its other name.
    assert run(place, "-P", "-m", "stoop.bson", "head", "rides.bson", command=(PYTHON,))[0].count("\n") == 5


def test_other_places_of_the_word_are_pythons(place):
    (place / "app.py").write_text("import sys\nprint(sys.argv)\n")
    assert run(place, "app.py", "bson")[0] == "['app.py', 'bson']\n"
    plain = run(place, "./bson", command=(PYTHON,), status=2)
    assert run(place, "./bson", status=2) == plain


def test_modules_in_the_current_folder_are_not_imported(place):
    for name in ("numpy.py", "bson.py", "pyarrow.py"):
        (place / name).write_text("raise SystemExit('the wrong module')\n")
    assert run(place, "bson", "head", "-n", "1", "rides.bson")[0].count("\n") == 1


def test_schema(place):
    output, _ = run(place, "bson", "schema", "rides.bson")
    assert output.startswith("500 documents\npath ")
    assert "trip.miles   double" in output
    assert run(place, "bson", "schema", "--sample", "3", "rides.bson")[0].startswith("the first 3 documents\n")
    assert run(place, "bson", "schema", "--all", "rides.bson")[0] == output
    raw = (place / "rides.bson").read_bytes()
    (place / "rides.bson.gz").write_bytes(gzip.compress(raw))
    assert run(place, "bson", "schema", "rides.bson.gz")[0] == output
    assert run(place, "bson", "schema", "-", given=raw)[0] == output


def test_head(place):
    output, _ = run(place, "bson", "head", "-n", "2", "rides.bson")
    first, second = map(json.loads, output.splitlines())
    assert first["_id"] == {"$oid": "0" * 24} and first["at"] == {"$date": "2024-01-01T00:00:00Z"}
    assert second["tip"] == 1
    canonical, _ = run(place, "bson", "head", "-n", "1", "--canonical", "rides.bson")
    assert json.loads(canonical)["fare"] == {"$numberDouble": "0.0"}
    assert run(place, "bson", "head", "--indent", "-n", "1", "rides.bson")[0].count("\n") > 5
    assert run(place, "bson", "head", "-n", "1000", "rides.bson")[0].count("\n") == 500


def test_head_of_a_damaged_document(place):
    good = bson.encode({"x": 1.0})
    (place / "damaged.bson").write_bytes(good + good[:4] + b"U" + good[5:])
    _, errors = run(place, "bson", "head", "damaged.bson", status=1)
    assert errors.startswith("stoop bson: document 1: ") and errors.count("\n") == 1


def test_head_into_a_closed_pipe(place):
    command = f"'{STOOP}' bson head -n 400 rides.bson | head -n 1; exit ${{PIPESTATUS[0]}}"
    output, errors = run(place, "-c", command, command=("bash",))
    assert output.count("\n") == 1 and errors == ""


def test_convert_to_parquet(place):
    output, errors = run(place, "bson", "convert", "rides.bson", "-o", "rides.parquet")
    assert output.startswith("rides.parquet: 500 rows of 500 documents, ") and errors == ""
    rows = pyarrow.parquet.read_table(place / "rides.parquet").to_pylist()
    assert [row["trip"] for row in rows] == [ride["trip"] for ride in RIDES]
    assert [row["tip"] for row in rows] == [ride.get("tip") for ride in RIDES]
    assert rows[7]["_id"] == RIDES[7]["_id"].binary
    assert rows[7]["at"] == RIDES[7]["at"].replace(tzinfo=datetime.UTC)


def test_convert_to_arrow(place):
    for name in ("rides.arrow", "rides.feather"):
        run(place, "bson", "convert", "rides.bson", "-o", name)
        with pa.ipc.open_file(place / name) as file:
            assert file.read_all()["fare"].to_pylist() == [ride["fare"] for ride in RIDES]


def test_convert_to_csv(place):
    run(place, "bson", "convert", "rides.bson", "-o", "rides.csv")
    table = pyarrow.csv.read_csv(place / "rides.csv")
    assert table.column_names == ["_id", "fare", "zone", "at", "trip.miles", "trip.riders", "tip"]
    assert table["trip.miles"].to_pylist() == [ride["trip"]["miles"] for ride in RIDES]
    assert (place / "rides.csv").read_text().splitlines()[1].startswith('"000000000000000000000000",0,"A",')


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_convert_to_numpy(place, ending):
    name = f"rides.{ending}"
    run(place, "bson", "convert", "rides.bson", "-o", name, "--fill", "tip=-1")
    array = np.load(place / name)
    assert array["tip"].tolist() == [ride.get("tip", -1) for ride in RIDES]
    assert array["zone"].dtype == "U1" and array["zone"].tolist() == [ride["zone"] for ride in RIDES]
    assert array["at"][3] == np.datetime64("2024-01-01T03:00")
    assert array["trip.miles"].sum() == sum(ride["trip"]["miles"] for ride in RIDES)
    assert array["_id"][5].tobytes() == RIDES[5]["_id"].binary
    _, errors = run(place, "bson", "convert", "rides.bson", "-o", name, status=1)
    assert "column 'tip' has 250 values that are missing or null" in errors and "--fill tip=" in errors
    assert len(np.load(place / name)) and not list(place.glob("*.part"))


WHERE = {
    "fare > 10": lambda r: r["fare"] > 10,
    "10 < fare <= 20": lambda r: 10 < r["fare"] <= 20,
    "fare > 10 and zone == 'A'": lambda r: r["fare"] > 10 and r["zone"] == "A",
    "zone in ['A', 'C'] or trip.riders == 2": lambda r: r["zone"] in "AC" or r["trip"]["riders"] == 2,
    "zone not in ('A',)": lambda r: r["zone"] != "A",
    "not (zone == 'A' or fare < 50)": lambda r: not (r["zone"] == "A" or r["fare"] < 50),
    "tip is None": lambda r: "tip" not in r,
    "tip is not None and trip.miles >= 100": lambda r: "tip" in r and r["trip"]["miles"] >= 100,
    "at >= '2024-01-05' and at < '2024-01-06T12:00'": lambda r: 4 <= (r["at"] - START) / DAY < 5.5,
    "trip.miles > fare": lambda r: r["trip"]["miles"] > r["fare"],
    "_id == '00000000000000000000000a'": lambda r: str(r["_id"]).endswith("00a"),
    "fare == -1": lambda r: False,
}  # fmt: skip


@pytest.mark.parametrize("condition", WHERE)
@pytest.mark.parametrize("select", [None, "_id", "trip.miles,_id"])
def test_where(place, condition, select, monkeypatch):
    monkeypatch.chdir(place)
    options = ["--select", select] if select else []
    assert _cli.main(["convert", "rides.bson", "-o", "o.parquet", "--where", condition, *options]) == 0
    table = pyarrow.parquet.read_table(place / "o.parquet")
    assert table["_id"].to_pylist() == [ride["_id"].binary for ride in RIDES if WHERE[condition](ride)]
    if select:
        assert table.column_names == select.split(",")


WRONG = [
    (["-o", "x.xls"], "x.xls: the ending says no format; known are .parquet"),
    (["-o", "x.csv", "--where", "fare >"], "--where 'fare >': "),
    (["-o", "x.csv", "--where", "fare"], "fare is no boolean, and stands alone"),
    (["-o", "x.csv", "--where", "fare > 'x'"], "a column of double is compared with 'x'"),
    (["-o", "x.csv", "--where", "zone > 1"], "a column of string is compared with 1"),
    (["-o", "x.csv", "--where", "price > 1"], "no document has a field 'price'"),
    (["-o", "x.csv", "--where", "at > 'yesterday'"], "'yesterday' is no date like"),
    (["-o", "x.csv", "--where", "f(fare) > 1"], "neither side is a field"),
    (["-o", "x.csv", "--where", "__import__('os').system('echo') == 1"], "neither side is a field"),
    (["-o", "x.csv", "--where", "fare > trip.miles * 2"], "neither a field nor a value"),
    (["-o", "x.csv", "--where", "1 > 0"], "no field is named"),
    (["-o", "x.csv", "--where", "fare + 1 > 2"], "neither side is a field"),
    (["-o", "x.csv", "--select", "fair"], "no document has a field 'fair'; did you mean 'fare'?"),
    (["-o", "x.csv", "--type", "fare"], "write FIELD=TYPE"),
    (["-o", "x.csv", "--type", "fair=int32"], "names 'fair', which is no column"),
    (["-o", "x.csv", "--type", "fare=integer"], "no type is called 'integer'"),
    (["-o", "x.csv", "--type", "fare=int32"], 'field "fare": expected int32, found double 0.25'),
    (["-o", "x.csv", "--fill", "tip"], "write NAME=VALUE"),
    (["-o", "x.csv", "--fill", "top=1"], "names 'top', which is no field"),
    (["-o", "no/such/folder/x.csv"], "no/such/folder/x.csv"),
]


@pytest.mark.parametrize("options, words", WRONG, ids=[words for _, words in WRONG])
def test_what_goes_wrong_is_said(place, options, words, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert _cli.main(["convert", "rides.bson", *options]) == 1
    output, errors = capsys.readouterr()
    assert errors.startswith("stoop bson: ") and words in errors and "Traceback" not in errors
    assert output == "" and sorted(path.name for path in place.iterdir()) == ["rides.bson"]


def test_files_that_are_none(place):
    assert (
        run(place, "bson", "head", "nothing.bson", status=1)[1]
        == "stoop bson: nothing.bson: No such file or directory\n"
    )
    (place / "text.bson").write_text("this is text, and no BSON at all")
    for command in (["head"], ["schema"], ["convert", "-o", "x.csv"]):
        _, errors = run(place, "bson", *command, "text.bson", status=1)
        assert errors.startswith("stoop bson: text.bson: document 0 (byte 0): expected valid BSON, found "), errors
    (place / "list.bson").write_bytes(bson.encode({"l": [1, 2]}))
    _, errors = run(place, "bson", "convert", "list.bson", "-o", "x.csv", status=1)
    assert "column 'l' holds lists, for which CSV has no place; leave it out with --select" in errors
    run(place, "bson", "convert", status=2)
    run(place, "bson", "head", "-n", "0", "rides.bson", status=2)
    run(place, "bson", status=2)


def test_bad_documents_may_be_left_out(place):
    bad = [bson.encode({"a": "x" if i in (3, 5, 6, 7, 9) else i}) for i in range(12)]
    (place / "bad.bson").write_bytes(b"".join(bad))
    run(place, "bson", "convert", "bad.bson", "-o", "x.csv", "--type", "a=int32", status=1)
    output, errors = run(place, "bson", "convert", "bad.bson", "-o", "x.csv", "--type", "a=int32", "--on-error", "skip")
    assert output.startswith("x.csv: 7 rows of 12 documents")
    assert errors.count("left out: document") == 3 and "left out: 2 further documents" in errors
    assert (place / "x.csv").read_text() == '"a"\n0\n1\n2\n4\n8\n10\n11\n'


def test_standard_input(place):
    raw = (place / "rides.bson").read_bytes()
    run(place, "bson", "convert", "-", "-o", "o.parquet", given=raw)
    assert pyarrow.parquet.read_table(place / "o.parquet").num_rows == 500


def test_the_progress_bar(place):
    _, errors = run(place, "bson", "convert", "--progress", "rides.bson", "-o", "o.csv")
    assert "looking at documents  [##" in errors and "o.csv  [##" in errors and "500 documents" in errors
    assert errors.endswith("\r\x1b[K")
    now = [0.0]
    stream = io.StringIO()
    stream.isatty = lambda: True
    with _progress.Progress(1000, "title", stream=stream, clock=lambda: now[0]) as bar:
        bar.at(10, 1)
        assert stream.getvalue() == "", "quick work shows nothing"
        now[0] = 2.0
        bar.at(500, 7)
        assert "title  [###############...............]  50%  7 documents  250 B/s  2 s left" in stream.getvalue()
        bar.at(501, 8)
        assert "8 documents" not in stream.getvalue(), "ten times a second are enough"
    assert stream.getvalue().endswith("\r\x1b[K")
    assert _progress.duration(3725) == "1 h 02 min" and _progress.duration(61) == "1 min 01 s"
    assert _progress.size(12) == "12 B" and _progress.size(5_300_000) == "5.3 MB"


def test_conditions_name_their_fields():
    assert _where.Where("a.b > 1 and (c in [1] or not d) and a.b < e").paths == ["a.b", "c", "d", "e"]
