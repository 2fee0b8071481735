"""The spectral norm of an infinite matrix: a tiny function called very often.

Usage: python examples/spectral_norm.py [size]
"""

import sys


def cell(i, j):
    return 1.0 / ((i + j) * (i + j + 1) // 2 + i + 1)


def times(vector):
    result = []
    for i in range(len(vector)):
        total = 0.0
        for j, value in enumerate(vector):
            total += cell(i, j) * value
        result.append(total)
    return result


def times_transposed(vector):
    result = []
    for i in range(len(vector)):
        total = 0.0
        for j, value in enumerate(vector):
            total += cell(j, i) * value
        result.append(total)
    return result


def spectral_norm(size):
    u = [1.0] * size
    v = u
    for _ in range(10):
        v = times_transposed(times(u))
        u = times_transposed(times(v))
    products = sum(a * b for a, b in zip(u, v))
    squares = sum(b * b for b in v)
    return (products / squares) ** 0.5


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 480
    print(f"spectral norm of order {size}: {spectral_norm(size)!r}")


if __name__ == "__main__":
    main()
