"""Layer 5: what PyTorch calls otherwise, in one table, and errors that quote it.

Whoever comes from PyTorch types ``x.view(3, 2)`` or ``x.sum(dim=1)``. Here these are errors, as
minigan has one name for a thing, and the error's line says what to write:

    AttributeError: 'Tensor' object has no attribute 'view': for x.view(3, 2) write x.reshape(3, 2)

Each row of the tables is PyTorch's spelling and minigan's, which the tests run side by side. x and
y are Tensors (2, 3), img is (2, 4, 4, 4), w is a Parameter, h a result and loss a scalar of w.

:func:`install` hooks the tables in. Names are looked up here only where Python found none, and
arguments only where a call has failed; operators are left alone.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from inspect import getattr_static
from types import ModuleType
from typing import Any

from minigan import autograd, functional, nn, optim
from minigan.autograd import Tensor

#: As the name of an AttributeError: Python adds no guess of its own to what a row says.
NO_GUESS = ""

#: Names that are not here. The first one of an owner in OWNERS is what is missing.
NAMES = {
    # --- the package ---
    "torch.cat([x, y], dim=1)": "mg.functional.concatenate([x, y], axis=1)",
    "torch.stack([x, y], dim=1)": "mg.functional.stack([x, y], axis=1)",
    "torch.chunk(x, 3, dim=1)": "[x[:, i : i + 1] for i in range(3)]",
    "torch.split(x, 2, dim=1)": "[x[:, :2], x[:, 2:]]",
    "torch.from_numpy(array)": "mg.tensor(array)",
    "torch.as_tensor(array)": "mg.tensor(array)",
    "torch.FloatTensor([1, 2])": "mg.tensor([1.0, 2.0])",
    "torch.LongTensor([1, 2])": "mg.tensor([1, 2])",
    "torch.empty(2, 3)": "mg.zeros(2, 3)",
    "torch.full((2, 3), 0.9)": "0.9 * mg.ones(2, 3)",
    "torch.full_like(x, 0.9)": "0.9 * mg.ones_like(x)",
    "torch.eye(3)": 'mg.tensor(numpy.eye(3, dtype="float32"))',
    "torch.linspace(0, 1, 5)": 'mg.tensor(numpy.linspace(0, 1, 5, dtype="float32"))',
    "torch.randn_like(x)": "mg.randn(x.shape)",
    "torch.rand_like(x)": "mg.rand(x.shape)",
    "torch.normal(0.0, 1.0, (2, 3))": "0.0 + 1.0 * mg.randn(2, 3)",
    "torch.randint(0, 10, (3,))": 'mg.tensor(mg.backend.stream("latent").integers(0, 10, 3))',
    "torch.randperm(10)": 'mg.tensor(mg.backend.stream("shuffle").permutation(10))',
    "torch.Generator().manual_seed(0)": "mg.backend.generator(0)  # for mg.randn(2, 3, rng=...)",
    "torch.clamp(x, 0, 1)": "mg.functional.clip(x, 0, 1)",
    "torch.flatten(x, 1)": "x.reshape(len(x), -1)",
    "torch.squeeze(x[:1], 0)": "x[:1].reshape(x.shape[1:])",
    "torch.unsqueeze(x, 0)": "x[None]",
    "torch.mm(x, y.T)": "x @ y.T",
    "torch.bmm(img[0], img[1])": "img[0] @ img[1]",
    "torch.einsum('ij,kj->ik', x, y)": "x @ y.T",
    "torch.square(x)": "x**2",
    "torch.max(x, 1)[1]": "x.argmax(1)  # the values are x.max(1)",
    "torch.min(x, 1)[0]": "x.min(1)",
    "torch.argmin(x)": "(-x).argmax()",
    "torch.isnan(x)": "x != x",
    "torch.equal(x, y)": "numpy.array_equal(x.numpy(), y.numpy())",
    "torch.allclose(x, y)": "numpy.allclose(x.numpy(), y.numpy(), 1e-5)",
    "torch.is_tensor(x)": "isinstance(x, mg.Tensor)",
    "torch.numel(x)": "x.size",
    "torch.set_grad_enabled(False)": "mg.no_grad()",
    "torch.inference_mode()": "mg.no_grad()",
    "torch.enable_grad()": "mg.autograd.recording(True)",
    "torch.autograd.Variable(x)": "x",
    'torch.device("cuda")': 'mg.backend.set_backend("auto")  # CuPy if it works, for everything',
    "torch.cuda.is_available()": "mg.backend.on_gpu()",
    "torch.backends.cudnn.deterministic": "True",
    "torch.use_deterministic_algorithms(True)": "mg.manual_seed(0)  # all runs repeat to the bit",
    "torch.compile(model)": "model",
    "torch.utils.data.DataLoader(x, 2)": "[x[i : i + 2] for i in range(0, len(x), 2)]",
    # --- functional ---
    "F.binary_cross_entropy(torch.sigmoid(x), y)": (
        "mg.functional.binary_cross_entropy_with_logits(x, y)"
    ),
    "F.nll_loss(F.log_softmax(x, 1), labels)": "mg.functional.cross_entropy(x, labels)",
    "F.logsigmoid(x)": "mg.functional.log_sigmoid(x)",
    "F.silu(x)": "x * mg.functional.sigmoid(x)",
    "F.gelu(x, approximate='tanh')": "x * mg.functional.sigmoid(1.595769 * (x + 0.044715 * x**3))",
    "F.elu(x)": "mg.functional.where(x > 0, x, mg.functional.exp(x) - 1)",
    "F.normalize(x, dim=1)": "x / x.norm(axis=1, keepdims=True)",
    "F.cosine_similarity(x, y)": "(x * y).sum(1) / (x.norm(1) * y.norm(1))",
    "F.one_hot(labels, 3)": 'mg.tensor(numpy.eye(3, dtype="int64")[labels.numpy()])',
    "F.layer_norm(x, (3,))": "(x - x.mean(1, True)) / mg.functional.sqrt(x.var(1, True) + 1e-5)",
    "F.group_norm(img, 2)": (
        "mg.functional.instance_norm(img.reshape(2, 2, 8, 4)).reshape(img.shape)"
    ),
    "F.adaptive_avg_pool2d(img, 1)": "img.mean(axis=(2, 3), keepdims=True)",
    # --- nn ---
    "nn.functional.relu(x)": "mg.functional.relu(x)",
    "nn.BCELoss()(torch.sigmoid(x), y)": "mg.functional.binary_cross_entropy_with_logits(x, y)",
    "nn.BCEWithLogitsLoss()(x, y)": "mg.functional.binary_cross_entropy_with_logits(x, y)",
    "nn.CrossEntropyLoss()(x, labels)": "mg.functional.cross_entropy(x, labels)",
    "nn.NLLLoss()(F.log_softmax(x, 1), labels)": "mg.functional.cross_entropy(x, labels)",
    "nn.MSELoss()(x, y)": "mg.functional.mse_loss(x, y)",
    "nn.L1Loss()(x, y)": "mg.functional.l1_loss(x, y)",
    "nn.Softmax(dim=1)(x)": "mg.functional.softmax(x, axis=1)",
    "nn.LogSoftmax(dim=1)(x)": "mg.functional.log_softmax(x, axis=1)",
    "nn.LogSigmoid()(x)": "mg.functional.log_sigmoid(x)",
    "nn.SiLU()(x)": "x * mg.functional.sigmoid(x)",
    "nn.GELU('tanh')(x)": "x * mg.functional.sigmoid(1.595769 * (x + 0.044715 * x**3))",
    "nn.ELU()(x)": "mg.functional.where(x > 0, x, mg.functional.exp(x) - 1)",
    "nn.PReLU()(x)": "nn.LeakyReLU(0.25)(x)  # its slope is not learned",
    "nn.LayerNorm(3)(x)": "(x - x.mean(1, True)) / mg.functional.sqrt(x.var(1, True) + 1e-5)",
    "nn.GroupNorm(2, 4)(img)": (
        "mg.functional.instance_norm(img.reshape(2, 2, 8, 4)).reshape(img.shape)"
    ),
    "nn.ZeroPad2d(1)(img)": "mg.functional.pad(img, (1, 1, 1, 1))",
    "nn.AdaptiveAvgPool2d(1)(img)": "img.mean(axis=(2, 3), keepdims=True)",
    "nn.UpsamplingNearest2d(scale_factor=2)(img)": "nn.Upsample(scale_factor=2)(img)",
    "nn.Dropout2d(0.25)(img)": "img * nn.Dropout(0.25)(mg.ones(*img.shape[:2], 1, 1))",
    "nn.ModuleDict({'a': nn.Tanh()})['a'](x)": (
        "nn.ModuleList([nn.Tanh()])[0](x)  # or an attribute for each"
    ),
    "nn.ParameterList([w])": "[w]  # a list that is an attribute of a Module is found",
    "nn.Buffer(x)": "x  # a Tensor that is an attribute of a Module is saved, not learned",
    "nn.DataParallel(model)": "model",
    # --- nn.init and nn.utils ---
    "nn.init.constant_(w, 0.5)": "w.copy_(0.5 * mg.ones_like(w))",
    "nn.init.xavier_normal_(w)": "nn.init.normal_(w, 0.0, (2 / sum(w.shape)) ** 0.5)",
    "nn.init.kaiming_normal_(w)": "nn.init.normal_(w, 0.0, (2 / w.shape[1]) ** 0.5)",
    "nn.utils.clip_grad_value_(w, 0.5)": "w.grad = mg.functional.clip(w.grad, -0.5, 0.5)",
    "nn.utils.parametrizations.spectral_norm(layer)": "nn.utils.spectral_norm(layer)",
    "nn.utils.parameters_to_vector([w])": (
        "mg.functional.concatenate([p.reshape(-1) for p in [w]])"
    ),
    # --- optim ---
    "optim.AdamW([w])": "optim.Adam([w])  # and w.copy_((1 - optimizer.lr * decay) * w) each step",
    "optim.Adadelta([w])": "optim.RMSprop([w])  # there are SGD, RMSprop and Adam",
    "optim.lr_scheduler.StepLR(optimizer, 30)": "optimizer.lr *= 0.1  # every 30 epochs",
    "optimizer.param_groups[0]['lr']": "optimizer.lr",
    "optimizer.add_param_group({'params': [z]})": "optim.SGD([z])  # one optimizer for each group",
    # --- Tensor ---
    "x.view(3, 2)": "x.reshape(3, 2)",
    "x.view_as(y)": "x.reshape(y.shape)",
    "x.flatten(1)": "x.reshape(len(x), -1)",
    "x.unsqueeze(1)": "x[:, None]",
    "x[:, :1].squeeze(1)": "x[:, :1].reshape(len(x))",
    "x.contiguous()": "x",
    "x.t()": "x.T",
    "x.swapaxes(0, 1)": "x.transpose(0, 1)",
    "x.chunk(3, dim=1)": "[x[:, i : i + 1] for i in range(3)]",
    "x.split(2, dim=1)": "[x[:, :2], x[:, 2:]]",
    "x.unbind(0)": "list(x)",
    "x.repeat(2, 1)": "mg.functional.concatenate([x, x])",
    "x[:, :1].expand(2, 3)": "mg.functional.broadcast_to(x[:, :1], (2, 3))",
    "x[:, :1].expand_as(y)": "mg.functional.broadcast_to(x[:, :1], y.shape)",
    "x.mm(y.T)": "x @ y.T",
    "x.matmul(y.T)": "x @ y.T",
    "img[0].bmm(img[1])": "img[0] @ img[1]",
    "x[0].dot(y[0])": "x[0] @ y[0]",
    "x.clamp(0, 1)": "mg.functional.clip(x, 0, 1)",
    "x.add(y)": "x + y",
    "x.sub(y)": "x - y",
    "x.mul(y)": "x * y",
    "x.div(y + 1)": "x / (y + 1)",
    "x.pow(2)": "x**2",
    "x.square()": "x**2",
    "x.relu()": "mg.functional.relu(x)",
    "x.softmax(dim=1)": "mg.functional.softmax(x, axis=1)",
    "x.log_softmax(dim=1)": "mg.functional.log_softmax(x, axis=1)",
    "x.maximum(y)": "mg.functional.maximum(x, y)",
    "x.minimum(y)": "mg.functional.minimum(x, y)",
    "x.eq(y)": "x == y",
    "x.gt(0)": "x > 0",
    "x.ge(0)": "x >= 0",
    "x.lt(0)": "x < 0",
    "x.le(0)": "x <= 0",
    "x.isnan()": "x != x",
    "x.any()": "x.numpy().any()",
    "x.all()": "x.numpy().all()",
    "x.argmin(dim=1)": "(-x).argmax(axis=1)",
    "x.masked_fill(y > 0, 0.5)": "mg.functional.where(y > 0, 0.5, x)",
    "x.gather(1, labels[:, None])": "x[mg.arange(2), labels][:, None]",
    "x.index_select(1, labels)": "x[:, labels]",
    "x.nonzero()": "mg.tensor(numpy.argwhere(x.numpy()))",
    "x.float()": 'x.to("float32")',
    "x.double()": 'x.to("float64")',
    "x.half()": 'x.to("float16")',
    "x.long()": 'x.to("int64")',
    "x.int()": 'x.to("int32")',
    "x.bool()": "x != 0",
    "x.type(torch.float64)": 'x.to("float64")',
    "x.type_as(y)": "x.to(y.dtype)",
    "x.is_floating_point()": 'x.dtype.kind == "f"',
    "x.cpu()": "x  # x.numpy() is a host copy, also of a tensor on a GPU",
    "x.cuda()": 'x  # mg.backend.set_backend("auto") before it is made',
    "x.device.type": '"cuda" if mg.backend.on_gpu() else "cpu"',
    "x.is_cuda": "mg.backend.on_gpu()",
    "x.clone()": "mg.tensor(x)  # in a graph nothing overwrites x: leave it out",
    "x.detach_()": "x.detach()",
    "x.tolist()": "x.numpy().tolist()",
    "x.numel()": "x.size",
    "x.nelement()": "x.size",
    "x.dim()": "x.ndim",
    "x.data_ptr()": "id(x.data)  # the array itself",
    "h.retain_grad()": "mg.grad(loss, [h])",
    "h.register_hook(print)": "mg.grad(loss, [h])",
    "h.grad_fn": "repr(h)  # shows the operation",
    "x.fill_(0.9)": "x.copy_(0.9 * mg.ones_like(x))",
    "x.zero_()": "nn.init.zeros_(x)",
    "x.normal_(0, 0.02)": "nn.init.normal_(x, 0, 0.02)",
    "x.uniform_(-1, 1)": "nn.init.uniform_(x, -1, 1)",
    "x.clamp_(0, 1)": "x.copy_(mg.functional.clip(x, 0, 1))",
    "x.add_(y)": "x.copy_(x + y)",
    "x.sub_(y)": "x.copy_(x - y)",
    "x.mul_(0.9)": "x.copy_(0.9 * x)",
    "x.div_(2)": "x.copy_(x / 2)",
    # --- Module ---
    "model.cuda()": 'model  # mg.backend.set_backend("auto") before it is made',
    "model.cpu()": "model  # arrays are fetched by .numpy() and by mg.save(model, path)",
    "model.float()": 'model.to("float32")',
    "model.double()": 'model.to("float64")',
    "model.half()": 'model.to("float16")',
    "model.apply(weights_init)": (
        "for m in model.modules(): weights_init(m)  # DCGAN's: nn.init.dcgan_(model)"
    ),
    "model.register_buffer('b', x)": "model.b = x  # a Tensor is saved, a Parameter also learned",
    "model.register_parameter('p', w)": "model.p = w",
    "model.add_module('m', layer)": "model.m = layer",
    "list(model.buffers())": (
        "[t for n, t in model.state_dict().items() if n not in dict(model.named_parameters())]"
    ),
    "[n for n, _ in model.named_buffers()]": (
        "[n for n in model.state_dict() if n not in dict(model.named_parameters())]"
    ),
    "[n for n, _ in model.named_children()]": (
        "[n for n, m in vars(model).items() if isinstance(m, nn.Module)]"
    ),
    "len([m for _, m in model.named_modules()])": "len(list(model.modules()))",
    "layer.in_features": "layer.weight.shape[1]",
    "layer.out_features": "layer.weight.shape[0]",
}
#: dtypes are NumPy's, and their names do.
NAMES |= {f"torch.{name}": f'"{name}"' for name in ("float16", "float32", "float64", "uint8")}
NAMES |= {f"torch.{name}": f'"{name}"' for name in ("int32", "int64", "bool")}
NAMES |= {"torch.float": '"float32"', "torch.double": '"float64"', "torch.half": '"float16"'}
NAMES |= {"torch.int": '"int32"', "torch.long": '"int64"'}

#: Arguments that are not taken here: by keyword, or by what else names them, both spellings.
KEYWORDS = {
    "dim": ("x.sum(dim=1)", "x.sum(axis=1)"),
    "keepdim": ("x.sum(1, keepdim=True)", "x.sum(1, keepdims=True)"),
    "unbiased": (
        "x.var(unbiased=False)",
        "x.var()  # of the population; its estimate is n/(n - 1)",
    ),
    "correction": ("x.std(correction=0)", "x.std()  # of the population"),
    "reduction": ("F.mse_loss(x, y, reduction='sum')", "((x - y) ** 2).sum()"),
    "inplace": ("nn.ReLU(inplace=True)(x)", "nn.ReLU()(x)  # no activation is overwritten"),
    "start_dim": ("nn.Flatten(start_dim=1)(x)", "nn.Flatten()(x)  # all but the first axis"),
    "align_corners": (
        "nn.Upsample(None, 2, 'bilinear', align_corners=False)(img)",
        "nn.Upsample(None, 2, 'bilinear')(img)",
    ),
    "affine": (
        "nn.BatchNorm1d(3, affine=False)(x)",
        "mg.functional.batch_norm(x, mg.ones(3), mg.zeros(3))",
    ),
    "eps": ("nn.BatchNorm1d(3, 1e-5, 0.1)(x)", "nn.BatchNorm1d(3, eps=1e-5, momentum=0.1)(x)"),
    "device": (
        "torch.ones(2, 3, device='cpu')",
        'mg.ones(2, 3)  # on a GPU after mg.backend.set_backend("auto")',
    ),
    "to": ("x.to('cpu')", 'x  # mg.backend.set_backend("auto") before it is made'),
    "non_blocking": ("x.to('cpu', non_blocking=True)", "x"),
    "pin_memory": ("torch.ones(2, 3, pin_memory=False)", "mg.ones(2, 3)"),
    "dtype": ("nn.Linear(3, 2, dtype=z.dtype)", 'nn.Linear(3, 2).to("float64")'),
    "generator": (
        "torch.randn(2, 3, generator=generator)",
        "mg.randn(2, 3, rng=mg.backend.generator(0))",
    ),
    "requires_grad": ("nn.Parameter(x, requires_grad=False)", "x  # a Parameter is learned"),
    "retain_graph": (
        "loss.backward(retain_graph=True)",
        "mg.grad(loss, [w], create_graph=True)  # keeps the graph",
    ),
    "create_graph": (
        "loss.backward(create_graph=True)",
        "mg.grad(loss, [w], create_graph=True)",
    ),
    "allow_unused": (
        "torch.autograd.grad(loss, [w], allow_unused=True)",
        "mg.grad(loss, [w])  # zeros for what loss does not depend on",
    ),
    "only_inputs": ("torch.autograd.grad(loss, [w], only_inputs=True)", "mg.grad(loss, [w])"),
    "set_to_none": ("optimizer.zero_grad(set_to_none=True)", "optimizer.zero_grad()"),
    "closure": ("optimizer.step(closure)", "closure(); optimizer.step()"),
    "weight_decay": (
        "optim.SGD([w], 0.1, weight_decay=0.01)",
        "optim.SGD([w], 0.1); loss += 0.005 * (w * w).sum()  # Adam takes it",
    ),
    "maximize": ("optim.SGD([w], 0.1, maximize=True)", "optim.SGD([w], 0.1).minimize(-loss)"),
    "params": (
        "optim.SGD([{'params': [w]}, {'params': [z], 'lr': 0.2}], 0.1)",
        "optim.SGD([w], 0.1), optim.SGD([z], 0.2)",
    ),
    "[]": ("x[0] = 0.5", "x.data[0] = 0.5; x.mark_written()"),
    "tensor": ("nn.init.ones_(w.data)", "nn.init.ones_(w)  # w.data is an array"),
    "a": ("nn.init.uniform_(w, a=-1.0, b=1.0)", "nn.init.uniform_(w, -1.0, 1.0)"),
    "nonlinearity": (
        "nn.init.kaiming_uniform_(w, nonlinearity='relu')",
        "nn.init.kaiming_uniform_(w)",
    ),
    "mode": ("nn.init.kaiming_uniform_(w, mode='fan_in')", "nn.init.kaiming_uniform_(w)"),
    "strict": (
        "layer.load_state_dict(state, strict=False)",
        "layer.load_state_dict({**layer.state_dict(), **state})",
    ),
    "map_location": ("torch.load(path, map_location='cpu')", "mg.load(path)"),
    "weights_only": ("torch.load(path, weights_only=True)", "mg.load(path)  # never runs code"),
}

#: What the first word of a spelling stands for.
OWNERS: dict[str, Any] = {
    "torch": sys.modules["minigan"],
    "torch.autograd": autograd,
    "F": functional,
    "nn": nn,
    "nn.init": nn.init,
    "nn.utils": nn.utils,
    "optim": optim,
    "optimizer": optim.Optimizer,
    "x": Tensor,
    "h": Tensor,
    "img": Tensor,
    "model": nn.Module,
    "layer": nn.Module,
}
_OWNER = "|".join(map(re.escape, sorted(OWNERS, key=len, reverse=True)))
_MISSING = re.compile(rf"(?<![\w.])({_OWNER})(?:\[[^]]*\])?\.(\w+)")


def missing(spelling: str) -> tuple[Any, str]:
    """The module or class, and the name that it lacks, of a row of NAMES."""
    found = _MISSING.search(spelling)
    assert found, spelling
    return OWNERS[found[1]], found[2]


_ROWS = {missing(theirs): (theirs, ours) for theirs, ours in NAMES.items()}


def instead(owner: Any, name: str) -> str:
    """What to write for a name that ``owner`` lacks; "" where no row knows it.

    What minigan.functional has needs no row for PyTorch's spelling torch.NAME.
    """
    if row := _ROWS.get((owner, name)):
        return _told(*row)
    if owner is OWNERS["torch"] and name in functional.__all__:
        return _told(f"torch.{name}", f"mg.functional.{name}")
    return ""


def _told(theirs: str, ours: str) -> str:
    return f": for {theirs} write {ours}"


# --- Missing names --------------------------------------------------------------------------------


def _of_module(module: ModuleType) -> Callable[[str], Any]:
    """A module's ``__getattr__``, which Python calls for names that are not there."""

    def __getattr__(name: str) -> Any:
        told = instead(module, name)
        message = f"module {module.__name__!r} has no attribute {name!r}{told}"
        raise AttributeError(message, name=NO_GUESS if told else name, obj=module)

    return __getattr__


def _of_class(kind: type) -> Callable[[Any, str], Any]:
    """A class's ``__getattr__``. What no row knows fails as it would without."""

    def __getattr__(self: Any, name: str) -> Any:
        if told := instead(kind, name):
            message = f"{type(self).__name__!r} object has no attribute {name!r}{told}"
            raise AttributeError(message, name=NO_GUESS, obj=self)
        return object.__getattribute__(self, name)

    return __getattr__


class _Without:
    """An attribute of Tensor that is none: to ask for it fails, as for all that is not there.

    A ``__getattr__`` would do, but with one CPython looks up slowly what is there, too: a product
    of two small Tensors took 6 % longer.
    """

    def __init__(self, name: str, told: str):
        self.name, self.told = name, told
        self.__doc__ = told.removeprefix(": ")  # for help(Tensor)

    def __get__(self, tensor: Tensor | None, kind: type) -> Any:
        owner = f"type object {kind.__name__!r}" if tensor is None else f"{kind.__name__!r} object"
        message = f"{owner} has no attribute {self.name!r}{self.told}"
        raise AttributeError(message, name=NO_GUESS, obj=tensor)


def _dir(self: Tensor) -> list[str]:
    """The attributes that are there."""
    found = object.__dir__(self)
    return [x for x in found if not isinstance(getattr_static(self, x, None), _Without)]


class _Imports:
    """The last finder: for ``from minigan import cat`` and ``import minigan.nn.functional``."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        owner, _, last = name.rpartition(".")
        if owner.partition(".")[0] == "minigan" and (told := instead(sys.modules.get(owner), last)):
            raise ImportError(f"there is no {name}{told}")
        return None


def _no_item(self: Tensor, index: Any, value: Any) -> None:
    told = _told(*KEYWORDS["[]"])
    raise TypeError(f"{type(self).__name__!r} object does not support item assignment{told}")


# --- Keywords -------------------------------------------------------------------------------------

#: Which argument is meant where there are too many without a keyword.
SUPERFLUOUS = {
    "ReLU.__init__": "inplace",
    "LeakyReLU.__init__": "inplace",
    "Dropout.__init__": "inplace",
    "Flatten.__init__": "start_dim",
    "BatchNorm1d.__init__": "eps",
    "Optimizer.step": "closure",
}
DEVICE = re.compile(r"(cpu|cuda|mps)(:\d+)?")


def _argument(function: Callable[..., Any], args: Sequence[Any], given: dict[str, Any]) -> str:
    """The row of KEYWORDS that a call which failed asks for; "" for none."""
    parameters = inspect.signature(function).parameters
    for name in given:
        if name not in parameters:
            return name if name in KEYWORDS else ""
    if len(args) > sum(p.kind is not p.KEYWORD_ONLY for p in parameters.values()):
        return SUPERFLUOUS.get(function.__qualname__, "")
    bound = {**given, **dict(zip(parameters, args, strict=False))}
    dtype, params = bound.get("dtype"), bound.get("params")
    if isinstance(dtype, str) and DEVICE.fullmatch(dtype):
        return "to"
    if hasattr(bound.get("tensor"), "dtype") and not isinstance(bound["tensor"], Tensor):
        return "tensor"
    groups = isinstance(params, list) and any(isinstance(p, dict) for p in params)
    return "params" if groups else ""


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose TypeErrors say what to write where a row of KEYWORDS knows it."""

    @functools.wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        try:
            return function(*args, **given)
        except TypeError as error:
            name = _argument(function, args, given)
            told = _told(*KEYWORDS[name]) if name else ""
            if told in str(error):  # "", or said by a base class's constructor already
                raise
            raise TypeError(f"{error}{told}") from None

    return call


def explained_reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for f(x, axis, keepdims), which is called more often: this costs 40 ns."""
    slow = explained(function)

    @functools.wraps(function)
    def call(x: Any, axis: Any = None, keepdims: bool = False, **unknown: Any) -> Any:
        if unknown:
            return slow(x, axis, keepdims, **unknown)
        return function(x, axis, keepdims)

    return call


#: The functions that are asked for what they do not take. A name in two places is one function.
REDUCTIONS = ("sum", "mean", "var", "std", "norm", "max", "min", "logsumexp")
CALLED = {
    "minigan": "tensor ones zeros ones_like zeros_like arange randn rand load",
    "minigan.autograd": "grad",
    "minigan.functional": "argmax softmax log_softmax concatenate stack to interpolate mse_loss "
    "l1_loss cross_entropy binary_cross_entropy_with_logits",
    "minigan.nn.init": "normal_ uniform_ zeros_ ones_ xavier_uniform_ kaiming_uniform_",
}
METHODS = {
    Tensor: "backward",
    nn.Module: "to zero_grad load_state_dict",
    optim.Optimizer: "step zero_grad",
}


def _no_arguments(kind: type) -> Callable[..., None]:
    """The constructor of a layer that has none of its own."""

    def __init__(self: Any) -> None: ...

    __init__.__qualname__ = f"{kind.__name__}.__init__"
    return __init__


def install() -> None:
    """Hook the tables into the package, which has been imported."""
    for owner in set(OWNERS.values()) - {Tensor}:
        owner.__getattr__ = (_of_class if isinstance(owner, type) else _of_module)(owner)
    for owner, name in _ROWS:
        if owner is Tensor:
            setattr(Tensor, name, _Without(name, instead(Tensor, name)))
    Tensor.__dir__ = _dir  # type: ignore[assignment]
    frozen = vars(Tensor)["requires_grad"]  # p.requires_grad = False, which is p.requires_grad_()
    Tensor.requires_grad = frozen.setter(Tensor.requires_grad_)  # type: ignore[method-assign]
    sys.meta_path.append(_Imports)
    Tensor.__setitem__ = _no_item  # type: ignore[index]
    for home, names in CALLED.items():
        for name in names.split():
            _put(sys.modules[home], name, explained)
    for name in REDUCTIONS:
        _put(functional, name, explained_reduction)
    for kind, names in METHODS.items():
        for name in names.split():
            setattr(kind, name, explained(vars(kind)[name]))
    for layer in _constructed():
        if "__init__" in vars(layer):
            layer.__init__ = explained(layer.__init__)
        elif layer.__init__ is object.__init__:
            layer.__init__ = explained(_no_arguments(layer))


def _constructed() -> list[Any]:
    """The layers and optimisers, and the classes that their constructors come from."""
    found = [x for x in (*vars(nn).values(), *vars(optim).values()) if isinstance(x, type)]
    bases = dict.fromkeys(
        base for x in found for base in x.__mro__ if base.__module__ != "builtins"
    )
    return [x for x in bases if x not in (Tensor, nn.Module) and "minigan" in x.__module__]


def _put(home: ModuleType, name: str, explaining: Callable[[Any], Any]) -> None:
    """Exchange a function in its public module, in the package, and as a method of Tensor."""
    function = getattr(home, name)
    call = explaining(function)
    call.__module__ = home.__name__  # where pickle finds it
    for place in (home, OWNERS["torch"], Tensor):
        if vars(place).get(name) is function:
            setattr(place, name, call)
