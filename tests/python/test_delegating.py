"""Generators and coroutines that wait for others: what machine code hides of them nobody misses."""

from harness import resumptions


def test_trees_seen_from_inside(early):
    """What is below a row looks at it, raises, or is no generator; rows that are closed, thrown into, collected."""
    run = early(
        """
    import sys, gc, traceback, weakref, types
    class Tree:
        def __init__(self, left, value, right):
            self.left, self.value, self.right = left, value, right
        def __iter__(self):
            if self.left:
                yield from self.left
            yield self.value
            if self.right:
                yield from self.right
    def mk(v):
        if not v: return None
        i = len(v)//2
        return Tree(mk(v[:i]), v[i], mk(v[i+1:]))
    big = mk(list(range(3000)))
    for _ in range(60): s = sum(big)
    print(s)
    class Looks:
        def __init__(self, what): self.what = what
        def __iter__(self):
            return self.what()
    def inner_gen():
        yield 'a'
        f = sys._getframe(); out=[]
        while f: out.append((f.f_code.co_name, f.f_lineno)); f=f.f_back
        yield len(out), out[:4]
        yield 'z'
    def put(where, what):
        n = big
        for c in where:
            nx = getattr(n, c)
            if nx is None: break
            n = nx
        n.left = what; return n
    n = put(['left']*30, Looks(inner_gen))
    print([x for x in big if not isinstance(x,int)])
    print(list(big)[:5])
    for w in (lambda: iter([1,2,3]), lambda: iter('xy'), lambda: iter({5:6}), lambda: (x for x in range(3)),
              lambda: map(str, [1,2]), lambda: zip([1],[2])):
        n.left = Looks(w); print(list(big)[:6], sum(1 for _ in big))
    class Bad:
        def __iter__(self): raise KeyError('iter')
    class Bad2:
        def __iter__(self): return 5
    class Bad3:
        __iter__ = None
    def raiser():
        yield 1
        raise ValueError('inside')
    def stopper():
        yield 1
        raise StopIteration('x')
    for w in (Bad(), Bad2(), Bad3(), 5, Looks(raiser), Looks(stopper)):
        n.left = w
        try: print(sum(1 for _ in big))
        except BaseException as e:
            tb = e.__traceback__; out=[]
            while tb: out.append((tb.tb_frame.f_code.co_name, tb.tb_lineno)); tb = tb.tb_next
            print(type(e), e, type(e.__cause__), type(e.__context__), out)
    n.left = None
    it = iter(big)
    for _ in range(1000): last = next(it)
    chain=[]; g=it
    while isinstance(g, types.GeneratorType):
        f = g.gi_frame
        chain.append((g.gi_running, g.gi_suspended, f.f_lineno, f.f_back, f.f_lasti)); g = g.gi_yieldfrom
    print(last, chain, g)
    it.close(); print(it.gi_frame, list(it))
    it = iter(big)
    for _ in range(777): next(it)
    def throw():
        try: it.throw(ZeroDivisionError('t'))
        except ZeroDivisionError as e:
            tb=e.__traceback__; out=[]
            while tb: out.append((tb.tb_frame.f_code.co_name, tb.tb_lineno)); tb=tb.tb_next
            return out
    print(throw(), list(it))
    it = iter(big)
    for _ in range(500): next(it)
    gc.collect()
    r = weakref.ref(it)
    print(next(it), r() is it); del it; print(r())
    it = iter(big)
    for _ in range(100): next(it)
    h = it
    while h.gi_yieldfrom is not None: h = h.gi_yieldfrom
    print(next(h,'over'), next(it), next(h,'over'), next(it))
    h2 = it.gi_yieldfrom.gi_yieldfrom
    print(next(h2), next(it)); h2.close(); print(next(it));
    try: h2.throw(KeyError('k'))
    except KeyError as e: print('K', e)
    print(next(it), sum(1 for _ in it))
    """
    )
    assert resumptions(run, "Tree.__iter__") > 20


def test_finalisers(early):
    """A local that is finalised as a generator of a row ends sees the frame that goes on."""
    run = early(
        """
    import sys
    class Fin:
        def __init__(self, log): self.log = log
        def __del__(self):
            f = sys._getframe(1); self.log.append((f.f_code.co_name, f.f_lineno))
    def leaf(log):
        x = Fin(log)
        yield 1
        y = Fin(log)
        del x
        yield 2
    def mid(log):
        a = yield from leaf(log)
        yield a
        b = yield from leaf(log)
    def top(log):
        yield from mid(log)
        yield 'end'
    for _ in range(300):
        log=[]; out=list(top(log))
    print(out, log)
    """
    )
    assert resumptions(run, "leaf") > 20
    assert resumptions(run, "mid") > 20


def test_values_sent_through(early):
    """What a row is sent arrives at the innermost."""
    run = early(
        """
    def acc():
        t = 0
        while True:
            x = yield t
            if x is None: return t
            t += x
    def gather(tot):
        while True:
            tot.append((yield from acc()))
    def outer(tot):
        yield from gather(tot)
    for _ in range(50):
        tot=[]; g=outer(tot); next(g)
        for k in range(20): g.send(k)
        g.send(None)
        for k in range(5): g.send(k)
        g.send(None)
    print(tot, g.gi_yieldfrom.gi_yieldfrom.gi_frame.f_locals)
    """
    )
    assert resumptions(run, "acc") > 20
    assert resumptions(run, "gather") > 20


def test_tracer_below_a_row(early):
    """A tracer that the innermost switches on sees those that wait come back."""
    run = early(
        """
    import sys
    events=[]
    def tr(frame, ev, arg):
        if frame.f_code.co_name in ('leaf2','mid2','top2'): events.append((frame.f_code.co_name, ev, frame.f_lineno))
        return tr
    def leaf2(k):
        for i in range(5):
            if i == k: sys.settrace(tr)
            yield i
    def mid2(k):
        yield from leaf2(k)
        yield 'm'
    def top2(k):
        yield from mid2(k)
        yield 't'
    for _ in range(200): list(top2(-1))
    print(list(top2(2))); sys.settrace(None)
    print(events)
    """
    )
    assert resumptions(run, "leaf2") > 20
    assert resumptions(run, "mid2") > 20


def test_depth_of_rows(early):
    """A row counts as that many calls, and raises where the interpreter does."""
    run = early(
        """
    import sys
    sys.unraisablehook = [].append
    def deep(n):
        if n: yield from deep(n-1)
        else: yield 'bottom'; yield 'again'
    for _ in range(100): list(deep(30))
    sys.setrecursionlimit(300)
    for n in (100, 250, 290, 299, 300, 320, 1000):
        try: print(n, list(deep(n)))
        except RecursionError as e: print(n, 'RecursionError', e)
    sys.setrecursionlimit(1000)
    g = deep(900)
    print(next(g))
    sys.setrecursionlimit(400)
    try: print(next(g))
    except RecursionError as e: print('RE', e)
    sys.setrecursionlimit(1000)
    print(list(g))
    """
    )
    assert resumptions(run, "deep") > 20


def test_contexts_in_rows(early):
    """What one that waits handles is the context of what the innermost raises."""
    run = early(
        """
    import sys
    def c1():
        try: raise KeyError('first')
        except KeyError:
            yield from c2()
    def c2():
        yield 1
        raise ValueError('second')
    for _ in range(100):
        try: list(c1())
        except ValueError as e: ctx = (repr(e), repr(e.__context__))
    print(ctx)
    def exc():
        yield sys.exception()
        yield sys.exception()
    def c3():
        try: raise KeyError('first')
        except KeyError:
            yield from exc()
    for _ in range(100): out = list(c3())
    print(out)
    """
    )
    assert resumptions(run, "c2") > 20


def test_asked_while_it_waits(early):
    """One that waits runs, as far as anybody can tell."""
    run = early(
        """
    def me(box):
        yield 1
        yield from sub(box)
    def sub(box):
        yield 2
        try: next(box[0])
        except ValueError as e: yield str(e)
        yield box[0].gi_running
    for _ in range(100):
        box=[]; box.append(me(box)); out=list(box[0])
    print(out)
    """
    )
    assert resumptions(run, "sub") > 20


def test_servers(early):
    """Tasks that take from a queue and await each other."""
    run = early(
        """
    import asyncio, gc, sys, traceback, types, warnings
    async def fib(n):
        return n if n < 2 else await fib(n-1) + await fib(n-2)
    async def leaf(x):
        await asyncio.sleep(0)
        return x
    async def mid(x):
        a = await leaf(x)
        b = await leaf(x+1)
        return a+b
    async def worker(q, out):
        while True:
            x = await q.get()
            if x is None: break
            out.append(await mid(x))
    async def main():
        q = asyncio.Queue(); out=[]
        ws=[asyncio.create_task(worker(q,out)) for _ in range(4)]
        for i in range(400): await q.put(i)
        for _ in ws: await q.put(None)
        await asyncio.gather(*ws)
        return sorted(out)[:5], len(out)
    for _ in range(5): print(asyncio.run(main()), asyncio.run(fib(12)))
    """
    )
    assert resumptions(run, "fib") > 20
    assert resumptions(run, "mid") > 20


def test_awaitables(early):
    """Everything that can be awaited, and what cannot."""
    run = early(
        """
    import asyncio, gc, sys, traceback, types, warnings
    async def fib(n):
        return n if n < 2 else await fib(n-1) + await fib(n-2)
    class A:
        def __init__(self, r): self.r=r
        def __await__(self):
            yield from self.r
            return 'done'
    @types.coroutine
    def old(n):
        for i in range(n): yield
        return n
    class B:
        def __await__(self): return fib(3)
    class C:
        def __await__(self): return 5
    async def awaits(x): return await x
    def drive(c):
        n=0
        try:
            while True: c.send(None); n+=1
        except StopIteration as e: return n, e.value
    for _ in range(60): r=(drive(awaits(A([1,2,3]))), drive(awaits(old(4))), drive(awaits(awaits(A([])))))
    print(r)
    for bad in (B(), C(), 5, None, 'x'):
        try: print(drive(awaits(bad)))
        except Exception as e: print(type(e), e)
    c = fib(5)
    async def two(): return await c
    print(drive(two()))
    try: drive(two())
    except Exception as e: print(type(e), e)
    @types.coroutine
    def wait(): yield 1
    async def w(): await wait()
    cc = w()
    async def aw(): await cc
    a1, a2 = aw(), aw()
    a1.send(None)
    try: a2.send(None)
    except RuntimeError as e: print(e)
    print(a1.cr_await is cc, cc.cr_running, cc.cr_suspended)
    a1.close(); print(cc.cr_frame)
    with warnings.catch_warnings(record=True) as ws:
        warnings.simplefilter('always')
        async def forgets(n):
            fib(n)
            return n
        for _ in range(60): drive(forgets(3))
        gc.collect()
        print(len(ws), ws[-1].message, ws[-1].lineno)
    try: fib(3).send(1)
    except TypeError as e: print(e)
    x = fib(3); drive(x)
    try: x.send(None)
    except RuntimeError as e: print(e)
    """
    )
    assert resumptions(run, "awaits") > 20


def test_failing_coroutines(early):
    """Tracebacks through coroutines that wait; cancelling."""
    run = early(
        """
    import asyncio, gc, sys, traceback, types, warnings
    def drive(c):
        n=0
        try:
            while True: c.send(None); n+=1
        except StopIteration as e: return n, e.value
    async def boom(n):
        if n: return await boom(n-1)
        raise ValueError('b')
    for _ in range(60):
        try: drive(boom(5))
        except ValueError as e: tb=traceback.extract_tb(e.__traceback__)
    print([(t.name,t.lineno) for t in tb])
    async def canc():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return 'c'
    async def m2():
        ts=[asyncio.create_task(canc()) for _ in range(50)]
        await asyncio.sleep(0)
        for t in ts: t.cancel()
        return set(await asyncio.gather(*ts))
    for _ in range(3): print(asyncio.run(m2()))
    """
    )
    assert resumptions(run, "boom") > 20


def test_async_for_and_with(early):
    """Asynchronous generators, context managers, coroutines' origins, depth, and the frames of those that wait."""
    run = early(
        """
    import asyncio, gc, sys, traceback, types, warnings
    def drive(c):
        n=0
        try:
            while True: c.send(None); n+=1
        except StopIteration as e: return n, e.value
    async def fib(n):
        return n if n < 2 else await fib(n-1) + await fib(n-2)
    async def agen(n):
        for i in range(n):
            if i % 3 == 0: await asyncio.sleep(0)
            yield i
    class CM:
        async def __aenter__(self): await asyncio.sleep(0); return 1
        async def __aexit__(self, *a): await asyncio.sleep(0)
    async def m3():
        t=0
        for k in range(50):
            async for x in agen(5): t+=x
            async with CM() as z: t+=z
        return t, [x async for x in agen(4)], sum([y async for y in agen(7)])
    for _ in range(5): print(asyncio.run(m3()))
    sys.set_coroutine_origin_tracking_depth(3)
    async def mk(): return fib(2)
    q = drive(mk())[1]
    print(q.cr_origin and [o[2] for o in q.cr_origin]); drive(q)
    sys.set_coroutine_origin_tracking_depth(0)
    async def depth(n): return 0 if n==0 else 1+await depth(n-1)
    print(drive(depth(300)))
    try: print(drive(depth(3000)))
    except RecursionError as e: print('RE')
    def frames():
        f=sys._getframe(1); o=[]
        while f: o.append(f.f_code.co_name); f=f.f_back
        return o
    async def l1(): return frames()
    async def l2(): return await l1()
    async def l3(): return await l2()
    for _ in range(100): z=drive(l3())
    print(z)
    """
    )
    assert resumptions(run, "l2") > 20
    assert resumptions(run, "depth") > 20
