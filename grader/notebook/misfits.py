"""Functions that a notebook defines anew for another purpose, under the name of one that is asked for."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from grader.notebook.syntax import Definition, Function, outer_names
from grader.notebook.values import Statement

__all__ = ["has_no_body", "without_misfits"]


def without_misfits(stmts: Sequence[Statement], models: Mapping[str, Definition]) -> tuple[list[Statement], set[str]]:
    """The statements without functions that cannot be called as the assignment calls them, and the names of these.

    When the cells were run, the earlier one did what was asked for: ``loss(outputs, labels)`` of a training loop is
    another function than the ``loss(X, y, w)`` before it. Only where an earlier one can be called so, and no function
    that is asked for uses the later one.

    Args:
        stmts: top-level statements in their order.
        models: the functions and classes of the template that are asked for, by name.
    """
    left: set[int] = set()
    names: set[str] = set()
    for name, model in models.items():
        if isinstance(model, ast.ClassDef):
            continue
        defined = [i for i, (_, stmt) in enumerate(stmts) if isinstance(stmt, Function) and stmt.name == name]
        fitting = [i for i in defined if _fits(stmts[i][1], model) and not has_no_body(stmts[i][1])]
        later = [i for i in defined if fitting and i > fitting[-1]]
        if later and not any(name in outer_names(text) for text in _asked_for(stmts[later[0] + 1 :], models)):
            left.update(later)
            names.add(name)
    return [statement for i, statement in enumerate(stmts) if i not in left], names


def _asked_for(stmts: Sequence[Statement], models: Mapping[str, Definition]) -> Iterator[str]:
    for text, stmt in stmts:
        if isinstance(stmt, Definition) and stmt.name in models:
            yield text


def _fits(definition: ast.stmt, model: Function) -> bool:
    """Whether a function can be called with the arguments that the template's must be given."""
    if not isinstance(definition, Function) or definition.decorator_list:
        return True
    most = len(definition.args.posonlyargs) + len(definition.args.args)
    least = most - len(definition.args.defaults)
    given = len(model.args.posonlyargs) + len(model.args.args)
    enough = definition.args.vararg is not None or most >= given - len(model.args.defaults)
    return enough and least <= given and None not in definition.args.kw_defaults


def has_no_body(definition: ast.stmt) -> bool:
    """Whether a function is still to be written."""
    return isinstance(definition, Function) and all(map(_is_empty, definition.body))


def _is_empty(stmt: ast.stmt) -> bool:
    match stmt:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case ast.Raise(exc=ast.Name(id=name) | ast.Call(func=ast.Name(id=name))):
            return name == "NotImplementedError"
    return False
