"""Chapter 03: Convolution and its transpose.

Oracles: loops over single windows and single entries, counting, and the adjoint identity.
"""

from math import inf

import numpy as np

from minigan.grading import Check, Idea, Task

# --- Convolution ----------------------------------------------------------------------------------


def padded(x, p):
    n, c, h, w = x.shape
    out = np.zeros((n, c, h + 2 * p, w + 2 * p))
    out[:, :, p : p + h, p : p + w] = x
    return out


def starts(n, kernel, stride):
    """Where windows begin along an axis of n padded entries."""
    return [a for a in range(0, n, stride) if a + kernel <= n]


def by_window(x, weight, stride, padding):
    x = padded(x, padding)
    kh, kw = weight.shape[2:]
    rows, columns = starts(x.shape[2], kh, stride), starts(x.shape[3], kw, stride)
    y = np.zeros((len(x), len(weight), len(rows), len(columns)))
    for a, top in enumerate(rows):
        for b, left in enumerate(columns):
            window = x[:, :, top : top + kh, left : left + kw]
            for o in range(len(weight)):
                y[:, o, a, b] = (window * weight[o]).sum(axis=(1, 2, 3))
    return y


def images(rng, *shape):
    return rng.normal(0.3, 1.0, shape)


def conv_cases(*cases):
    """(shape of x, shape of weight, stride, padding)"""
    return lambda rng: [(images(rng, *x), images(rng, *w), s, p) for x, w, s, p in cases]


def small_picture(rng):
    return [
        (np.arange(12.0).reshape(1, 1, 3, 4), np.array([[[[1.0, 2.0], [3.0, 5.0]]]]), 1, 0),
        (images(rng, 2, 1, 5, 4), images(rng, 1, 1, 3, 2), 1, 0),
    ]


CONV = Task(
    "03.1",
    ("conv2d",),
    title="the sliding window",
    difficulty=2,
    minutes=25,
    read="chapter 03, section 1: The sliding window",
    hints=(
        "Four loops are enough: over the rows and columns of the output and over the output "
        "channels; a window times a kernel, summed. np.pad puts the zeros around x.",
        "The window for output (a, b) is x[:, :, a*s : a*s + kh, b*s : b*s + kw].",
        "y[:, o, a, b] = (window * weight[o]).sum(axis=(1, 2, 3)); oh = (H + 2p - kh) // s + 1.",
    ),
    oracle=by_window,
    checks=(
        Check(
            "shape",
            why="N pictures, a map for each of the O kernels.",
            cases=conv_cases(
                ((2, 3, 6, 5), (4, 3, 3, 2), 1, 0),
                ((1, 1, 5, 7), (2, 1, 3, 3), 2, 1),
                ((2, 1, 6, 6), (1, 1, 3, 3), 2, 0),
            ),
            rtol=inf,
        ),
        Check(
            "one channel",
            why="A sum of products over all of the kernel, which lies on the picture as it is; turning it "
            "round is for signal theory.",
            cases=small_picture,
        ),
        Check(
            "several channels",
            why="Each output sums over all input channels.",
            cases=conv_cases(
                ((1, 2, 2, 3), (1, 2, 2, 2), 1, 0),
                ((2, 3, 5, 6), (4, 3, 3, 2), 1, 0),
                ((1, 2, 4, 4), (2, 2, 1, 1), 1, 0),
            ),
        ),
        Check(
            "stride",
            why="Windows begin every stride entries; what does not fill a window is left out.",
            cases=conv_cases(
                ((1, 1, 2, 6), (1, 1, 2, 2), 2, 0),
                ((2, 2, 7, 6), (3, 2, 3, 2), 2, 0),
                ((1, 1, 8, 6), (1, 1, 2, 3), 3, 0),
            ),
        ),
        Check(
            "padding",
            why="Zeros around the picture let the kernel look over its border.",
            cases=conv_cases(
                ((1, 1, 2, 2), (1, 1, 2, 2), 1, 1),
                ((2, 2, 4, 5), (3, 2, 3, 3), 1, 1),
                ((1, 2, 5, 3), (2, 2, 4, 3), 2, 2),
            ),
        ),
    ),
    ideas=(
        Idea("the kernel flipped in both directions", lambda x, w, s, p: by_window(x, w[:, :, ::-1, ::-1], s, p)),
        Idea("the kernel's rows and columns exchanged", lambda x, w, s, p: by_window(x, w.transpose(0, 1, 3, 2), s, p)),
        Idea("only the first channel", lambda x, w, s, p: by_window(x[:, :1], w[:, :1], s, p)),
        Idea("a mean over the input channels", lambda x, w, s, p: by_window(x, w, s, p) / x.shape[1]),
        Idea("stride left out", lambda x, w, s, p: by_window(x, w, 1, p)),
        Idea("padding left out", lambda x, w, s, p: by_window(x, w, s, 0)),
        Idea("a border padded by its own values, not by zeros", lambda x, w, s, p: by_window(np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="edge"), w, s, 0)),
    ),
)  # fmt: skip

# --- Sizes ----------------------------------------------------------------------------------------


def count_windows(n, kernel, stride, padding):
    return len(starts(n + 2 * padding, kernel, stride))


def count_painted(n, kernel, stride, padding, output_padding):
    canvas = {a * stride + i for a in range(n) for i in range(kernel)}
    return max(canvas) + 1 - 2 * padding + output_padding


SMALLER, LARGER = "conv_size", "conv_transpose_size"

SIZES = Task(
    "03.2",
    (SMALLER, LARGER),
    title="how large is the output?",
    difficulty=1,
    minutes=10,
    read="chapter 03, section 4: The sizes",
    hints=(
        "Where does the last window begin? Count the starts from 0 to there.",
        "// is floor division. Padding lies on both sides, so it counts twice.",
        "(n + 2 * padding - kernel) // stride + 1, and the other way round "
        "(n - 1) * stride - 2 * padding + kernel + output_padding.",
    ),
    checks=(
        Check(
            "conv_size: the kernel fits exactly",
            why="Every window but the first adds stride entries.",
            cases=lambda rng: [(5, 3, 1, 0), (28, 4, 2, 1), (9, 3, 3, 0), (6, 6, 2, 0)],
            expect=count_windows,
            label="size",
        ),
        Check(
            "conv_size: something is left over",
            why="A window that would hang over the edge is left out: floor, not ceil.",
            cases=lambda rng: [
                (28, 5, 2, 2),
                (7, 4, 2, 0),
                (10, 3, 4, 0),
                *((int(n), 3, 4, 1) for n in rng.integers(5, 40, 4)),
            ],
            expect=count_windows,
            label="size",
        ),
        Check(
            "conv_transpose_size: no padding",
            why="n kernels, each stride further than the one before.",
            cases=lambda rng: [(7, 4, 2, 0, 0), (1, 7, 1, 0, 0), (3, 2, 3, 0, 0)],
            expect=count_painted,
            label="size",
            of=LARGER,
        ),
        Check(
            "conv_transpose_size: padding and output_padding",
            why="Padding is cut off on both sides; output_padding is added once.",
            cases=lambda rng: [
                (7, 4, 2, 1, 0),
                (7, 5, 2, 2, 1),
                (4, 3, 3, 1, 2),
                *((int(n), 5, 3, 1, 2) for n in rng.integers(2, 30, 3)),
            ],
            expect=count_painted,
            label="size",
            of=LARGER,
        ),
    ),
    ideas=(
        Idea("rounded up, or to the nearest, where floor belongs", lambda n, k, s, p: -(-(n + 2 * p - k) // s) + 1),
        Idea("division with a remainder, not a whole number", lambda n, k, s, p: (n + 2 * p - k) / s + 1),
        Idea("the + 1 forgotten", lambda n, k, s, p: (n + 2 * p - k) // s),
        Idea("padding on one side only", lambda n, k, s, p: (n + p - k) // s + 1),
        Idea("the kernel left out", lambda n, k, s, p: (n + 2 * p) // s),
        Idea("n * stride, which the kernel and the padding correct", lambda n, k, s, p, q: n * s, LARGER),
        Idea("the formula with n for n - 1", lambda n, k, s, p, q: n * s - 2 * p + k + q, LARGER),
        Idea("padding cut off on one side only", lambda n, k, s, p, q: (n - 1) * s - p + k + q, LARGER),
        Idea("padding added instead of cut off", lambda n, k, s, p, q: (n - 1) * s + 2 * p + k + q, LARGER),
        Idea("padding left out", lambda n, k, s, p, q: (n - 1) * s + k + q, LARGER),
        Idea("output_padding left out", lambda n, k, s, p, q: (n - 1) * s - 2 * p + k, LARGER),
        Idea("output_padding on both sides", lambda n, k, s, p, q: (n - 1) * s - 2 * p + k + 2 * q, LARGER),
    ),
)  # fmt: skip

# --- The adjoint of cutting windows out -----------------------------------------------------------


def scatter(cols, x_shape, kernel, stride, padding, combine=lambda old, new: old + new):
    """Entry by entry."""
    n, c, h, w = x_shape
    x = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    for i in range(kernel):
        for j in range(kernel):
            for a in range(cols.shape[4]):
                for b in range(cols.shape[5]):
                    at = (slice(None), slice(None), a * stride + i, b * stride + j)
                    x[at] = combine(x[at], cols[:, :, i, j, a, b])
    return x[:, :, padding : padding + h, padding : padding + w]


def col_cases(*cases):
    """(shape of x, kernel, stride, padding)"""

    def draw(rng):
        drawn = []
        for (n, c, h, w), k, s, p in cases:
            oh, ow = (count_windows(size, k, s, p) for size in (h, w))
            drawn.append((images(rng, n, c, k, k, oh, ow), (n, c, h, w), k, s, p))
        return drawn

    return draw


def averaged(cols, x_shape, kernel, stride, padding):
    counts = scatter(np.ones_like(cols), x_shape, kernel, stride, padding)
    return scatter(cols, x_shape, kernel, stride, padding) / np.maximum(counts, 1)


def uncut(cols, x_shape, kernel, stride, padding):
    n, c, h, w = x_shape
    return scatter(cols, (n, c, h + 2 * padding, w + 2 * padding), kernel, stride, 0)


def exchanged(cols, *rest):
    return scatter(cols.transpose(0, 1, 3, 2, 4, 5), *rest)


COL2IM = Task(
    "03.3",
    ("col2im",),
    title="windows put back",
    difficulty=2,
    minutes=20,
    read="chapter 03, section 2: The matrix, and its transpose",
    hints=(
        "Start with zeros of the padded size, (H + 2 padding) by (W + 2 padding), and cut at the end.",
        "For fixed (i, j), cols[:, :, i, j] belongs to rows i, i + stride, ...: a strided slice.",
        "x[:, :, i : i + (oh - 1) * stride + 1 : stride, ...] += cols[:, :, i, j], with +=.",
    ),
    oracle=scatter,
    checks=(
        Check(
            "shape",
            why="The picture has its old size, whatever the windows covered.",
            cases=col_cases(((2, 3, 5, 4), 3, 1, 0), ((1, 2, 6, 5), 2, 2, 1), ((1, 1, 6, 7), 3, 2, 0)),
            rtol=inf,
        ),
        Check(
            "windows that only touch",
            why="With stride = kernel each entry has one window, and is moved to its place.",
            cases=col_cases(((2, 3, 4, 6), 2, 2, 0)),
        ),
        Check(
            "windows that overlap",
            why="An entry that was read several times gets the sum of what comes back.",
            cases=col_cases(((1, 2, 5, 4), 3, 1, 0), ((2, 1, 7, 5), 3, 2, 0)),
        ),
        Check(
            "padding",
            why="What falls onto the padding was never part of the picture.",
            cases=col_cases(((2, 2, 4, 5), 3, 1, 1), ((1, 1, 6, 4), 4, 2, 2)),
        ),
        Check(
            "entries that no window covers",
            why="Where the stride leaves a remainder, the last entries were never read: 0.",
            cases=col_cases(((1, 2, 6, 8), 3, 2, 0), ((2, 1, 7, 6), 2, 3, 1)),
        ),
    ),
    ideas=(
        Idea("= where += belongs: the last window overwrites the others", lambda *a: scatter(*a, combine=lambda old, new: new)),
        Idea("the first window alone", lambda *a: scatter(*a, combine=lambda old, new: np.where(old == 0, new, old))),
        Idea("an average over the windows, not their sum", averaged),
        Idea("the padding left on", uncut),
        Idea("padding taken for 0", lambda c, x, k, s, p: uncut(c, x, k, s, p)[:, :, : x[2], : x[3]]),
        Idea("the kernel's rows and columns exchanged", exchanged),
    ),
)  # fmt: skip

# --- Transposed convolution -----------------------------------------------------------------------


def paint(y, weight, stride, padding, output_padding=0, combine=lambda old, new: old + new):
    """Each entry of y paints its copy of the kernel."""
    n, c_in, h, w = y.shape
    _, c_out, kh, kw = weight.shape
    oh, ow = (h - 1) * stride + kh + output_padding, (w - 1) * stride + kw + output_padding
    x = np.zeros((n, c_out, oh, ow))
    for c in range(c_in):
        for a in range(h):
            for b in range(w):
                at = np.s_[:, :, a * stride : a * stride + kh, b * stride : b * stride + kw]
                x[at] = combine(x[at], y[:, c, a, b][:, None, None, None] * weight[c])
    return x[:, :, padding : oh - padding, padding : ow - padding]


def paint_cases(*cases):
    """(shape of y, shape of weight, stride, padding[, output_padding])"""
    return lambda rng: [(images(rng, *y), images(rng, *w), *rest) for y, w, *rest in cases]


def exchanged_channels(y, weight, *rest):
    """Where the axes are of one length nothing stops it."""
    square = weight.shape[0] == weight.shape[1]
    return paint(y, weight.transpose(1, 0, 2, 3) if square else weight, *rest)


def against_conv(f, y, weight, stride, padding, output_padding, x):
    return np.sum(x * f(y, weight, stride, padding, output_padding))


def adjoint_cases(rng):
    drawn = []
    for (h, w), k, s, p, more in (((4, 3), 3, 2, 1, 1), ((3, 5), 4, 2, 1, 0), ((3, 3), 2, 1, 0, 0)):
        size = [(n - 1) * s - 2 * p + k + more for n in (h, w)]
        x = images(rng, 2, 3, *size)
        drawn.append((images(rng, 2, 2, h, w), images(rng, 2, 3, k, k), s, p, more, x))
    return drawn


TRANSPOSE = Task(
    "03.4",
    ("conv_transpose2d",),
    title="convolution's adjoint",
    difficulty=3,
    minutes=30,
    read="chapter 03, section 2: The matrix, and its transpose",
    hints=(
        "Turn conv2d round: where it reads x[a s + i] and adds to y[a], read y[a] and add to x[a s + i].",
        "Start with zeros, (H - 1) stride + kh + output_padding rows; paint; cut padding off.",
        "For each (i, j): x[:, :, rows from i in steps of stride, ...] += "
        'np.einsum("ncab,co->noab", y, weight[:, :, i, j]).',
    ),
    oracle=paint,
    checks=(
        Check(
            "shape",
            why="weight is (C_in, C_out, kh, kw), the other way round than in conv2d.",
            cases=paint_cases(
                ((2, 3, 4, 3), (3, 2, 3, 2), 1, 0),
                ((1, 2, 3, 5), (2, 4, 4, 4), 2, 1),
                ((1, 1, 3, 2), (1, 2, 3, 3), 2, 1, 1),
            ),
            rtol=inf,
        ),
        Check(
            "one entry paints the kernel",
            why="A single 1 gives back the kernel itself, not flipped.",
            cases=lambda rng: [(np.ones((1, 1, 1, 1)), images(rng, 1, 1, 3, 2), 1, 0)],
        ),
        Check(
            "copies that overlap",
            why="Where two copies of the kernel meet, they add up.",
            cases=paint_cases(((2, 1, 3, 4), (1, 1, 3, 2), 1, 0), ((1, 1, 3, 2), (1, 1, 3, 4), 2, 0)),
        ),
        Check(
            "channels",
            why="Each input channel paints into all output channels, by weight[c_in, c_out].",
            cases=paint_cases(
                ((1, 2, 2, 3), (2, 2, 3, 2), 1, 0), ((2, 3, 3, 2), (3, 2, 2, 3), 2, 0)
            ),
        ),
        Check(
            "padding",
            why="Convolution's padding adds a border; its adjoint cuts one off.",
            cases=paint_cases(((2, 2, 4, 3), (2, 3, 4, 4), 2, 1), ((1, 1, 3, 4), (1, 2, 3, 3), 1, 1)),
        ),
        Check(
            "output_padding",
            why="It lengthens the picture at the bottom and on the right; with padding, these "
            "entries are painted, not 0.",
            cases=paint_cases(
                ((1, 2, 3, 4), (2, 1, 3, 3), 2, 1, 1), ((2, 1, 2, 3), (1, 2, 2, 2), 3, 0, 2)
            ),
        ),
        Check(
            "adjoint to conv2d",
            why="sum of conv2d(x) * y = sum of x * conv_transpose2d(y), for every x and y: that is "
            "what makes it the gradient of conv2d in x.",
            cases=adjoint_cases,
            see=against_conv,
            expect=lambda y, weight, s, p, more, x: np.sum(by_window(x, weight, s, p) * y),
            label="sum of x * f(y)",
        ),
    ),
    ideas=(
        Idea("the weight's channel axes exchanged", exchanged_channels),
        Idea("the kernel flipped, as in the textbooks' deconvolution", lambda y, w, *a: paint(y, w[:, :, ::-1, ::-1], *a)),
        Idea("the kernel's rows and columns exchanged", lambda y, w, *a: paint(y, w.transpose(0, 1, 3, 2), *a)),
        Idea("= where += belongs: copies overwrite each other", lambda *a: paint(*a, combine=lambda old, new: new)),
        Idea("padding left out", lambda y, w, s, p, q=0: paint(y, w, s, 0, q)),
        Idea("output_padding left out", lambda y, w, s, p, q=0: paint(y, w, s, p)),
        Idea("output_padding filled with zeros after the cut", lambda y, w, s, p, q=0: np.pad(paint(y, w, s, p), ((0, 0), (0, 0), (0, q), (0, q)))),
        Idea("output_padding put at the top and on the left", lambda y, w, s, p, q=0: np.pad(paint(y, w, s, p), ((0, 0), (0, 0), (q, 0), (q, 0)))),
        Idea("stride left out", lambda y, w, s, p, q=0: paint(y, w, 1, p, q)),
    ),
)  # fmt: skip

# --- Overlap --------------------------------------------------------------------------------------


def count_writes(kernel, stride, n):
    writes = [a * stride + i for a in range(n) for i in range(kernel)]
    return np.array([float(writes.count(x)) for x in range((n - 1) * stride + kernel)])


OVERLAP = Task(
    "03.5",
    ("overlap_map",),
    title="where checkerboards come from",
    difficulty=1,
    minutes=10,
    read="chapter 03, section 5: The checkerboard",
    hints=(
        "Draw kernel 3, stride 2 on paper: which outputs do inputs 0, 1 and 2 write to?",
        "Start with (n - 1) * stride + kernel zeros and add 1 for each write.",
        "for a in range(n): counts[a * stride : a * stride + kernel] += 1.",
    ),
    oracle=count_writes,
    checks=(
        Check(
            "length",
            why="The last kernel starts at (n - 1) stride.",
            cases=lambda rng: [(3, 2, 4), (4, 2, 5), (2, 3, 3), (5, 1, 1)],
            rtol=inf,
        ),
        Check(
            "a single input",
            why="One kernel writes once to each of its places.",
            cases=lambda rng: [(3, 2, 1), (4, 1, 1)],
        ),
        Check(
            "kernel divisible by stride",
            why="Inside, every output gets kernel / stride writes; only the ends get fewer.",
            cases=lambda rng: [(4, 2, 5), (2, 2, 4), (6, 2, 6), (3, 1, 6)],
        ),
        Check(
            "kernel not divisible by stride",
            why="The counts alternate: that is the checkerboard, before anything is trained.",
            cases=lambda rng: [(3, 2, 5), (5, 2, 6), (5, 3, 4)],
        ),
        Check(
            "gaps",
            why="With a stride larger than the kernel some outputs are never written.",
            cases=lambda rng: [(2, 3, 4), (1, 2, 3)],
        ),
    ),
    ideas=(
        Idea("a constant, kernel / stride everywhere", lambda k, s, n: np.full((n - 1) * s + k, k / s)),
        Idea("a constant, kernel // stride everywhere", lambda k, s, n: np.full((n - 1) * s + k, k // s)),
        Idea("all ones: writes counted once", lambda k, s, n: np.minimum(count_writes(k, s, n), 1.0)),
        Idea("n * stride outputs, without the kernel's overhang", lambda k, s, n: np.resize(count_writes(k, s, n), n * s)),
        Idea("stride and kernel exchanged", lambda k, s, n: count_writes(s, k, n)),
    ),
)  # fmt: skip

TASKS = (CONV, SIZES, COL2IM, TRANSPOSE, OVERLAP)
