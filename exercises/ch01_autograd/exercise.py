"""Chapter 01, tensors and autograd: how a computer differentiates a program.

Write each function in place of its ``raise NotImplementedError``. Then: minigan check 01
"""

import numpy as np


def unbroadcast(grad, shape):
    """The gradient of a value that was broadcast, from the gradient of the broadcast value.

    Broadcasting copies: where x of shape ``shape`` became an array of grad's shape, each entry of x
    was used several times, and by the chain rule the gradients of its copies add up. So sum over
    the axes that broadcasting put in front, and over each axis that had length 1 and was stretched.

    Args:
        grad: an array, of a shape to which ``shape`` broadcasts.
        shape: a tuple; () for a number.

    Returns:
        An array of shape ``shape``.

    >>> unbroadcast(np.ones((4, 3)), (3,)).tolist()
    [4.0, 4.0, 4.0]
    >>> unbroadcast(np.ones((4, 3)), (4, 1)).tolist()
    [[3.0], [3.0], [3.0], [3.0]]
    """
    raise NotImplementedError


def topological_order(root):
    """All nodes that a result depends on, each after everything it was computed from.

    Args:
        root: a node. ``node.parents`` is the list of nodes it was computed from, [] for an input;
            one node may be a parent of several, or twice of one (x * x). The graph stays as it is.

    Returns:
        A list of nodes: each node that can be reached from the root once, its parents before it,
        and so the root last. Any such order will do.

    >>> class Node:
    ...     def __init__(self, *parents):
    ...         self.parents = list(parents)
    >>> x = Node()
    >>> y = Node(x, x)
    >>> z = Node(x, y)
    >>> [["x", "y", "z"][[x, y, z].index(node)] for node in topological_order(z)]
    ['x', 'y', 'z']
    """
    raise NotImplementedError


def accumulate(root, seed):
    """Reverse-mode differentiation: the gradient of every node, from the graph of a result.

    The gradient of a node v is the sum over the nodes c that were computed from it,

        v_bar = sum of vjp(c_bar) over the edges (v, vjp) of each such c,     root_bar = seed

    so it is complete, and may be passed on, once all of those are done.

    Args:
        root: a node. ``node.edges`` is a list of pairs (parent, vjp), [] for an input; ``vjp`` is
            a function from the gradient of the node to this edge's part of the parent's. One parent
            may stand in several pairs.
        seed: the gradient of the root, a number or an array; other nodes' may have other shapes.
            It stays as it is, and so does whatever a vjp returns: two nodes may be handed the same
            array. The graph stays as it is, too.

    Returns:
        A dict from each node that can be reached, the root included, to its gradient.

    >>> class Node:
    ...     def __init__(self, *edges):
    ...         self.edges = list(edges)
    >>> x = Node()
    >>> y = Node((x, lambda g: 3.0 * g), (x, lambda g: 4.0 * g))
    >>> accumulate(y, 1.0)[x]
    7.0
    """
    raise NotImplementedError


def log_sigmoid(x):
    """log sigmoid(x) = log(1 / (1 + e^-x)) = min(x, 0) - log(1 + e^-|x|), finite for any finite x.

    Args:
        x: an array of floats, float32 or float64.

    Returns:
        An array of x's shape.

    >>> log_sigmoid(np.array([-1000.0, 0.0, 1000.0])).round(6).tolist()
    [-1000.0, -0.693147, 0.0]
    """
    raise NotImplementedError


def gradient_error(f, grad_f, x, eps=1e-6):
    """How far a gradient is from finite differences: the largest relative error of several tries.

    For a random direction v of x's shape, the slope of f along v is known in two ways,

        numeric = (f(x + eps v) - f(x - eps v)) / (2 eps),     exact = sum of grad_f(x) * v

    and the relative error is |numeric - exact| / max(|numeric|, |exact|), or 0 where both are 0.
    Try ten directions or so.

    Args:
        f: a function from an array to a number.
        grad_f: the function to be tested, from an array to an array of the same shape.
        x: an array of floats of any shape; it stays as it is.
        eps: the length of the step.

    Returns:
        A number: tiny if the gradient is right, and not if it is wrong.

    >>> x = np.array([1.0, 2.0])
    >>> bool(gradient_error(lambda x: (x**2).sum(), lambda x: 2 * x, x) < 1e-6)
    True
    >>> bool(gradient_error(lambda x: (x**2).sum(), lambda x: 3 * x, x) > 0.1)
    True
    """
    raise NotImplementedError
