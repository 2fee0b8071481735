"""`stoop bson …`: look at BSON files and convert them."""

import argparse
import os
import sys

from stoop.bson._errors import BSONDecodeError

EXAMPLES = """examples:
  stoop bson schema dump.bson
  stoop bson head -n 3 dump.bson.gz
  stoop bson convert dump.bson -o rides.parquet --select pickup.zone,fare --where 'fare > 10'
"""


def main(arguments=None):
    """Run a command line; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        return _complain(str(error))
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except BSONDecodeError as error:
        return _complain(f"{options.file}: {error}")
    except (ValueError, EOFError, RuntimeError) as error:
        return _complain(str(error))


def _complain(text):
    print(f"stoop bson: {text}", file=sys.stderr)
    return 1


def _parser():
    parser = argparse.ArgumentParser(
        prog="stoop bson",
        description="Look at BSON files, as mongodump writes them, and convert them.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    schema = commands.add_parser("schema", help="the fields of a file's documents, with their types")
    _file(schema)
    schema.add_argument("--sample", type=_count, default=10_000, metavar="N", help="documents to look at (10,000)")
    schema.add_argument("--all", action="store_true", help="look at all documents")
    schema.set_defaults(run=_schema)

    head = commands.add_parser("head", help="the first documents, as extended JSON")
    _file(head)
    head.add_argument("-n", "--number", type=_count, default=5, metavar="N", help="how many (5)")
    head.add_argument("--indent", action="store_true", help="over several lines")
    head.add_argument("--canonical", action="store_true", help="canonical extended JSON, which keeps all types")
    head.set_defaults(run=_head)

    convert = commands.add_parser("convert", help="write Parquet, Arrow, NumPy or CSV")
    _file(convert)
    convert.add_argument("-o", "--output", required=True, metavar="OUT", help=".parquet .arrow .npy .npz .csv")
    convert.add_argument("--select", metavar="A,B.C", help="only these fields, each a column of its own")
    convert.add_argument("--where", metavar="CONDITION", help='only documents for which this holds: "fare > 10"')
    convert.add_argument("--type", action="append", default=[], metavar="FIELD=TYPE", help="read a field as this type")
    convert.add_argument("--fill", action="append", default=[], metavar="FIELD=VALUE", help="where missing or null")
    convert.add_argument("--lossy", action="store_true", help="convert numbers even where that loses something")
    convert.add_argument(
        "--on-error", choices=["raise", "skip"], default="raise", help="stop at a bad document, or leave it out"
    )
    convert.add_argument("--sample", type=_count, metavar="N", help="take types from the first N documents (all)")
    convert.add_argument("--threads", type=_count, metavar="N", help="processor cores to use (all)")
    convert.add_argument("--progress", action=argparse.BooleanOptionalAction, help="a bar on standard error")
    convert.set_defaults(run=_convert)
    return parser


def _file(parser):
    parser.add_argument("file", metavar="FILE", help="a .bson or .bson.gz file, or - for standard input")


def _count(text):
    try:
        number = int(text.replace(",", "").replace("_", ""))
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, not {text!r}")
    return number


def _open(options):
    from stoop.bson._sources import open_source

    return open_source(sys.stdin.buffer if options.file == "-" else options.file)


def _schema(options):
    from stoop.bson._infer import scan_source
    from stoop.bson._progress import Progress

    with _open(options) as source, Progress(source.size, "looking at documents") as progress:
        schema = scan_source(source, None if options.all else options.sample, progress)
    print(schema)
    return 0


def _head(options):
    try:
        from bson import json_util
    except ImportError:
        raise ImportError("head needs PyMongo: pip install 'stoop[bson]'") from None
    from stoop import _stoop

    mode = json_util.CANONICAL_JSON_OPTIONS if options.canonical else json_util.RELAXED_JSON_OPTIONS
    left = options.number
    with _open(options) as source:
        for piece, number in source.told_pieces():
            if number is None:
                # Says what is wrong with it.
                _stoop.bson.count(piece)
            offsets = _first_offsets(piece, left)
            for k, (start, end) in enumerate(zip(offsets, offsets[1:])):
                document = _decoded(bytes(piece[start:end]), options.number - left + k)
                print(json_util.dumps(document, json_options=mode, indent=2 if options.indent else None))
            left -= len(offsets) - 1
            if not left:
                break
    return 0


def _decoded(raw, number):
    """A document as PyMongo has it."""
    import bson

    try:
        return bson.decode(raw)
    except bson.errors.InvalidBSON as error:
        raise ValueError(f"document {number:,}: {error}") from error


def _first_offsets(piece, number):
    """Where the first documents of a piece start, and the last of them ends."""
    offsets = [0]
    view = memoryview(piece)
    while len(offsets) <= number and offsets[-1] < len(view):
        offsets.append(offsets[-1] + int.from_bytes(view[offsets[-1] : offsets[-1] + 4], "little"))
    return offsets


def _convert(options):
    from stoop.bson import _convert, _policies
    from stoop.bson._infer import scan_source
    from stoop.bson._progress import Progress, size
    from stoop.bson._where import Where

    ending = os.path.splitext(options.output)[1].lower()
    if ending not in _convert.FORMATS:
        known = ", ".join(f"{e} ({what})" for e, what in _convert.FORMATS.items())
        raise ValueError(f"{options.output}: the ending says no format; known are {known}")
    where = Where(options.where) if options.where else None
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ImportError("convert needs pyarrow: pip install pyarrow") from None

    with _open(options) as source:
        if source.buffer is None:
            source = _again(source, options)
        with Progress(source.size, "looking at documents", options.progress) as progress:
            schema = scan_source(source, options.sample, progress)
        spec = schema._as_spec()
        widths = schema.widths()
        drop = []
        if options.select:
            spec, drop = _selected(schema, options.select, where)
        for part in options.type:
            name, sign, type_ = part.partition("=")
            if not sign:
                raise ValueError(f"--type {part!r}: write FIELD=TYPE")
            if name not in spec:
                raise ValueError(f"--type names {name!r}, which is no column; there are {', '.join(spec)}")
            spec[name] = type_
        fill = _convert.fill_values(options.fill)
        missing = {**dict.fromkeys(fill, "fill"), "*": "mask"}
        policies = _policies.Policies(
            missing=missing, null=missing, convert="lossy" if options.lossy else "exact", fill=fill
        )
        source.read = 0
        with Progress(source.size, os.path.basename(options.output), options.progress) as progress:
            rows, documents, bad = _convert.convert(
                source,
                options.output,
                spec,
                policies,
                widths,
                where,
                drop,
                "collect" if options.on_error == "skip" else "raise",
                options.threads,
                progress,
            )
    for error in bad[:3]:
        print(f"stoop bson: left out: {error}", file=sys.stderr)
    if len(bad) > 3:
        print(f"stoop bson: left out: {len(bad) - 3:,} further documents", file=sys.stderr)
    print(f"{options.output}: {rows:,} rows of {documents:,} documents, {size(os.path.getsize(options.output))}")
    return 0


def _again(source, options):
    """A source that can be read twice, for one that cannot."""
    from stoop.bson._sources import Source

    return Source(name=options.file, buffer=b"".join(bytes(piece) for piece, _ in source.pieces()))


def _selected(schema, select, where):
    """(columns for the fields selected, and for those only the condition needs; the names of the latter)."""
    names = [name.strip() for name in select.split(",") if name.strip()]
    spec = {name: schema.type_of(name) for name in names}
    drop = []
    for path in where.paths if where else ():
        if not any(path == name or path.startswith(name + ".") for name in spec):
            spec[path] = schema.type_of(path)
            drop.append(path)
    return spec, drop
