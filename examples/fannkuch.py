"""Pancake flipping over all permutations: lists, slices, small integers.

Usage: python examples/fannkuch.py [length [rounds]]
"""

import sys


def flips(permutation):
    """Count prefix reversals until the first item is 0."""
    stack = permutation[:]
    count = 0
    first = stack[0]
    while first:
        stack[: first + 1] = stack[first::-1]
        count += 1
        first = stack[0]
    return count


def fannkuch(length):
    permutation = list(range(length))
    counters = [0] * length
    checksum = 0
    most = 0
    sign = 1
    level = length
    while True:
        while level > 1:
            counters[level - 1] = level
            level -= 1
        if permutation[0]:
            count = flips(permutation)
            if count > most:
                most = count
            checksum += sign * count
        sign = -sign
        while True:
            if level == length:
                return checksum, most
            head = permutation[0]
            for i in range(level):
                permutation[i] = permutation[i + 1]
            permutation[level] = head
            counters[level] -= 1
            if counters[level] > 0:
                break
            level += 1


def main():
    length = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    for _ in range(rounds):
        checksum, most = fannkuch(length)
    print(f"checksum {checksum}")
    print(f"most flips for {length} pancakes: {most}")


if __name__ == "__main__":
    main()
