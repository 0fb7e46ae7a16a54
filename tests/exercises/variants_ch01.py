"""Chapter 01: other answers."""

from collections import defaultdict

import numpy as np
from variant import right, wrong


@right("01.1")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(0)
    for i, n in enumerate(shape):
        if n == 1 and grad.shape[i] != 1:
            grad = grad.sum(i, keepdims=True)
    return grad


@right("01.1")
def unbroadcast(grad, shape):
    extra = (1,) * (grad.ndim - len(shape)) + tuple(shape)
    axes = tuple(i for i, (n, m) in enumerate(zip(extra, grad.shape, strict=True)) if n < m)
    return np.sum(grad, axis=axes, keepdims=True).reshape(shape)


@wrong("01.1", "shape", "a sum over the leading axes only")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0)
    return grad


@wrong("01.1", "axes that were put in front", "a mean where a sum belongs")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.mean(axis=0)
    for i, n in enumerate(shape):
        if n == 1:
            grad = grad.mean(axis=i, keepdims=True)
    return grad


@wrong("01.1", "axes that were put in front", "one of the copies instead of their sum")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad[0]
    for i, n in enumerate(shape):
        if n == 1:
            grad = grad.take([0], axis=i)
    return grad


@wrong("01.1", "shape")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=0) if grad.shape[0] != shape[0] else grad.sum(axis=-1)
    for i, n in enumerate(shape):
        if n == 1:
            grad = grad.sum(axis=i, keepdims=True)
    return grad


@wrong("01.1", "shape")
def unbroadcast(grad, shape):
    while grad.ndim > len(shape):
        grad = grad.sum(axis=-1)
    for i, n in enumerate(shape):
        if n == 1:
            grad = grad.sum(axis=i, keepdims=True)
    return grad


@right("01.2")
def topological_order(root):
    order = []

    def visit(node):
        if node in order:
            return
        for parent in node.parents:
            visit(parent)
        order.append(node)

    visit(root)
    return order


@right("01.2")
def topological_order(root):
    """Kahn's: from the root back, once all that use a node are listed."""
    uses, stack, seen = defaultdict(int), [root], {root}
    while stack:
        for parent in stack.pop().parents:
            uses[parent] += 1
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    order, ready = [], [root]
    while ready:
        node = ready.pop()
        order.append(node)
        for parent in node.parents:
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)
    return order[::-1]


@wrong(
    "01.2", "a chain", "a walk down from the root: nodes listed before what they were computed from"
)
def topological_order(root):
    seen = []

    def visit(node):
        if node not in seen:
            seen.append(node)
            for parent in node.parents:
                visit(parent)

    visit(root)
    return seen


@wrong(
    "01.2",
    "after all of its parents",
    "breadth first turned round, which fails where a long and a short way lead to one node",
)
def topological_order(root):
    queue = [root]
    for node in queue:
        for parent in node.parents:
            if parent not in queue:
                queue.append(parent)
    return queue[::-1]


@wrong("01.2", "each node once", "no memory of which nodes were seen")
def topological_order(root):
    def below(node):
        return [n for parent in node.parents for n in below(parent)] + [node]

    return below(root)


@wrong("01.2", "a list of nodes", "the root left out")
def topological_order(root):
    order = []

    def visit(node):
        for parent in node.parents:
            if parent not in order:
                visit(parent)
                order.append(parent)

    visit(root)
    return order


@wrong(
    "01.2",
    "the graph stays as it was",
    "marks on the nodes, which are still there at the next walk",
)
def topological_order(root):
    order, stack = [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif not getattr(node, "visited", False):
            node.visited = True
            stack += [(node, True), *((parent, False) for parent in node.parents)]
    return order


@wrong("01.2", "the graph stays as it was")
def topological_order(root):
    """Takes the graph apart."""
    order, stack = [], [root]
    while stack:
        if stack[-1] in order:
            stack.pop()
        elif stack[-1].parents:
            stack.append(stack[-1].parents.pop())
        else:
            order.append(stack.pop())
    return order


@wrong("01.2", "many paths", "a walk along every path, with repeats thrown out afterwards")
def topological_order(root):
    def below(node):
        return [n for parent in node.parents for n in below(parent)] + [node]

    return list(dict.fromkeys(below(root)))


@right("01.2")
def topological_order(root):
    """Slow, but not as slow as all paths: whichever node is ready comes next."""
    waiting, order = [root], []
    for node in waiting:
        waiting += [p for p in dict.fromkeys(node.parents) if p not in waiting]
    while waiting:
        node = next(n for n in waiting if all(parent in order for parent in n.parents))
        waiting.remove(node)
        order.append(node)
    return order


@right("01.3")
def accumulate(root, seed):
    """Recursion over uses, with no order made beforehand."""
    uses, nodes = defaultdict(list), []

    def collect(node):
        if node not in nodes:
            nodes.append(node)
            for parent, vjp in node.edges:
                uses[parent].append((node, vjp))
                collect(parent)

    collect(root)
    grads = {root: seed}

    def gradient(node):
        if node not in grads:
            grads[node] = sum(vjp(gradient(user)) for user, vjp in uses[node])
        return grads[node]

    for node in nodes:
        gradient(node)
    return grads


@right("01.3")
def accumulate(root, seed):
    """Kahn's order, a defaultdict, and a copy that may be added into."""
    waiting, stack, seen = defaultdict(int), [root], {root}
    while stack:
        for parent, _ in stack.pop().edges:
            waiting[parent] += 1
            if parent not in seen:
                seen.add(parent)
                stack.append(parent)
    grads, ready = defaultdict(float), [root]
    grads[root] = seed
    while ready:
        node = ready.pop(0)
        for parent, vjp in node.edges:
            grads[parent] += vjp(grads[node])
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    return grads


def order_of(root):
    order = []

    def visit(node):
        if node not in order:
            for parent, _ in node.edges:
                visit(parent)
            order.append(node)

    visit(root)
    return order[::-1]


@wrong(
    "01.3", "a value that is used twice", "= where += belongs: the last use overwrites the others"
)
def accumulate(root, seed):
    grads = {root: seed}
    for node in order_of(root):
        grads.update({parent: vjp(grads[node]) for parent, vjp in node.edges})
    return grads


@wrong("01.3", "arrays that two nodes share", "+= into an array that another node holds")
def accumulate(root, seed):
    grads = {root: seed}
    for node in order_of(root):
        for parent, vjp in node.edges:
            if parent not in grads:
                grads[parent] = vjp(grads[node])
            else:
                grads[parent] += vjp(grads[node])
    return grads


@wrong("01.3", "a long way and a short one", "gradients passed on before they are complete")
def accumulate(root, seed):
    grads, queue = {root: seed}, [root]
    for node in queue:
        for parent, vjp in node.edges:
            grads[parent] = grads.get(parent, 0.0) + vjp(grads[node])
            if parent not in queue:
                queue.append(parent)
    return grads


@wrong("01.3", "a chain", "a seed of 1 whatever the seed is")
def accumulate(root, seed):
    grads = {root: np.float64(1.0)}
    for node in order_of(root):
        for parent, vjp in node.edges:
            grads[parent] = grads.get(parent, 0.0) + vjp(grads[node])
    return grads


@wrong("01.3", "a dict with every node", "the root left out")
def accumulate(root, seed):
    grads = {root: seed}
    for node in order_of(root):
        for parent, vjp in node.edges:
            grads[parent] = grads.get(parent, 0.0) + vjp(grads[node])
    del grads[root]
    return grads


@right("01.3")
def accumulate(root, seed):
    """Gradients kept on the nodes, and set anew at each walk."""
    order = order_of(root)
    for node in order:
        node.grad = 0.0
    root.grad = seed
    for node in order:
        for parent, vjp in node.edges:
            parent.grad = parent.grad + vjp(node.grad)
    return {node: node.grad for node in order}


@wrong("01.3", "the graph stays as it was")
def accumulate(root, seed):
    """Takes the graph apart."""
    grads = {root: seed}
    for node in order_of(root):
        while node.edges:
            parent, vjp = node.edges.pop()
            grads[parent] = grads.get(parent, 0.0) + vjp(grads[node])
    return grads


@wrong(
    "01.3",
    "the graph stays as it was",
    "gradients kept on the nodes, and added to at the next walk",
)
def accumulate(root, seed):
    order = order_of(root)
    for node in order:
        if not hasattr(node, "bar"):
            node.bar = 0.0
    root.bar = seed
    for node in order:
        for parent, vjp in node.edges:
            parent.bar = parent.bar + vjp(node.bar)
    return {node: node.bar for node in order}


@wrong("01.3", "arrays of several shapes", "sums that begin with zeros of the seed's shape")
def accumulate(root, seed):
    grads = defaultdict(lambda: np.zeros(np.shape(seed)))
    grads[root] = seed
    for node in order_of(root):
        for parent, vjp in node.edges:
            grads[parent] = grads[parent] + vjp(grads[node])
    return grads


@wrong("01.3", "many paths", "every path walked by itself")
def accumulate(root, seed):
    grads = {}

    def go(node, g):
        grads[node] = grads.get(node, 0) + g
        for parent, vjp in node.edges:
            go(parent, vjp(g))

    go(root, seed)
    return grads


@right("01.4")
def log_sigmoid(x):
    return -np.logaddexp(0, -x)


@right("01.4")
def log_sigmoid(x):
    x = np.asarray(x, dtype="float64")
    out = np.empty_like(x)
    up = x >= 0
    out[up] = -np.log1p(np.exp(-x[up]))
    out[~up] = x[~up] - np.log1p(np.exp(x[~up]))
    return out


@right("01.4")
def log_sigmoid(x):
    return np.where(x < 0, x - np.log1p(np.exp(x)), -np.log1p(np.exp(-x)))


@wrong(
    "01.4",
    "large negative numbers",
    "log(sigmoid(x)) as it is written: e^1000 is inf, and its reciprocal 0",
)
def log_sigmoid(x):
    return -np.log(1.0 + np.exp(-x))


@wrong("01.4", "ordinary numbers", "softplus(-x), which is -log sigmoid(x)")
def log_sigmoid(x):
    return np.logaddexp(0, -x)


@wrong("01.4", "ordinary numbers", "max(x, 0) where min(x, 0) belongs")
def log_sigmoid(x):
    return x * (x > 0) - np.log1p(np.exp(-np.abs(x)))


@wrong("01.4", "ordinary numbers", "log(1 + e^-|x|) added, where it is taken away")
def log_sigmoid(x):
    return np.minimum(x, 0) + np.logaddexp(0, -np.abs(x))


@wrong("01.4", "large positive numbers", "x - log(1 + e^x), whose e^x overflows")
def log_sigmoid(x):
    return x - np.log1p(np.exp(x))


@wrong("01.4", "large negative numbers")
def log_sigmoid(x):
    x = np.clip(x, -500, 500)
    return -np.log(1 + np.exp(-x))


@wrong("01.4", "single precision")
def log_sigmoid(x):
    return np.where(x < -88, -np.inf if x.dtype == "float32" else x, -np.logaddexp(0, -x))


@right("01.5")
def gradient_error(f, grad_f, x, eps=1e-6):
    """Entry by entry, which is stronger than random directions."""
    worst, g = 0.0, grad_f(x)
    for i in range(x.size):
        v = np.zeros(x.size)
        v[i] = 1.0
        v = v.reshape(x.shape)
        numeric = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
        exact = g.flat[i]
        worst = max(worst, abs(numeric - exact) / max(abs(numeric), abs(exact), 1e-300))
    return worst


@right("01.5")
def gradient_error(f, grad_f, x, eps=1e-6):
    """Unit vectors, fixed by a seed."""
    rng, errors = np.random.default_rng(7), []
    for _ in range(20):
        v = rng.standard_normal(x.shape)
        v = v / np.linalg.norm(v)
        a = (f(x + eps * v) - f(x - eps * v)) / 2 / eps
        b = np.vdot(grad_f(x), v)
        errors.append(np.abs(a - b) / (np.maximum(np.abs(a), np.abs(b)) + 1e-30))
    return np.max(errors)


@wrong(
    "01.5",
    "errors that cancel in the sum",
    "the all-ones direction, which sees only the sum of the gradient",
)
def gradient_error(f, grad_f, x, eps=1e-6):
    v = np.ones(x.shape)
    a = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
    b = grad_f(x).sum()
    return abs(a - b) / max(abs(a), abs(b), 1e-300)


@wrong("01.5", "a very small function, wrong")
def gradient_error(f, grad_f, x, eps=1e-6):
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(10):
        v = rng.standard_normal(x.shape)
        a = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
        worst = max(worst, abs(a - (grad_f(x) * v).sum()) / max(abs(a), 1.0))
    return worst


@wrong("01.5", "a steep function")
def gradient_error(f, grad_f, x, eps=1e-6):
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(10):
        v = rng.standard_normal(x.shape)
        a = (f(x + eps * v) - f(x)) / eps
        b = (grad_f(x) * v).sum()
        worst = max(worst, abs(a - b) / max(abs(a), abs(b), 1e-300))
    return worst


@wrong("01.5", "a constant")
def gradient_error(f, grad_f, x, eps=1e-6):
    rng, errors = np.random.default_rng(7), []
    for _ in range(10):
        v = rng.standard_normal(x.shape)
        a = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
        b = (grad_f(x) * v).sum()
        errors.append(abs(a - b) / np.maximum(abs(a), abs(b)))
    return np.max(errors)


def errors_of(f, grad_f, x, eps, divisor=2):
    rng = np.random.default_rng(7)
    for _ in range(10):
        v = rng.standard_normal(x.shape)
        a = (f(x + eps * v) - f(x - eps * v)) / (divisor * eps)
        b = (grad_f(x) * v).sum()
        yield abs(a - b) / (max(abs(a), abs(b)) or 1.0)


@wrong("01.5", "the largest of the tries")
def gradient_error(f, grad_f, x, eps=1e-6):
    return min(errors_of(f, grad_f, x, eps))


@wrong("01.5", "the largest of the tries")
def gradient_error(f, grad_f, x, eps=1e-6):
    return list(errors_of(f, grad_f, x, eps))[-1]


@wrong("01.5", "the largest of the tries")
def gradient_error(f, grad_f, x, eps=1e-6):
    return sum(errors_of(f, grad_f, x, eps)) / 10


@wrong("01.5", "a gradient that is right", "a difference divided by eps, not by 2 eps")
def gradient_error(f, grad_f, x, eps=1e-6):
    return max(errors_of(f, grad_f, x, eps, divisor=1))


@right("01.5")
def gradient_error(f, grad_f, x, eps=1e-6):
    """Random signs, which give every entry the same weight."""
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(20):
        v = rng.choice([-1.0, 1.0], x.shape)
        a = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
        b = float(np.vdot(grad_f(x), v))
        if a or b:
            worst = max(worst, abs(a - b) / max(abs(a), abs(b)))
    return worst
