"""What a notebook defines anew for another purpose, under the name of a function that is asked for."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeGuard

from grader.notebook.meanings import Meaning, meanings, positional, required
from grader.notebook.syntax import Definition, Function, alias_name, bound_names, outer_names
from grader.notebook.values import Statement

__all__ = ["has_no_body", "without_misfits"]


def without_misfits(stmts: Sequence[Statement], models: Mapping[str, Definition]) -> tuple[list[Statement], set[str]]:
    """The statements without what cannot be called as the assignment calls it, and the names of these functions.

    When the cells were run, the earlier one did what was asked for: ``loss(outputs, labels)`` of a training loop is
    another function than the ``loss(X, y, w)`` before it, and so are a class, ``F.cross_entropy`` and what else is
    another library's. Only where an earlier one can be called so, no top-level statement needs the later one, and
    nothing that is asked for calls it in another way than the template's.

    Args:
        stmts: top-level statements in their order.
        models: the functions and classes of the template that are asked for, by name.
    """
    made = meanings(stmts)
    left: dict[int, set[str]] = {}
    names: set[str] = set()
    for name, model in models.items():
        if isinstance(model, ast.ClassDef):
            continue
        bound = [i for i, given in enumerate(made) if name in given]
        fitting = [i for i in bound if _fits(made[i][name], model) and not has_no_body(stmts[i][1])]
        is_defined = any(isinstance(made[i][name], ast.arguments) for i in fitting)
        later = [i for i in bound if is_defined and i > fitting[-1]]
        if later and not _is_needed(name, model, stmts, later[0], models):
            names.add(name)
            for i in later:
                left.setdefault(i, set()).add(name)
    kept = ((text, stmt) if i not in left else _without(left[i], stmt) for i, (text, stmt) in enumerate(stmts))
    return [statement for statement in kept if statement], names


def _without(names: AbstractSet[str], stmt: ast.stmt) -> Statement | None:
    """A statement that does not bind these names; None where nothing is left of it."""
    new: ast.stmt | None = None
    match stmt:
        case ast.Import(names=aliases) if rest := [alias for alias in aliases if alias_name(alias) not in names]:
            new = ast.Import(rest)
        case ast.ImportFrom(names=aliases) if rest := [alias for alias in aliases if alias_name(alias) not in names]:
            new = ast.ImportFrom(stmt.module, rest, stmt.level)
        case ast.Assign(targets=targets) if others := [one for one in targets if bound_names(one).isdisjoint(names)]:
            new = ast.Assign(others, stmt.value, lineno=stmt.lineno)
    return (ast.unparse(new), new) if new else None


def _is_needed(
    name: str, model: Function, stmts: Sequence[Statement], later: int, models: Mapping[str, Definition]
) -> bool:
    """Whether a value is made of the later one, or what is asked for calls it in another way than the model."""
    others = [stmt for _, stmt in stmts[later + 1 :] if not isinstance(stmt, Definition)]
    if any(_is_name(node, name) and isinstance(node.ctx, ast.Load) for stmt in others for node in ast.walk(stmt)):
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
    least, most = required(model.args), positional(model.args)
    counts = [len(call.args) + len(call.keywords) for call in calls]
    starred = any(isinstance(arg, ast.Starred) for call in calls for arg in call.args)
    mentions = sum(_is_name(node, name) for node in ast.walk(user))
    return not starred and mentions == len(calls) and all(least <= count <= most for count in counts)


def _is_name(node: ast.AST, name: str) -> TypeGuard[ast.Name]:
    return isinstance(node, ast.Name) and node.id == name


def _fits(meaning: Meaning, model: Function) -> bool:
    """Whether something can be called with the arguments that the template's must be given, the last ones by name.

    Nobody can tell of what only a run could make.
    """
    if not isinstance(meaning, ast.arguments):
        return meaning is None
    given = {arg.arg for arg in (*model.args.args, *model.args.kwonlyargs)}
    named = {arg.arg for arg in meaning.kwonlyargs}
    must = {arg.arg for arg, value in zip(meaning.kwonlyargs, meaning.kw_defaults, strict=True) if value is None}
    most = positional(meaning) + len(named & given)
    enough = meaning.vararg is not None or meaning.kwarg is not None or most >= required(model.args)
    return enough and must <= given and required(meaning) + len(must) <= positional(model.args)


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
