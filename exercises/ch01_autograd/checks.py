"""Chapter 01: Tensors and autograd.

Oracles: a loop over single entries, the definition of an order, sums over all paths of a graph,
Python's math module, and functions with gradients that are known, or known to be wrong.
"""

import itertools
from math import exp, inf, log1p

import numpy as np

from minigan.grading import Check, Idea, Task, Unlike, Where, kind

# --- 01.1 -----------------------------------------------------------------------------------------


def add_up_copies(grad, shape):
    """Entry by entry: each index of grad is a copy of one index of the small array."""
    total = np.zeros(shape)
    skipped = grad.ndim - len(shape)
    for index in itertools.product(*map(range, grad.shape)):
        source = tuple(0 if n == 1 else i for i, n in zip(index[skipped:], shape, strict=True))
        total[source] += grad[index]
    return total


def leading_only(grad, shape):
    return grad.sum(axis=tuple(range(grad.ndim - len(shape))))


def stretched(shape):
    return tuple(i for i, n in enumerate(shape) if n == 1)


def shapes(*pairs):
    return lambda rng: [(rng.normal(size=big), small) for big, small in pairs]


UNBROADCAST = Task(
    "01.1",
    ("unbroadcast",),
    title="broadcasting's adjoint",
    difficulty=2,
    minutes=15,
    read="chapter 01, section 5: Broadcasting, and its adjoint",
    hints=(
        "An entry that was copied n times gets n gradients, and they add up. Which axes are copies?",
        "Shapes are aligned at their ends: grad.ndim - len(shape) axes were put in front.",
        "Sum over the axes in front; then over each i with shape[i] == 1, with keepdims=True.",
    ),
    oracle=add_up_copies,
    checks=(
        Check(
            "shape",
            why="A gradient has the shape of what it is the gradient of.",
            cases=shapes(((2, 3), (2, 3)), ((4, 2, 3), (2, 3)), ((2, 3), (2, 1)), ((2, 3), ())),
            rtol=inf,
        ),
        Check(
            "nothing was broadcast",
            why="Most of the time nothing needs to be done.",
            cases=shapes(((2, 3), (2, 3)), ((), ())),
        ),
        Check(
            "axes that were put in front",
            why="A bias of shape (out,) is added to each row of a batch.",
            cases=shapes(((4, 3), (3,)), ((5, 4, 2, 3), (2, 3)), ((3, 3, 3), (3,))),
        ),
        Check(
            "axes of length 1",
            why="A batch norm's mean of shape (1, C, 1, 1) is subtracted from all (N, C, H, W).",
            cases=shapes(((4, 3), (4, 1)), ((2, 3, 4, 5), (1, 3, 1, 1)), ((3, 3), (1, 3))),
        ),
        Check(
            "both at once",
            why="x of shape (3, 1) meets y of shape (2, 3, 4): one axis is new and one is stretched.",
            cases=shapes(((2, 3, 4), (3, 1)), ((6, 2, 3, 4), (1, 4)), ((2, 1, 3), (1, 3))),
        ),
        Check(
            "a number",
            why="In 2 * x the 2 was copied to every entry; its shape is ().",
            cases=shapes(((2, 3), ()), ((4,), (1,))),
        ),
    ),
    ideas=(
        Idea("a sum over the leading axes only", leading_only),
        Idea(
            "a sum over the axes of length 1 only",
            lambda g, s: g.sum(axis=tuple(i for i, n in enumerate(s) if n == 1), keepdims=True),
        ),
        Idea(
            "a mean where a sum belongs", lambda g, s: add_up_copies(g, s) * (np.prod(s) / g.size)
        ),
        Idea(
            "a sum over the leading axes, and over all other axes whose length changed, lost",
            lambda g, s: leading_only(g, s).sum(axis=stretched(s)),
        ),
        Idea("one of the copies instead of their sum", lambda g, s: _first(g, s)),
    ),
)


def _first(grad, shape):
    grad = grad[(0,) * (grad.ndim - len(shape))]
    return grad[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]


# --- 01.2 and 01.3 --------------------------------------------------------------------------------


class Node:
    """A node as the tasks describe it, with a name for reports; counts how often it is asked."""

    def __init__(self, name, edges):
        self.name = name
        self.edges = edges
        self.asked = 0
        self._parents = [parent for parent, _ in edges]

    @property
    def parents(self):
        self.asked += 1
        return self._parents

    def as_text(self):
        lines = [
            f"{node.name} from {', '.join(p.name for p in node.parents)}"
            for node in reachable(self)
            if node.parents
        ]
        return f"{self.name}" + (f" ({'; '.join(lines[:6])})" if lines else "")


def reachable(root):
    found = [root]
    for node in found:
        found += [p for p in dict.fromkeys(node.parents) if p not in found]
    return found


def graph(text, vjps=None):
    """ "b: a; c: a a" makes c from a twice; the last is the root. vjps draws one for each edge."""
    nodes = {}
    for line in text.split(";"):
        name, _, parents = line.strip().partition(":")
        for parent in parents.split():
            nodes.setdefault(parent, Node(parent, []))
        edges = [(nodes[p], vjps() if vjps else None) for p in parents.split()]
        nodes[name] = Node(name, edges)
    return nodes[name]


CHAIN = "b: a; c: b; d: c"
DIAMOND = "b: a; c: a; d: b c"
SKIP = "b: a; c: b; d: c; e: a d"  # a is used early and late
OTHER_SKIP = "b: a; c: b; d: c; e: d a"
LATE = "b: a; c: b; d: c; e: d b"  # b is met early, and used again late
OTHER_LATE = "b: a; c: b; d: c; e: b d"
SQUARE = "b: a a; c: b b"
LADDER = "; ".join(f"{b}: {a} {a}x; {b}x: {a} {a}x" for a, b in itertools.pairwise("abcdefghijkl"))
LADDER += "; z: l lx"


def names_in_order(f, root):
    nodes = reachable(root)
    found = f(root)
    if type(found) not in (list, tuple):
        raise Unlike("type", kind(found), "a list of nodes")
    for node in found:
        if type(node) is not Node:
            raise Unlike("type of an entry", type(node).__name__, "a node")
        if node not in nodes:
            raise Unlike("order", "with a node of an earlier call", "nodes of this graph alone")
    return [node.name for node in found]


def at_a_second_walk(see):
    def again(f, *args):
        f(*args)
        return see(f, *args)

    return again


def times_asked(f, root):
    nodes = reachable(root)
    for node in nodes:
        node.asked = 0
    f(root)
    return sum(node.asked for node in nodes)


def no_more_than_squared(root):
    """A walk that looks for nodes in lists may pass; one that takes every path asks 8,000 times."""
    n = len(reachable(root))
    return Where(f"no more than {2 * n * n} for {n} nodes", lambda times: times <= 2 * n * n)


def valid_order(root):
    nodes = reachable(root)
    place = [node.name for node in nodes]

    def holds(names):
        if sorted(names) != sorted(place):
            return False
        at = {name: i for i, name in enumerate(names)}
        return all(at[p.name] < at[node.name] for node in nodes for p in node.parents)

    return Where("each node once, after its parents", holds)


def once_each(root):
    nodes = sorted(node.name for node in reachable(root))
    return Where(f"each of {', '.join(nodes)} once", lambda names: sorted(names) == nodes)


def preorder(root):
    seen = []

    def visit(node):
        if node not in seen:
            seen.append(node)
            for parent in node.parents:
                visit(parent)

    visit(root)
    return seen


def breadth_first(root):
    return reachable(root)


def with_repeats(root):
    return [n for parent in root.parents for n in with_repeats(parent)] + [root]


def postorder(root):
    return list(dict.fromkeys(with_repeats(root)))


def other_preorder(root):
    seen, stack = [], [root]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.append(node)
            stack += node.parents
    return seen


def marking(root):
    order = []

    def visit(node):
        if not hasattr(node, "seen"):
            node.seen = True
            for parent in node.parents:
                visit(parent)
            order.append(node)

    visit(root)
    return order


DOWNWARD = "a walk down from the root: nodes listed before what they were computed from"

ORDER = Task(
    "01.2",
    ("topological_order",),
    title="an order to walk a graph in",
    difficulty=2,
    minutes=20,
    read="chapter 01, section 3: The machine, in 25 lines",
    hints=(
        "Depth first: list a node only when all of its parents are listed.",
        "Write visit(node): return if it was seen; mark it; visit each parent; then append it.",
        "It is the append after the loop over the parents that matters: before it, the order is "
        "preorder, and wrong as soon as two ways of different length lead to one node.",
    ),
    checks=(
        Check(
            "a list of nodes",
            why="The walk that follows takes the nodes one by one.",
            cases=lambda rng: [(graph("a"),)],
            see=names_in_order,
            expect=lambda root: Where("[a]", lambda names: names == ["a"]),
            label="order",
        ),
        Check(
            "a chain",
            why="A value must exist before it is used.",
            cases=lambda rng: [(graph(CHAIN),)],
            see=names_in_order,
            expect=valid_order,
            label="order",
        ),
        Check(
            "each node once",
            why="A node that is listed twice passes its gradient on twice.",
            cases=lambda rng: [(graph(g),) for g in (DIAMOND, SQUARE, SKIP)],
            see=names_in_order,
            expect=once_each,
            label="order",
        ),
        Check(
            "after all of its parents",
            why="A node whose gradient is passed on too early misses a part of it.",
            cases=lambda rng: [(graph(g),) for g in (DIAMOND, SKIP, OTHER_SKIP, LATE, OTHER_LATE)],
            see=names_in_order,
            expect=valid_order,
            label="order",
        ),
        Check(
            "many paths",
            why="Between 25 nodes there can be thousands of paths; a walk must not take each.",
            cases=lambda rng: [(graph(LADDER),)],
            see=times_asked,
            expect=no_more_than_squared,
            label="questions for node.parents",
        ),
        Check(
            "the graph stays as it was",
            why="Whoever walks the graph next needs it whole and without marks.",
            cases=lambda rng: [(graph(DIAMOND),)],
            see=at_a_second_walk(names_in_order),
            expect=valid_order,
            label="order of a second walk",
        ),
    ),
    ideas=(
        Idea(DOWNWARD, preorder),
        Idea(DOWNWARD, other_preorder),
        Idea(DOWNWARD, breadth_first),
        Idea("no memory of which nodes were seen", with_repeats),
        Idea("preorder turned round, which fails where a long and a short way lead to one node", lambda r: preorder(r)[::-1]),
        Idea("preorder turned round, which fails where a long and a short way lead to one node", lambda r: other_preorder(r)[::-1]),
        Idea("breadth first turned round, which fails where a long and a short way lead to one node", lambda r: breadth_first(r)[::-1]),
        Idea(DOWNWARD, lambda r: postorder(r)[::-1]),
        Idea("the root left out", lambda r: postorder(r)[:-1]),
        Idea("a walk along every path, with repeats thrown out afterwards", postorder),
        Idea("marks on the nodes, which are still there at the next walk", marking),
    ),
)  # fmt: skip


def scales(rng):
    """VJPs that multiply by numbers of their own."""

    def draw():
        factor = float(rng.uniform(0.5, 2.0) * rng.choice([-1, 1]))
        return lambda g: factor * g

    return draw


def identities():
    """The VJP of an addition hands on the very array that it gets."""
    return lambda g: g


def sums_of_rows():
    """The VJP of a row that was copied to each row of the result, or a number to each entry."""
    return lambda g: g.sum(axis=0)


def gradients(f, root, seed):
    nodes = reachable(root)
    found = f(root, seed)
    if not issubclass(type(found), dict):
        raise Unlike("type", kind(found), "a dict from nodes to gradients")
    for node in nodes:
        if node not in found:
            raise Unlike(f"gradient of {node.name}", "missing", "there")
    return {f"gradient of {node.name}": found[node] for node in nodes}


def over_all_paths(root, seed):
    """v_bar is a sum over every path from the root to v, since each vjp is linear."""
    return {f"gradient of {node.name}": g for node, g in along_each_path(root, seed).items()}


def along_each_path(root, seed):
    total = {}

    def walk(node, g):
        total[node] = total[node] + g if node in total else g
        for parent, vjp in node.edges:
            walk(parent, vjp(g))

    walk(root, seed)
    return total


def calls_of_vjps(f, root, seed):
    calls = []

    def counted(vjp):
        return lambda g: calls.append(g) or vjp(g)

    for node in reachable(root):
        node.edges = [(parent, counted(vjp)) for parent, vjp in node.edges]
    f(root, seed)
    return len(calls)


def one_for_each_edge(root, seed):
    edges = sum(len(node.edges) for node in reachable(root))
    return Where(f"{edges}, one for each edge", lambda calls: calls <= 2 * edges)


def walk_with(combine, order=lambda root: postorder(root)[::-1]):
    def accumulate(root, seed):
        grads = {root: seed}
        for node in order(root):
            for parent, vjp in node.edges:
                combine(grads, parent, vjp(grads[node]))
        return grads

    return accumulate


def add(grads, parent, part):
    grads[parent] = grads[parent] + part if parent in grads else part


def overwrite(grads, parent, part):
    grads[parent] = part


def keep_first(grads, parent, part):
    grads.setdefault(parent, part)


def add_in_place(grads, parent, part):
    if parent in grads:
        grads[parent] += part
    else:
        grads[parent] = part


def from_zeros(root, seed):
    grads = {node: np.zeros_like(seed) * 0.0 for node in reachable(root)}
    grads[root] = seed
    for node in postorder(root)[::-1]:
        for parent, vjp in node.edges:
            grads[parent] = grads[parent] + vjp(grads[node])
    return grads


def kept_on_nodes(root, seed):
    order = postorder(root)
    for node in order:
        node.grad = getattr(node, "grad", 0.0)
    root.grad = seed
    for node in reversed(order):
        for parent, vjp in node.edges:
            parent.grad = parent.grad + vjp(node.grad)
    return {node: node.grad for node in order}


def without_seed(root, seed):
    return walk_with(add)(root, np.ones_like(seed) * 1.0)


ACCUMULATE = Task(
    "01.3",
    ("accumulate",),
    title="the backward walk",
    difficulty=3,
    minutes=25,
    read="chapter 01, section 3: The machine, in 25 lines",
    hints=(
        "Start with {root: seed}. In which order must nodes pass their gradients on?",
        "In the reverse of a topological order: then a node's sum is complete when its turn comes.",
        "For each (parent, vjp): add vjp(grads[node]) to what the parent has, as a new value, a + b.",
    ),
    oracle=over_all_paths,
    checks=(
        Check(
            "a dict with every node",
            why="Whoever asks for a gradient looks it up by its node.",
            cases=lambda rng: [(graph("a"), 2.0), (graph(CHAIN, scales(rng)), 1.0)],
            see=gradients,
            rtol=inf,
        ),
        Check(
            "a chain",
            why="Along one path the chain rule multiplies, beginning with the seed.",
            cases=lambda rng: [(graph(CHAIN, scales(rng)), 1.0), (graph(CHAIN, scales(rng)), 3.0)],
            see=gradients,
        ),
        Check(
            "a value that is used twice",
            why="The gradients of both uses add up: the derivative of x * x is 2x, not x.",
            cases=lambda rng: [(graph(g, scales(rng)), 1.0) for g in ("b: a a", DIAMOND)],
            see=gradients,
        ),
        Check(
            "a long way and a short one",
            why="A gradient that is passed on before it is complete loses what comes later.",
            cases=lambda rng: [
                (graph(g, scales(rng)), 1.5)
                for g in (LATE, OTHER_LATE, SKIP, SQUARE, "b: a; c: b a; d: c b a; e: a d c b")
            ],
            see=gradients,
        ),
        Check(
            "arrays that two nodes share",
            why="An addition hands the same array to both sides; += into it changes the other's.",
            cases=lambda rng: [
                (graph(g, identities), rng.normal(size=(2, 3)))
                for g in ("c: a b; d: c c", "b: a; c: b; d: b c a; e: d b", DIAMOND, SKIP)
            ],
            see=gradients,
        ),
        Check(
            "arrays of several shapes",
            why="A gradient has the shape of its own node: a bias's is not a batch's.",
            cases=lambda rng: [
                (graph(g, sums_of_rows), rng.normal(size=(2, 3))) for g in ("b: a", "b: a; c: b b")
            ],
            see=gradients,
        ),
        Check(
            "many paths",
            why="The walk takes each edge once, not each path: its time grows with the graph's size.",
            cases=lambda rng: [(graph(LADDER, scales(rng)), 1.0)],
            see=calls_of_vjps,
            expect=one_for_each_edge,
            label="calls of a vjp",
        ),
        Check(
            "the graph stays as it was",
            why="Gradients are asked for more than once, and each time they begin at nothing.",
            cases=lambda rng: [(graph(DIAMOND, scales(rng)), 1.0)],
            see=at_a_second_walk(gradients),
        ),
    ),
    ideas=(
        Idea("= where += belongs: the last use overwrites the others", walk_with(overwrite)),
        Idea("the first use alone", walk_with(keep_first)),
        Idea("gradients passed on before they are complete", walk_with(add, preorder)),
        Idea("gradients passed on before they are complete", walk_with(add, other_preorder)),
        Idea("gradients passed on before they are complete", walk_with(add, breadth_first)),
        Idea("+= into an array that another node holds", walk_with(add_in_place)),
        Idea("a seed of 1 whatever the seed is", without_seed),
        Idea("sums that begin with zeros of the seed's shape", from_zeros),
        Idea("every path walked by itself", along_each_path),
        Idea("gradients kept on the nodes, and added to at the next walk", kept_on_nodes),
        Idea("the root left out", lambda r, s: {n: g for n, g in walk_with(add)(r, s).items() if n is not r}),
    ),
)  # fmt: skip


# --- 01.4 -----------------------------------------------------------------------------------------


def one_log_sigmoid(x):
    return min(x, 0.0) - log1p(exp(-abs(x)))


def by_entry(x):
    return np.array([one_log_sigmoid(float(v)) for v in x.ravel()]).reshape(x.shape)


LOG_OF_SIGMOID = "log(sigmoid(x)) as it is written: e^1000 is inf, and its reciprocal 0"

LOG_SIGMOID = Task(
    "01.4",
    ("log_sigmoid",),
    title="a logarithm that does not overflow",
    difficulty=1,
    minutes=10,
    read="chapter 01, section 7: The trap: log σ(−1000)",
    hints=(
        "What is sigmoid(-1000) in floating point, and what is its logarithm?",
        "For x < 0, 1 / (1 + e^-x) = e^x / (1 + e^x), and the logarithm of e^x is x.",
        "Only e^-|x| is ever needed: np.minimum(x, 0) - np.log1p(np.exp(-abs(x))).",
    ),
    oracle=by_entry,
    checks=(
        Check(
            "shape",
            why="It works on each entry alone.",
            cases=lambda rng: [(rng.normal(size=s),) for s in ((3, 2), (4,), (1, 1, 2))],
            rtol=inf,
        ),
        Check(
            "ordinary numbers",
            why="It is -log(1 + e^-x): negative everywhere, -log 2 at 0.",
            cases=lambda rng: [(np.array([-2.0, 0.0, 1.5]),), (rng.normal(0, 3, (3, 4)),)],
        ),
        Check(
            "large negative numbers",
            why="sigmoid(-1000) rounds to 0, whose logarithm is -inf; the answer is -1000.",
            cases=lambda rng: [
                (np.array([-1000.0]),),
                (np.array([-40.0, -100.0, -800.0, -1e6]),),
            ],
        ),
        Check(
            "large positive numbers",
            why="e^1000 is inf, and inf / inf is nan; the answer is 0.",
            cases=lambda rng: [(np.array([1000.0]),), (np.array([40.0, 100.0, 800.0, 1e6]),)],
        ),
        Check(
            "single precision",
            why="float32 overflows at e^89, and networks compute in float32.",
            cases=lambda rng: [
                (np.array([-1000, -95, -3, 0, 5, 95, 1000], "float32"),),
                (np.array(-110, "float32"),),
            ],
        ),
    ),
    ideas=(
        Idea(LOG_OF_SIGMOID, lambda x: np.log(1 / (1 + np.exp(-x)))),
        Idea("log(sigmoid(x)) with a small number added", lambda x: np.log(1 / (1 + np.exp(-x)) + 1e-8)),
        Idea("log(sigmoid(x)) with a small number added", lambda x: np.log(1 / (1 + np.exp(-x)) + 1e-12)),
        Idea("x - log(1 + e^x), whose e^x overflows", lambda x: x - np.log(1 + np.exp(x))),
        Idea("softplus(-x), which is -log sigmoid(x)", lambda x: -by_entry(x)),
        Idea("max(x, 0) where min(x, 0) belongs", lambda x: np.abs(x) + by_entry(x)),
        Idea("log(1 + e^-|x|) added, where it is taken away", lambda x: 2 * np.minimum(x, 0) - by_entry(x)),
        Idea("the sigmoid itself", lambda x: np.exp(by_entry(x))),
        Idea("log(1 - sigmoid(x)), the other player's", lambda x: by_entry(-x)),
    ),
)  # fmt: skip


# --- 01.5 -----------------------------------------------------------------------------------------


def small(*_):
    return Where("at most 0.01", lambda e: 0 <= e <= 1e-2)


def tiny(*_):
    return Where("at most 1e-4", lambda e: 0 <= e <= 1e-4)


def large(*_):
    return Where("at least 0.001", lambda e: 1e-3 <= e < inf)


def is_number(value):
    return type(value) in (int, float) or issubclass(type(value), np.number)


def error_as_number(f, *args):
    found = f(*args)
    if issubclass(type(found), np.ndarray) and found.shape == ():
        return found.item()
    if not is_number(found):
        raise Unlike("type", kind(found), "a number")
    return float(found)


def cubes(x):
    return float((x**3).sum() / 3 + (x[..., :-1] * x[..., 1:]).sum())


def grad_cubes(x):
    g = x**2
    g[..., :-1] += x[..., 1:]
    g[..., 1:] += x[..., :-1]
    return g


def spoiled(change):
    def wrong_gradient(x):
        return change(grad_cubes(x))

    return wrong_gradient


def one_entry(g):
    g = g.copy()
    g.flat[g.size // 2] *= 1.5
    return g


def balanced(g):
    """Wrong by a vector whose sum is 0."""
    off = np.where(np.arange(g.size) % 2, 1.0, -1.0).reshape(g.shape)
    return g + off


def scaled(factor, wrong=1.0):
    def scaled_cubes(x):
        return factor * cubes(x)

    def grad_scaled_cubes(x):
        return wrong * factor * grad_cubes(x)

    return scaled_cubes, grad_scaled_cubes


def steep(x):
    return float(np.exp(20 * x).sum())


def grad_steep(x):
    return 20 * np.exp(20 * x)


def constant(x):
    return 3.0


def point(rng, *shape):
    return rng.uniform(0.5, 1.5, shape)


def errors(directions, f, grad_f, x, eps, one_sided=False, relative=True):
    found = []
    for v in directions:
        down = f(x) if one_sided else f(x - eps * v)
        numeric = (f(x + eps * v) - down) / (eps if one_sided else 2 * eps)
        exact = float((grad_f(x) * v).sum())
        size = max(abs(numeric), abs(exact)) if relative else 1.0
        found.append(abs(numeric - exact) / size if size else 0.0)
    return found


def tries(x):
    rng = np.random.default_rng(1)
    return [rng.normal(size=x.shape) for _ in range(10)]


def is_the_largest(gradient_error, f, grad_f, x):
    """Whether the answer is the largest error along the directions in which f was asked."""
    asked = []

    def watched(point):
        asked.append(np.array(point))
        return f(point)

    error = error_as_number(gradient_error, watched, grad_f, x)
    ways = [point - x for point in asked if (point != x).any()]
    largest = max(errors(ways, f, grad_f, x, 1.0), default=0.0)
    if not abs(error - largest) <= 0.01 * largest:
        raise Unlike("error", f"{error:.4g}", f"{largest:.4g}, the largest of your own tries")
    return True


GRADIENT_ERROR = Task(
    "01.5",
    ("gradient_error",),
    title="a test for gradients",
    difficulty=2,
    minutes=20,
    read="chapter 01, section 6: A test that can fail",
    hints=(
        "Draw v with np.random.default_rng().standard_normal(x.shape). What is f's slope along it?",
        "numeric comes from two calls of f, exact from one sum, (grad_f(x) * v).sum().",
        "Keep the largest of abs(numeric - exact) / max(abs(numeric), abs(exact)) over ten v.",
    ),
    checks=(
        Check(
            "a number",
            why="One number says whether to trust a gradient.",
            cases=lambda rng: [(cubes, grad_cubes, point(rng, 5))],
            see=error_as_number,
            expect=lambda *_: Where("a number, not negative", lambda e: e >= 0),
            label="error",
        ),
        Check(
            "a gradient that is right",
            why="A test that fails what is right is turned off.",
            cases=lambda rng: [
                (cubes, grad_cubes, point(rng, 5)),
                (cubes, grad_cubes, point(rng, 2, 3)),
            ],
            see=error_as_number,
            expect=small,
            label="error",
        ),
        Check(
            "a gradient with a wrong factor",
            why="A forgotten 2 is the commonest mistake.",
            cases=lambda rng: [
                (cubes, spoiled(lambda g: 2 * g), point(rng, 6)),
                (cubes, spoiled(lambda g: -g), point(rng, 2, 3)),
            ],
            see=error_as_number,
            expect=large,
            label="error",
        ),
        Check(
            "one wrong entry among many",
            why="An index that is off by one spoils one entry and leaves the others right.",
            cases=lambda rng: [(cubes, spoiled(one_entry), point(rng, 12))],
            see=error_as_number,
            expect=large,
            label="error",
        ),
        Check(
            "errors that cancel in the sum",
            why="Along (1, 1, ..., 1) only the sum of the gradient is seen; two entries exchanged, "
            "or errors that add up to 0, stay hidden. A random direction sees each entry.",
            cases=lambda rng: [(cubes, spoiled(balanced), point(rng, 6))],
            see=error_as_number,
            expect=large,
            label="error",
        ),
        Check(
            "a very small function, wrong",
            why="An error of 1e-9 is large if the gradient is 1e-9: it must be relative.",
            cases=lambda rng: [(*scaled(1e-9, wrong=1.5), point(rng, 4))],
            see=error_as_number,
            expect=large,
            label="error",
        ),
        Check(
            "a very large function, right",
            why="An error of 1 is nothing if the gradient is 1e9.",
            cases=lambda rng: [(*scaled(1e9), point(rng, 4))],
            see=error_as_number,
            expect=small,
            label="error",
        ),
        Check(
            "a steep function",
            why="One-sided differences are off by eps, central ones by eps squared.",
            cases=lambda rng: [(steep, grad_steep, 0.1 * point(rng, 1), 1e-4)],
            see=error_as_number,
            expect=tiny,
            label="error",
        ),
        Check(
            "the step that was asked for",
            why="eps is there to be chosen: with 0.5 the differences of a cubic are coarse.",
            cases=lambda rng: [(cubes, grad_cubes, point(rng, 6), 0.5)],
            see=error_as_number,
            expect=large,
            label="error",
        ),
        Check(
            "the largest of the tries",
            why="Some directions hardly see an error; one that sees it is enough.",
            cases=lambda rng: [(cubes, spoiled(one_entry), point(rng, 12)) for _ in range(4)],
            see=is_the_largest,
            expect=lambda *_: True,
        ),
        Check(
            "a constant",
            why="Its slope is 0 in both ways, and 0 / 0 is nan.",
            cases=lambda rng: [(constant, np.zeros_like, point(rng, 3))],
            see=error_as_number,
            expect=small,
            label="error",
        ),
    ),
    ideas=(
        Idea(
            "the all-ones direction, which sees only the sum of the gradient",
            lambda f, g, x, eps=1e-6: max(errors([np.ones_like(x)], f, g, x, eps)),
        ),
        Idea(
            "a difference divided by eps, not by 2 eps",
            lambda f, g, x, eps=1e-6: max(errors(tries(x), lambda y: 2 * f(y), g, x, eps)),
        ),
        Idea(
            "the mean of the tries, not the largest",
            lambda f, g, x, eps=1e-6: np.mean(errors(tries(x), f, g, x, eps)),
        ),
        Idea(
            "the absolute error",
            lambda f, g, x, eps=1e-6: max(errors(tries(x), f, g, x, eps, relative=False)),
        ),
        Idea(
            "one-sided differences",
            lambda f, g, x, eps=1e-6: max(errors(tries(x), f, g, x, eps, one_sided=True)),
        ),
        Idea(
            "a fixed step in place of eps",
            lambda f, g, x, eps=1e-6: max(errors(tries(x), f, g, x, 1e-6)),
        ),
    ),
)

TASKS = (UNBROADCAST, ORDER, ACCUMULATE, LOG_SIGMOID, GRADIENT_ERROR)
