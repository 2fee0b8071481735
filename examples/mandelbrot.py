"""The Mandelbrot set with plain floats: a nest of loops, no calls.

Usage: python examples/mandelbrot.py [width]
"""

import sys

LIMIT = 100
SHADES = " .:-=+*#%@"


def mandelbrot(width, height):
    rows = []
    for row in range(height):
        y0 = 2.4 * row / height - 1.2
        line = []
        for column in range(width):
            x0 = 3.0 * column / width - 2.2
            x = y = 0.0
            steps = 0
            while steps < LIMIT:
                xx = x * x
                yy = y * y
                if xx + yy > 4.0:
                    break
                y = 2.0 * x * y + y0
                x = xx - yy + x0
                steps += 1
            line.append(steps)
        rows.append(line)
    return rows


def checksum(rows):
    value = 0
    for line in rows:
        for steps in line:
            value = (value * 31 + steps) % 1_000_000_007
    return value


def main():
    width = int(sys.argv[1]) if len(sys.argv) > 1 else 840
    height = width * 3 // 4
    rows = mandelbrot(width, height)
    for row in range(0, height, max(1, height // 20)):
        line = rows[row]
        print("".join(SHADES[line[c] * 9 // LIMIT] for c in range(0, width, max(1, width // 64))))
    print(f"checksum {checksum(rows)}")


if __name__ == "__main__":
    main()
