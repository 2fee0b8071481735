"""The exception for documents that cannot be decoded."""


class BSONDecodeError(ValueError):
    """A document that is no BSON, or not what the schema says.

    `document` is its number in the source, from 0; `offset` the byte where it starts; `path` the field, with
    dots (empty for the document itself); `expected` and `found` are words. `partial` holds the rows before it
    where it ended the work.
    """

    partial = None

    def __init__(self, message, document, offset, path, expected, found):
        super().__init__(message)
        self.document = document
        self.offset = offset
        self.path = path
        self.expected = expected
        self.found = found

    def __reduce__(self):
        return type(self), (self.args[0], self.document, self.offset, self.path, self.expected, self.found)
