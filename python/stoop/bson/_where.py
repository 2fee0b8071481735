"""The language of `--where`: comparisons of fields with values, joined by and, or, not.

Python's own parser reads it; nothing of it is ever evaluated as Python.
"""

import ast
import datetime

_COMPARISONS = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
HELP = (
    "comparisons of fields with values: fare > 10 and (zone == 'A' or zone in ['B', 'C']) and not paid; "
    "a.b is a field inside a document, `x is None` finds null and missing, "
    "dates are written as text: start >= '2024-03-01'"
)


class Where:
    """A parsed condition: the fields it needs, and itself as a pyarrow expression."""

    def __init__(self, text):
        self.text = text
        try:
            self._tree = ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise ValueError(f"--where {text!r}: {error.msg} at column {error.offset}; write {HELP}") from None
        self.paths = []
        self._look(self._tree)
        if not self.paths:
            raise self._wrong(self._tree, "no field is named")

    def expression(self, schema):
        """The condition as an expression over columns of a `pyarrow.Schema`, named by dotted paths."""
        return self._condition(self._tree, schema)

    def _wrong(self, node, why):
        part = ast.get_source_segment(self.text.strip(), node) or self.text
        return ValueError(f"--where: {why} in {part!r}; write {HELP}")

    def _look(self, node):
        path = _path(node)
        if path is not None:
            if path not in self.paths:
                self.paths.append(path)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self._look(child)

    def _condition(self, node, schema):
        if isinstance(node, ast.BoolOp):
            parts = [self._condition(value, schema) for value in node.values]
            result = parts[0]
            for part in parts[1:]:
                result = result & part if isinstance(node.op, ast.And) else result | part
            return result
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self._condition(node.operand, schema)
        if isinstance(node, ast.Compare):
            return self._compare(node, schema)
        path = _path(node)
        if path is not None:
            import pyarrow.types

            field, kind = self._locate(path, schema)
            if not pyarrow.types.is_boolean(kind):
                raise self._wrong(node, f"{path} is no boolean, and stands alone")
            return field
        raise self._wrong(node, "this is no condition")

    def _compare(self, node, schema):
        result = None
        left = node.left
        for operator, right in zip(node.ops, node.comparators):
            part = self._pair(node, left, operator, right, schema)
            result = part if result is None else result & part
            left = right
        return result

    def _pair(self, node, left, operator, right, schema):
        path, other = _path(left), _path(right)
        if path is None and other is None:
            raise self._wrong(node, "neither side is a field")
        if isinstance(operator, (ast.Is, ast.IsNot)):
            if not (isinstance(right, ast.Constant) and right.value is None) or path is None:
                raise self._wrong(node, "`is` is for None only")
            empty = self._locate(path, schema)[0].is_null()
            return empty if isinstance(operator, ast.Is) else ~empty
        if isinstance(operator, (ast.In, ast.NotIn)):
            if path is None or not isinstance(right, (ast.List, ast.Tuple, ast.Set)):
                raise self._wrong(node, "`in` needs a field and a list of values")
            import pyarrow

            field, kind = self._locate(path, schema)
            inside = field.isin(pyarrow.array([self._value(item, kind) for item in right.elts], kind))
            return inside if isinstance(operator, ast.In) else ~inside
        if path is None:
            b, kind = self._locate(other, schema)
            a = self._scalar(left, kind)
        else:
            a, kind = self._locate(path, schema)
            b = self._locate(other, schema)[0] if other is not None else self._scalar(right, kind)
        return _COMPARISONS[type(operator)](a, b)

    def _locate(self, path, schema):
        """(expression, type) of a field: a column of that name, or a field inside one."""
        import pyarrow.compute
        import pyarrow.types

        parts = path.split(".")
        for end in range(len(parts), 0, -1):
            name = ".".join(parts[:end])
            if name not in schema.names:
                continue
            kind = schema.field(name).type
            for part in parts[end:]:
                if not pyarrow.types.is_struct(kind) or kind.get_field_index(part) < 0:
                    break
                kind = kind.field(part).type
            else:
                return pyarrow.compute.field(name, *parts[end:]), kind
        raise ValueError(f"--where: no document has a field {path!r}")

    def _scalar(self, node, kind):
        import pyarrow

        value = self._value(node, kind)
        if isinstance(value, datetime.datetime):
            return pyarrow.scalar(value, kind)
        if isinstance(value, bytes):
            return pyarrow.scalar(value, kind)
        return value

    def _value(self, node, kind):
        """A literal, as the column's type has it."""
        import pyarrow.types

        try:
            value = ast.literal_eval(node)
        except ValueError:
            raise self._wrong(node, "neither a field nor a value") from None
        if pyarrow.types.is_timestamp(kind):
            if not isinstance(value, str):
                raise self._wrong(node, "a date is compared with text like '2024-03-01T12:00'")
            try:
                when = datetime.datetime.fromisoformat(value)
            except ValueError:
                raise self._wrong(node, f"{value!r} is no date like '2024-03-01T12:00'") from None
            return when if when.tzinfo else when.replace(tzinfo=datetime.UTC)
        if pyarrow.types.is_fixed_size_binary(kind) and isinstance(value, str):
            try:
                return bytes.fromhex(value.replace("-", ""))
            except ValueError:
                raise self._wrong(node, f"{value!r} is not hexadecimal") from None
        numeric = pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind) or pyarrow.types.is_decimal(kind)
        textual = pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)
        right = isinstance(value, (int, float)) if numeric else isinstance(value, str) if textual else True
        if value is not None and (not right or numeric and isinstance(value, bool)):
            raise self._wrong(node, f"a column of {kind} is compared with {value!r}")
        return value


def _path(node):
    """The dotted name of a field, or None of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        inner = _path(node.value)
        return None if inner is None else f"{inner}.{node.attr}"
    return None
