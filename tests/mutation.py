"""Small changes to a function's source, of the kind that a learner makes by accident."""

import ast
import copy
from collections.abc import Iterator

SWAPS: dict[type, tuple[type, ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult, ast.Div),
    ast.Pow: (ast.Mult,),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
}


def symmetric(function: ast.expr) -> bool:
    """Whether its first two arguments may be exchanged."""
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("max", "min", "maximum", "minimum", "logaddexp")


def changes(node: ast.AST) -> Iterator[ast.AST | None]:
    """What may stand in the place of a node; None if nothing."""
    match node:
        case ast.BinOp(left, op, right):
            for other in SWAPS.get(type(op), ()):
                yield ast.BinOp(left, other(), right)
            if isinstance(op, ast.MatMult):
                yield ast.BinOp(right, op, left)
            yield left  # a dropped term or factor
            yield right
        case ast.UnaryOp(ast.USub() | ast.Not(), operand):
            yield operand
        case ast.Compare(left, [op], comparators):
            for other in SWAPS.get(type(op), ()):
                yield ast.Compare(left, [other()], comparators)
        case ast.BoolOp(op, values):
            for other in SWAPS[type(op)]:
                yield ast.BoolOp(other(), values)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
            if value:
                yield ast.Constant(value / 2 if isinstance(value, float) else value - 1)
        case ast.AugAssign(target, _, value):
            yield ast.Assign([target], value)
            yield None
        case ast.Attribute(value, "T"):
            yield value
        case ast.Expr(ast.Call()):
            yield None
        case ast.Tuple(elements, ast.Load()) if len(elements) > 1:
            for i in range(len(elements) - 1):
                order = list(elements)
                order[i], order[i + 1] = order[i + 1], order[i]
                yield ast.Tuple(order, ast.Load())
        case ast.IfExp(_, body, orelse):
            yield body
            yield orelse
        case ast.Call(ast.Attribute(value, "detach" | "copy"), []):
            yield value
        case ast.Call(function, [first, second, *rest], keywords) if not symmetric(function):
            yield ast.Call(function, [second, first, *rest], keywords)


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """(what was changed, the changed source), for each change anywhere in the source."""
    tree = ast.parse(source)
    count = len(list(ast.walk(tree)))
    for at in range(count):
        original = list(ast.walk(tree))[at]
        for number, _ in enumerate(changes(original)):
            changed = copy.deepcopy(tree)
            node = list(ast.walk(changed))[at]
            new = list(changes(node))[number]
            if not _replace(changed, node, new):
                continue
            text = ast.unparse(ast.fix_missing_locations(changed))
            what = "(nothing)" if new is None else ast.unparse(ast.fix_missing_locations(new))
            if text == ast.unparse(tree):  # the same thing twice, exchanged
                continue
            yield f"{ast.unparse(original)}  ->  {what}", text


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST | None) -> bool:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old and new is not None:
                setattr(parent, name, new)
                return True
            if isinstance(value, list) and any(item is old for item in value):
                if new is None and len(value) == 1:
                    new = ast.Pass()
                setattr(
                    parent,
                    name,
                    [kept for item in value if (kept := new if item is old else item) is not None],
                )
                return True
    return False
