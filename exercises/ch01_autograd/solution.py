"""Chapter 01, tensors and autograd: solutions, with their reasoning."""

import numpy as np


def unbroadcast(grad, shape):
    # Broadcasting aligns shapes at their ends. So what is left over in front was added, and of the
    # rest, an axis of length 1 was stretched. keepdims leaves that axis in place with length 1.
    grad = grad.sum(axis=tuple(range(grad.ndim - len(shape))))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1)
    return grad.sum(axis=stretched, keepdims=True)


def topological_order(root):
    # Depth first, and a node is listed when all below it are: "postorder". A stack of our own in
    # place of recursion, so that a chain of any length will do. A node is met twice: first to put
    # its parents on the stack above it, then, when those are done, to be listed.
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


def accumulate(root, seed):
    # The same order, read backwards: when a node's turn comes, everything computed from it has
    # had its own, so its sum is complete. a + b makes a new array, where += would write into one
    # that somebody else may hold.
    order, seen, stack = [], set(), [(root, False)]
    while stack:
        node, parents_done = stack.pop()
        if parents_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.edges)

    grads = {root: seed}
    for node in reversed(order):
        for parent, vjp in node.edges:
            part = vjp(grads[node])
            grads[parent] = grads[parent] + part if parent in grads else part
    return grads


def log_sigmoid(x):
    # For x < 0, log sigmoid(x) = x - log(1 + e^x); for x >= 0 it is -log(1 + e^-x). In both the
    # exponent is -|x|, so e is never raised to anything large.
    return np.minimum(x, 0) - np.log1p(np.exp(-abs(x)))


def gradient_error(f, grad_f, x, eps=1e-6):
    # One random direction meets every entry of the gradient at once: a wrong entry survives it
    # with probability zero. Central differences are off by eps^2 only, one-sided ones by eps.
    rng = np.random.default_rng()
    gradient = grad_f(x)
    worst = 0.0
    for _ in range(10):
        v = rng.standard_normal(x.shape)
        numeric = (f(x + eps * v) - f(x - eps * v)) / (2 * eps)
        exact = (gradient * v).sum()
        size = max(abs(numeric), abs(exact))
        if size:
            worst = max(worst, abs(numeric - exact) / size)
    return worst
