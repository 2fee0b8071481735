"""A MongoDB server of a few commands, for PyMongo to talk to over a real socket.

It answers OP_MSG (and the OP_QUERY of PyMongo's first greeting), keeps
documents as the bytes that came in, and can be told to misbehave: to answer with
an error, to cut the connection between two batches or inside a message, or to
send bytes of the test's choosing.
"""

import itertools
import socket
import struct
import threading
import time

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
HEADER = struct.Struct("<iiii")
MORE_TO_COME = 2

# What PyMongo wants to hear: a stand-alone server of a version that knows sessions and OP_MSG.
GREETING = {
    "ismaster": True,
    "isWritablePrimary": True,
    "helloOk": True,
    "maxBsonObjectSize": 16 * 1024 * 1024,
    "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000,
    "logicalSessionTimeoutMinutes": 30,
    "minWireVersion": 0,
    "maxWireVersion": 25,
    "readOnly": False,
    "ok": 1.0,
}

COMPARISONS = {
    "$eq": lambda a, b: a == b,
    "$ne": lambda a, b: a != b,
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
    "$in": lambda a, b: a in b,
}


class Cut(Exception):
    """The connection is to be closed without an answer."""


class CommandError(Exception):
    """An answer with ok: 0."""

    def __init__(self, code, name, text):
        super().__init__(text)
        self.reply = {"ok": 0.0, "errmsg": text, "code": code, "codeName": name}


class MongoServer:
    """`with MongoServer() as server: MongoClient(server.uri)`.

    `server.put("db.coll", documents)` fills a collection with documents or raw bytes.
    `server.fault(command, number, what)` is what happens when that command comes
    for the n-th time (from 1): an exception of this module, or bytes that replace
    the batch. `server.seen` lists the commands that came, `server.open_cursors` the
    cursors nobody has exhausted or killed, `server.delay` seconds before a getMore is answered.
    """

    def __init__(self, batch_size=101):
        self.batch_size = batch_size
        self.collections = {}
        self.open_cursors = {}
        self.seen = []
        self.faults = {}
        self.counts = {}
        self.delay = 0.0
        self._numbers = itertools.count(1000)
        self._lock = threading.Lock()
        self._connections = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.uri = f"mongodb://127.0.0.1:{self.port}/?directConnection=true&serverSelectionTimeoutMS=5000"

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error):
        # A thread that waits in accept() is not woken by close() alone.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._connections):
            _close(connection)

    def put(self, name, documents):
        """Fill a collection with documents, as dictionaries or as raw bytes."""
        raw = [d if isinstance(d, bytes) else bson.encode(d) for d in documents]
        self.collections.setdefault(name, []).extend(raw)

    def fault(self, command, number, what):
        self.faults[command, number] = what

    def commands(self, name):
        """The commands of that name that came, as dictionaries."""
        return [command for command in self.seen if next(iter(command)) == name]

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        request = 0
        try:
            while (message := _receive(connection)) is not None:
                request, code, body = message
                if code == OP_QUERY:
                    end = body.index(b"\0", 4) + 1
                    command = bson.decode(body[end + 8 :], CodecOptions())
                    answer = struct.pack("<iqii", 8, 0, 0, 1) + self._answer(command, {})
                    reply = OP_REPLY
                else:
                    flags, command, sequences = _sections(body)
                    answer = bytes(4) + b"\0" + self._answer(command, sequences)
                    reply = OP_MSG
                    if flags & MORE_TO_COME:
                        continue
                connection.sendall(HEADER.pack(16 + len(answer), next(self._numbers), request, reply) + answer)
        except Cut as cut:
            # A message that promises more than it holds.
            if cut.args:
                promised = HEADER.pack(16 + 5 + 10_000, next(self._numbers), request, OP_MSG)
                connection.sendall(promised + bytes(5) + b"half of an answer")
        except OSError:
            pass
        finally:
            self._connections.discard(connection)
            _close(connection)

    def _answer(self, command, sequences):
        name = next(iter(command))
        with self._lock:
            self.seen.append(command)
            self.counts[name] = number = self.counts.get(name, 0) + 1
            handler = getattr(self, "_do_" + name.lower(), None)
            fault = self.faults.get((name, number))
            try:
                if isinstance(fault, Exception):
                    raise fault
                if handler is None:
                    raise CommandError(59, "CommandNotFound", f"no such command: '{name}'")
                reply = handler(command, sequences)
            except CommandError as error:
                return bson.encode(error.reply)
        if name == "getMore" and self.delay:
            time.sleep(self.delay)
        if "cursor" in reply and isinstance(reply["cursor"], _Batch):
            return reply["cursor"].encode(fault)
        return bson.encode(reply)

    def _do_hello(self, command, sequences):
        return GREETING

    _do_ismaster = _do_hello

    def _do_ping(self, command, sequences):
        return {"ok": 1.0}

    _do_endsessions = _do_ping

    def _do_buildinfo(self, command, sequences):
        return {"version": "8.0.0", "versionArray": [8, 0, 0, 0], "ok": 1.0}

    def _do_drop(self, command, sequences):
        self.collections.pop(_namespace(command), None)
        return {"ok": 1.0}

    def _do_insert(self, command, sequences):
        documents = sequences.get("documents") or [bson.encode(d) for d in command.get("documents", [])]
        stored = self.collections.setdefault(_namespace(command), [])
        known = {bson.decode(raw).get("_id") for raw in stored}
        errors = []
        done = 0
        for index, raw in enumerate(documents):
            identity = bson.decode(raw).get("_id")
            if identity is not None and identity in known:
                text = f"E11000 duplicate key error collection: {_namespace(command)} dup key: {{ _id: {identity!r} }}"
                errors.append({"index": index, "code": 11000, "errmsg": text})
                if command.get("ordered", True):
                    break
                continue
            known.add(identity)
            stored.append(raw)
            done += 1
        return {"n": done, "ok": 1.0, **({"writeErrors": errors} if errors else {})}

    def _do_delete(self, command, sequences):
        removed = len(self.collections.pop(_namespace(command), []))
        return {"n": removed, "ok": 1.0}

    def _do_find(self, command, sequences):
        found = _matching(self.collections.get(_namespace(command), []), command.get("filter", {}))
        found = _ordered(found, command.get("sort", {}))
        found = found[command.get("skip", 0) :]
        limit = command.get("limit", 0)
        found = found[:limit] if limit else found
        found = _projected(found, command.get("projection"))
        single = command.get("singleBatch", False)
        return self._open(command, found, command.get("batchSize", self.batch_size), single)

    def _do_aggregate(self, command, sequences):
        found = self.collections.get(_namespace(command), [])
        for stage in command["pipeline"]:
            ((name, value),) = stage.items()
            if name == "$match":
                found = _matching(found, value)
            elif name == "$sort":
                found = _ordered(found, value)
            elif name == "$limit":
                found = found[:value]
            elif name == "$skip":
                found = found[value:]
            elif name == "$project":
                found = _projected(found, value)
            else:
                raise CommandError(40324, "Location40324", f"Unrecognized pipeline stage name: '{name}'")
        return self._open(command, found, command["cursor"].get("batchSize", self.batch_size), False)

    def _open(self, command, found, size, single):
        number = 0
        rest = found[size:]
        if rest and not single:
            number = next(self._numbers)
            self.open_cursors[number] = rest
        return {"cursor": _Batch(number, _namespace(command), "firstBatch", found[:size])}

    def _do_getmore(self, command, sequences):
        number = command["getMore"]
        if number not in self.open_cursors:
            raise CommandError(43, "CursorNotFound", f"cursor id {number} not found")
        size = command.get("batchSize", self.batch_size)
        found = self.open_cursors.pop(number)
        batch, rest = found[:size], found[size:]
        if rest:
            self.open_cursors[number] = rest
        name = f"{command['$db']}.{command['collection']}"
        return {"cursor": _Batch(number if rest else 0, name, "nextBatch", batch)}

    def _do_killcursors(self, command, sequences):
        killed = [number for number in command["cursors"] if self.open_cursors.pop(number, None) is not None]
        return {"cursorsKilled": killed, "cursorsNotFound": [], "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0}


class _Batch:
    """A cursor's answer, put together from raw bytes: nothing is decoded on the way."""

    def __init__(self, number, namespace, key, documents):
        self.number = number
        self.namespace = namespace
        self.key = key
        self.documents = documents

    def encode(self, replacement):
        documents = self.documents if replacement is None else replacement
        items = b"".join(b"\x03%d\0%s" % (index, raw) for index, raw in enumerate(documents))
        array = _document(items)
        number = struct.pack("<q", self.number)
        namespace = self.namespace.encode() + b"\0"
        cursor = b"\x04" + self.key.encode() + b"\0" + array + b"\x12id\0" + number
        cursor += b"\x02ns\0" + struct.pack("<i", len(namespace)) + namespace
        return _document(b"\x03cursor\0" + _document(cursor) + b"\x01ok\0" + struct.pack("<d", 1.0))


def _document(elements):
    return struct.pack("<i", len(elements) + 5) + elements + b"\0"


def _namespace(command):
    return f"{command['$db']}.{next(iter(command.values()))}"


def _receive(connection):
    head = _exactly(connection, 16)
    if head is None:
        return None
    length, request, _, code = HEADER.unpack(head)
    return request, code, _exactly(connection, length - 16)


def _exactly(connection, size):
    parts = bytearray()
    while len(parts) < size:
        got = connection.recv(size - len(parts))
        if not got:
            return None
        parts += got
    return bytes(parts)


def _close(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


def _sections(body):
    """An OP_MSG's flags, command and document sequences (as raw bytes)."""
    (flags,) = struct.unpack_from("<I", body)
    place, command, sequences = 4, None, {}
    while place < len(body):
        kind = body[place]
        place += 1
        (size,) = struct.unpack_from("<i", body, place)
        if kind == 0:
            command = bson.decode(body[place : place + size])
        else:
            end = body.index(b"\0", place + 4)
            sequences[body[place + 4 : end].decode()] = _split(body[end + 1 : place + size])
        place += size
    return flags, command, sequences


def _split(raw):
    documents = []
    while raw:
        (size,) = struct.unpack_from("<i", raw)
        documents.append(raw[:size])
        raw = raw[size:]
    return documents


def _get(document, path):
    for part in path.split("."):
        if not hasattr(document, "get") or part not in document:
            return None, False
        document = document[part]
    return document, True


def _matching(documents, condition):
    def holds(document, path, wanted):
        value, there = _get(document, path)
        if not isinstance(wanted, dict):
            return there and value == wanted
        for operator, operand in wanted.items():
            if operator == "$exists":
                if there != operand:
                    return False
            elif operator not in COMPARISONS:
                raise CommandError(2, "BadValue", f"unknown operator: {operator}")
            elif not there or not COMPARISONS[operator](value, operand):
                return False
        return True

    if not condition:
        return documents
    chosen = []
    for raw in documents:
        document = RawBSONDocument(raw)
        if all(holds(document, path, wanted) for path, wanted in condition.items()):
            chosen.append(raw)
    return chosen


def _ordered(documents, order):
    for path, direction in reversed(list(order.items())):
        documents = sorted(documents, key=lambda raw, path=path: _get(bson.decode(raw), path)[0], reverse=direction < 0)
    return documents


def _projected(documents, projection):
    if not projection:
        return documents
    wanted = [name for name, shown in projection.items() if shown]
    if projection.get("_id", 1):
        wanted.append("_id")
    result = []
    for raw in documents:
        document = bson.decode(raw)
        result.append(bson.encode({name: value for name, value in document.items() if _wanted(name, wanted)}))
    return result


def _wanted(name, wanted):
    return any(path.split(".")[0] == name for path in wanted)
