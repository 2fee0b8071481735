"""The program whose machine instructions `headlines.py` counts.

Usage: python benches/instructions.py ADDITIONS ITERATIONS

A loop of ITERATIONS rounds does ADDITIONS integer additions in each. It runs
long enough before to be specialised, and compiled where there is a compiler.
"""

import sys


def make(additions):
    source = ["def loop(iterations, step):", "    total = 0", "    for _ in range(iterations):"]
    source += ["        total = total + step"] * additions
    source += ["    return total"]
    namespace = {}
    exec("\n".join(source), namespace)
    return namespace["loop"]


def main():
    additions, iterations = int(sys.argv[1]), int(sys.argv[2])
    loop = make(additions)
    for _ in range(20):
        loop(20, 3)
    stoop = sys.modules.get("stoop")
    if stoop is not None and stoop.is_enabled():
        refusal = stoop.compile(loop)
        if refusal:
            print(f"not compiled: {refusal}")
    total = loop(iterations, 3)
    assert total == 3 * additions * iterations, total


if __name__ == "__main__":
    main()
