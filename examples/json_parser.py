"""A recursive-descent JSON parser: strings, indexes, recursion, dicts, exceptions.

Usage: python examples/json_parser.py [records]
"""

import json
import sys


class ParseError(ValueError):
    pass


class Parser:
    ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

    def __init__(self, text):
        self.text = text
        self.at = 0
        self.end = len(text)

    def parse(self):
        value = self.value()
        self.skip_space()
        if self.at != self.end:
            raise ParseError(f"extra text at {self.at}")
        return value

    def skip_space(self):
        text, at, end = self.text, self.at, self.end
        while at < end and text[at] in " \t\r\n":
            at += 1
        self.at = at

    def peek(self):
        self.skip_space()
        if self.at >= self.end:
            raise ParseError("unexpected end")
        return self.text[self.at]

    def expect(self, character):
        found = self.peek()
        if found != character:
            raise ParseError(f"expected {character!r} at {self.at}, found {found!r}")
        self.at += 1

    def value(self):
        character = self.peek()
        if character == "{":
            return self.object()
        if character == "[":
            return self.array()
        if character == '"':
            return self.string()
        if character == "-" or "0" <= character <= "9":
            return self.number()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        raise ParseError(f"unexpected {character!r} at {self.at}")

    def object(self):
        result = {}
        self.expect("{")
        if self.peek() == "}":
            self.at += 1
            return result
        while True:
            self.skip_space()
            key = self.string()
            self.expect(":")
            result[key] = self.value()
            if self.peek() == "}":
                self.at += 1
                return result
            self.expect(",")

    def array(self):
        result = []
        self.expect("[")
        if self.peek() == "]":
            self.at += 1
            return result
        while True:
            result.append(self.value())
            if self.peek() == "]":
                self.at += 1
                return result
            self.expect(",")

    def string(self):
        self.expect('"')
        parts = []
        text = self.text
        at = self.at
        while True:
            if at >= self.end:
                raise ParseError("string without end")
            character = text[at]
            at += 1
            if character == '"':
                break
            if character == "\\":
                escape = text[at]
                at += 1
                if escape == "u":
                    parts.append(chr(int(text[at : at + 4], 16)))
                    at += 4
                else:
                    parts.append(self.ESCAPES[escape])
            else:
                parts.append(character)
        self.at = at
        return "".join(parts)

    def number(self):
        text, start = self.text, self.at
        at = start
        sign = 1
        if text[at] == "-":
            sign = -1
            at += 1
        value = 0
        while at < self.end and "0" <= text[at] <= "9":
            value = value * 10 + ord(text[at]) - 48
            at += 1
        if at < self.end and text[at] in ".eE":
            while at < self.end and text[at] in "0123456789+-.eE":
                at += 1
            self.at = at
            return float(text[start:at])
        self.at = at
        return sign * value


def document(records):
    """Build the text to parse, the same on every run."""
    items = []
    state = 12345
    for number in range(records):
        state = (state * 1103515245 + 12345) % 2147483648
        items.append(
            {
                "id": number,
                "name": f'record "{number}" \u00e9\t{state % 1000}',
                "score": state / 65536,
                "small": -(state % 77),
                "tags": ["alpha", "beta", "gamma"][: state % 4],
                "flags": [True, False, None],
                "nested": {"x": number * 3, "y": [number, [number + 1, []]], "z": {}},
            }
        )
    return json.dumps(items, indent=1)


def digest(value):
    """A number that depends on every value and its place."""
    if isinstance(value, dict):
        total = 7
        for key, item in value.items():
            total = (total * 31 + digest(key) * 3 + digest(item)) % 1_000_000_007
        return total
    if isinstance(value, list):
        total = 11
        for item in value:
            total = (total * 37 + digest(item)) % 1_000_000_007
        return total
    if isinstance(value, str):
        total = 13
        for character in value:
            total = (total * 41 + ord(character)) % 1_000_000_007
        return total
    if value is None:
        return 17
    return int(value * 1024) % 1_000_000_007


def main():
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    text = document(records)
    parsed = Parser(text).parse()
    print(f"{len(text)} characters, {len(parsed)} records, digest {digest(parsed)}")
    print("same as the json module:", parsed == json.loads(text))
    for broken in ('{"a": }', "[1, 2", '["x" "y"]', "truth"):
        try:
            Parser(broken).parse()
        except ParseError as error:
            print(f"{broken!r}: {error}")


if __name__ == "__main__":
    main()
