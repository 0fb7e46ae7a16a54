"""PyTorch's spellings: each row of the tables in both libraries, and what a newcomer sees of them.

The rows are Python. A row's right side runs on minigan; its left side runs on PyTorch, with the
same numbers, and must give the same; and on minigan the left side must raise the row itself.
"""

import ast
import copy
import doctest
import importlib
import inspect
import pickle
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy
import pytest

import minigan
from minigan import torch_names

nn, optim = minigan.nn, minigan.optim
ROWS = [*torch_names.NAMES.items(), *torch_names.KEYWORDS.values()]
EACH = pytest.mark.parametrize(("theirs", "ours"), ROWS, ids=[theirs for theirs, _ in ROWS])

#: PyTorch draws other numbers, or none, so that only shapes and dtypes can agree.
DRAWN = {
    "empty", "normal", "randn_like", "rand_like", "randint", "randperm", "randn", "Dropout2d",
    "Linear", "normal_", "uniform_", "kaiming_uniform_", "xavier_normal_", "kaiming_normal_",
}  # fmt: skip
#: What to compare after statements, which have no value.
AFTERWARDS = {
    "register_buffer": "model.state_dict()['b']",
    "register_parameter": "dict(model.named_parameters())['p']",
    "add_module": "dict(model.named_parameters())['m.bias']",
    "load_state_dict": "layer.bias",
    "clip_grad_value_": "w.grad",
    "zero_grad": "w.grad",
    "step": "w",
    "x[0] = 0.5": "x",
}
#: A GPU's, an object of the library's own, or a neighbour of what is not here: left out.
UNLIKE = {
    "cuda", "device", "compile", "deterministic", "use_deterministic_algorithms", "Generator",
    "set_grad_enabled", "inference_mode", "enable_grad", "AdamW", "Adadelta", "StepLR", "SGD",
    "add_param_group", "backward", "retain_grad", "register_hook", "grad_fn", "data_ptr", "apply",
}  # fmt: skip
COMPARED_ALL_THE_SAME = {"x.device.type", "torch.cuda.is_available()"}


def space(library: Any, tensor: Callable[..., Any], path: Any = None) -> dict[str, Any]:
    """What the rows speak of: the same numbers in either library."""
    nn, optim = library.nn, library.optim
    w = nn.Parameter(tensor([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]]))
    w.grad = tensor([[0.25, -1.0, 2.0], [1.0, 0.25, -0.5]])
    h = w * 2.0
    loss = h.sum()
    model, layer = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh()), nn.Linear(3, 4)
    model[1].num_batches_tracked = None  # which is PyTorch's alone
    for module in (model, layer):
        for parameter in module.parameters():
            parameter.data = tensor(numpy.full(parameter.shape, 0.5, "float32")).data
    return {
        "torch": library, "mg": library, "nn": nn, "optim": optim, "numpy": numpy,
        "F": library.functional if library is minigan else nn.functional,
        "x": tensor([[1.5, -2.0, 0.25], [0.5, 3.0, -1.0]]),
        "y": tensor([[0.0, 1.0, 1.0], [1.0, 0.0, 0.5]]),
        "z": nn.Parameter(tensor(numpy.ones((2, 2)))),
        "img": tensor(numpy.sin(numpy.arange(128, dtype="float32")).reshape(2, 4, 4, 4)),
        "w": w, "h": h, "loss": loss, "model": model, "layer": layer, "labels": tensor([2, 0]),
        "array": numpy.ones((2, 3), "float32"), "optimizer": optim.Adam([w], lr=0.01),
        "state": {"bias": tensor([1.0, 2.0, 3.0, 4.0])}, "path": path,
        "closure": lambda: loss, "weights_init": lambda module: None, "generator": None,
    }  # fmt: skip


@pytest.fixture
def here(library: None, tmp_path: Any) -> dict[str, Any]:
    path = tmp_path / "ones.safetensors"
    minigan.save({"ones": minigan.ones(2)}, path)
    return space(minigan, minigan.tensor, path)


def run(source: str, names: dict[str, Any]) -> Any:
    """The value of an expression, of the last of several; None for a statement."""
    *before, last = ast.parse(source).body
    expression = isinstance(last, ast.Expr)
    exec(compile(ast.Module(before if expression else [*before, last], []), "", "exec"), names)
    return eval(ast.unparse(last), names) if expression else None


def named(theirs: str, names: set[str]) -> str:
    """The first of some names that a spelling uses."""
    found = [n.attr for n in ast.walk(ast.parse(theirs)) if isinstance(n, ast.Attribute)]
    return next((name for name in found if name in names), "")


def plain(value: Any) -> list[Any]:
    """A value of either library as a list of numbers, words and arrays on the host."""
    if hasattr(value, "parameters"):  # a module
        value = list(value.parameters())
    if isinstance(value, dict):  # of saved tensors
        value = list(value.values())
    if type(value).__name__ == "DataLoader" or isinstance(value, list | tuple):
        return [x for part in value for x in plain(part)]
    if hasattr(value, "detach"):
        return [value.detach().numpy()]
    if type(value).__name__ == "dtype":
        return [str(value).removeprefix("torch.")]
    assert isinstance(value, bool | int | float | str | numpy.generic | None), type(value)
    return [value]


@EACH
def test_what_a_row_says_runs(theirs: str, ours: str, here: dict[str, Any]) -> None:
    if "set_backend" in ours.partition("#")[0]:
        if minigan.backend.name() != "numpy":
            pytest.skip("it leaves the library that this test runs on")
        warnings.simplefilter("ignore")  # where there is no GPU, "auto" says so
    run(ours, here)


@pytest.mark.on_the_host("PyTorch's numbers are compared on the host")
@EACH
def test_a_row_says_the_same_as_pytorch(theirs: str, ours: str, here: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    if named(theirs, UNLIKE) and theirs not in COMPARED_ALL_THE_SAME:
        return
    path = here["path"].with_suffix(".pt")
    torch.save({"ones": torch.ones(2)}, path)
    there = space(torch, torch.tensor, path)
    found, expected = run(ours, here), run(theirs, there)
    if look := AFTERWARDS.get(named(theirs, set(AFTERWARDS)) or theirs):
        found, expected = run(look, here), run(look, there)
    found, expected = plain(found), plain(expected)
    assert len(found) == len(expected)
    for mine, other in zip(found, expected, strict=True):
        if isinstance(other, numpy.ndarray):
            assert (mine.shape, mine.dtype) == (other.shape, other.dtype)
            if not named(theirs, DRAWN):
                numpy.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-6)
        else:
            assert mine == other


@pytest.mark.on_the_host("error messages")
@EACH
def test_pytorchs_spelling_raises_its_row(theirs: str, ours: str, here: dict[str, Any]) -> None:
    with pytest.raises((AttributeError, TypeError)) as caught:
        run(theirs, here)
    assert f": for {theirs} write {ours}" in str(caught.value)
    line = traceback.format_exception_only(caught.value)
    assert line == [f"{caught.type.__name__}: {caught.value}\n"]  # nor does Python add a guess
    assert len(line[0]) < 200


# --- The first hour: what is typed before anything is read ----------------------------------------

WORKS = """
mg.manual_seed(0)
mg.tensor([1.0, 2.0], requires_grad=True)
mg.tensor([[1, 2], [3, 4]], dtype="float32")
mg.rand(5, 3)
mg.zeros(5, 3, dtype="int64")
mg.randn(2, 3, requires_grad=True)
mg.ones_like(x)
mg.arange(3)
mg.autograd.grad(loss, [w])
mg.grad(outputs=loss, inputs=w, grad_outputs=mg.ones(()), create_graph=True)
mg.save(model.state_dict(), path)
model.load_state_dict(model.state_dict())
optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
optim.Adam(model.parameters(), lr=0.0002, betas=(0.5, 0.999))
optim.Adam(model.parameters(), lr=0.001, weight_decay=0.01)
optimizer.zero_grad()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
nn.Linear(3, 4, bias=False)
nn.Conv2d(1, 20, 5)
nn.Conv2d(64, 128, 4, 2, 1, bias=False)
nn.ConvTranspose2d(100, 64, 4, 1, 0, bias=False)
nn.BatchNorm2d(3)
nn.LeakyReLU(0.2)
nn.MaxPool2d(2, 2)
nn.Dropout(0.5)
nn.Embedding(10, 3)
nn.Upsample(scale_factor=2)
nn.ModuleList([nn.ReLU()])
nn.Parameter(mg.zeros(3))
nn.Sequential(nn.Linear(3, 4), nn.Tanh())(x)
nn.init.normal_(w, 0.0, 0.02)
nn.init.zeros_(w)
nn.utils.clip_grad_norm_(model.parameters(), 1.0)
nn.utils.spectral_norm(nn.Linear(3, 4))
F.relu(x)
F.leaky_relu(x, 0.2)
F.softmax(x, 1)
F.cross_entropy(x, labels)
F.binary_cross_entropy_with_logits(x, y)
F.mse_loss(x, y)
F.max_pool2d(img, 2)
F.dropout(x, training=True)
F.interpolate(img, scale_factor=2)
F.pad(img, (1, 1, 1, 1))
x.reshape(3, 2)
x.reshape(-1)
x.permute(1, 0)
x.transpose(0, 1)
x.T
x.detach().numpy()
x.mean().item()
x.sum(1)
x.max()
x.argmax(1)
x.shape[0]
x.ndim
x.requires_grad_()
x[:, 1]
x[..., -1]
x @ y.T
x * 2 + y
x ** 2
x > 0
x.to("float64")
float(x.mean())
f"{x.mean():.4f}"
numpy.asarray(x)
len(x)
loss.backward()
model(x)
model.train()
model.eval()
model.zero_grad()
model.requires_grad_(False)
list(model.named_parameters())
list(model.modules())
list(model.children())
repr(model)
import minigan.nn as nn
import minigan.optim as optim
from minigan import autograd, nn, optim
w.requires_grad = False
for p in model.parameters(): p.requires_grad = False
with mg.no_grad(): model(x)
mg.no_grad()(evaluate)(x)
""".strip().splitlines()

#: These quote a row.
TOLD = """
device = mg.device("cuda:0" if mg.cuda.is_available() else "cpu")
x = mg.randn(64, 100, 1, 1, device="cpu")
x = mg.tensor([1.0, 2.0], dtype=mg.float32)
label = mg.full((64,), 1.0, dtype=mg.float, device="cpu")
fake = mg.sigmoid(x)
mg.softmax(x, dim=1)
mg.cat((x, y), 1)
mg.relu(x)
mg.sum(x)
mg.matmul(x, y.T)
_, predicted = mg.max(x, 1)
mg.load(path, map_location="cpu", weights_only=True)
loader = mg.utils.data.DataLoader(x, batch_size=2, shuffle=True, num_workers=2)
mg.autograd.grad(loss, [w], retain_graph=True)
mg.autograd.Variable(x)
mg.backends.cudnn.benchmark
criterion = nn.BCELoss()
criterion = nn.CrossEntropyLoss()
nn.functional.relu(x)
nn.ReLU(True)
nn.LeakyReLU(0.2, inplace=True)
nn.LeakyReLU(0.2, True)
nn.Tanh(inplace=True)
nn.Dropout(0.25, inplace=True)
nn.Flatten(1)
nn.BatchNorm2d(128, 0.8)
nn.BatchNorm2d(128, affine=False)
nn.Linear(3, 4, device="cpu")
nn.Conv2d(1, 20, 5, device="cpu")
nn.ConvTranspose2d(1, 20, 5, dtype="float64")
nn.Parameter(x, requires_grad=False)
nn.init.normal_(w.data, 0.0, 0.02)
nn.init.normal_(model[0].weight.data, mean=1.0, std=0.02)
nn.init.constant_(w.data, 0)
F.softmax(x, dim=1)
F.log_softmax(x, dim=1)
F.binary_cross_entropy_with_logits(x, y, reduction="none")
F.cross_entropy(x, labels, reduction="sum")
F.nll_loss(x, labels)
x.view(-1, 784)
x.view(len(x), -1)
x.unsqueeze(0)
x.squeeze()
x.clamp(min=0)
x.detach().cpu().numpy()
x.float().mean()
x.to("cuda:0")
x.to("cpu")
x.to(device="cpu")
x.to("cpu", non_blocking=True)
x.sum(dim=1, keepdim=True)
x.mean(dim=(0, 1))
x.var(0, unbiased=False)
x.max(dim=1)
x.argmax(dim=1)
x.norm(2, dim=1)
x.relu()
x.softmax(dim=1)
x.add_(1)
x.fill_(1.0)
x[0, 0] = 5.0
w.grad.zero_()
w.grad.data_ptr()
loss.backward(retain_graph=True)
model.cuda()
model.to("cuda")
model.to(device="cpu")
model.half()
model.apply(print)
model.register_buffer("b", x)
list(model.named_children())
model.zero_grad(set_to_none=True)
optimizer.zero_grad(set_to_none=True)
optimizer.step(lambda: loss)
optimizer.param_groups[0]["lr"] = 0.1
optim.AdamW(model.parameters(), lr=1e-3)
optim.SGD(model.parameters(), lr=0.1, weight_decay=1e-4)
optim.SGD([{"params": list(model.parameters())}], lr=0.1)
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.7)
with mg.set_grad_enabled(False): model(x)
import minigan.nn.functional as F
from minigan.utils.data import DataLoader
from minigan import cat
from minigan.nn import BCEWithLogitsLoss, Linear
""".strip().splitlines()

#: These name what to do in words of their own, wherever they are raised.
IN_ITS_OWN_WORDS = {
    "mg.Tensor([1.0, 2.0])": "use minigan.tensor(data)",
    "with mg.no_grad(): w -= 0.1 * w.grad": "overwrite it with .copy_()",
    "nn.Sequential({'a': nn.ReLU()})": "one by one, Sequential(Linear(2, 3), Tanh())",
    "nn.Conv2d(1, 20, 5, padding='same')": "an integer or a pair of integers",
}

#: Python's own line: what is called is a number or an array, is hot, or has no equivalent here.
PYTHONS_OWN = {
    "x.size(0)": "'int' object is not callable",
    "w.data.normal_(0, 0.02)": "'numpy.ndarray' object has no attribute 'normal_'",
    "F.relu(x, inplace=True)": "relu() got an unexpected keyword argument 'inplace'",
    "nn.LSTM(3, 4)": "module 'minigan.nn' has no attribute 'LSTM'",
    "nn.Conv2d(4, 8, 3, groups=2)": (
        "_Convolution.__init__() got an unexpected keyword argument 'groups'"
    ),
    "nn.ReLU(slope=1)": "ReLU.__init__() got an unexpected keyword argument 'slope'",
    "nn.BatchNorm2d()": (
        "BatchNorm1d.__init__() missing 1 required positional argument: 'num_features'"
    ),
    "nn.Dropout(0.5, p=0.5)": "Dropout.__init__() got multiple values for argument 'p'",
    "nn.ReLU(True, slope=1)": "ReLU.__init__() got an unexpected keyword argument 'slope'",
    "x.sum(along=1)": "sum() got an unexpected keyword argument 'along'",
    "mg.functional.sum()": "sum() missing 1 required positional argument: 'x'",
    "mg.catt": "module 'minigan' has no attribute 'catt'",
    "x.veiw": "'Tensor' object has no attribute 'veiw'",
    "w.veiw": "'Parameter' object has no attribute 'veiw'",
    "model.aply": "'Sequential' object has no attribute 'aply'",
    "optimizer.momenta": "'Adam' object has no attribute 'momenta'",
}


@pytest.mark.on_the_host("spellings and errors")
@pytest.mark.parametrize("statement", WORKS)
def test_a_statement_of_the_first_hour_works(statement: str, here: dict[str, Any]) -> None:
    run(statement, here | {"evaluate": here["model"]})


@pytest.mark.on_the_host("spellings and errors")
@pytest.mark.parametrize("statement", TOLD)
def test_a_statement_of_the_first_hour_quotes_a_row(statement: str, here: dict[str, Any]) -> None:
    with pytest.raises((AttributeError, TypeError, ImportError)) as caught:
        run(statement, here)
    message = str(caught.value)
    assert len(message) < 200 and "\n" not in message
    theirs, write, ours = message.partition(": for ")[2].partition(" write ")
    assert write and ((theirs, ours) in ROWS or ours.startswith("mg.functional."))


@pytest.mark.on_the_host("spellings and errors")
@pytest.mark.parametrize("statement", IN_ITS_OWN_WORDS)
def test_a_statement_says_what_to_do(statement: str, here: dict[str, Any]) -> None:
    with pytest.raises((TypeError, RuntimeError)) as caught:
        run(statement, here)
    message = str(caught.value)
    assert IN_ITS_OWN_WORDS[statement] in message
    assert len(message) < 200 and "\n" not in message


@pytest.mark.on_the_host("spellings and errors")
@pytest.mark.parametrize("statement", PYTHONS_OWN)
def test_what_no_row_knows_is_pythons_own_error(statement: str, here: dict[str, Any]) -> None:
    with pytest.raises((AttributeError, TypeError)) as caught:
        run(statement, here)
    assert str(caught.value) == PYTHONS_OWN[statement]


def test_requires_grad_can_be_assigned_as_in_pytorch() -> None:
    w = nn.Parameter(minigan.ones(2))
    w.requires_grad = False
    assert not w.requires_grad and not (w * 2).requires_grad
    w.requires_grad = True
    assert w.requires_grad and w.is_leaf
    with pytest.raises(RuntimeError, match="only a leaf"):
        (w * 2).requires_grad = False
    with pytest.raises(TypeError, match="True or False"):
        w.requires_grad = 1  # type: ignore[assignment]


# --- All else is as it was ------------------------------------------------------------------------


@pytest.mark.on_the_host("names")
@EACH
def test_no_row_is_about_a_name_that_exists(theirs: str, ours: str) -> None:
    if theirs in torch_names.NAMES:
        owner, name = torch_names.missing(theirs)
        assert not hasattr(owner, name)
        assert owner is minigan.Tensor or name not in dir(owner)
        assert list(map(torch_names.missing, torch_names.NAMES)).count((owner, name)) == 1


@pytest.mark.on_the_host("names")
def test_objects_lack_what_their_classes_lack(here: dict[str, Any]) -> None:
    assert not hasattr(here["x"], "view") and getattr(here["w"], "view", None) is None
    assert "view" not in dir(here["x"]) and "reshape" in dir(here["x"]) and "data" in dir(here["w"])
    assert (
        not hasattr(minigan.Tensor, "view")
        and not hasattr(here["model"], "cuda")
        and not hasattr(minigan, "cat")
    )
    for name in ("_repr_html_", "_ipython_display_", "__array_interface__", "__torch_function__"):
        assert not hasattr(here["x"], name) and not hasattr(here["model"], name)


@pytest.mark.on_the_host("a property of a learner's Module")
def test_an_error_within_a_property_stays_itself() -> None:
    class Net(nn.Module):
        @property
        def width(self) -> int:
            return self.hidden  # type: ignore[no-any-return, attr-defined]

    with pytest.raises(AttributeError, match="'Net' object has no attribute 'hidden'"):
        _ = Net().width


def test_copies_and_pickles(here: dict[str, Any]) -> None:
    for thing in (here["x"], here["w"], here["model"], here["optimizer"]):
        for twin in (copy.copy(thing), copy.deepcopy(thing), pickle.loads(pickle.dumps(thing))):
            assert type(twin) is type(thing)


HOOKED = [
    function
    for home, names in torch_names.CALLED.items()
    for name in names.split()
    for function in [getattr(importlib.import_module(home), name)]
] + [getattr(minigan.functional, name) for name in torch_names.REDUCTIONS]


@pytest.mark.on_the_host("source text")
@pytest.mark.parametrize("function", HOOKED, ids=lambda function: function.__name__)
def test_a_hooked_function_shows_itself(function: Any) -> None:
    inner = function.__wrapped__
    assert inspect.signature(function) == inspect.signature(inner)
    assert inspect.getsource(function) == inspect.getsource(inner)
    assert inspect.getdoc(function) == inspect.getdoc(inner) is not None
    assert f"def {function.__name__}(" in inspect.getsource(function)
    assert pickle.loads(pickle.dumps(function)) is function
    assert getattr(minigan, function.__name__, function) is function
    if function.__module__ == "minigan.functional" and hasattr(minigan.Tensor, function.__name__):
        assert getattr(minigan.Tensor, function.__name__) is function


@pytest.mark.on_the_host("source text")
@pytest.mark.parametrize("name", nn.__all__)
def test_a_layer_shows_itself(name: str) -> None:
    layer = getattr(nn, name)
    if isinstance(layer, type) and layer is not nn.Module:
        assert inspect.getsource(layer).startswith(("class ", "@"))
        parameters = inspect.signature(layer).parameters
        assert not {"args", "given"} & set(parameters)
        if "__init__" in inspect.getsource(layer):
            assert "def __init__(" in inspect.getsource(layer.__init__)


@pytest.mark.on_the_host("docstrings")
def test_doctests_are_still_found() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for home, name in (("autograd", "tensor"), ("autograd", "grad"), ("ops.create", "arange")):
        module = importlib.import_module(f"minigan.{home}")
        found = [test.name for test in finder.find(module) if test.examples]
        assert f"minigan.{home}.{name}" in found
