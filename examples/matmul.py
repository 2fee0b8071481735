"""Matrix multiplication and Gaussian elimination with lists of lists.

Usage: python examples/matmul.py [size]
"""

import sys


def make(size, seed):
    state = seed
    rows = []
    for _ in range(size):
        row = []
        for _ in range(size):
            state = (state * 1103515245 + 12345) & 0x7FFFFFFF
            row.append(state / 2147483648 - 0.5)
        rows.append(row)
    return rows


def multiply(a, b):
    n = len(a)
    m = len(b[0])
    inner = len(b)
    result = [[0.0] * m for _ in range(n)]
    for i in range(n):
        row = a[i]
        out = result[i]
        for j in range(m):
            total = 0.0
            for k in range(inner):
                total += row[k] * b[k][j]
            out[j] = total
    return result


def determinant(matrix):
    rows = [row[:] for row in matrix]
    n = len(rows)
    result = 1.0
    for i in range(n):
        best = i
        for j in range(i + 1, n):
            if abs(rows[j][i]) > abs(rows[best][i]):
                best = j
        if rows[best][i] == 0.0:
            return 0.0
        if best != i:
            rows[i], rows[best] = rows[best], rows[i]
            result = -result
        pivot = rows[i][i]
        result *= pivot
        for j in range(i + 1, n):
            factor = rows[j][i] / pivot
            for k in range(i, n):
                rows[j][k] -= factor * rows[i][k]
    return result


def main():
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 310
    a = make(size, 1)
    b = make(size, 2)
    c = multiply(a, b)
    print(f"trace {sum(c[i][i] for i in range(size))!r}")
    print(f"sum {sum(sum(row) for row in c)!r}")
    print(f"corner {c[0][0]!r} {c[-1][-1]!r}")
    print(f"determinant {determinant(a)!r}")


if __name__ == "__main__":
    main()
