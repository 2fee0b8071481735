"""Drops after which compiled code relies on what it knew: what they run must not be missed."""

import textwrap

START = """
import weakref
from probe import compiled, hot, under_stoop

class Other:
    step = 100
    def __init__(self):
        self.n = 0
        self.held = None
    def add(self, k):
        return k * 1000

class Box:
    step = 1
    def __init__(self):
        self.n = 0
        self.held = None
    def add(self, k):
        return self.n + k

class Act:
    "Does something when it ends."
    def __init__(self, what, box):
        self.what = what
        self.box = box
    def __del__(self):
        self.what(self.box)

class Quiet:
    def __init__(self, value):
        self.value = value

def work(box, values):
    total = 0
    for v in values:
        total += box.n * 3
        box.held = v  # drop
        total += box.n * 7 + box.step
        box.n += 1
        total += box.add(2)
    return total, box.n

def quiet(n):
    return [Quiet((k, [k, Quiet(k)])) if k % 2 else (k, k + 1000) for k in range(n)]

def show(make):
    box = Box()
    values = quiet(20) + make(box) + quiet(20)
    box.held = values.pop(0)
    out = work(box, values)
    values.clear()
    print(out, type(box).__name__, vars(box).keys() - {"held"})

box = Box()
hot(work, box, quiet(5))
"""


def program(body):
    """A program over what is above."""
    return START + textwrap.dedent(body)


# What ends, in a list that the loop goes over; nobody else holds it once `values` has let go.
CHANGES = """
def bump(box):
    box.n += 1000
def another(box):
    box.__class__ = Other
def attribute(box):
    Box.step += 5
def method(box):
    Box.add = lambda self, k: self.n - k
def into_dict(box):
    box.__dict__["extra"] = 1
    box.n = 2.5
"""

MAKERS = """
def plain(what):
    return lambda box: [Act(what, box)]
def in_tuple(what):
    return lambda box: [(Act(what, box),)]
def twice(what):
    def make(box):
        act = Act(what, box)
        return [(act, act)]
    return make
def in_instance(what):
    return lambda box: [Quiet([Quiet(Act(what, box))])]
def in_dict(what):
    return lambda box: [Quiet({"a": Act(what, box)})]
def callback(what):
    def make(box):
        q = Quiet(0)
        watch.append(weakref.ref(q, lambda _: what(box)))
        return [Quiet(q)]
    return make
def generator(what):
    def make(box):
        def g():
            try:
                yield 1
            finally:
                what(box)
        it = g()
        next(it)
        return [(it,)]
    return make
watch = []
"""


def test_what_ends_changes_the_object(both):
    """Each kind of end, each kind of change, in values that the loop's list lets go one by one."""
    run = both(
        program(
            CHANGES
            + MAKERS
            + """
class Going:
    "Hands out what it has, and keeps nothing."
    def __init__(self, values):
        self.values = values[::-1]
    def __iter__(self):
        return self
    def __next__(self):
        if not self.values:
            raise StopIteration
        return self.values.pop()

def show(make):
    box = Box()
    values = Going(quiet(20) + make(box) + quiet(20))
    out = work(box, values)
    print(out, type(box).__name__, vars(box).keys() - {"held"})

add, step = Box.add, Box.step
for making in (plain, in_tuple, twice, in_instance, in_dict, callback, generator):
    for what in (bump, another, attribute, method, into_dict):
        show(making(what))
        Box.add, Box.step = add, step
        if under_stoop():
            compiled(work)
"""
        )
    )
    run.assert_compiled("work")


def test_the_region_is_left_and_made_anew(both):
    """A drop that runs code leaves; where it keeps doing that the code is made without relying on it."""
    run = both(
        program("""
            log = []
            def note(box):
                log.append(box.n)
            def run(n):
                box = Box()
                for k in range(n):
                    work(box, [Act(note, box), None])
                return box.n, len(log), sum(log)
            print(run(2))
            if under_stoop():
                compiled(work)
            print(run(30))
            if under_stoop():
                compiled(work)
            print(run(200))
        """)
    )
    run.assert_compiled("work")


def test_quiet_ends_stay(both):
    """Numbers, tuples, lists and instances of plain classes end without leaving."""
    run = both(
        program("""
            def run(n):
                box = Box()
                t = None
                for k in range(n):
                    t = work(box, [(k, k + 0.5), [k, [k]], Quiet(Quiet("x" * k)), k * 1000, None])
                return t
            print(run(200))
        """)
    )
    run.assert_compiled("work").assert_stayed("work")


def test_long_quiet_ends_stay(both):
    """A hundred numbers and texts in a list end like few; one object among them whose end says something does not."""
    run = both(
        program("""
            def run(n):
                box = Box()
                t = None
                for k in range(n):
                    long = [j * 1000 if j % 2 else str(k + j) for j in range(100)]
                    t = work(box, [long[:], tuple(long), None])
                return t
            print(run(200))
        """)
    )
    run.assert_compiled("work").assert_stayed("work")
    run = both(
        program("""
            log = []
            def run(n):
                box = Box()
                for k in range(n):
                    work(box, [[1000 + k] * 60 + [Act(lambda b: log.append(b.n), box)] + ["x" * k], None])
                return box.n, len(log), sum(log)
            print(run(2))
            if under_stoop():
                compiled(work)
            print(run(100))
        """)
    )
    run.assert_compiled("work")
