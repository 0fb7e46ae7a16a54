"""A stand-in for CuPy on a machine without a GPU: NumPy behind CuPy's rules, and stricter ones.

Its arrays compute what NumPy computes, to the bit, but nothing can mix them with NumPy's: an array
of NumPy's as operand, index or value is refused, and so is every implicit way out (``float()``,
``if a:``, ``np.exp(a)``, ``repr`` shows no entries). There are only the names and keywords that the
real CuPy has (cupy_names.json). What crosses between host and device is counted in ``counts``:

    uploads     calls that take data from the host, and ``uploaded``, the bytes
    downloads   calls of ``get``, the only way out
    syncs       operations that make CuPy wait for the GPU, as an index by a boolean mask does
    launches    operations that compute or copy, each a kernel's launch on a GPU (views are none)

Python numbers go into operations as they are and cost nothing; ``asarray(0.5)`` is an upload.
"""

import inspect
import json
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn

import numpy

from minigan.fused import FUNCTIONS

NAMES = json.loads((Path(__file__).with_name("cupy_names.json")).read_text(encoding="utf-8"))
VERSION = NAMES["cupy"]

counts: Counter[str] = Counter()

#: What these take from the host is an upload.
ENTRANCES = ("array", "asarray")
#: These take memory and compute nothing.
FREE = ("empty", "empty_like")
#: These make the host wait, to know the shape of what they return.
SYNCS = ("argwhere", "compress", "extract", "flatnonzero", "nonzero", "unique")
NUMBERS = bool | int | float


def _refused(what: str) -> NoReturn:
    raise TypeError(f"strict backend: {what}")


def _unwrapped(value: Any) -> Any:
    """The host's side of an operand; a NumPy array or scalar is refused at any depth."""
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, numpy.ndarray):
        _refused(f"a NumPy array of shape {value.shape} among the operands")
    if isinstance(value, numpy.generic):
        _refused(f"a NumPy scalar, {value.dtype} {value}, which promotes like an array")
    if isinstance(value, list | tuple):
        return type(value)(map(_unwrapped, value))
    return value


def _wrapped(result: Any, *sources: Any) -> Any:
    """An array on the device: a view if it shows a source's memory, else a launch's result."""
    if isinstance(result, numpy.generic):
        result = numpy.asarray(result)
    if isinstance(result, numpy.ndarray):
        shown = [s for s in sources if isinstance(s, ndarray)]
        if not any(numpy.may_share_memory(result, s._host) for s in shown):
            counts["launches"] += 1
        return ndarray(result)
    if isinstance(result, list | tuple):
        return type(result)(_wrapped(r, *sources) for r in result)
    return result


def _writable(host: numpy.ndarray) -> numpy.ndarray:
    """Refuse an array in which two entries may be one place in memory: on a GPU, writes race."""
    span = host.itemsize if host.size else 0
    for stride, n in sorted((abs(s), n) for s, n in zip(host.strides, host.shape, strict=True)):
        if n > 1 and stride < span:
            _refused(f"a write through overlapping memory (shape {host.shape}, {host.strides})")
        span += stride * (n - 1)
    return host


def _called(where: str, name: str, function: Any, args: Any, kwargs: Any, *owner: "ndarray") -> Any:
    """A function, or an owner's method, with nothing but what CuPy's takes."""
    _check_keywords(where, name, kwargs)
    host_kwargs = {key: _unwrapped(value) for key, value in kwargs.items()}
    if (out := kwargs.get("out")) is not None:
        _writable(out._host)
    if isinstance(function, numpy.ufunc) or name in ("dot", "tensordot", "where"):
        if any(isinstance(a, list | tuple) for a in args):
            _refused("a list as operand")
        if len(args) > getattr(function, "nin", 3):
            _refused("an output that is not named out=")
    counts["syncs"] += name in SYNCS or (name == "where" and len(args) == 1)
    result = function(*map(_unwrapped, args), **host_kwargs)
    if out is not None:
        counts["launches"] += 1
        return out
    if isinstance(result, bool | str):
        _refused(f"{name} brings entries to the host")
    return _wrapped(result, *owner, *args)


def _check_keywords(where: str, name: str, kwargs: Any) -> None:
    for key in kwargs:
        if key not in NAMES[where][name] and "**" not in NAMES[where][name]:
            raise TypeError(f"CuPy {VERSION}: {where or 'cupy'}.{name} has no keyword {key!r}")


class ndarray:
    """An array on the pretended device."""

    __slots__ = ("_host",)
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, host: numpy.ndarray):
        self._host = host

    # What is known without looking at the entries

    shape = property(lambda self: self._host.shape)
    dtype = property(lambda self: self._host.dtype)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    strides = property(lambda self: self._host.strides)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    flags = property(lambda self: self._host.flags)
    T = property(lambda self: ndarray(self._host.T))

    @property
    def base(self) -> "ndarray | None":
        return None if self._host.base is None else ndarray(self._host.base)

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"<strict array {self.shape} {self.dtype}>"

    # Ways out

    def get(self) -> numpy.ndarray:
        counts["downloads"] += 1
        return self._host.copy()

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        _refused("NumPy asked for an array of the device")

    def __array_function__(self, function: Any, *_: Any) -> NoReturn:
        _refused(f"numpy.{function.__name__} of an array of the device")

    def _hidden(self, *_: Any) -> NoReturn:
        _refused("a hidden transfer: float(), int(), bool(), if, in, .item(), .tolist()")

    __reduce__ = _hidden

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.copy()  # type: ignore[no-any-return]

    __float__ = __int__ = __bool__ = __index__ = __complex__ = __contains__ = _hidden
    item = tolist = tobytes = dump = dumps = tofile = _hidden

    # Entries

    def __getitem__(self, index: Any) -> "ndarray":
        return _wrapped(self._host[self._index(index)], self)  # type: ignore[no-any-return]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, list):
            _refused("a list as value, which CuPy would upload")
        index = self._index(index)
        target = self._host[index]
        _writable(target if isinstance(target, numpy.ndarray) else self._host)
        self._host[index] = _unwrapped(value)
        counts["launches"] += 1

    @staticmethod
    def _index(index: Any) -> Any:
        """The host's side of an index. Integers of NumPy's are as good as Python's."""
        parts = index if isinstance(index, tuple) else (index,)
        for part in parts:
            if isinstance(part, list):
                _refused("a list as index, which CuPy would upload")
            if isinstance(part, ndarray) and part.dtype == bool:
                counts["syncs"] += 1
        host = tuple(p if isinstance(p, numpy.integer | slice) else _unwrapped(p) for p in parts)
        return host if isinstance(index, tuple) else host[0]

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["ndarray"]:
            raise AttributeError(f"CuPy {VERSION}: an array has no {name!r}")
        method = getattr(self._host, name)
        if name in ("fill", "partition", "put", "sort"):
            _writable(self._host)
        return lambda *args, **kwargs: _called("ndarray", name, method, args, kwargs, self)


def _operator(name: str) -> Any:
    def apply(self: ndarray, *others: Any) -> Any:
        if any(isinstance(o, list | tuple) for o in others):
            _refused("a list as operand")
        function = getattr(self._host, name)
        host_others = [_unwrapped(o) for o in others]
        if not all(isinstance(o, ndarray | NUMBERS) for o in others):
            return NotImplemented
        if name.startswith("__i") and name != "__invert__":
            _writable(self._host)
            if function(*host_others) is NotImplemented:
                return NotImplemented
            counts["launches"] += 1
            return self
        result = function(*host_others)
        return result if result is NotImplemented else _wrapped(result)

    return apply


for _name in "add sub mul truediv floordiv mod pow matmul and or xor".split():
    for _form in (f"__{_name}__", f"__r{_name}__", f"__i{_name}__"):
        if hasattr(numpy.ndarray, _form):
            setattr(ndarray, _form, _operator(_form))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))


class _Function:
    """A function of CuPy's namespace, with ``at`` where it is a ufunc that has it."""

    def __init__(self, where: str, name: str, function: Any):
        self.where, self.name, self.function = where, name, function
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.name in ENTRANCES and not isinstance(args[0], ndarray):
            return _uploaded(self.name, *args, **kwargs)
        counts["launches"] -= self.name in FREE
        return _called(self.where, self.name, self.function, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name != "at" or "at" not in NAMES[self.where][self.name]:
            raise AttributeError(f"CuPy {VERSION}: {self.name} has no {name!r}")
        return self._at

    def _at(self, target: ndarray, index: Any, value: Any) -> None:
        counts["launches"] += 1
        self.function.at(target._host, _unwrapped(index), _unwrapped(value))


def _uploaded(name: str, data: Any, **kwargs: Any) -> ndarray:
    _check_keywords("", name, kwargs)
    parts = data if isinstance(data, list | tuple) else ()
    if any(isinstance(part, ndarray) for part in parts):
        _refused("a list of arrays of the device; stack them")
    host = numpy.array(data, **{**kwargs, "copy": True})
    counts["uploads"] += 1
    counts["uploaded"] += host.nbytes
    return ndarray(host)


class ElementwiseKernel:
    """CuPy's: the formula runs as Python, which the formulas of minigan.fused are as well."""

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel",
        preamble: str = "",
    ):  # fmt: skip
        self.inputs, self.outputs = self._parsed(in_params), self._parsed(out_params)
        self.code = compile(operation.replace(";", "\n").replace("\n ", "\n"), name, "exec")

    @staticmethod
    def _parsed(parameters: str) -> list[str]:
        pairs = [p.split() for p in parameters.split(",")]
        assert all(kind == "T" and name.isidentifier() for kind, name in pairs), parameters
        return [name for _, name in pairs]

    def __call__(self, *args: Any) -> None:
        if len(args) != len(self.inputs) + len(self.outputs):
            _refused(f"{len(args)} arguments for a kernel of {self.inputs} and {self.outputs}")
        values = dict(zip(self.inputs + self.outputs, map(_unwrapped, args), strict=True))
        arrays = [v for v in values.values() if isinstance(v, numpy.ndarray)]
        if len({a.dtype for a in arrays}) != 1:
            _refused(f"a kernel over arrays of several dtypes: {[a.dtype for a in arrays]}")
        targets = {name: _writable(values[name]) for name in self.outputs}
        for name in self.inputs:  # const in C++
            if isinstance(values[name], numpy.ndarray):
                values[name] = values[name].view()
                values[name].flags.writeable = False
        functions = {name: getattr(numpy, ufunc) for name, ufunc in FUNCTIONS.items()}
        kind = arrays[0].dtype.type
        functions["masked"] = lambda condition, a: numpy.where(condition, a, kind(0))
        exec(self.code, {**functions, "T": kind}, values)
        for name, target in targets.items():
            if values[name] is not target:
                if values[name].dtype != target.dtype:
                    _refused(f"{name} became {values[name].dtype} in a kernel of {target.dtype}")
                target[...] = values[name]
        counts["launches"] += 1


class _Namespace:
    """``strict`` itself, and its submodules."""

    def __init__(self, where: str, module: Any):
        self._where, self._module = where, module
        self.__name__ = "strict"

    def __getattr__(self, name: str) -> Any:
        if not self._where and name in OWN:
            return OWN[name]
        inner = f"{self._where}.{name}".lstrip(".")
        if inner in NAMES or any(known.startswith(inner + ".") for known in NAMES):
            return _Namespace(inner, getattr(self._module, name))
        if name in NAMES[self._where]:
            return _Function(self._where, name, getattr(self._module, name))
        value = getattr(self._module, name, None)
        if not self._where and name in NAMES["values"] and not inspect.ismodule(value):
            return value
        raise AttributeError(f"CuPy {VERSION} has no {inner!r} (or the stand-in does without it)")


OWN = {"ndarray": ndarray, "ElementwiseKernel": ElementwiseKernel}

#: What backend.set_backend() takes.
strict = _Namespace("", numpy)
