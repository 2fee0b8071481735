"""Make a program smaller while it keeps a property: greedily, the largest pieces first."""

import ast
import time

BATCH = 12


def shrink(text, holds, seconds):
    """The smallest text found, or None if the property does not hold at all.

    `holds` takes a list of programs and tells for each whether it has the property.
    """
    ends = time.monotonic() + seconds
    text = ast.unparse(ast.parse(text)) + "\n"
    if not holds([text])[0]:
        return None
    tried = {text}
    progress = True
    while progress:
        progress = False
        for kind in (statements, expressions):
            while time.monotonic() < ends:
                found = step(text, kind, holds, tried, ends)
                if found is None:
                    break
                text, progress = found, True
        if time.monotonic() >= ends:
            break
    return text


def step(text, kind, holds, tried, ends):
    """A smaller program with the property, or None."""
    batch = []
    for candidate in kind(text):
        if candidate in tried or len(candidate) >= len(text):
            continue
        tried.add(candidate)
        batch.append(candidate)
        if len(batch) == BATCH:
            found = first(batch, holds)
            if found is not None or time.monotonic() > ends:
                return found
            batch = []
    return first(batch, holds) if batch else None


def first(batch, holds):
    """The first of the programs that has the property also when it runs alone."""
    for candidate, good in zip(batch, holds(batch)):
        if good and holds([candidate])[0]:
            return candidate
    return None


def bodies(tree):
    """Every list of statements, handlers or cases."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            value = getattr(node, field, None)
            if isinstance(value, list) and value:
                yield node, field, value


def is_countdown(node):
    """Whether a statement is what ends a `while` loop: `n -= 1`."""
    return isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Sub) and ast.unparse(node.value) == "1"


def size(node):
    """How many nodes are below."""
    return sum(1 for _ in ast.walk(node))


def statements(text):
    """Programs without a statement, or with a compound one replaced by its parts; the largest first."""
    tree = ast.parse(text)
    places = []
    for number, (_, _, body) in enumerate(bodies(tree)):
        if len(body) > 1:
            places.append((sum(map(size, body)), number, None, "all"))
        for at, node in enumerate(body):
            if is_countdown(node):
                continue
            places.append((size(node), number, at, "delete"))
            if isinstance(node, (ast.If, ast.For, ast.While, ast.With, ast.Try)):
                places.append((size(node) - 1, number, at, "body"))
                if getattr(node, "orelse", None):
                    places.append((size(node) - 2, number, at, "orelse"))
    for _, number, at, how in sorted(places, key=lambda p: -p[0]):
        fresh = ast.parse(text)
        owner, field, body = list(bodies(fresh))[number]
        if how == "all":
            body[:] = [ast.Pass()] if field == "body" else []
        elif how == "delete":
            del body[at]
        else:
            body[at:at + 1] = getattr(body[at], how)
        if not body and field == "body" and not isinstance(owner, ast.Module):
            body.append(ast.Pass())
        if (made := written(fresh)) is not None:
            yield made


def expressions(text):
    """Programs with an expression replaced by one of its parts; the largest first."""
    count = sum(1 for n in ast.walk(ast.parse(text)) if isinstance(n, ast.expr))
    tree = ast.parse(text)
    nodes = [n for n in ast.walk(tree) if isinstance(n, ast.expr)]
    places = []
    for number in range(count):
        parts = [c for c in ast.iter_child_nodes(nodes[number]) if isinstance(c, ast.expr)]
        places += [(size(nodes[number]) - size(part), number, k) for k, part in enumerate(parts)]
    for _, number, k in sorted(places, key=lambda p: -p[0]):
        fresh = ast.parse(text)
        node = [n for n in ast.walk(fresh) if isinstance(n, ast.expr)][number]
        part = [c for c in ast.iter_child_nodes(node) if isinstance(c, ast.expr)][k]
        for parent in ast.walk(fresh):
            for field, value in ast.iter_fields(parent):
                if value is node:
                    setattr(parent, field, part)
                elif isinstance(value, list) and any(v is node for v in value):
                    value[[v is node for v in value].index(True)] = part
        if (made := written(fresh)) is not None:
            yield made


def written(tree):
    """The tree as text, if it is a program."""
    try:
        made = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
        compile(made, "program.py", "exec")
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return None
    return made
