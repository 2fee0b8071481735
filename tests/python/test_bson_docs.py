"""Stubs and documentation say what is there."""

import ast
import contextlib
import datetime
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import bson
import pytest

import stoop.bson as sb
from stoop import _stoop

PACKAGE = Path(sb.__file__).parent
ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "bson.md"


def stubbed(path):
    """Functions of a stub by name (of its last overload), and its classes."""
    tree = ast.parse(path.read_text())
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return functions, {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def names_of(arguments):
    found = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument.arg for argument in found if argument]


def test_the_stub_has_what_the_package_has():
    functions, classes = stubbed(PACKAGE / "__init__.pyi")
    assert functions.keys() | classes.keys() | {"BSONDecodeError"} >= set(sb.__all__)
    for name, node in functions.items():
        parameters = inspect.signature(getattr(sb, name)).parameters
        assert names_of(node.args) == list(parameters), name


@pytest.mark.parametrize("name", ["Table", "Schema"])
def test_the_stub_has_the_methods_of_classes(name):
    _, classes = stubbed(PACKAGE / "__init__.pyi")
    real = {n for n in vars(getattr(sb, name)) if not n.startswith("_")}
    told = {n.name for n in classes[name].body if isinstance(n, ast.FunctionDef) and not n.name.startswith("_")}
    attributes = {n.target.id for n in classes[name].body if isinstance(n, ast.AnnAssign)}
    assert real - {"widths", "whole", "type_of"} == told, name
    if name == "Schema":
        assert attributes == {"documents", "fields"}


def test_the_stub_of_the_extension():
    functions, classes = stubbed(PACKAGE / "_extension.pyi")
    real = {name for name in dir(_stoop.bson) if not name.startswith("_")}
    assert real == functions.keys() | classes.keys() - {"ScannedField"}
    for name, node in functions.items():
        assert names_of(node.args) == list(inspect.signature(getattr(_stoop.bson, name)).parameters), name
    scanner = _stoop.bson.Scanner()
    scanner.add(bson.encode({"a": 1}))
    keys = [node.target.id for node in classes["ScannedField"].body if isinstance(node, ast.AnnAssign)]
    assert sorted(scanner.fields()[0]) == sorted(keys)


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of this installation")
def test_the_page_names_what_there_is():
    text = PAGE.read_text()
    for name in sb.__all__:
        assert name in text, f"{name} is not documented"
    for name in re.findall(r"\bsb\.(\w+)", text):
        assert name in sb.__all__, f"there is no {name}"
    for anchor in re.findall(r"\]\(#([\w-]+)\)", text):
        headings = [
            re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in re.findall(r"^#+ (.*)$", text, re.M)
        ]
        assert anchor in headings, anchor


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of this installation")
def test_the_examples_of_the_page_run(tmp_path, monkeypatch):
    """All of them, in order, as they stand; lines with a package that is not installed are left out."""
    mongo_server = pytest.importorskip("mongo_server")
    pymongo = pytest.importorskip("pymongo")
    when = datetime.datetime(2024, 3, 1, 12)
    zones = ["A", "Harbour"]
    rides = [
        {
            "_id": bson.ObjectId(),
            "fare": i / 2,
            "time": i,
            "zone": zones[i % 2],
            "pickup": {"time": when, "zone": zones[i % 2]},
            "tags": ["x"],
        }
        for i in range(100)
    ]
    monkeypatch.chdir(tmp_path)
    Path("rides.bson").write_bytes(b"".join(map(bson.encode, rides)))
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    with mongo_server.MongoServer() as server:
        server.put("db.rides", rides)
        with pymongo.MongoClient(server.uri) as client:
            names = {"db": client.db}
            for package in ("pyarrow", "polars", "pandas", "duckdb"):
                with contextlib.suppress(ImportError):
                    names[package] = importlib.import_module(package)
            absent = {"pyarrow", "polars", "pandas", "duckdb"} - names.keys()
            for block in blocks:
                kept = [line for line in block.splitlines() if not any(package in line for package in absent)]
                exec("\n".join(kept), names)
    assert len(blocks) > 4
    assert len(names["array"]) == 50 and bson.decode_all(names["raw"])[1]["price"] == {"total": 0.5}


@pytest.mark.skipif(not PAGE.exists(), reason="the documentation is not part of this installation")
def test_the_table_of_types_is_right():
    """Each dtype and each type of a column in the page's table is one that we take."""
    table = PAGE.read_text().partition("| BSON type |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1:5] for line in table.splitlines()[2:]]
    seen = 0
    for _kind, dtypes, columns, notes in rows:
        for column in re.findall(r"`([a-z0-9]+(?:[\[(][^`]*)?)`", columns):
            sb.to_arrow(b"", {"v": column})
            seen += 1
        types = re.findall(r"`types=\{\"\w+\": \"([\w()]+)\"\}`", dtypes + notes)
        for dtype in re.findall(r"`([A-Z?a-z]\d*(?:\[\w+\])?)`", dtypes):
            named = {"v": types[0]} if types and dtype not in ("O", "V12") else None
            sb.to_ndarray(b"", [("v", dtype)], types=named)
            seen += 1
    assert seen > 30


@pytest.mark.skipif(not PAGE.exists(), reason="the examples are not part of this installation")
def test_the_taxi_example(tmp_path):
    """Both ways agree, or it exits with an error; and there is a picture."""
    example = [sys.executable, str(ROOT / "examples" / "taxi_rides.py"), "--rides", "3000", "--folder", str(tmp_path)]
    done = subprocess.run(example, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" rides  ") == 24 and "PyMongo: " in done.stdout
    assert (tmp_path / "taxi_rides.png").read_bytes().startswith(b"\x89PNG")
    assert sb.infer_schema(tmp_path / "rides-3000.bson").documents == 3000
