"""Chapter 05: An MLP GAN on MNIST.

Oracles: a table of all 256 pixels in exact fractions, losses summed in plain Python from the nets'
answers, and the gradients of minigan.losses, which the library's own tests prove.
"""

from fractions import Fraction
from math import exp, floor, log1p

import numpy as np

import minigan as mg
from minigan.functional import concatenate, sigmoid, softplus
from minigan.functional import log as tensor_log
from minigan.grading import Check, Idea, Task, Unlike, kind

# --- 05.1 -----------------------------------------------------------------------------------------

ALL = np.arange(256, dtype="uint8")


def exact_range(images):
    table = np.array([float(Fraction(2 * p, 255) - 1) for p in range(256)])
    return table[images]


def nearest_pixel(images):
    def one(x):
        return min(max(floor((x + 1) * 127.5 + 0.5), 0), 255)

    return np.array([one(x) for x in np.ravel(images).tolist()]).reshape(np.shape(images))


def kind_of(f, images):
    found = f(images)
    if not issubclass(type(found), np.ndarray):
        raise Unlike("type", kind(found), "an array")
    return {"dtype": str(found.dtype), "shape": found.shape}


def pictures(rng):
    return rng.integers(0, 256, (2, 3, 4)).astype("uint8")


def off_grid(rng):
    """Numbers whose pixels are not halfway between two."""
    return (rng.integers(0, 256, (3, 5)) + rng.uniform(-0.4, 0.4, (3, 5))) / 127.5 - 1


FORTH, BACK = "to_tanh_range", "to_uint8"

RANGE = Task(
    "05.1",
    (FORTH, BACK),
    title="pixels for tanh, and back",
    difficulty=1,
    minutes=10,
    read="chapter 05, section 1: The two players, and their common scale",
    hints=(
        "0 must go to -1 and 255 to 1: which line goes through both points?",
        "Convert to float32 first; on the way back, round and clip before the cast to uint8.",
        "np.clip(np.rint((images + 1) * 127.5), 0, 255).astype('uint8').",
    ),
    checks=(
        Check(
            "to_tanh_range: float32",
            why="Networks compute in float32, and two dtypes do not mix.",
            cases=lambda rng: [(pictures(rng),)],
            see=kind_of,
            expect=lambda images: {"dtype": "float32", "shape": images.shape},
        ),
        Check(
            "to_tanh_range: from -1 to 1",
            why="tanh reaches -1 and 1; against data in [0, 1], D would know the fakes by their "
            "negative pixels.",
            cases=lambda rng: [(np.array([0, 255], "uint8"),), (ALL,), (pictures(rng),)],
            expect=exact_range,
        ),
        Check(
            "to_uint8: uint8",
            why="PNG files and screens take whole numbers from 0 to 255.",
            cases=lambda rng: [(rng.uniform(-1, 1, (2, 3)),), (rng.random((2, 2)).astype("float32"),)],
            see=kind_of,
            expect=lambda images: {"dtype": "uint8", "shape": images.shape},
            of=BACK,
        ),
        Check(
            "to_uint8: all 256 pixels",
            why="There and back is nothing lost.",
            cases=lambda rng: [(exact_range(ALL),), (exact_range(ALL).astype("float32"),)],
            expect=lambda images: np.arange(256),
            of=BACK,
        ),
        Check(
            "to_uint8: rounded",
            why="A cast cuts off, and makes every picture darker by half a step.",
            cases=lambda rng: [(off_grid(rng),)],
            expect=nearest_pixel,
            of=BACK,
        ),
        Check(
            "to_uint8: clipped",
            why="A cast wraps round: a pixel slightly too white would turn black.",
            cases=lambda rng: [
                (np.array([-1.5, -1.01, 1.01, 1.5, 30.0]),),
                (np.array([-1e6, 1e6], "float32"),),
            ],
            expect=nearest_pixel,
            of=BACK,
        ),
    ),
    ideas=(
        Idea("the range [0, 1]", lambda x: (x / 255).astype("float32")),
        Idea("divided by 128, which misses 1", lambda x: (x / 128 - 1).astype("float32")),
        Idea("divided by 127.5, and 1 not taken off", lambda x: (x / 127.5).astype("float32")),
        Idea("the mean and deviation of this batch", lambda x: ((x - x.mean()) / x.std()).astype("float32")),
        Idea("arithmetic in uint8, which wraps round", lambda x: (2 * x).astype("float32") / 255 - 1),
        Idea("a cast without rounding", lambda x: np.clip((x + 1) * 127.5, 0, 255).astype("uint8"), BACK),
        Idea("a cast without clipping, which wraps round", lambda x: np.rint((x + 1) * 127.5).astype("int64").astype("uint8"), BACK),
        Idea("a range of [0, 1] taken for granted", lambda x: np.clip(np.rint(x * 255), 0, 255).astype("uint8"), BACK),
        Idea("half of 256 for half of 255", lambda x: np.clip(np.rint((x + 1) * 128), 0, 255).astype("uint8"), BACK),
        Idea("stretched so that this batch's extremes are black and white", lambda x: np.rint((x - x.min()) / (x.max() - x.min()) * 255).astype("uint8"), BACK),
    ),
)  # fmt: skip

# --- The two steps --------------------------------------------------------------------------------


def players(norm=False, stale=False):
    """Small nets; with ``stale``, gradients of an earlier backward are in them."""
    nn = mg.nn
    g = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5))
    between = (nn.BatchNorm1d(4),) if norm else ()
    d = nn.Sequential(nn.Linear(5, 4), *between, nn.LeakyReLU(0.2), nn.Linear(4, 1))
    for net in (g, d):
        net.to("float64")
        if stale:
            for p in net.parameters():
                p.grad = mg.tensor(np.full(p.shape, 3.0))
    return g, d


def batch(rng, n, width):
    return mg.tensor(rng.normal(0.5, 1.0, (n, width)))


def weights(net):
    return np.concatenate([p.numpy().ravel() for p in net.parameters()])


def plus(s):
    return max(s, 0.0) + log1p(exp(-abs(s)))


def mean_plus(logits, sign):
    numbers = np.ravel(logits.numpy()).tolist()
    return sum(plus(sign * s) for s in numbers) / len(numbers)


def loss_of_d(g, d, real, z):
    with mg.no_grad():
        return mean_plus(d(real), -1) + mean_plus(d(g(z)), 1)


def loss_of_g(g, d, z):
    with mg.no_grad():
        return mean_plus(d(g(z)), -1)


def gradient(net, loss):
    """The gradient of a loss in all of net's weights, of which none is left anywhere."""
    return np.concatenate([g.numpy().ravel() for g in mg.grad(loss, net.parameters())])


RATE = 0.3


def d_case(**options):
    def draw(rng):
        g, d = players(**options)
        real, z = batch(rng, 6, 5), batch(rng, 4, 3)
        return [(g, d, mg.optim.SGD(d.parameters(), lr=RATE), real, z)]

    return draw


def g_case(**options):
    def draw(rng):
        g, d = players(**options)
        return [(g, d, mg.optim.SGD(g.parameters(), lr=RATE), batch(rng, 5, 3))]

    return draw


def as_float(step, *args):
    loss = step(*args)
    if type(loss) is not float and not issubclass(type(loss), np.floating):
        raise Unlike("type", kind(loss), "a float (loss.item())")
    return float(loss)


def is_float(step, *args):
    as_float(step, *args)
    return "a float"


def new_weights_of_d(step, g, d, *rest):
    as_float(step, g, d, *rest)
    return weights(d)


def new_weights_of_g(step, g, d, *rest):
    as_float(step, g, d, *rest)
    return weights(g)


def collected(net):
    """What the weights' .grad hold, as one number."""
    return float(sum(abs(p.grad.numpy()).sum() for p in net.parameters() if p.grad is not None))


def traces_in_g(step, g, d, *rest):
    before = weights(g)
    as_float(step, g, d, *rest)
    return {
        "G's weights moved by": abs(weights(g) - before).max(),
        "gradient collected in G": collected(g),
    }


def traces_in_d(step, g, d, *rest):
    before = weights(d)
    as_float(step, g, d, *rest)
    return {
        "D's weights moved by": abs(weights(d) - before).max(),
        "weights of D that can learn": sum(p.requires_grad for p in d.parameters()),
        "D is in training mode": str(d.training),
    }


def d_after(g, d, optimizer, real, z):
    loss = mg.losses.minimax.discriminator(d(real), d(g(z)))
    return weights(d) - RATE * gradient(d, loss)


def g_after(g, d, optimizer, z):
    return weights(g) - RATE * gradient(g, mg.losses.non_saturating.generator(d(g(z))))


def wrong_d(loss=None, zero=True, detach=True, move=True, mixed=False, twice=False):
    """The discriminator's step with something wrong."""

    def usual(real, fake):
        return softplus(-real).mean() + softplus(fake).mean()

    def step(g, d, optimizer, real, z):
        fake = g(z).detach() if detach else g(z)
        if mixed:
            logits = d(concatenate([real, fake]))
            a, b = logits[: len(real)], logits[len(real) :]
        else:
            a, b = d(real), d(fake)
        found = (loss or usual)(a, b)
        if zero:
            optimizer.zero_grad()
        found.backward()
        for _ in range(move + twice):
            optimizer.step()
        return found.item()

    return step


def wrong_g(
    loss=lambda s: softplus(-s).mean(), zero=True, detach=False, move=True, freeze=False, both=False
):
    """The generator's step with something wrong."""

    def step(g, d, optimizer, z):
        fake = g(z).detach() if detach else g(z)
        if freeze:
            d.requires_grad_(False)
        found = loss(d(fake))
        if zero:
            optimizer.zero_grad()
        found.backward()
        if both:
            mg.optim.SGD(d.parameters(), lr=RATE).step()
        if move:
            optimizer.step()
        return found.item()

    return step


NOT_STEPPED = "an update that never happens: no optimizer.step()"
STALE = "gradients from before added in: no zero_grad() before backward()"
TENSOR = "It holds the whole graph in memory as long as it is kept in a list of losses."

STEP_OF_D = Task(
    "05.2",
    ("discriminator_step",),
    title="D's half of the loop",
    difficulty=2,
    minutes=20,
    read="chapter 05, section 2: The discriminator's step, line by line",
    hints=(
        "Fakes, two calls of D, the loss, zero_grad, backward, step; and the loss as a float.",
        "The fakes are data here: make them under mg.no_grad(), or call .detach() on them.",
        "loss = softplus(-discriminator(real)).mean() + softplus(discriminator(fake)).mean(), then "
        "optimizer.zero_grad(), loss.backward(), optimizer.step(), return loss.item().",
    ),
    checks=(
        Check(
            "a float",
            why=TENSOR,
            cases=d_case(),
            see=is_float,
            expect=lambda *_: "a float",
        ),
        Check(
            "the loss",
            why="Data are labelled 1 and fakes 0; it is the loss of the weights before the update.",
            cases=d_case(),
            see=as_float,
            expect=lambda g, d, optimizer, real, z: loss_of_d(g, d, real, z),
            label="loss",
        ),
        Check(
            "D's update",
            why="One step of the optimiser along the gradient of the loss.",
            cases=d_case(),
            see=new_weights_of_d,
            expect=d_after,
            label="D's weights",
        ),
        Check(
            "nothing reaches G",
            why="G learns from its own loss. A gradient left in G spoils its next step.",
            cases=d_case(),
            see=traces_in_g,
            expect=lambda *_: {"G's weights moved by": 0.0, "gradient collected in G": 0.0},
        ),
        Check(
            "gradients left over from G's step",
            why="G's backward went through D and left gradients in it; backward adds to them.",
            cases=d_case(stale=True),
            see=new_weights_of_d,
            expect=d_after,
            label="D's weights",
        ),
        Check(
            "a D with batch norm",
            why="In one mixed batch, data and fakes would be normalised by each other.",
            cases=d_case(norm=True),
            see=as_float,
            expect=lambda g, d, optimizer, real, z: loss_of_d(g, d, real, z),
            label="loss",
        ),
    ),
    ideas=(
        Idea("the labels swapped", wrong_d(lambda a, b: softplus(a).mean() + softplus(-b).mean())),
        Idea("the mean of both terms, half of L_D", wrong_d(lambda a, b: (softplus(-a).mean() + softplus(b).mean()) * 0.5)),
        Idea("only the data's term", wrong_d(lambda a, b: softplus(-a).mean() + b.mean() * 0.0)),
        Idea("only the fakes' term", wrong_d(lambda a, b: softplus(b).mean() + a.mean() * 0.0)),
        Idea("the value that D maximises, minimised", wrong_d(lambda a, b: -softplus(-a).mean() - softplus(b).mean())),
        Idea("sums over the batches instead of means", wrong_d(lambda a, b: softplus(-a).sum() + softplus(b).sum())),
        Idea("logits taken for probabilities", wrong_d(lambda a, b: -tensor_log(a).mean() - tensor_log(1 - b).mean())),
        Idea("a sigmoid too many", wrong_d(lambda a, b: softplus(-sigmoid(a)).mean() + softplus(sigmoid(b)).mean())),
        Idea("a gradient that reaches G: the fakes are not detached", wrong_d(detach=False)),
        Idea(STALE, wrong_d(zero=False)),
        Idea(NOT_STEPPED, wrong_d(move=False)),
        Idea("two updates in place of one", wrong_d(twice=True)),
        Idea("data and fakes in one batch", wrong_d(mixed=True)),
    ),
)  # fmt: skip

UNMOVED = "a G that never moves: its fakes are detached, or optimizer.step() is missing"

STEP_OF_G = Task(
    "05.3",
    ("generator_step",),
    title="G's half of the loop",
    difficulty=2,
    minutes=15,
    read="chapter 05, section 3: The generator's step, line by line",
    hints=(
        "G wants D to say 1 to its fakes. Which graph must the gradient run through?",
        "Nothing is detached here. The loss is softplus(-logits).mean(), and only G's optimiser steps.",
        "loss = softplus(-discriminator(generator(z))).mean(), then optimizer.zero_grad(), "
        "loss.backward(), optimizer.step(), return loss.item().",
    ),
    checks=(
        Check(
            "a float",
            why=TENSOR,
            cases=g_case(),
            see=is_float,
            expect=lambda *_: "a float",
        ),
        Check(
            "the loss",
            why="The non-saturating loss; log 2 = 0.6931 when D cannot tell.",
            cases=g_case(),
            see=as_float,
            expect=lambda g, d, optimizer, z: loss_of_g(g, d, z),
            label="loss",
        ),
        Check(
            "G's update",
            why="Cut off from D, G gets no gradient and never learns.",
            cases=g_case(),
            see=new_weights_of_g,
            expect=g_after,
            label="G's weights",
        ),
        Check(
            "D stays as it is",
            why="D is the judge here, not the pupil; but in its own step it must be able to learn.",
            cases=g_case(),
            see=traces_in_d,
            expect=lambda g, d, *_: {
                "D's weights moved by": 0.0,
                "weights of D that can learn": len(list(d.parameters())),
                "D is in training mode": "True",
            },
        ),
        Check(
            "gradients left over from before",
            why="backward adds to what is there.",
            cases=g_case(stale=True),
            see=new_weights_of_g,
            expect=g_after,
            label="G's weights",
        ),
        Check(
            "a D with batch norm",
            why="D judges the fakes in training mode, as a batch of their own.",
            cases=g_case(norm=True),
            see=new_weights_of_g,
            expect=g_after,
            label="G's weights",
        ),
    ),
    ideas=(
        Idea("the minimax loss", wrong_g(lambda s: -softplus(s).mean())),
        Idea("D's own loss on fakes: G would learn to be rejected", wrong_g(lambda s: softplus(s).mean())),
        Idea("a sum over the batch instead of a mean", wrong_g(lambda s: softplus(-s).sum())),
        Idea("logits taken for probabilities", wrong_g(lambda s: -tensor_log(s).mean())),
        Idea("a sigmoid too many", wrong_g(lambda s: softplus(-sigmoid(s)).mean())),
        Idea(UNMOVED, wrong_g(detach=True)),
        Idea(UNMOVED, wrong_g(move=False)),
        Idea(STALE, wrong_g(zero=False)),
        Idea("a D that stays frozen", wrong_g(freeze=True)),
        Idea("a D that is updated as well", wrong_g(both=True)),
    ),
)  # fmt: skip

TASKS = (RANGE, STEP_OF_D, STEP_OF_G)
