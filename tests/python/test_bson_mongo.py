"""find, aggregate and insert, with PyMongo as the client over a real socket.

The server is our responder; with STOOP_MONGODB_URI set the tests that need no
misbehaving server run against that one too.
"""

import asyncio
import os
import threading

import bson
import numpy as np
import pymongo
import pymongo.errors
import pytest
from mongo_server import CommandError, Cut, MongoServer
from pymongo.cursor import RawBatchCursor

import stoop.bson as sb

DTYPE = np.dtype([("_id", "i4"), ("x", "f8"), ("in", [("k", "i8")])])


def document(i):
    return {"_id": i, "x": i / 4, "in": {"k": 10 * i, "text": "t" * (i % 5)}, "unread": [1, 2, i]}


@pytest.fixture
def server():
    with MongoServer(batch_size=50) as server:
        server.put("db.things", [document(i) for i in range(1000)])
        yield server


@pytest.fixture
def collection(server):
    with pymongo.MongoClient(server.uri, retryReads=False) as client:
        yield client.db.things


@pytest.fixture(params=["responder", "STOOP_MONGODB_URI"])
def any_collection(request):
    """A collection of a thousand documents, on the responder and on the real server where there is one."""
    if request.param == "responder":
        yield request.getfixturevalue("collection")
        return
    uri = os.environ.get("STOOP_MONGODB_URI")
    if not uri:
        pytest.skip("STOOP_MONGODB_URI names no MongoDB server")
    with pymongo.MongoClient(uri) as client:
        things = client["stoop_bson_tests"]["things"]
        things.drop()
        things.insert_many([document(i) for i in range(1000)])
        yield things
        client.drop_database("stoop_bson_tests")


def test_find(any_collection):
    array = sb.find(any_collection, {"x": {"$gte": 100}}, DTYPE, sort=[("_id", -1)], limit=420)
    assert array["_id"].tolist() == list(range(999, 579, -1))
    assert array["x"].tolist() == [i / 4 for i in range(999, 579, -1)]
    assert array["in"]["k"].tolist() == [10 * i for i in range(999, 579, -1)]


def test_find_everything(any_collection):
    assert sorted(sb.find(any_collection, dtype=DTYPE)["_id"].tolist()) == list(range(1000))
    assert len(sb.find(any_collection, {"x": -1}, DTYPE)) == 0
    assert sb.find(any_collection, {}, DTYPE, sort={"_id": 1}, skip=990)["_id"].tolist() == list(range(990, 1000))


def test_aggregate(any_collection):
    pipeline = [{"$match": {"x": {"$lt": 100}}}, {"$sort": {"_id": 1}}, {"$skip": 5}]
    array = sb.aggregate(any_collection, pipeline, DTYPE, batch_size=33)
    assert array["_id"].tolist() == list(range(5, 400))


def test_policies_reach_the_decoder(any_collection):
    dtype = [("_id", "i8"), ("absent", "f8")]
    with pytest.raises(sb.BSONDecodeError, match='field "absent": expected float64'):
        sb.find(any_collection, {}, dtype)
    masked = sb.find(any_collection, {}, dtype, missing={"absent": "mask"})
    assert masked["absent"].mask.all() and not masked["_id"].mask.any()
    array, errors = sb.find(any_collection, {}, dtype, on_error="collect")
    assert len(array) == 0 and len(errors) == 1000


def test_insert(any_collection):
    rows = np.zeros(2500, DTYPE)
    rows["_id"] = np.arange(5000, 7500)
    rows["x"] = rows["_id"] / 8
    rows["in"]["k"] = -rows["_id"]
    assert sb.insert(any_collection, rows, batch=999) == 2500
    back = sb.find(any_collection, {"_id": {"$gte": 5000}}, DTYPE, sort=[("_id", 1)])
    assert (back == rows).all()
    assert any_collection.find_one({"_id": 5001}) == {"_id": 5001, "x": 5001 / 8, "in": {"k": -5001}}


def test_insert_that_fails_says_how_far_it_came(any_collection):
    rows = np.zeros(100, DTYPE)
    rows["_id"] = np.arange(2000, 2100)
    rows["_id"][95] = 2
    with pytest.raises(pymongo.errors.BulkWriteError) as caught:
        sb.insert(any_collection, rows, batch=10)
    assert caught.value.__notes__ == ["stoop.bson.insert: 90 rows were inserted before this batch of 10"]


def test_only_the_fields_wanted_are_asked_for(server, collection):
    sb.find(collection, {}, [("in.k", "i8"), ("x", "f8")])
    assert server.commands("find")[-1]["projection"] == {"in.k": 1, "x": 1, "_id": 0}
    sb.find(collection, {}, DTYPE)
    assert server.commands("find")[-1]["projection"] == {"_id": 1, "in.k": 1, "x": 1}
    sb.find(collection, {}, DTYPE, projection=None)
    assert "projection" not in server.commands("find")[-1]


def test_the_next_batch_is_asked_for_while_one_is_decoded(server, collection, monkeypatch):
    """The getMores do not wait for the decoder: they run ahead of it, in another thread."""
    threads = set()
    real = RawBatchCursor.next

    def next_batch(cursor):
        threads.add(threading.current_thread())
        return real(cursor)

    monkeypatch.setattr(RawBatchCursor, "next", next_batch)
    monkeypatch.setattr(RawBatchCursor, "__next__", next_batch)
    assert len(sb.find(collection, {}, DTYPE)) == 1000
    assert len(sb.to_arrow(collection.find_raw_batches({}), {"x": "double"})) == 1000
    assert len(threads) == 2 and threading.current_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)


def fails_at_batch(server, number, what):
    server.fault("getMore", server.counts.get("getMore", 0) + number, what)


def test_an_error_in_mid_stream(server, collection):
    fails_at_batch(server, 4, CommandError(11601, "Interrupted", "operation was interrupted"))
    with pytest.raises(sb.StreamInterrupted, match="after 200 documents.*operation was interrupted") as caught:
        sb.find(collection, {}, DTYPE, batch_size=50)
    assert isinstance(caught.value.__cause__, pymongo.errors.OperationFailure)
    assert caught.value.documents == 200
    assert caught.value.partial["_id"].tolist() == list(range(200))


@pytest.mark.parametrize("what", [Cut(), Cut("in the middle of a message")])
def test_a_connection_cut_between_batches(server, collection, what):
    fails_at_batch(server, 3, what)
    with pytest.raises(sb.StreamInterrupted, match="after 150 documents") as caught:
        sb.find(collection, {}, DTYPE, batch_size=50)
    assert isinstance(caught.value.__cause__, pymongo.errors.AutoReconnect)
    assert caught.value.partial["_id"].tolist() == list(range(150))
    # The next query finds a new connection.
    assert len(sb.find(collection, {}, DTYPE)) == 1000


def test_a_cut_connection_while_columns_are_made(server, collection):
    fails_at_batch(server, 3, Cut())
    with pytest.raises(sb.StreamInterrupted) as caught:
        sb.to_arrow(collection.find_raw_batches({}, batch_size=50), {"_id": "int32", "in.k": "int64"})
    assert caught.value.partial.to_pyarrow()["_id"].to_pylist() == list(range(150))


def test_a_query_that_fails_at_once_is_pymongos_own_error(server, collection):
    with pytest.raises(pymongo.errors.OperationFailure, match="unknown operator"):
        sb.find(collection, {"x": {"$nonsense": 1}}, DTYPE)
    with pytest.raises(pymongo.errors.OperationFailure, match="Unrecognized pipeline stage"):
        sb.aggregate(collection, [{"$nonsense": {}}], DTYPE)


def test_a_bad_document_in_a_later_batch(server, collection):
    fails_at_batch(server, 2, [bson.encode(document(100)), bson.encode({"_id": "text", "x": 1.0, "in": {"k": 1}})])
    with pytest.raises(sb.BSONDecodeError, match=r"document 101 .*\"_id\": expected int32, found string") as caught:
        sb.find(collection, {}, DTYPE, batch_size=50)
    assert caught.value.partial["_id"].tolist() == list(range(101))


def test_hostile_bytes_from_the_server(server, collection):
    damaged = bytearray(bson.encode(document(0)))
    # The string inside says that it is longer than the document.
    place = damaged.index(b"\x02text\0") + 6
    damaged[place : place + 4] = b"\xff\xff\xff\x7f"
    fails_at_batch(server, 1, [bytes(damaged)])
    with pytest.raises(sb.BSONDecodeError, match="document 50 "):
        sb.find(collection, {}, [*DTYPE.descr, ("unread", "O")], batch_size=50)


def test_cursors_are_closed_after_an_error(server, collection):
    server.put("db.things", [bson.encode({"_id": 5000})])
    assert len(server.collections["db.things"]) == 1001
    fails_at_batch(server, 1, [bson.encode({"x": 1})])
    with pytest.raises(sb.BSONDecodeError):
        sb.find(collection, {}, DTYPE, batch_size=50)
    # Killing is a message of its own, that the client sends when the cursor is closed.
    assert collection.database.command("ping")
    assert server.open_cursors == {} or server.commands("killCursors")


def test_what_is_no_collection(collection):
    with pytest.raises(TypeError, match="expected a PyMongo collection, not 'Database'"):
        sb.find(collection.database, {}, DTYPE)
    with pytest.raises(TypeError, match="expected a PyMongo collection, not 'dict'"):
        sb.aggregate({}, [], DTYPE)
    with pytest.raises(TypeError, match="say what to read"):
        sb.find(collection, {})
    with pytest.raises(TypeError, match="use find"):
        sb.to_ndarray(collection, DTYPE)


@pytest.fixture
def run(server):
    """Runs what is made of an asynchronous collection."""

    def run(make):
        async def main():
            async with pymongo.AsyncMongoClient(server.uri, retryReads=False) as client:
                return await make(client.db.things)

        return asyncio.run(main())

    return run


def test_asynchronous_queries(run, server):
    array = run(lambda things: sb.find(things, {"x": {"$gte": 100}}, DTYPE, sort=[("_id", -1)], limit=420))
    assert array["_id"].tolist() == list(range(999, 579, -1))
    array = run(lambda things: sb.aggregate(things, [{"$match": {"x": {"$lt": 100}}}, {"$sort": {"_id": 1}}], DTYPE))
    assert array["_id"].tolist() == list(range(400))
    assert server.open_cursors == {}
    with pytest.raises(sb.BSONDecodeError, match='field "absent": expected float64'):
        run(lambda things: sb.find(things, {}, [("absent", "f8")]))


def test_other_tasks_go_on_meanwhile(run):
    async def both(things):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        array = await sb.find(things, {}, DTYPE)
        ticking.cancel()
        return len(array), ticks

    rows, ticks = run(both)
    assert rows == 1000 and ticks > 20


def test_an_asynchronous_query_that_fails(run, server):
    fails_at_batch(server, 4, CommandError(11601, "Interrupted", "operation was interrupted"))
    with pytest.raises(sb.StreamInterrupted) as caught:
        run(lambda things: sb.find(things, {}, DTYPE))
    assert caught.value.__cause__.code == 11601
    assert caught.value.partial["_id"].tolist() == list(range(caught.value.documents))


def test_asynchronous_inserts(run, collection):
    rows = np.zeros(250, DTYPE)
    rows["_id"] = np.arange(5000, 5250)
    assert run(lambda things: sb.insert(things, rows, batch=99)) == 250
    assert (sb.find(collection, {"_id": {"$gte": 5000}}, DTYPE, sort=[("_id", 1)]) == rows).all()
    with pytest.raises(pymongo.errors.BulkWriteError) as caught:
        run(lambda things: sb.insert(things, rows[::-1], batch=100))
    assert "0 rows were inserted" in caught.value.__notes__[0]


def test_inserting_arrow_columns(any_collection):
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table({"_id": [7000, 7001, 7002], "in.k": [1, None, 3], "s": ["a", "b", None]})
    assert sb.insert(any_collection, table, batch=2) == 3
    found = list(any_collection.find({"_id": {"$gte": 7000}}, sort=[("_id", 1)]))
    assert found == [
        {"_id": 7000, "in": {"k": 1}, "s": "a"},
        {"_id": 7001, "in": {}, "s": "b"},
        {"_id": 7002, "in": {"k": 3}},
    ]
    with pytest.raises(TypeError, match="Arrow columns"):
        sb.insert(any_collection, np.zeros(1, DTYPE), nulls="keep")
