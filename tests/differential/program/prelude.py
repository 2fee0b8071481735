"""What every program begins with."""

PRELUDE = '''\
class Point:
    total = 0

    def __init__(self, x, y=1, *, tag='p'):
        self.x = x
        self.y = y
        self.tag = tag

    def add(self, n):
        self.x += n
        return self.x

    def swap(self):
        self.x, self.y = self.y, self.x
        return self

    @property
    def area(self):
        return self.x * 3 + self.y

    @area.setter
    def area(self, v):
        self.y = v

    @classmethod
    def count(cls):
        cls.total += 1
        return cls.total

    @staticmethod
    def twice(v):
        return v + v

    def __repr__(self):
        return f'{type(self).__name__}({self.x!r}, {self.y!r})'


class Slotted:
    __slots__ = ('x', 'y', 'tag')

    def __init__(self, x, y=2):
        self.x = x
        self.y = y
        self.tag = 's'

    def add(self, n):
        self.x = self.x + n
        return self.y

    def swap(self):
        t = self.x
        self.x = self.y
        self.y = t
        return self

    area = 5

    def __repr__(self):
        return f'S({self.x!r}, {self.y!r})'


class Derived(Point):
    def add(self, n):
        if n == 13:
            raise ValueError('unlucky')
        return super().add(n) + 1

    def __getattr__(self, name):
        if name.startswith('z'):
            return 4
        raise AttributeError(name)


class Number:
    def __init__(self, v):
        self.v = v

    def __add__(self, other):
        print('add', self.v)
        return Number(self.v + 1)

    def __radd__(self, other):
        print('radd', self.v)
        return other

    def __lt__(self, other):
        return self.v < 3

    def __mul__(self, other):
        return 5

    __rmul__ = __mul__

    def __bool__(self):
        return self.v % 2 == 1

    def __repr__(self):
        return f'N{self.v}'


class Tracked:
    def __init__(self, name):
        self.name = name

    def __del__(self):
        print('gone', self.name)


class Guarded:
    def __init__(self, swallow):
        self.swallow = swallow

    def __enter__(self):
        print('enter')
        return self.swallow

    def __exit__(self, kind, value, tb):
        print('exit', kind and kind.__name__)
        return self.swallow == 1


def cut(v):
    return v if len(v) < 40 else v[:5]


def counter(n, step=1):
    i = 0
    while i < n:
        got = yield i * step
        if got:
            i += got
        i += 1
    return n


def deep(n, acc=0):
    if n <= 0:
        return acc
    return deep(n - 1, acc + n) if n % 3 else 1 + deep(n - 2, acc)


'''

FURTHER = '''\


import builtins, collections, contextlib, dataclasses, enum, functools, gc, heapq, itertools, math, operator, signal, sys, typing, weakref

kept, events, replaced = [], [], {}


def as_int(v):
    return v if type(v) is int and -2**64 < v < 2**64 else 7 if v else 2


def keeps(o):
    """Whether an object may stay: whole, and not too large a number in it."""
    x, y = getattr(o, 'x', None), getattr(o, 'y', None)
    for v in (x, y):
        if type(v) not in (int, bool, float) or not -2**70 < v < 2**70 and v == v:
            return False
    return True


def zipped(a, b):
    return (p + q for p, q in zip(a, b))


def adder(k):
    def add(n):
        return (n + k) % 65537
    return add


def accumulator(start):
    total = start % 97
    def add(n):
        nonlocal total
        total = (total + n) % 10007
        return total
    return add


def traced(f):
    @functools.wraps(f)
    def wrapper(*a, **k):
        return f(*a, **k)
    return wrapper


helper_table = [adder(3), accumulator(1)]


def tree(n):
    return (1,) if n <= 0 else (tree(n - 1)[0] + tree(n - 2)[0], n)


def is_even(n):
    return n <= 0 or is_odd(n - 1)


def is_odd(n):
    return n > 0 and is_even(n - 1)


def ack(m, n):
    if m == 0:
        return n + 1
    return ack(m - 1, 1) if n == 0 else ack(m - 1, ack(m, n - 1))


def fall(n, k):
    try:
        if n <= 0:
            return [1, 2][k]
        return fall(n - 1, k)
    except IndexError as e:
        e.add_note(f'at {n}')
        if n == 3:
            raise KeyError(n) from e
        raise


@contextlib.contextmanager
def managed(what):
    print('in', what)
    try:
        yield what
    finally:
        print('out', what)


class Pair(typing.NamedTuple):
    a: int
    b: int = 3


@dataclasses.dataclass
class Rec:
    x: int
    y: int = 2
    items: list = dataclasses.field(default_factory=list)

    def total(self):
        self.items.append(self.x)
        return self.y + len(self.items)


class Color(enum.Enum):
    RED = 1
    GREEN = 2
    BLUE = 3


class Items(list):
    def __getitem__(self, at):
        v = super().__getitem__(at)
        return v + 1 if type(v) is int else v

    def __len__(self):
        return min(super().__len__(), 20)


class Pile(list):
    pass


class Heap(list):
    def __init__(self, items=()):
        for item in items:
            self.append(item)

    def top(self):
        return self[-1] if self else 0


class Missing(dict):
    def __missing__(self, key):
        return 6


class Big(int):
    def __add__(self, other):
        return 12


class Str(str):
    def __len__(self):
        return 4


class AGuarded:
    async def __aenter__(self):
        return await once(2)

    async def __aexit__(self, *a):
        await once(1)


class Once:
    def __init__(self, v):
        self.v = v

    def __await__(self):
        yield self.v
        return self.v


async def once(v):
    return await Once(v)


async def aiter_of(n):
    for k in range(n):
        await once(k)
        yield k


def drive(c):
    total = 0
    try:
        while True:
            total += c.send(None)
    except StopIteration as e:
        return as_int(e.value) + as_int(total)


def replace_builtin(name, value):
    replaced.setdefault(name, getattr(builtins, name))
    setattr(builtins, name, value)


def put_back():
    for name, value in replaced.items():
        setattr(builtins, name, value)
    replaced.clear()
    sys.settrace(None)
    sys.setprofile(None)
    watch(False)
    kept.clear()
    print('events', events[:60])
    events.clear()


def looks_at(frame):
    return frame.f_code.co_filename.startswith('program') and frame.f_code.co_name not in ('put_back', 'watch', 'tracer', 'profiler', 'trace_callers')


def tracer(frame, event, arg):
    if not looks_at(frame):
        return None
    events.append((event, frame.f_code.co_name, frame.f_lineno))
    if len(events) > 40:
        sys.settrace(None)
        return None
    return tracer


def trace_callers():
    f = sys._getframe(1)
    while f:
        if looks_at(f):
            f.f_trace = tracer
        f = f.f_back
    sys.settrace(tracer)


def profiler(frame, event, arg):
    if looks_at(frame):
        events.append((event, frame.f_code.co_name, getattr(arg, '__name__', '') if event.startswith('c_') else frame.f_lineno))
    if len(events) > 40:
        sys.setprofile(None)


def watch(on):
    m = sys.monitoring
    if on and m.get_tool(3) is None:
        m.use_tool_id(3, 'program')
        def note(name):
            def saw(code, *rest):
                if code.co_filename.startswith('program') and code.co_name != 'watch':
                    events.append((name, code.co_name, rest[0] if name in ('line', 'start') else ''))
            return saw
        for name, event in (('start', m.events.PY_START), ('return', m.events.PY_RETURN), ('line', m.events.LINE), ('raise', m.events.RAISE)):
            m.register_callback(3, event, note(name))
        m.set_events(3, m.events.PY_START | m.events.PY_RETURN | m.events.LINE | m.events.RAISE)
    elif not on and m.get_tool(3) is not None:
        m.set_events(3, 0)
        m.free_tool_id(3)


def look_up():
    f = sys._getframe(1)
    print(f.f_code.co_name, f.f_lineno, len(f.f_locals))


def set_above(name, value):
    sys._getframe(1).f_locals[name] = value


def on_signal(number, frame):
    print('signal', frame.f_code.co_name, frame.f_lineno)


signal.signal(signal.SIGUSR1, on_signal)


'''
