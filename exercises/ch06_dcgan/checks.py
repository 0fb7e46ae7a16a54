"""Chapter 06: DCGAN.

Oracles: counting painted entries, the moments of the normal distribution, batch norm in plain
Python channel by channel, and DCGAN's rules read off the layers.
"""

from math import inf, sqrt

import numpy as np

import minigan as mg
from minigan.grading import Check, Idea, Task, Unlike, Where, kind

nn = mg.nn

# --- 06.1 -----------------------------------------------------------------------------------------


def painted(n, kernel, stride, padding):
    return max(a * stride + i for a in range(n) for i in range(kernel)) + 1 - 2 * padding


def by_painting(start, target, kernel, stride, padding):
    sizes = [start]
    while sizes[-1] < target:
        size = painted(sizes[-1], kernel, stride, padding)
        if size <= sizes[-1]:
            return ValueError
        sizes.append(size)
    return sizes if sizes[-1] == target else ValueError


def patient_plan(step, stop_at=lambda size, target: size >= target, check=True):
    def plan(start, target, kernel, stride, padding):
        sizes = [start]
        for _ in range(20):
            if stop_at(sizes[-1], target):
                break
            sizes.append(step(sizes[-1], kernel, stride, padding))
        if check and sizes[-1] != target:
            raise ValueError(sizes)
        return sizes

    return plan


def right_step(n, k, s, p):
    return (n - 1) * s - 2 * p + k


def plan(*cases):
    return lambda rng: list(cases)


WRONG_SIZE = "a wrong size; it is (n - 1) stride - 2 padding + kernel"

PLAN = Task(
    "06.1",
    ("upsampling_plan",),
    title="from 7 to 28",
    difficulty=1,
    minutes=15,
    read="chapter 06, section 2: The rules",
    hints=(
        "Start with [start] and append the next size until the target is reached or passed.",
        "Two things can go wrong: the last size is larger than the target, or sizes do not grow.",
        "while sizes[-1] < target: compute the next; if it is not larger than sizes[-1], raise "
        "ValueError. Afterwards raise it if sizes[-1] != target.",
    ),
    oracle=by_painting,
    checks=(
        Check(
            "kernel 4, stride 2, padding 1",
            why="It doubles a size exactly, which is why DCGANs are built of it.",
            cases=plan((7, 28, 4, 2, 1), (4, 64, 4, 2, 1), (1, 2, 4, 2, 1)),
        ),
        Check(
            "other layers that work",
            why="The plan follows from the formula of the size, not from doubling.",
            cases=plan((1, 10, 4, 2, 0), (3, 27, 3, 3, 0), (5, 11, 3, 1, 0), (2, 18, 5, 3, 1)),
        ),
        Check(
            "nothing to do",
            why="From 7 to 7 no layer is needed.",
            cases=plan((7, 7, 4, 2, 1), (1, 1, 2, 1, 0)),
        ),
        Check(
            "sizes that jump over the target",
            why="Kernel 5, stride 2, padding 2 makes 7 into 13 and 25, never 28: a plan that says "
            "otherwise fails when the pictures meet.",
            cases=plan((7, 28, 5, 2, 2), (7, 28, 3, 2, 1), (4, 28, 4, 2, 1), (8, 7, 4, 2, 1)),
        ),
        Check(
            "sizes that do not grow",
            why="They would run for ever.",
            cases=plan((7, 28, 3, 1, 1), (7, 28, 3, 1, 2), (1, 28, 3, 2, 1), (1, 9, 2, 4, 1)),
        ),
    ),
    ideas=(
        Idea("doubling, whatever the layer is", patient_plan(lambda n, k, s, p: n * s)),
        Idea("output_padding taken for granted: kernel 5, stride 2, padding 2 accepted", patient_plan(lambda n, k, s, p: n * s, check=False)),
        Idea("the plan returned even if it misses the target", patient_plan(right_step, check=False)),
        Idea("the start left out", lambda *a: patient_plan(right_step)(*a)[1:]),
        Idea("the target left out", lambda *a: patient_plan(right_step)(*a)[:-1]),
        Idea(WRONG_SIZE, patient_plan(lambda n, k, s, p: (n - 1) * s - p + k)),
        Idea(WRONG_SIZE, patient_plan(lambda n, k, s, p: n * s - 2 * p + k)),
        Idea("the number of layers instead of the sizes", lambda *a: len(patient_plan(right_step)(*a)) - 1),
        Idea("an empty list, or None, where ValueError belongs", lambda *a: None if by_painting(*a) is ValueError else by_painting(*a)),
    ),
)  # fmt: skip

# --- 06.2 -----------------------------------------------------------------------------------------


def whole_net(latent=20):
    """Both kinds of convolution, a dense layer, both batch norms, and a module inside another."""
    inner = nn.Sequential(nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.LeakyReLU(0.2))
    return nn.Sequential(
        nn.Linear(latent, 400),
        nn.BatchNorm1d(400),
        nn.Unflatten(1, (16, 5, 5)),
        nn.ConvTranspose2d(16, 8, 4, 2, 1),
        nn.BatchNorm2d(8),
        inner,
    )


def net_and_rng(rng):
    return [(whole_net(), np.random.default_rng(int(rng.integers(1 << 30))))]


def values(module, kind, name):
    """All entries of one sort of parameter, in one array."""
    found = [
        p.numpy().ravel()
        for m in module.modules()
        if isinstance(m, kind)
        for own, p in m.named_parameters()
        if own == name
    ]
    return np.concatenate(found).astype(float)


WEIGHTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def moments(kind, name="weight"):
    def see(f, module, rng):
        f(module, rng)
        entries = values(module, kind, name)
        return {
            "mean": round(float(entries.mean()), 2),
            "deviation": round(float(entries.std()), 2),
        }

    return see


def each_layer(f, module, rng):
    """The deviation of each weight by itself: no layer may be forgotten."""
    f(module, rng)
    return [
        float(p.numpy().std())
        for name, p in module.named_parameters()
        if p.ndim >= 2 or name.endswith("weight")
    ]


def tails(f, module, rng):
    """The share beyond two deviations: 4.55 % of a normal distribution."""
    f(module, rng)
    entries = values(module, WEIGHTED, "weight")
    return float((abs(entries) > 0.04).mean())


def biases(f, module, rng):
    f(module, rng)
    return float(max(abs(values(module, kind, "bias")).max() for kind in (WEIGHTED, NORMS)))


def same_draws(f, module, rng):
    """Two nets from equal generators are equal, and one from another is not."""
    seed = int(rng.integers(1 << 30))
    nets = [whole_net() for _ in range(3)]
    for net, s in zip(nets, (seed, seed, seed + 1), strict=True):
        f(net, np.random.default_rng(s))
    a, b, c = (values(net, WEIGHTED, "weight") for net in nets)
    return {"equal for equal rng": bool((a == b).all()), "equal for another": bool((a == c).all())}


def what_stays(f, module, rng):
    before = [id(p) for p in module.parameters()]
    f(module, rng)
    state = module.state_dict()
    return {
        "parameters replaced": sum(id(p) != old for p, old in zip(module.parameters(), before, strict=True)),
        "dtypes": sorted({str(p.dtype) for p in module.parameters()})[0],
        "require gradients": sum(p.requires_grad for p in module.parameters()),
        "running statistics": float(sum(v.numpy().sum() for k, v in state.items() if "running" in k)),
    }  # fmt: skip


def initial(weight=(0.0, 0.02), norm=(1.0, 0.02), bias=(0.0, 0.0), draw="normal", top=False):
    """DCGAN's initialisation with something wrong."""

    def init(module, rng):
        def fill(p, mean, std):
            if draw == "uniform":
                p.copy_(rng.uniform(mean - std * sqrt(3), mean + std * sqrt(3), p.shape))
            else:
                p.copy_(rng.normal(mean, std, p.shape))

        for name, p in module.named_parameters():
            if top and name.count(".") > 1:
                continue
            if p.ndim >= 2:
                fill(p, *weight)
            else:
                fill(p, *(norm if name.endswith("weight") else bias))

    return init


def with_state(module, rng):
    initial()(module, rng)
    for name, value in module._named_tensors():
        if "running" in name:
            value.copy_(rng.normal(0, 0.02, value.shape))


def of_its_own(module, rng):
    initial()(module, np.random.default_rng(0))


INIT = Task(
    "06.2",
    ("dcgan_init",),
    title="how a DCGAN starts",
    difficulty=2,
    minutes=15,
    read="chapter 06, section 2: The rules",
    hints=(
        "Go through module.named_parameters(); there are three sorts. How do you tell them apart?",
        "Two axes or more: a weight. One axis: batch norm's weight, if the name ends so, or a bias.",
        "parameter.copy_(rng.normal(0.0, 0.02, parameter.shape)), rng.normal(1.0, 0.02, ...), zeros.",
    ),
    checks=(
        Check(
            "weights",
            why="0.02 is the deviation, not the variance: the first pictures are nearly grey.",
            cases=net_and_rng,
            see=moments(WEIGHTED),
            expect=lambda *_: {"mean": 0.0, "deviation": 0.02},
        ),
        Check(
            "weights of batch norm",
            why="They multiply: near 0 they would switch their channels off.",
            cases=net_and_rng,
            see=moments(NORMS),
            expect=lambda *_: {"mean": 1.0, "deviation": 0.02},
        ),
        Check(
            "biases",
            why="They start at 0, batch norm's as well.",
            cases=net_and_rng,
            see=biases,
            expect=lambda *_: 0.0,
            label="largest",
        ),
        Check(
            "every layer",
            why="A layer inside of another module counts too: PyTorch's start would be 0.1 or so.",
            cases=net_and_rng,
            see=each_layer,
            expect=lambda *_: Where(
                "all from 0.01 to 0.03", lambda found: all(0.01 < s < 0.03 for s in found)
            ),
            label="deviations",
        ),
        Check(
            "a normal distribution",
            why="A uniform one of that deviation has no tails.",
            cases=net_and_rng,
            see=tails,
            expect=lambda *_: Where("about 0.0455", lambda share: 0.035 < share < 0.056),
            label="beyond 2 deviations",
        ),
        Check(
            "the given rng",
            why="A run can be repeated only if all its random numbers come from its seed.",
            cases=net_and_rng,
            see=same_draws,
            expect=lambda *_: {"equal for equal rng": True, "equal for another": False},
        ),
        Check(
            "what must stay",
            why="Optimisers hold the Parameters themselves; running statistics are not parameters.",
            cases=net_and_rng,
            see=what_stays,
            expect=lambda module, rng: {
                "parameters replaced": 0,
                "dtypes": "float32",
                "require gradients": len(list(module.parameters())),
                "running statistics": float(
                    sum(v.numpy().sum() for k, v in module.state_dict().items() if "running" in k)
                ),
            },
        ),
    ),
    ideas=(
        Idea("0.02 taken for the variance", initial((0.0, sqrt(0.02)), (1.0, sqrt(0.02)))),
        Idea("batch norm's weights near 0", initial(norm=(0.0, 0.02))),
        Idea("batch norm's weights exactly 1", initial(norm=(1.0, 0.0))),
        Idea("weights near 1", initial((1.0, 0.02))),
        Idea("biases drawn as well", initial(bias=(0.0, 0.02))),
        Idea("a uniform distribution", initial(draw="uniform")),
        Idea("only the outermost layers", initial(top=True)),
        Idea("random numbers of its own, not from rng", of_its_own),
        Idea("running statistics drawn as well", with_state),
        Idea("a module that is left as it is", lambda module, rng: None),
    ),
)

# --- 06.3 -----------------------------------------------------------------------------------------


def norm_case(rng, shape, training, **options):
    c = shape[1]
    x = rng.normal(0.7, 2.0, shape)
    running = rng.normal(0.3, 1.0, c), rng.uniform(0.5, 3.0, c)
    return (x, rng.normal(1, 0.4, c), rng.normal(size=c), *running, training, *options.values())


def channel_by_channel(
    x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5
):
    """(y, running mean, running variance), in plain Python."""
    y, means, variances = np.zeros(x.shape), running_mean.copy(), running_var.copy()
    for c in range(x.shape[1]):
        numbers = x[:, c].ravel().tolist()
        mu, var = float(running_mean[c]), float(running_var[c])
        if training:
            n = len(numbers)
            mu = sum(numbers) / n
            squares = sum((v - mu) ** 2 for v in numbers)
            var = squares / n
            means[c] = (1 - momentum) * running_mean[c] + momentum * mu
            variances[c] = (1 - momentum) * running_var[c] + momentum * squares / (n - 1)
        scaled = [(v - mu) / sqrt(var + eps) * weight[c] + bias[c] for v in numbers]
        y[:, c] = np.array(scaled).reshape(x[:, c].shape)
    return y, means, variances


def output(*args):
    return channel_by_channel(*args)[0]


def running(f, x, weight, bias, running_mean, running_var, *rest):
    f(x, weight, bias, running_mean, running_var, *rest)
    return {"running_mean": running_mean.copy(), "running_var": running_var.copy()}


def running_after(*args):
    return dict(zip(("running_mean", "running_var"), channel_by_channel(*args)[1:], strict=True))


AXES = (0, 2, 3)


def norm_like(
    axes=AXES, ddof=0, kept_ddof=1, flip=False, stay=False, always=False, move=False, root=False
):
    """Batch norm with something wrong."""

    def norm(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
        def wide(a):
            return a[:, None, None] if np.ndim(a) == 1 else a

        if training or always or move:
            mu, var = (
                x.mean(axes, keepdims=len(axes) < 3),
                x.var(axes, ddof=ddof, keepdims=len(axes) < 3),
            )
            if not stay and len(axes) == 3:
                m = 1 - momentum if flip else momentum
                running_mean[:] = (1 - m) * running_mean + m * mu
                running_var[:] = (1 - m) * running_var + m * x.var(axes, ddof=kept_ddof)
        if not training and not always:
            mu, var = running_mean, running_var
        std = np.sqrt(var) + eps if root else np.sqrt(var + eps)
        return (x - wide(mu)) / wide(std) * wide(weight) + wide(bias)

    return norm


def frozen_statistics(x, weight, bias, running_mean, running_var, training, momentum=0.1, eps=1e-5):
    return output(x, weight, bias, running_mean, running_var, False, momentum, eps)


NORM = Task(
    "06.3",
    ("batchnorm2d",),
    title="batch norm, training and evaluation",
    difficulty=3,
    minutes=25,
    read="chapter 06, section 8: The train/eval trap",
    hints=(
        "A channel's numbers lie along the axes 0, 2 and 3: mean(axis=(0, 2, 3)) has shape (C,).",
        "a[:, None, None] lines (C,) up with (N, C, H, W). Write into the running arrays by [...] = "
        "or by *= and +=.",
        "Training: batch statistics for y; the running ones move by momentum, the variance with "
        "ddof=1. Evaluation: the running ones for y, and nothing moves.",
    ),
    oracle=output,
    mutates=(3, 4),
    checks=(
        Check(
            "shape",
            why="Each pixel is moved and scaled, none is added or lost.",
            cases=lambda rng: [norm_case(rng, (2, 3, 4, 5), t) for t in (True, False)],
            rtol=inf,
        ),
        Check(
            "training: each channel by itself",
            why="The statistics are over the batch and all pixels, one pair for each channel.",
            cases=lambda rng: [
                norm_case(rng, (3, 2, 4, 5), True),
                norm_case(rng, (4, 3, 1, 2), True),
                (0.003 * rng.normal(size=(3, 1, 2, 2)), *norm_case(rng, (3, 1, 2, 2), True)[1:]),
            ],
        ),
        Check(
            "evaluation: the running statistics",
            why="A sample must not depend on its batch mates, and a batch of one must work.",
            cases=lambda rng: [norm_case(rng, (3, 2, 4, 5), False), norm_case(rng, (1, 3, 1, 1), False)],
        ),
        Check(
            "training: the running statistics move",
            why="They are what evaluation will use: a tenth of the way at each step, in place, and "
            "the variance by its unbiased estimate.",
            cases=lambda rng: [norm_case(rng, (2, 2, 2, 3), True), norm_case(rng, (2, 3, 1, 1), True)],
            see=running,
            expect=running_after,
        ),
        Check(
            "evaluation: the running statistics stay",
            why="To look at samples must not change the model.",
            cases=lambda rng: [norm_case(rng, (2, 2, 2, 3), False)],
            see=running,
            expect=running_after,
        ),
        Check(
            "other values of momentum and eps",
            why="eps belongs into the root; momentum is the share of the new.",
            cases=lambda rng: [
                norm_case(rng, (2, 2, 3, 2), t, momentum=0.7, eps=1.5) for t in (True, False)
            ],
            see=lambda f, *args: {"y": f(*args), **running(lambda *_: None, *args)},
            expect=lambda *args: {"y": output(*args), **running_after(*args)},
        ),
    ),
    ideas=(
        Idea("batch statistics in evaluation", norm_like(always=True, stay=True)),
        Idea("batch statistics in evaluation", norm_like(always=True)),
        Idea("running statistics in training", frozen_statistics),
        Idea("statistics over the batch alone, for each pixel", norm_like((0,))),
        Idea("statistics of each picture by itself", norm_like((2, 3))),
        Idea("statistics of all channels together", norm_like((0, 1, 2, 3))),
        Idea("the unbiased variance for this batch as well", norm_like(ddof=1)),
        Idea("a running variance that is not unbiased", norm_like(kept_ddof=0)),
        Idea("momentum taken for the share of the old", norm_like(flip=True)),
        Idea("running statistics that never move (assigned, not written into?)", norm_like(stay=True)),
        Idea("running statistics that move in evaluation", norm_like(move=True)),
        Idea("eps outside of the root", norm_like(root=True)),
    ),
)  # fmt: skip

# --- 06.4 -----------------------------------------------------------------------------------------


def built(f, latent_dim, channels):
    generator = f(latent_dim, channels)
    if not isinstance(generator, nn.Module) or not issubclass(type(generator), nn.Module):
        raise Unlike("type", kind(generator), "a Module of minigan.nn")
    return generator


def picture(f, latent_dim, channels, z):
    return built(f, latent_dim, channels)(z)


def latents(n, latent_dim, scale=1.0):
    drawn = mg.backend.stream("init").standard_normal((n, latent_dim)) * scale
    return mg.tensor(drawn.astype("float32"))


def a_batch(*cases):
    return lambda rng: [(dim, c, latents(n, dim)) for dim, c, n in cases]


def leaves(f, latent_dim, channels):
    """The names of the layers in order."""
    modules = built(f, latent_dim, channels).modules()
    return [m for m in modules if not list(m.children())]


def kinds(layers):
    return [type(layer).__name__ for layer in layers]


def norms(f, *sizes):
    """Where batch norm stands, among the layers that have weights."""
    row = [
        "norm" if isinstance(m, NORMS) else "layer"
        for m in leaves(f, *sizes)
        if isinstance(m, (*WEIGHTED, *NORMS))
    ]
    return ", ".join(row)


def well_normed(row):
    steps = row.split(", ")
    return steps[-1] == "layer" and steps[:-1] == ["layer", "norm"] * (len(steps) // 2)


def activations(f, *sizes):
    found = [k for k in kinds(leaves(f, *sizes)) if k in ("ReLU", "LeakyReLU", "Tanh", "Sigmoid")]
    return ", ".join(found)


def only_relu_then_tanh(row):
    names = row.split(", ")
    return len(names) >= 3 and names[-1] == "Tanh" and set(names[:-1]) == {"ReLU"}


def upsampling(f, *sizes):
    layers = leaves(f, *sizes)
    strided = [m for m in layers if isinstance(m, nn.ConvTranspose2d) and np.max(m.stride) >= 2]
    weighted = [m for m in layers if isinstance(m, WEIGHTED)]
    return {
        "strided transposed convolutions": len(strided) if len(strided) < 2 else 2,
        "dense layers after the first": sum(isinstance(m, nn.Linear) for m in weighted[1:]),
        "pooling": sum("Pool" in k for k in kinds(layers)),
    }


def widths(f, latent_dim, channels):
    """Output channels of the layers that have weights, dense ones in maps of 7 x 7."""
    found = []
    for m in leaves(f, latent_dim, channels):
        if isinstance(m, nn.Linear):
            found.append(m.weight.shape[0] // 49)
        elif isinstance(m, WEIGHTED):
            found.append(m.weight.shape[1 if isinstance(m, nn.ConvTranspose2d) else 0])
    return found


def largest(f, latent_dim, channels, z):
    """The largest |pixel| with all weights of 30-fold size."""
    generator = built(f, latent_dim, channels)
    for p in generator.parameters():
        p.copy_(p.numpy() * 30)
    found = abs(generator(z).numpy()).max()
    return "more than 1" if found > 1 else "near 1" if found > 0.5 else "less than 0.5"


def generator_with(
    last_norm=False, last=None, between=None, norm=True, dense=False, pool=False, half=2
):
    """A DCGAN generator with something wrong."""

    def build(latent_dim, channels):
        c, h = channels, channels // half

        def after(n):
            return ((nn.BatchNorm2d(n),) if norm else ()) + (between() if between else nn.ReLU(),)

        end = (nn.BatchNorm2d(1),) if last_norm else ()
        tail = (last(),) if last else ()
        first = (nn.Linear(latent_dim, c * 49), nn.Unflatten(1, (c, 7, 7)))
        if dense:
            hidden = (nn.Linear(latent_dim, 32), nn.BatchNorm1d(32), nn.ReLU())
            first = (*hidden, nn.Linear(32, c * 49), nn.Unflatten(1, (c, 7, 7)))
        if pool:
            ups = (
                nn.ConvTranspose2d(c, h, 4, 4),
                *after(h),
                nn.AvgPool2d(2),
                nn.ConvTranspose2d(h, 1, 4, 2, 1),
            )
        else:
            ups = (nn.ConvTranspose2d(c, h, 4, 2, 1), *after(h), nn.ConvTranspose2d(h, 1, 4, 2, 1))
        return nn.Sequential(*first, *after(c), *ups, *end, *tail)

    return build


def odd_kernels(latent_dim, channels):
    c, h = channels, channels // 2
    return nn.Sequential(
        nn.Linear(latent_dim, c * 49), nn.Unflatten(1, (c, 7, 7)), nn.BatchNorm2d(c), nn.ReLU(),
        nn.ConvTranspose2d(c, h, 5, 2, 2), nn.BatchNorm2d(h), nn.ReLU(),
        nn.ConvTranspose2d(h, 1, 5, 2, 2), nn.Tanh(),
    )  # fmt: skip


SMALL = ((10, 8), (6, 12))

GENERATOR = Task(
    "06.4",
    ("build_generator",),
    title="a generator by the rules",
    difficulty=2,
    minutes=25,
    read="chapter 06, section 2: The rules",
    hints=(
        "Linear, Unflatten, and two ConvTranspose2d with kernel 4, stride 2, padding 1: 7, 14, 28.",
        "Between each of the three layers with weights and the next: BatchNorm2d, then ReLU.",
        "Linear(latent_dim, channels * 49), Unflatten, BatchNorm2d(channels), ReLU, "
        "ConvTranspose2d(channels, channels // 2, 4, 2, 1), BatchNorm2d, ReLU, "
        "ConvTranspose2d(channels // 2, 1, 4, 2, 1), Tanh.",
    ),
    checks=(
        Check(
            "pictures",
            why="D takes (N, 1, 28, 28), the shape of the data.",
            cases=a_batch((10, 8, 3), (6, 12, 2)),
            see=picture,
            expect=lambda dim, c, z: mg.tensor(np.zeros((z.shape[0], 1, 28, 28), "float32")),
            rtol=inf,
        ),
        Check(
            "tanh on the output",
            why="The data lie in [-1, 1]; what lies outside is known for a fake at once.",
            cases=a_batch((10, 8, 4)),
            see=largest,
            expect=lambda *_: "near 1",
            label="largest pixel",
        ),
        Check(
            "upsampling by strided transposed convolutions",
            why="They learn how to enlarge; pooling and hidden dense layers have no place in a DCGAN.",
            cases=lambda rng: list(SMALL),
            see=upsampling,
            expect=lambda *_: {
                "strided transposed convolutions": 2,
                "dense layers after the first": 0,
                "pooling": 0,
            },
        ),
        Check(
            "batch norm after every layer but the last",
            why="On the output it would force every batch to one mean and one contrast.",
            cases=lambda rng: list(SMALL),
            see=norms,
            expect=lambda *_: Where("layer, norm, layer, norm, ..., layer", well_normed),
            label="order",
        ),
        Check(
            "ReLU inside, tanh at the end",
            why="LeakyReLU is D's; a sigmoid would make pictures in [0, 1].",
            cases=lambda rng: list(SMALL),
            see=activations,
            expect=lambda *_: Where("ReLU, ..., ReLU, Tanh", only_relu_then_tanh),
            label="activations",
        ),
        Check(
            "channels, half of them, one",
            why="As pictures grow, maps become fewer, and the arithmetic stays in balance.",
            cases=lambda rng: list(SMALL),
            see=widths,
            expect=lambda latent_dim, channels: [channels, channels // 2, 1],
            label="channels",
        ),
    ),
    ideas=(
        Idea("batch norm on the output", generator_with(last_norm=True, last=nn.Tanh)),
        Idea("no tanh at the end", generator_with()),
        Idea("a sigmoid at the end", generator_with(last=nn.Sigmoid)),
        Idea("LeakyReLU in G", generator_with(last=nn.Tanh, between=lambda: nn.LeakyReLU(0.2))),
        Idea("no batch norm at all", generator_with(last=nn.Tanh, norm=False)),
        Idea("a hidden dense layer", generator_with(last=nn.Tanh, dense=True)),
        Idea("pooling", generator_with(last=nn.Tanh, pool=True)),
        Idea("as many channels at 14 x 14 as at 7 x 7", generator_with(last=nn.Tanh, half=1)),
        Idea("kernel 5, stride 2, padding 2, which makes 25 x 25", odd_kernels),
    ),
)  # fmt: skip

TASKS = (PLAN, INIT, NORM, GENERATOR)
