"""Where documents come from, as pieces of whole documents.

A source is anything with bytes in it: a buffer, a path, a file object, or an
iterator of documents or batches. Buffers and plain files are looked at where
they lie; the rest is read a few megabytes at a time.
"""

import gzip
import mmap
import os
import queue
import stat
import struct
import sys
import threading

from stoop import _stoop

# Large enough that a call's overhead is nothing, small enough to stop at a key press.
PIECE = 32 << 20
READ = 2 << 20
# What an iterator's items are gathered to before they are decoded.
GATHER = 1 << 20
# A document in a stream has to be held whole. MongoDB's own limit is 16 MB.
LARGEST = 64 << 20

GZIP_MAGIC = b"\x1f\x8b"
# What no iterator gives.
END = object()


class StreamInterrupted(RuntimeError):
    """The source failed after some documents; `__cause__` is its own exception.

    `partial` holds what was decoded of the documents before, `documents` and
    `bytes` say how many and how much that was.
    """

    def __init__(self, message, documents=0, bytes=0):
        super().__init__(message)
        self.documents = documents
        self.bytes = bytes
        self.partial = None


class SourceFailed(Exception):
    """The source's own exception, told apart from ours; `__cause__` has it."""

    def raised(self, name, documents, bytes, more=""):
        """What callers get: the cause itself, or where it stopped if documents were read before."""
        cause = self.__cause__
        if not documents:
            return cause
        where = f"{name}: " if name else ""
        interrupted = StreamInterrupted(
            f"{where}the source failed after {documents:,} documents ({bytes:,} bytes): {cause}{more}",
            documents,
            bytes,
        )
        interrupted.__cause__ = cause
        return interrupted


class WrongItem(Exception):
    """An iterator that gives what is no BSON: no failure of the source, but a TypeError."""


class Source:
    """An open source. `pieces()` may be called once."""

    def __init__(self, name=None, buffer=None, chunks=None, size=None, close=None, mapped=None):
        self.name = name
        # The mapping of a file, whose pages need not stay once they are read.
        self._mapped = mapped
        # The whole of it, where it lies in memory.
        self.buffer = buffer
        # Bytes in the file, for a progress bar; `read` is how many of them are done.
        self.size = size if buffer is None else len(buffer)
        self.read = 0
        self._chunks = chunks
        self._close = close
        self._slices = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        # Of a thread that Python's end has stopped for good nothing can be taken back, and it may hold a file's lock.
        if self._close is not None and not sys.is_finalizing():
            self._close()

    def pieces(self):
        """Pairs (bytes, number of documents in them).

        A tail that is no document is the last pair, with None for the number:
        the decoder has the words for what is wrong with it.
        """
        return self._shown() if self.buffer is not None else self._gathered()

    def told_pieces(self):
        """The pieces, for readers that keep nothing: a failure of the source says how far it came."""
        documents = read = 0
        try:
            for piece, number in self.pieces():
                yield piece, number
                documents += number or 0
                read += len(piece)
        except SourceFailed as failure:
            error = failure.raised(self.name, documents, read)
            raise error from error.__cause__

    def slices(self):
        """All pieces of a source in memory, at once: walking along the documents is all it takes."""
        if self._slices is None:
            self._slices = list(self._walk())
        return self._slices

    def _shown(self):
        for piece, number in self._walk() if self._slices is None else self._slices:
            start = self.read
            self.read += len(piece)
            yield piece, number
            if self._mapped is not None:
                self._let_go(start)

    def _let_go(self, start):
        """Pages of a file that were read are the system's business again: no part of this process's memory."""
        first, end = (place // mmap.PAGESIZE * mmap.PAGESIZE for place in (start, self.read))
        if end > first:
            self._mapped.madvise(mmap.MADV_DONTNEED, first, end - first)

    def _walk(self):
        whole = memoryview(self.buffer)
        place = 0
        while place < len(whole):
            size = PIECE
            while True:
                piece = whole[place : place + size]
                documents, used, sound = _count(piece)
                if documents or not sound or place + size >= len(whole):
                    break
                # One document that is longer than a piece.
                size = max(size, struct.unpack_from("<I", piece)[0])
            if documents:
                yield piece[:used], documents
                place += used
            if not documents or not sound:
                if place < len(whole):
                    yield whole[place:], None
                return

    def _gathered(self):
        rest = b""
        chunks = iter(self._chunks)
        while True:
            try:
                chunk = next(chunks, END)
            except WrongItem as error:
                raise TypeError(*error.args) from None
            except Exception as error:
                raise SourceFailed from error
            if chunk is END:
                break
            piece = b"".join((rest, chunk)) if rest else chunk
            documents, used, sound = _count(piece)
            if documents:
                yield (piece if used == len(piece) else memoryview(piece)[:used]), documents
            rest = bytes(memoryview(piece)[used:])
            if not sound or (len(rest) >= 4 and struct.unpack_from("<I", rest)[0] > LARGEST):
                break
        if rest:
            yield rest, None


def _count(piece):
    """(documents, bytes, whether what follows may be a document that goes on in the next piece)."""
    try:
        return *_stoop.bson.count(piece, True), True
    except ValueError as error:
        return error.document, error.offset, False


def open_source(source):
    """Whatever a caller may give as a source, opened."""
    if isinstance(source, (bytes, bytearray, memoryview, mmap.mmap)):
        return Source(buffer=_flat(source))
    if isinstance(source, (str, os.PathLike)):
        return _open_path(os.fspath(source))
    if hasattr(source, "raw") and isinstance(source.raw, bytes):
        return Source(buffer=source.raw)
    if hasattr(type(source), "find_raw_batches"):
        raise TypeError("a collection is no source: use find(), aggregate(), or collection.find_raw_batches()")
    if hasattr(source, "read"):
        return _open_file(source)
    if isinstance(source, dict):
        raise TypeError("a source is BSON in bytes, not a dict; bson.encode makes bytes of it")
    try:
        view = memoryview(source)
    except TypeError:
        pass
    else:
        # Of an array of objects the buffer has addresses; its items may be documents.
        if view.format != "O":
            return Source(buffer=_flat(view))
    if hasattr(source, "__aiter__"):
        raise TypeError("an asynchronous iterator is no source; find() and aggregate() take asynchronous collections")
    try:
        items = iter(source)
    except TypeError:
        raise TypeError(
            "a source is bytes, a path, a file object, or an iterator of raw documents or batches, "
            f"not {type(source).__name__!r}"
        ) from None
    chunks = _gather(items)
    if type(source).__module__.partition(".")[0] == "pymongo":
        # A cursor: the next batch is fetched while one is decoded. Other iterators stay in the caller's thread.
        chunks = Ahead(chunks)
        return Source(chunks=chunks, close=chunks.close)
    return Source(chunks=chunks)


def _flat(buffer):
    view = memoryview(buffer)
    if not view.c_contiguous:
        raise ValueError("the buffer is not contiguous; bytes(buffer) makes a copy that is")
    if isinstance(buffer, bytes):
        return buffer
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def _open_path(path):
    file = open(path, "rb")  # noqa: SIM115
    try:
        if file.peek(2)[:2] == GZIP_MAGIC:
            return _open_gzip(path, file)
        status = os.fstat(file.fileno())
        if not status.st_size or not stat.S_ISREG(status.st_mode):
            return _open_file(file, path, close=file.close)
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped.madvise(mmap.MADV_SEQUENTIAL)
    except BaseException:
        file.close()
        raise
    file.close()
    # Arrays hold copies, so nothing needs the mapping once the source is closed.
    return Source(name=path, buffer=memoryview(mapped), mapped=mapped)


def _open_gzip(path, file):
    source = Source(name=path, size=os.fstat(file.fileno()).st_size)

    def chunks():
        with gzip.GzipFile(fileobj=file) as unpacked:
            # What was unpacked before damage is not lost: read1 gives what it has.
            while chunk := unpacked.read1(READ):
                source.read = file.tell()
                yield chunk

    # Unpacking leaves the global lock free, so it goes on while we decode.
    source._chunks = Ahead(chunks())

    def close():
        source._chunks.close()
        file.close()

    source._close = close
    return source


def _open_file(file, name=None, close=None):
    if not hasattr(file, "readable") or not file.readable():
        if hasattr(file, "readable"):
            raise ValueError("the file object is not open for reading")
    source = Source(name=name or getattr(file, "name", None), close=close)

    def chunks():
        while (chunk := file.read(READ)) or chunk is None:
            if chunk is None:
                raise BlockingIOError("the file does not block and has nothing to read now; open it as a blocking one")
            if isinstance(chunk, str):
                raise WrongItem("the file is open as text; open it in binary mode, 'rb'")
            source.read += len(chunk)
            yield chunk

    source._chunks = chunks()
    return source


def _gather(items):
    """Join small items, so that single documents do not cost a call each."""
    parts, size, failure = [], 0, None
    while True:
        try:
            item = next(items, END)
            raw = None if item is END else item if isinstance(item, bytes) else _raw(item)
        except Exception as error:
            # What came before is not lost.
            raw, failure = None, error
        if raw is not None:
            parts.append(raw)
            size += len(raw)
        if parts and (size >= GATHER or raw is None):
            yield parts[0] if len(parts) == 1 else b"".join(parts)
            parts, size = [], 0
        if failure is not None:
            raise failure
        if raw is None:
            return


def _raw(item):
    """The bytes of an item of an iterator."""
    if hasattr(item, "raw"):
        return item.raw
    if isinstance(item, dict):
        raise WrongItem(
            "the iterator gives dictionaries; take find_raw_batches(), or a collection "
            "with CodecOptions(document_class=RawBSONDocument)"
        )
    try:
        return bytes(memoryview(item))
    except TypeError:
        raise WrongItem(
            f"the iterator gives {type(item).__name__!r} where raw documents or batches are expected"
        ) from None


class Ahead:
    """An iterator whose next items are made by a thread, while this one works on the last."""

    _END = object()

    def __init__(self, items, depth=2):
        self._items = items
        self._queue = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stoop.bson reader", daemon=True)
        self._thread.start()

    def __iter__(self):
        return self

    def __next__(self):
        kind, value = self._queue.get()
        if kind is None:
            return value
        # Asked again, it says the same again.
        self._queue.put((kind, value))
        if kind is self._END:
            raise StopIteration
        raise value

    def close(self):
        """Stop the thread: when this returns nobody reads from the iterator any more."""
        self._stop.set()
        while self._thread.is_alive():
            try:
                self._queue.get_nowait()
            except queue.Empty:
                self._thread.join(0.005)

    def _run(self):
        try:
            for item in self._items:
                self._queue.put((None, item))
                if self._stop.is_set():
                    return
            self._queue.put((self._END, None))
        except BaseException as error:
            self._queue.put((error, error))
