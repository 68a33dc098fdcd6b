"""Functions that a notebook defines anew for another purpose, under the name of one that is asked for."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from grader.notebook.syntax import Definition, Function, bound_names, outer_names, used_names
from grader.notebook.values import Statement

__all__ = ["has_no_body", "without_misfits"]


def without_misfits(stmts: Sequence[Statement], models: Mapping[str, Definition]) -> tuple[list[Statement], set[str]]:
    """The statements without functions that cannot be called as the assignment calls them, and the names of these.

    When the cells were run, the earlier one did what was asked for: ``loss(outputs, labels)`` of a training loop is
    another function than the ``loss(X, y, w)`` before it. Only where an earlier one can be called so, no top-level
    statement needs the later one, and nothing that is asked for calls it in another way than the template's.

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
        if later and not _is_needed(name, model, stmts, later[0], models):
            left.update(later)
            names.add(name)
    return [statement for i, statement in enumerate(stmts) if i not in left], names


def _is_needed(
    name: str, model: Function, stmts: Sequence[Statement], later: int, models: Mapping[str, Definition]
) -> bool:
    """Whether a value is made of the later function, or what is asked for calls it in another way than the model."""
    others = [stmt for _, stmt in stmts[later + 1 :] if not isinstance(stmt, Definition)]
    if any(name in bound_names(stmt) | used_names(stmt) for stmt in others):
        return True
    users = [statement for statement in _needed(stmts, models.keys() - {name}) if statement[1].name != name]
    return any(name in outer_names(text) and not _calls_as(name, model, stmt) for text, stmt in users)


def _needed(stmts: Sequence[Statement], names: AbstractSet[str]) -> list[tuple[str, Definition]]:
    """The definitions of these names, and of what they use at any depth."""
    texts: dict[str, list[tuple[str, Definition]]] = {}
    for text, stmt in stmts:
        if isinstance(stmt, Definition):
            texts.setdefault(stmt.name, []).append((text, stmt))
    todo, seen, found = list(names), set(names), []
    while todo:
        for text, stmt in texts.get(todo.pop(), ()):
            found.append((text, stmt))
            new = outer_names(text) - seen
            seen |= new
            todo.extend(new)
    return found


def _calls_as(name: str, model: Function, user: Definition) -> bool:
    """Whether a definition only calls a function, and with as many arguments as the model takes."""
    calls = [node for node in ast.walk(user) if isinstance(node, ast.Call) and _is_name(node.func, name)]
    least, most = _required(model), _positional(model)
    counts = [len(call.args) + len(call.keywords) for call in calls]
    starred = any(isinstance(arg, ast.Starred) for call in calls for arg in call.args)
    mentions = sum(_is_name(node, name) for node in ast.walk(user))
    return not starred and mentions == len(calls) and all(least <= count <= most for count in counts)


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _positional(function: Function) -> int:
    return len(function.args.posonlyargs) + len(function.args.args)


def _required(function: Function) -> int:
    return _positional(function) - len(function.args.defaults)


def _fits(definition: ast.stmt, model: Function) -> bool:
    """Whether a function can be called with the arguments that the template's must be given, the last ones by name."""
    if not isinstance(definition, Function) or definition.decorator_list:
        return True
    args = definition.args
    given = {arg.arg for arg in (*model.args.args, *model.args.kwonlyargs)}
    named = {arg.arg for arg in args.kwonlyargs}
    must = {arg.arg for arg, value in zip(args.kwonlyargs, args.kw_defaults, strict=True) if value is None}
    most = _positional(definition) + len(named & given)
    enough = args.vararg is not None or args.kwarg is not None or most >= _required(model)
    return enough and must <= given and _required(definition) + len(must) <= _positional(model)


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
