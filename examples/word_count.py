"""A text tokeniser and word counter: characters, dicts, sorting.

Usage: python examples/word_count.py [words]
"""

import sys

SYLLABLES = "ka lo mi ten ra shu vel dor an bri cas e fi gon hul".split()


def make_text(words):
    """Write a text of made-up words, the same on every run."""
    state = 99
    parts = []
    for number in range(words):
        state = (state * 1103515245 + 12345) & 0x7FFFFFFF
        pick = state >> 9
        length = 1 + pick % 3
        word = ""
        for _ in range(length):  # early syllables come more often, as in a language
            pick //= 3
            word += SYLLABLES[pick % len(SYLLABLES) * (pick % 5) // 4]
        if state % 11 == 0:
            word = word.capitalize()
        if state % 97 == 0:
            word += "'s"
        parts.append(word)
        if number % 13 == 12:
            parts[-1] += "." if state % 2 else ","
        if number % 29 == 28:
            parts.append(str(state % 10_000))
        if number % 17 == 16:
            parts[-1] += "\n"
    return " ".join(parts)


def tokens(text):
    """Split text into ("word" | "number" | "mark", piece) pairs."""
    at = 0
    end = len(text)
    while at < end:
        character = text[at]
        if character.isalpha():
            start = at
            at += 1
            while at < end and (text[at].isalpha() or text[at] == "'"):
                at += 1
            yield "word", text[start:at].lower()
        elif character.isdigit():
            start = at
            at += 1
            while at < end and text[at].isdigit():
                at += 1
            yield "number", text[start:at]
        else:
            if not character.isspace():
                yield "mark", character
            at += 1


def count(text):
    words = {}
    marks = {}
    following = {}
    numbers = 0
    previous = None
    for kind, piece in tokens(text):
        if kind == "word":
            words[piece] = words.get(piece, 0) + 1
            if previous is not None:
                pair = (previous, piece)
                following[pair] = following.get(pair, 0) + 1
            previous = piece
        elif kind == "number":
            numbers += int(piece)
        else:
            marks[piece] = marks.get(piece, 0) + 1
            previous = None
    return words, marks, following, numbers


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 850_000
    words, marks, following, numbers = count(make_text(size))
    print(f"{sum(words.values())} words, {len(words)} different, numbers add up to {numbers}")
    for mark in sorted(marks):
        print(f"mark {mark!r}: {marks[mark]}")
    for word, times in sorted(words.items(), key=lambda item: (-item[1], item[0]))[:8]:
        print(f"{times:8} {word}")
    for pair, times in sorted(following.items(), key=lambda item: (-item[1], item[0]))[:5]:
        print(f"{times:8} {' '.join(pair)}")
    checksum = 0
    for word in sorted(words):
        for character in word:
            checksum = (checksum * 31 + ord(character) * words[word]) % 1_000_000_007
    print(f"checksum {checksum}")


if __name__ == "__main__":
    main()
