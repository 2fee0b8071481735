"""A small stack machine written in Python: one big dispatch loop, lists, integers.

Usage: python examples/bytecode_vm.py [limit]
"""

import sys

PUSH, LOAD, STORE, ADD, SUB, MUL, MOD, LESS, EQUAL, JUMP, JUMP_IF_ZERO, CALL, RETURN, PRINT, HALT = range(15)
NAMES = "PUSH LOAD STORE ADD SUB MUL MOD LESS EQUAL JUMP JUMP_IF_ZERO CALL RETURN PRINT HALT".split()
WITH_ARGUMENT = {PUSH, LOAD, STORE, JUMP, JUMP_IF_ZERO, CALL}

# Adds up n * n % 7 for odd n below the limit, counts primes below a tenth of
# it by trial division, and prints both.
PROGRAM = """
        PUSH 0
        STORE n
        PUSH 0
        STORE total
outer:  LOAD n
        LOAD limit
        LESS
        JUMP_IF_ZERO primes
        LOAD n
        PUSH 2
        MOD
        JUMP_IF_ZERO next
        LOAD total
        LOAD n
        LOAD n
        MUL
        PUSH 7
        MOD
        ADD
        STORE total
next:   LOAD n
        PUSH 1
        ADD
        STORE n
        JUMP outer
primes: LOAD total
        PRINT
        PUSH 2
        STORE n
        PUSH 0
        STORE found
again:  LOAD n
        PUSH 10
        MUL
        LOAD limit
        LESS
        JUMP_IF_ZERO done
        CALL prime
        LOAD found
        ADD
        STORE found
        LOAD n
        PUSH 1
        ADD
        STORE n
        JUMP again
done:   LOAD found
        PRINT
        HALT
prime:  PUSH 2
        STORE d
try:    LOAD n
        LOAD d
        LOAD d
        MUL
        LESS
        JUMP_IF_ZERO test
        PUSH 1
        RETURN
test:   LOAD n
        LOAD d
        MOD
        JUMP_IF_ZERO no
        LOAD d
        PUSH 1
        ADD
        STORE d
        JUMP try
no:     PUSH 0
        RETURN
"""


def assemble(source):
    """Turn the text into a flat list of operations and arguments, and name the variables."""
    labels = {}
    variables = {}
    pending = []
    code = []
    for line in source.strip().splitlines():
        if ":" in line:
            label, line = line.split(":")
            labels[label.strip()] = len(code)
        fields = line.split()
        operation = NAMES.index(fields[0])
        code.append(operation)
        if operation in WITH_ARGUMENT:
            argument = fields[1]
            if operation in (LOAD, STORE):
                code.append(variables.setdefault(argument, len(variables)))
            elif operation == PUSH:
                code.append(int(argument))
            else:
                pending.append((len(code), argument))
                code.append(0)
    for at, label in pending:
        code[at] = labels[label]
    return code, variables


def run(code, memory):
    stack = []
    calls = []
    printed = []
    steps = 0
    at = 0
    while True:
        operation = code[at]
        at += 1
        steps += 1
        if operation == LOAD:
            stack.append(memory[code[at]])
            at += 1
        elif operation == PUSH:
            stack.append(code[at])
            at += 1
        elif operation == STORE:
            memory[code[at]] = stack.pop()
            at += 1
        elif operation == ADD:
            right = stack.pop()
            stack[-1] += right
        elif operation == SUB:
            right = stack.pop()
            stack[-1] -= right
        elif operation == MUL:
            right = stack.pop()
            stack[-1] *= right
        elif operation == MOD:
            right = stack.pop()
            stack[-1] %= right
        elif operation == LESS:
            right = stack.pop()
            stack[-1] = 1 if stack[-1] < right else 0
        elif operation == EQUAL:
            right = stack.pop()
            stack[-1] = 1 if stack[-1] == right else 0
        elif operation == JUMP:
            at = code[at]
        elif operation == JUMP_IF_ZERO:
            if stack.pop():
                at += 1
            else:
                at = code[at]
        elif operation == CALL:
            calls.append(at + 1)
            at = code[at]
        elif operation == RETURN:
            at = calls.pop()
        elif operation == PRINT:
            printed.append(stack.pop())
        elif operation == HALT:
            return printed, steps
        else:
            raise ValueError(f"unknown operation {operation} at {at - 1}")


def main():
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 340_000
    code, variables = assemble(PROGRAM)
    memory = [0] * len(variables)
    memory[variables["limit"]] = limit
    printed, steps = run(code, memory)
    print(f"{steps} steps")
    print(f"sum {printed[0]}, primes {printed[1]}")


if __name__ == "__main__":
    main()
