"""What the source must look like: layers, one owner of the array library and of randomness, size.

Each rule is a function from source text to a list of violations, so that a planted one can be fed
to it as well as the package.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import minigan

pytestmark = pytest.mark.on_the_host("reads source text, no arrays")
PACKAGE = Path(minigan.__file__).parent
LAYERS = [
    ["arguments", "backend"],
    ["autograd", "fused"],
    ["ops", "ops.*", "functional"],
    ["gradcheck", "nn", "nn.*"],
    ["losses", "optim"],
    [
        "protocols",
        "devices",
        "torch_names",
        "data",
        "data.*",
        "models",
        "models.*",
        "metrics",
        "metrics.*",
        "checkpoint",
        "console",
    ],
    ["divergence", "training", "plotting", "evaluation", "runs"],
    ["cli", "bench", "grading", "grading.*"],
]
EXEMPT = ("__init__", "__main__")
STRANGERS = ({"training", "plotting"},)  # one layer, but neither may import the other
TAUGHT, BUDGET = range(5), 2_650
RANDOM = ("backend", "data", "data.*")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


SOURCES = {module_name(p): p.read_text(encoding="utf-8") for p in sorted(PACKAGE.rglob("*.py"))}
IS_PACKAGE = {module_name(p) for p in PACKAGE.rglob("__init__.py")}


def layer(module: str) -> int | None:
    """Where it is named, or else where a pattern fits."""
    for fits in (str.__eq__, fnmatchcase):
        for number, patterns in enumerate(LAYERS):
            if any(fits(module, pattern) for pattern in patterns):
                return number
    return None


def imported(module: str, source: str) -> set[str]:
    """The modules of the package that a module imports, "" for the package's own top level."""
    found: set[str] = set()
    home = module.split(".") if module in IS_PACKAGE else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = home[: len(home) - node.level + 1] if node.level else []
            base = ".".join((["minigan", *above] if node.level else []) + [node.module or ""])
            base = base.rstrip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "minigan":
                target = name.removeprefix("minigan").removeprefix(".")
                while target and target not in SOURCES and layer(target) is None:
                    target = target.rpartition(".")[0]
                while target.count(".") and target not in SOURCES:
                    target = target.rpartition(".")[0]
                found.add(target)
    return found


# To import the package's top level is to import all that its __init__ imports, and to come after.
TOP = 1 + max(layer(target) or 0 for target in imported("__init__", SOURCES["__init__"]))


def layering(module: str, source: str) -> list[str]:
    if module in EXEMPT:
        return []
    own = layer(module)
    if own is None:
        return [f"{module} stands in no layer"]
    problems = []
    for target in sorted(imported(module, source)):
        other = layer(target) if target else TOP
        if other is None:
            problems.append(f"{module} imports {target}, of no layer")
        elif other > own:
            problems.append(f"{module} (layer {own}) imports {target} (layer {other})")
        elif module != target and any({module, target} == pair for pair in STRANGERS):
            problems.append(f"{module} imports {target}")
    return problems


def stale_bindings(module: str, source: str) -> list[str]:
    """Places where the current array library is bound once, and so goes stale on a switch."""
    if module == "backend":
        return []
    tree = ast.parse(source)
    problems = [
        f"{module}:{node.lineno} imports the name xp"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and any(alias.name in ("xp", "*") for alias in node.names)
        and (node.module or "").split(".")[-1] == "backend"
    ]
    problems += [
        f"{module}:{node.lineno} uses xp at import"
        for node in at_import(tree)
        if isinstance(node, ast.Attribute) and node.attr == "xp"
    ]
    return problems


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: all but the insides of functions."""
    yield node
    inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for name, value in ast.iter_fields(node):
        if not (inside and name == "body"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from at_import(child)


#: What the taught layers may take from NumPy itself: types, shapes, numbers and text on the host.
ON_THE_HOST = {
    "array2string", "asarray", "bool", "broadcast_shapes", "dtype", "empty_like", "errstate",
    "finfo", "float32", "float64", "floating", "generic", "inf", "integer", "isnan", "ndarray",
    "ndindex", "ones", "shape", "zeros",
}  # fmt: skip


def host_arrays(module: str, source: str) -> list[str]:
    """Uses of NumPy where arrays should be the current library's, and ways out but for to_host."""
    if module == "backend" or layer(module) not in TAUGHT:
        return []
    problems = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numpy":
            problems.append(f"{module}:{node.lineno} imports from NumPy")
        elif isinstance(node, ast.Import):
            renamed = [a for a in node.names if a.name.split(".")[0] == "numpy" and a.asname]
            problems += [f"{module}:{node.lineno} renames NumPy" for _ in renamed]
        elif isinstance(node, ast.Attribute):
            if getattr(node.value, "id", None) == "numpy" and node.attr not in ON_THE_HOST:
                problems.append(f"{module}:{node.lineno} uses numpy.{node.attr}")
            elif (
                node.attr in ("item", "tolist", "get") and getattr(node.value, "attr", "") == "data"
            ):
                problems.append(f"{module}:{node.lineno} takes .data out by .{node.attr}()")
    return problems


def other_randomness(module: str, source: str) -> list[str]:
    """Uses of numpy.random, cupy.random or random outside of the modules that own the streams."""
    if any(fnmatchcase(module, pattern) for pattern in RANDOM):
        return []
    tree = ast.parse(source)
    modules = {"numpy", "cupy", "np", "cp", "xp"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {a.asname for a in node.names if a.asname and a.name in ("numpy", "cupy")}
    problems = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "random":
            owner = node.value
            if (getattr(owner, "id", None) or getattr(owner, "attr", None)) in modules:
                problems.append(f"{module}:{node.lineno} uses {ast.unparse(node)}")
        elif isinstance(node, ast.Import):
            names = [a.name for a in node.names]
            if any(n == "random" or n.split(".")[:2] == ["numpy", "random"] for n in names):
                problems.append(f"{module}:{node.lineno} {ast.unparse(node)}")
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{a.name}" for a in node.names]
            if any(n.startswith(("random.", "numpy.random", "cupy.random")) for n in names):
                problems.append(f"{module}:{node.lineno} {ast.unparse(node)}")
    return problems


def lines_of_code(source: str) -> int:
    """Lines that hold code: not blank, not a comment, not part of a docstring."""
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            docstrings |= set(range(docstring.lineno, (docstring.end_lineno or 0) + 1))
    layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in layout and token.type != tokenize.ENDMARKER:
            lines |= set(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


RULES = {rule.__name__: rule for rule in (layering, stale_bindings, host_arrays, other_randomness)}


@pytest.mark.parametrize("rule", RULES)
def test_the_package_keeps_the_rule(rule: str) -> None:
    assert [p for module, source in SOURCES.items() for p in RULES[rule](module, source)] == []


PLANTED = [
    ("layering", "autograd", "from minigan import functional"),
    ("layering", "autograd", "def f():\n    from minigan.ops.shape import reshape"),
    ("layering", "ops.shape", "import minigan.nn.layers"),
    ("layering", "data.mnist", "from ..training import train"),
    ("layering", "nn.layers", "from minigan import Tensor"),
    ("layering", "losses", "from minigan.models import MLPGAN"),
    ("layering", "training", "from minigan import plotting"),
    ("layering", "plotting", "from minigan.training import train"),
    ("layering", "checkpoint", "import minigan as mg"),
    ("layering", "sundries", "import math"),
    ("stale_bindings", "nn.layers", "from minigan.backend import xp"),
    ("stale_bindings", "nn.layers", "from minigan.backend import xp as np"),
    ("stale_bindings", "optim", "from minigan import backend\nxp = backend.xp"),
    ("stale_bindings", "optim", "class A:\n    zero = backend.xp.zeros(3)"),
    ("stale_bindings", "optim", "def f(xp=backend.xp): ..."),
    ("stale_bindings", "optim", "f = lambda xp=backend.xp: xp"),
    ("stale_bindings", "optim", "@cached(backend.xp)\ndef f(): ..."),
    ("stale_bindings", "optim", "if True:\n    with open('x'):\n        y = backend.xp.zeros(3)"),
    ("stale_bindings", "optim", "TABLE[0] = backend.xp"),
    ("stale_bindings", "optim", "print(backend.xp)"),
    ("host_arrays", "optim", "def f(x):\n    return numpy.sqrt(x)"),
    ("host_arrays", "ops.conv", "import numpy as np"),
    ("host_arrays", "ops.conv", "from numpy import pad"),
    ("host_arrays", "autograd", "def f(x):\n    return x.data.item()"),
    ("host_arrays", "autograd", "def f(x):\n    return x.data.get()"),
    ("stale_bindings", "optim", "from minigan.backend import *"),
    ("other_randomness", "optim", "import numpy as np\nnp.random.seed(0)"),
    ("other_randomness", "optim", "import numpy\nnumpy.random.default_rng(0)"),
    ("other_randomness", "optim", "import numpy as n\nn.random.rand()"),
    ("other_randomness", "optim", "from numpy.random import default_rng"),
    ("other_randomness", "optim", "from numpy import random"),
    ("other_randomness", "optim", "import numpy.random as r"),
    ("other_randomness", "optim", "import random"),
    ("other_randomness", "optim", "backend.xp.random.normal()"),
]


@pytest.mark.parametrize(("rule", "module", "source"), PLANTED)
def test_a_planted_violation_is_found(rule: str, module: str, source: str) -> None:
    assert len(RULES[rule](module, source)) == 1


def test_what_is_allowed_passes() -> None:
    assert layering("nn.layers", "from minigan import backend\nfrom minigan.nn import init") == []
    assert layering("data.mnist", "from .idx import read\nfrom . import toy") == []
    assert layering("__init__", "from minigan import cli") == []
    assert layering("cli", "from minigan import training, plotting") == []
    assert stale_bindings("optim", "def f():\n    xp = backend.xp\n    return xp.zeros(3)") == []
    assert stale_bindings("optim", "f = lambda x: backend.xp.exp(x)") == []
    assert host_arrays("optim", "def f(x): return numpy.asarray(x.numpy()), x.item()") == []
    assert host_arrays("training", "import numpy as np\nnp.sqrt(2)") == []
    assert other_randomness("optim", 'backend.stream("init").random(3)') == []
    assert other_randomness("data.toy", "import numpy\nnumpy.random.default_rng(0)") == []


def test_the_taught_layers_stay_small_enough_to_read() -> None:
    counts = {m: lines_of_code(s) for m, s in SOURCES.items() if layer(m) in TAUGHT}
    assert len(counts) > 10
    assert sum(counts.values()) <= BUDGET, f"{sum(counts.values())} lines of code: {counts}"


def test_the_line_count_leaves_out_blanks_comments_and_docstrings() -> None:
    source = (
        '"""Doc\n\nmore."""\n\n# comment\nx = 1  # code\n\ndef f():\n    """Doc."""\n    # no\n'
    )
    source += '    return (\n        x\n    )\n\ny = """a\nstring"""\n'
    assert lines_of_code(source) == 7
    assert lines_of_code("x = 1\n" * (BUDGET + 1)) > BUDGET


def test_the_command_to_train_parses_calls_and_maps_errors_in_little_space() -> None:
    functions = [n for n in ast.parse(SOURCES["cli"]).body if isinstance(n, ast.FunctionDef)]
    (train,) = [f for f in functions if f.name == "train"]
    assert (train.end_lineno or 0) - train.lineno + 1 < 40
