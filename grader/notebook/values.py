"""What the values are that a notebook gives to names: whether they can be called, and whether making them may fail."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet

from grader.notebook.syntax import bound_names

__all__ = ["Statement", "is_callable", "may_fail", "within", "without_values"]

Statement = tuple[str, ast.stmt]
"""With its own lines."""

_PLAIN = ast.Assign | ast.Constant | ast.Dict | ast.List | ast.Name | ast.Set | ast.Tuple | ast.expr_context
_CALLABLE = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom
_MAKERS = frozenset({"namedtuple", "partial", "staticmethod", "vectorize"})
"""What makes something that can be called."""


def may_fail(node: ast.AST) -> bool:
    """Whether a statement of simple values may raise where the loops and calls around it were left out."""
    if isinstance(node, ast.Lambda):
        return any(map(may_fail, filter(None, [*node.args.defaults, *node.args.kw_defaults])))
    return not isinstance(node, _PLAIN) or any(map(may_fail, ast.iter_child_nodes(node)))


def without_values(stmts: Iterable[Statement], functions: AbstractSet[str]) -> tuple[list[Statement], set[str]]:
    """The statements without values that cannot be called and are given the names of ``functions``, and these names.

    ``loss = 0`` before a loop is another thing than the function ``loss``, which worked when the cells were run.
    """
    kept: list[Statement] = []
    valued: set[str] = set()
    callables: set[str] = set()
    for text, stmt in stmts:
        callables.update(*(bound_names(one) for one in within(stmt) if isinstance(one, _CALLABLE)))
        if isinstance(stmt, ast.If | ast.Try):
            inner = [pair for one in within(stmt) for pair in _pairs(one) if not is_callable(pair[1], callables)]
            values = set().union(*(bound_names(target) & functions for target, _ in inner))
            valued |= values
            kept += [] if values else [(text, stmt)]
            continue
        rest: list[ast.stmt] = []
        pairs = list(_pairs(stmt))
        for target, value in pairs:
            names = bound_names(target)
            if is_callable(value, callables):
                callables |= names
            elif names & functions:
                valued |= names & functions
                continue
            else:
                callables -= names
            rest.append(ast.Assign([target], value, lineno=1))
        kept += [(text, stmt)] if len(rest) == len(pairs) else [(ast.unparse(one), one) for one in rest]
    return kept, valued


def within(stmt: ast.stmt) -> Iterator[ast.stmt]:
    """A statement, or those of an ``if`` or ``try`` at any depth, it among them."""
    if not isinstance(stmt, ast.If | ast.Try):
        yield stmt
        return
    for node in ast.walk(stmt):
        if isinstance(node, ast.stmt):
            yield node


def _pairs(stmt: ast.stmt) -> Iterator[tuple[ast.expr, ast.expr]]:
    """What a statement assigns, each target with its value as far as that can be told apart."""
    match stmt:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                match target, value:
                    case ast.Tuple(elts=names), ast.Tuple(elts=values) if len(names) == len(values):
                        yield from zip(names, values, strict=True)
                    case _:
                        yield target, value
        case ast.AugAssign(target=target):
            yield target, stmt.value


def is_callable(value: ast.expr, callables: AbstractSet[str]) -> bool:
    """Whether a value is, as far as can be seen, one that can be called, as those of the names ``callables`` can."""
    match value:
        case ast.Lambda():
            return True
        case ast.Name(id=name):
            return name in callables
        case ast.Attribute(value=owner):
            return is_callable(owner, callables)
        case ast.IfExp(body=one, orelse=other):
            return is_callable(one, callables) or is_callable(other, callables)
        case ast.Call(func=ast.Name(id=maker) | ast.Attribute(attr=maker)):
            return maker in _MAKERS
    return False
