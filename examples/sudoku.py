"""A sudoku solver with backtracking: recursion, sets as bit masks, generators.

Usage: python examples/sudoku.py [rounds]
"""

import sys

PUZZLES = [
    "53..7....6..195....98....6.8...6...34..8.3..17...2...6.6....28....419..5....8..79",
    "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4..",
    "..............3.85..1.2.......5.7.....4...1...9.......5......73..2.1........4...9",
    "4.....8.5.3..........7......2.....6.....8.4......1.......6.3.7.5..2.....1.4......",
    "1....7.9..3..2...8..96..5....53..9...1..8...26....4...3......1..4......7..7...3..",
]


class Board:
    def __init__(self, text):
        self.cells = [0] * 81
        self.rows = [0] * 9
        self.columns = [0] * 9
        self.boxes = [0] * 9
        self.guesses = 0
        for at, character in enumerate(text):
            if character != ".":
                self.place(at, int(character))

    def place(self, at, digit):
        bit = 1 << digit
        self.cells[at] = digit
        self.rows[at // 9] |= bit
        self.columns[at % 9] |= bit
        self.boxes[at // 27 * 3 + at % 9 // 3] |= bit

    def remove(self, at):
        bit = 1 << self.cells[at]
        self.cells[at] = 0
        self.rows[at // 9] &= ~bit
        self.columns[at % 9] &= ~bit
        self.boxes[at // 27 * 3 + at % 9 // 3] &= ~bit

    def open_digits(self, at):
        used = self.rows[at // 9] | self.columns[at % 9] | self.boxes[at // 27 * 3 + at % 9 // 3]
        return ~used & 0b1111111110

    def tightest(self):
        """Find the empty cell with the fewest digits left, or -1 when none is empty."""
        best = -1
        fewest = 10
        for at in range(81):
            if self.cells[at] == 0:
                left = self.open_digits(at)
                count = 0
                while left:
                    left &= left - 1
                    count += 1
                if count < fewest:
                    best = at
                    fewest = count
                    if count <= 1:
                        break
        return best

    def solve(self):
        at = self.tightest()
        if at < 0:
            return True
        for digit in digits(self.open_digits(at)):
            self.guesses += 1
            self.place(at, digit)
            if self.solve():
                return True
            self.remove(at)
        return False


def digits(mask):
    for digit in range(1, 10):
        if mask >> digit & 1:
            yield digit


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for number, puzzle in enumerate(PUZZLES):
        for _ in range(rounds):
            board = Board(puzzle)
            solved = board.solve()
        print(f"{number}: {'solved' if solved else 'no solution'} after {board.guesses} guesses")
        print("   " + "".join(map(str, board.cells)))


if __name__ == "__main__":
    main()
