"""What a task is: its checks, what each expects and why, and the wrong ideas that are known.

A :class:`Check` draws arguments from a seed, calls a function on them and compares what it *sees*
with what it expects, which comes from an oracle other than the solution. Where the two differ, the
same is seen of every known wrong :class:`Idea` of the task: the one that gives what the learner's
function gave is what the report says the answer looks like.

    Check(
        "slope when D confidently rejects",
        why="G gets no signal exactly when it is worst.",
        cases=lambda rng: [(mg.tensor([-6.0]),)],
        see=slope,                                          # default: what the function returns
        expect=lambda s: -1 / (1 + np.exp(s.numpy())),      # −(1 − σ(s))
    )

Nothing here trusts what a learner's function returns: a result is taken apart by its exact type
before anything is asked of it.
"""

from __future__ import annotations

import math
import types
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy

from minigan import backend
from minigan.autograd import Tensor


class GraderError(Exception):
    """The checker or the course is at fault, not the learner."""


class Unlike(Exception):
    """Raised by a ``see`` that looks into a result and does not find what it came to see."""

    def __init__(self, label: str, yours: str, expected: str):
        super().__init__(label, yours, expected)
        self.difference = Difference(label, yours, expected)


@dataclass(frozen=True)
class Where:
    """An expectation that more than one value meets: ``text`` says it, ``holds`` tests a value."""

    text: str
    holds: Callable[[Any], Any]


@dataclass(frozen=True)
class Idea:
    """A known wrong idea: the words after "looks like", and a function that computes by it.

    Attributes:
        of: which of the task's functions it is about; the first unless given.
    """

    looks_like: str
    function: Callable[..., Any]
    of: str = ""


def returned(function: Callable[..., Any], *args: Any) -> Any:
    """The value that a function returns: what a check sees unless it says otherwise."""
    return function(*args)


@dataclass(frozen=True)
class Check:
    """One thing that must hold.

    Attributes:
        name: a few words that name it in a line of the report.
        why: one sentence that is shown when the check fails.
        cases: rng -> list of argument tuples. They are drawn anew for each function that is called,
            so each may write into them.
        expect: (*args) -> what must be seen; the task's oracle unless given. An exception class
            stands for a call that must raise it, a :class:`Where` for a property.
        see: (function, *args) -> what is compared: an array, number, Tensor, or tuple or dict of
            these.
        label: what the report calls the value that is compared.
        of: which of the task's functions is checked; the first unless given.
        rtol, atol: the difference that is allowed, relative to the entry and to the largest entry
            (or to 1, if all are 0). With an infinite ``rtol``, kind and shape alone are compared.
    """

    name: str
    why: str
    cases: Callable[[Any], Sequence[tuple[Any, ...]]]
    expect: Callable[..., Any] | None = None
    see: Callable[..., Any] = returned
    label: str = "result"
    of: str = ""
    rtol: float = 1e-5
    atol: float = 1e-5


@dataclass(frozen=True)
class Task:
    """A task of a chapter.

    Attributes:
        id: the chapter's number and the task's, as "04.4".
        functions: the names that a learner defines.
        title: a few words that say what it is about.
        difficulty: from 1, easy, to 3, hard.
        minutes: how long a learner takes.
        read: where the chapter explains it: "chapter 04, section 5: " and the section's title.
        hints: three hints, from a nudge to nearly the answer.
        checks: the checks in order, from the shape to the subtle.
        ideas: the wrong ideas that are known.
        oracle: a function that gives what must be seen, for checks without an ``expect``.
        returns: names of the parts of a result that is a tuple.
        mutates: positions of the arguments that the function is meant to change in place.
    """

    id: str
    functions: tuple[str, ...]
    title: str
    difficulty: int
    minutes: int
    read: str
    hints: tuple[str, str, str]
    checks: tuple[Check, ...]
    ideas: tuple[Idea, ...] = ()
    oracle: Callable[..., Any] | None = None
    returns: tuple[str, ...] = ()
    mutates: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.checks:
            raise GraderError(f"task {self.id} has no checks")
        names = [check.name for check in self.checks]
        if len(set(names)) < len(names):
            raise GraderError(f"task {self.id} has two checks of one name")

    def name_of(self, part: Check | Idea) -> str:
        """The name of the function that a check or an idea is about."""
        return part.of or self.functions[0]


@dataclass(frozen=True)
class Difference:
    """What was seen and what was expected, in words."""

    label: str
    yours: str
    expected: str


@dataclass(frozen=True)
class Outcome:
    """How one check ended: it passed, or it failed with everything that the report says of it."""

    check: str
    ok: bool
    why: str = ""
    call: str = ""
    difference: Difference | None = None
    raised: str = ""
    looks_like: str = ""
    line: int | None = None
    missing: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Outcome:
        difference = fields["difference"]
        return cls(**{**fields, "difference": difference and Difference(**difference)})


@dataclass(frozen=True)
class Raised:
    """Stands for the result of a call that raised."""

    error: BaseException = field(compare=False)

    def __str__(self) -> str:
        if isinstance(self.error, SystemExit):
            return "exit(): a function returns, it does not end the program"
        if isinstance(self.error, NotImplementedError) and not self.error.args:
            return "NotImplementedError: it is still to be written"
        text = " ".join(str(self.error).split())
        return f"{type(self.error).__name__}: {text}"[:300]


# --- Running --------------------------------------------------------------------------------------


def run(task: Task, functions: Mapping[str, Any], seed: int) -> Iterator[Outcome]:
    """Run the checks in order, up to the first that fails."""
    for check in task.checks:
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            # A learner's file may have turned warnings into errors; oracles must not meet these.
            warnings.simplefilter("ignore")
            outcome = _run_check(task, check, functions, seed)
        yield outcome
        if not outcome.ok:
            return


def _run_check(
    task: Task, check: Check, functions: Mapping[str, Any], seed: int, diagnose: bool = True
) -> Outcome:
    name = task.name_of(check)
    expect = check.expect or task.oracle
    if expect is None:
        raise GraderError(f"{task.id}, {check.name}: nothing to expect")
    if name not in functions:
        return Outcome(check.name, False, raised=f"there is no function {name}", missing=name)
    function = functions[name]
    if not callable(function):
        return Outcome(check.name, False, raised=f"{name} is not a function")

    own_seed = zlib.crc32(f"{seed}/{task.id}/{check.name}".encode())

    def draw() -> Sequence[tuple[Any, ...]]:
        backend.manual_seed(own_seed)
        return check.cases(backend.generator(own_seed))

    try:
        wanted = [expect(*args) for args in draw()]
    except Exception as error:
        raise GraderError(f"{task.id}, {check.name}: {type(error).__name__}: {error}") from error
    if not wanted:
        raise GraderError(f"{task.id}, {check.name}: no cases")
    got: list[Any] = []
    for args, want in zip(draw(), wanted, strict=True):
        call = f"{name}({', '.join(map(show, args))})"
        before = [_snapshot(arg) for arg in args]
        got.append(_see(check, function, args))
        difference = _difference(got[-1], want, check, task.returns)
        why, looks_like = check.why, ""
        if difference is None:
            difference = _changed(task, function, args, before)
            why = "Whoever calls it may still need what was passed."
        elif diagnose:
            looks_like = _diagnosis(task, check, got, draw, seed)
        if difference is not None:
            raised = str(got[-1]) if isinstance(got[-1], Raised) else ""
            line = _line(function, got[-1])
            return Outcome(check.name, False, why, call, difference, raised, looks_like, line)
    return Outcome(check.name, True)


def _see(check: Check, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    try:
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return check.see(function, *args)
    except Unlike as unlike:
        return unlike
    except BaseException as error:  # exit() and the like are a learner's mistake too
        return Raised(error)


def _difference(got: Any, want: Any, check: Check, names: Sequence[str]) -> Difference | None:
    if type(got) is Unlike:
        return got.difference
    is_class = isinstance(want, type)
    if type(got) is Raised:
        if is_class and isinstance(got.error, want):
            return None
        expected = want.__name__ if is_class else "a result"
        return Difference(check.label, f"{type(got.error).__name__}", expected)
    if is_class:
        return Difference(check.label, show(got), f"a {want.__name__}")
    return compare(got, want, check.label, check.rtol, check.atol, names)


def _diagnosis(task: Task, check: Check, got: list[Any], draw: Callable[[], Any], seed: int) -> str:
    """The known wrong idea that gives what was given here, and passes the earlier checks too."""
    name = task.name_of(check)
    earlier = [c for c in task.checks[: task.checks.index(check)] if task.name_of(c) == name]
    for idea in task.ideas:
        if task.name_of(idea) != name:
            continue
        pairs = zip(draw(), got, strict=False)  # up to the case that failed
        if all(_same(mine, _see(check, idea.function, args), check, task) for args, mine in pairs):
            functions = {name: idea.function}
            if all(_run_check(task, c, functions, seed, diagnose=False).ok for c in earlier):
                return idea.looks_like
    return ""


def _same(mine: Any, theirs: Any, check: Check, task: Task) -> bool:
    if type(mine) is Unlike or type(theirs) is Unlike:
        return type(mine) is type(theirs) and mine.difference == theirs.difference
    if type(mine) is Raised or type(theirs) is Raised:
        return type(mine) is type(theirs) and type(mine.error) is type(theirs.error)
    return compare(mine, theirs, "", min(check.rtol, 1e-4), check.atol, task.returns) is None


def _line(function: Any, got: Any) -> int | None:
    """The line where the learner's function raised, or where it starts."""
    if type(function) is not types.FunctionType:
        return None
    line = function.__code__.co_firstlineno
    trace = got.error.__traceback__ if type(got) is Raised else None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == function.__code__.co_filename:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _snapshot(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _snapshot(value.data)
    if isinstance(value, numpy.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, (list, tuple)):
        return [_snapshot(part) for part in value]
    return None


def _changed(
    task: Task, function: Any, args: Sequence[Any], before: Sequence[Any]
) -> Difference | None:
    for i, (arg, old) in enumerate(zip(args, before, strict=True)):
        if i not in task.mutates and _snapshot(arg) != old:
            code = function.__code__ if type(function) is types.FunctionType else None
            name = code.co_varnames[i] if code and i < code.co_argcount else f"argument {i + 1}"
            return Difference(name, "was changed in place", "as it was")
    return None


# --- Comparing ------------------------------------------------------------------------------------


def kind(value: Any) -> str:
    """A value's type in words: "a list", "None (is a return missing?)"."""
    name = type(value).__name__
    if value is None:
        return "None (is a return missing?)"
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"


def _numbers(value: Any) -> numpy.ndarray | None:
    """A result as a plain NumPy array, or None; no method of an unknown type is called."""
    kind = type(value)
    if kind in (bool, int, float, str) or issubclass(kind, (numpy.generic, numpy.ndarray)):
        array = numpy.array(value, subok=False)
    elif kind in (list, tuple) and all(_numbers(part) is not None for part in value):
        try:
            array = numpy.array([_numbers(part) for part in value])
        except ValueError:  # rows of several lengths
            return None
    else:
        return None
    return array if array.dtype.kind in "biufU" else None


def compare(
    got: Any,
    want: Any,
    label: str = "result",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    names: Sequence[str] = (),
) -> Difference | None:
    """None if ``got`` is what is wanted, else the difference in words."""
    if isinstance(want, Where):
        return None if want.holds(got) else Difference(label, show(got), want.text)
    if isinstance(want, dict):
        if type(got) is not dict or set(got) != set(want):
            return Difference(label, show(got), show(want))
        parts = ((compare(got[k], want[k], str(k), rtol, atol)) for k in want)
        return next((part for part in parts if part is not None), None)
    if isinstance(want, tuple):
        if type(got) not in (tuple, list) or len(got) != len(want):
            these = f" ({', '.join(names)})" if names else ""
            yours = f"{len(got)} values" if type(got) in (tuple, list) else kind(got)
            return Difference(label, yours, f"a tuple of {len(want)}{these}")
        labels = list(names) or [f"{label} {i}" for i in range(len(want))]
        for mine, wanted, name in zip(got, want, labels, strict=False):
            difference = compare(mine, wanted, name, rtol, atol)
            if difference is not None:
                return difference
        return None
    if want is None or isinstance(want, str):
        same = type(got) is type(want) and got == want
        return None if same else Difference(label, show(got), show(want))
    if isinstance(want, Tensor):
        if not issubclass(type(got), Tensor):
            return Difference("type", kind(got), "a Tensor")
        if got.dtype != want.dtype:
            return Difference("dtype", str(got.dtype), str(want.dtype))
        got, want = got.numpy(), want.numpy()
    return _compare_numbers(got, want, label, rtol, atol)


def _compare_numbers(
    got: Any, want: Any, label: str, rtol: float, atol: float
) -> Difference | None:
    array, want = _numbers(got), numpy.asarray(want)
    if array is None:
        expected = f"an array of shape {want.shape}" if want.shape else "a number"
        return Difference("type" if label == "result" else label, kind(got), expected)
    if array.shape != want.shape:
        name = "shape" if label == "result" else f"shape of {label}"
        return Difference(name, str(array.shape), str(want.shape))
    if want.dtype.kind in "bU":
        if array.dtype.kind != want.dtype.kind or (array != want).any():
            return Difference(label, show(array), show(want))
        return None
    if array.dtype.kind not in ("iu" if want.dtype.kind in "iu" else "fiu"):
        expected = "whole numbers" if want.dtype.kind in "iu" else "real numbers"
        return Difference(f"dtype of {label}", str(array.dtype), expected)
    if math.isinf(rtol):
        return None
    exact = want.dtype.kind in "iu"
    mine, wanted = (array, want) if exact else (array.astype(float), want.astype(float))
    with numpy.errstate(all="ignore"):
        same = (mine == wanted) | (numpy.isnan(mine) & numpy.isnan(wanted))
        if not exact:
            error = abs(mine - wanted)
            largest = numpy.max(abs(wanted), where=numpy.isfinite(wanted), initial=0.0)
            close = error <= rtol * abs(wanted) + atol * (largest if largest > 1e-12 else 1.0)
            same |= close & numpy.isfinite(wanted)
    if same.all():
        return None
    if want.size <= 6:
        return Difference(label, *_apart(mine.tolist(), wanted.tolist()))
    with numpy.errstate(all="ignore"):
        off = numpy.where(same, -1.0, numpy.nan_to_num(abs(mine - wanted * 1.0), nan=numpy.inf))
    entry = tuple(int(i) for i in numpy.unravel_index(numpy.argmax(off), off.shape))
    where = f" at [{', '.join(map(str, entry))}]"
    yours, expected = _apart(mine[entry].item(), wanted[entry].item())
    return Difference(label, yours + where, expected)


# --- Words ----------------------------------------------------------------------------------------


def _apart(yours: Any, expected: Any) -> tuple[str, str]:
    """Two values as text, in as many digits as it takes to tell them apart."""
    for digits in (4, 7, 17):
        pair = show(yours, digits), show(expected, digits)
        if pair[0] != pair[1]:
            break
    return pair


def show(value: Any, digits: int = 4) -> str:
    """A value in a few words: numbers and small arrays in full, large ones by their shape."""
    kind = type(value)
    if kind is float or issubclass(kind, numpy.floating):
        text = f"{float(value):.{digits}g}"
        return text if not text.lstrip("-").isdigit() else f"{text}.0"
    if kind in (bool, int, str, type(None)) or issubclass(kind, (numpy.integer, numpy.bool_)):
        return str(value)
    if issubclass(kind, Tensor):
        return f"Tensor {show(value.numpy(), digits)}"
    if issubclass(kind, numpy.ndarray):
        array = numpy.array(value, subok=False)
        if array.size <= 12 and array.dtype.kind in "biufU":
            return show(array.tolist(), digits)
        return f"<{array.dtype} {array.shape}>"
    if kind in (list, tuple):
        if len(value) > 12:
            return f"<{kind.__name__} of {len(value)}>"
        left, right = "[]" if kind is list else "()"
        comma = "," if kind is tuple and len(value) == 1 else ""
        return f"{left}{', '.join(show(part, digits) for part in value)}{comma}{right}"
    if kind is dict:
        return "{" + ", ".join(f"{k}: {show(v, digits)}" for k, v in list(value.items())[:8]) + "}"
    if issubclass(kind, types.FunctionType):
        return str(value.__name__)
    as_text = getattr(kind, "as_text", None)  # a class that a chapter's checks define may have it
    return str(as_text(value)) if as_text is not None else f"<{kind.__name__}>"
