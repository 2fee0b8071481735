"""Sorted lists, dicts and sets under random work, checked against the plain ones."""

import random

from sortedcontainers import SortedDict, SortedKeyList, SortedList, SortedSet

rng = random.Random(7)
many, plain = SortedList(), []
many._reset(20)
by_key = SortedKeyList(key=lambda v: -v)
table, bag = SortedDict(), SortedSet()
for turn in range(30_000):
    v = rng.randrange(2000)
    how = rng.randrange(8)
    if how < 4:
        many.add(v)
        plain.append(v)
        by_key.add(v * 0.5)
        table[v] = turn
        bag.add(v % 300)
    elif how == 4 and v in many:
        many.remove(v)
        plain.remove(v)
        bag.discard(v % 300)
    elif how == 5 and plain:
        assert many.count(v) == plain.count(v)
        table.pop(v, None)
    elif how == 6 and len(many) > 3:
        print(many.bisect_left(v), many[len(many) // 2], by_key[0], table.peekitem(0)[0], bag[-1])
        by_key.pop()
    elif how == 7:
        print(sum(many.irange(v, v + 20)), len(list(many.islice(3, 30, reverse=True))), table.bisect(v))
    if turn % 1000 == 0:
        many._check()
        assert list(many) == sorted(plain)
        print(len(bag & {1, 2, 3}), len(bag | range(9)), list(table.items())[:2])
