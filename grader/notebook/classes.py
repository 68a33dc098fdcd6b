"""Which classes of a notebook may be called where a value is made: those that only hold values."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import MutableMapping

from grader.notebook.expressions import METHODS, OWN_CLASS, full_name, is_simple, may_call
from grader.notebook.syntax import bound_names, used_names

__all__ = ["holds_values"]

_Known = MutableMapping[str, str]


def holds_values(stmt: ast.ClassDef, known: _Known) -> bool:
    """Whether making an instance, and using it in simple expressions, is cheap and touches nothing but values.

    So for a dataclass or a plain class if the methods that Python, or a simple expression, may call consist of simple
    statements. ``known`` is that of ``is_simple``.
    """
    if stmt.keywords or not all(full_name(base, known) in ("builtins.object", OWN_CLASS) for base in stmt.bases):
        return False
    if not all(_is_dataclass(decorator, known) for decorator in stmt.decorator_list):
        return False
    own: _Known = ChainMap(dict.fromkeys(bound_names(ast.Module(stmt.body, [])), ""), known)
    return all(_is_harmless(part, own) for part in stmt.body)


def _is_dataclass(decorator: ast.expr, known: _Known) -> bool:
    maker = decorator.func if isinstance(decorator, ast.Call) else decorator
    return full_name(maker, known) == "dataclasses.dataclass"


def _is_harmless(part: ast.stmt, known: _Known) -> bool:
    """Whether a part of a class's body brings nothing that costs time when an instance is made or looked at."""
    match part:
        case ast.FunctionDef(name=name, decorator_list=[]):
            return not _is_called(name) or _is_short(part, known)
        case ast.FunctionDef(name=name, decorator_list=[ast.Name("classmethod" | "staticmethod")]):
            return not _is_called(name)
        case ast.FunctionDef(decorator_list=[ast.Name("property")]):
            return _is_short(part, known)
        case ast.Assign(value=value) | ast.AnnAssign(value=value):
            named = bound_names(part)
            made = value is None or is_simple(value, known) or _is_field(value, known)
            return made and not any(map(_is_called, named)) and "property" not in used_names(part)
        case ast.Expr(ast.Constant()) | ast.Pass():
            return True
    return False


def _is_called(name: str) -> bool:
    """Whether a method of this name may be called by Python or by a simple expression."""
    return name.startswith("__") or name in METHODS.split()


def _is_short(function: ast.FunctionDef, known: _Known) -> bool:
    """Whether a method only assigns simple values to names and attributes, or returns one."""
    args = function.args
    given = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, [args.vararg, args.kwarg])]
    inner: _Known = ChainMap({arg.arg: "" for arg in given}, known)
    for stmt in function.body:
        target: ast.expr
        match stmt:
            case ast.Assign(targets=[ast.Name() | ast.Attribute(value=ast.Name()) as target], value=value):
                pass
            case ast.AnnAssign(target=ast.Attribute(value=ast.Name()) as target, value=ast.expr() as value):
                pass
            case ast.Return(value=ast.expr() as value):
                target = value
            case ast.Expr(ast.Constant()) | ast.Pass():
                continue
            case _:
                return False
        if not is_simple(value, inner):
            return False
        inner.update(dict.fromkeys(bound_names(target), ""))
    return True


def _is_field(value: ast.expr, known: _Known) -> bool:
    """Whether a value is a field of a dataclass whose default is simple to make."""
    match value:
        case ast.Call(func=func, args=[], keywords=keywords) if full_name(func, known) == "dataclasses.field":
            return all(
                _is_factory(k.value, known) if k.arg == "default_factory" else is_simple(k.value, known)
                for k in keywords
            )
    return False


def _is_factory(value: ast.expr, known: _Known) -> bool:
    return is_simple(value.body, known) if isinstance(value, ast.Lambda) else may_call(value, known)
